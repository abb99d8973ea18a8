"""The files that a query is asked with, as commands name them: a partner's `query` and our own `outbound query` alike."""

from __future__ import annotations

from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.cli.subjects import biometric_files
from gateway.cli.subjects.biometric_files import Sources
from gateway.domain.messages import POSITIONS, UNSTATED, Missing, Modality, Presence, Sample
from gateway.errors import UserError
from gateway.operations.forms import sayable

_E = TypeVar("_E", bound=IntEnum)

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]…", help="Records, all of --position.")
]
Finger = Annotated[
    list[str] | None,
    typer.Option(
        metavar="POSITION=FILE",
        help="A record and its finger, 0 where nobody knows it; may be repeated, up to four times for one finger.",
    ),
]
Face = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A record of the face, beside or without others."),
]
Iris = Annotated[
    list[str] | None,
    typer.Option(
        metavar="POSITION=FILE", help="A record and its eye, 1 right, 2 left; may be repeated."
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Records of one person: path,subject,position[,extractor]."),
]
Absent = Annotated[
    list[str] | None,
    typer.Option(metavar="POSITION=WHY", help="AMPUTATED, BANDAGED or DAMAGED; may be repeated."),
]


def samples_of(  # noqa: PLR0917 - the options of both commands
    files: list[Path] | None,
    fingers: list[str] | None,
    face: Path | None,
    irises: list[str] | None,
    manifest: Path | None,
    position: int,
    extractor: str,
    ppi: int,
) -> tuple[Sample, ...]:
    """Return the samples of all files that a command names, of one person; none where it names none.

    Unlike an enrolment, a question with a bad file is not asked at all: raises UserError, and BiographicInQuery for text
    about a person in one.
    """
    loose = biometric_files.from_paths(files or [], position, extractor)
    named = placed(fingers or [], face, irises or [], extractor)
    listed = Sources() if manifest is None else biometric_files.from_manifest(manifest, extractor)
    if len({source.subject for source in listed.good}) > 1:
        raise UserError("the manifest names several people; a query asks about one")
    for one in (*loose.bad, *listed.bad):
        raise UserError(f"not asked: {one.label}: {one.reason}")
    every = Sources((*loose.good, *named.good, *listed.good))
    sources = biometric_files.with_ppi(every, ppi).good
    return tuple(chain.from_iterable(map(biometric_files.query_samples, sources)))


def placed(fingers: list[str], face: Path | None, irises: list[str], extractor: str) -> Sources:
    """Return the files that options name with the place of each on the body."""
    options = (
        (Modality.FINGER, fingers),
        (Modality.FACE, [] if face is None else [str(face)]),
        (Modality.IRIS, irises),
    )
    each = [
        # Records of faces and irises say their own model or coder; the option is about fingers.
        biometric_files.from_positions(said, of, extractor if of is Modality.FINGER else UNSTATED)
        for of, said in options
    ]
    return Sources(tuple(one for some in each for one in some.good))


def demand_one_probe(samples: tuple[Sample, ...], prior: str | None) -> None:
    """Raise BadParameter for a question by files and by a number, or by neither."""
    if prior and samples:
        raise typer.BadParameter(
            "ask with records or with a number, not with both", param_hint="--prior"
        )
    if not prior and not samples:
        raise typer.BadParameter(
            "name a record: --finger 2=FILE, --face FILE, --iris 1=FILE", param_hint="--finger"
        )


def missing_of(stated: list[str] | None) -> tuple[Missing, ...]:
    """Return the fingers that could not be sampled, and why."""
    found = []
    for each in stated or []:
        position, _, why = each.partition("=")
        known = position.isascii() and position.isdigit()
        if not known or int(position) not in POSITIONS[Modality.FINGER]:
            raise typer.BadParameter("write POSITION=WHY", param_hint="--missing")
        found.append(Missing(int(position), choice(Presence, why, "--missing")))
    return tuple(found)


def choice(kind: type[_E], name: str, option: str) -> _E:
    """Return the member of a closed list that a word names."""
    known = sayable(kind)
    if name.upper() not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint=option)
    return known[name.upper()]
