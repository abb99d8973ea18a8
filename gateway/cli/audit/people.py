"""The auditor's questions about conduct and about people: `passerelle audit anomalies`, `rates`, `subject`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.audit import period_questions
from gateway.cli.audit.period_questions import HELD, LIVE, answering, question
from gateway.cli.audit.session import Asked, AuditSession, Scope
from gateway.errors import UserError
from gateway.language import LANGUAGES

if TYPE_CHECKING:
    from gateway.auditor.questions.subject import Decided

app = typer.Typer()

DIMENSIONS: Final = ("sex", "age_band", "region")
LONGEST_WHOM = 100  # characters of what the entry of a reading says of whom it was about
MOST_CASES: Final = 64 << 20  # bytes of a list of cases
_WITHHELD: Final = re.compile(r"([0-9]{1,12})=((?:1[89]|2[0-8])(?:\([0-9a-z.]{1,5}\)){0,3})")
_HOURS: Final = re.compile(r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-3])")


@question(
    app,
    f"can --since 2026-01-01 --cases cases.txt {LIVE}",
    f"{HELD} --partner AUS --hours 6-18 --csv odd.csv",
)
def anomalies(
    context: typer.Context,
    *,
    cases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Case references that exist, one a line: ours, or with --partner that party's.",
        ),
    ] = None,
    hours: Annotated[
        str,
        typer.Option(
            metavar="FIRST-LAST",
            help="Working hours, UTC, e.g. 6-18; else each party's own habits say what is odd.",
        ),
    ] = "",
    scope: Scope,
    asked: Asked,
) -> None:
    """List queries without a matching case, repeats, and odd hours.

    Exit code 0: nothing is odd. 1: something is worth a question. 2: could not be answered.
    """
    from gateway.auditor.questions.anomalies import anomalies as ask

    listed, working = _cases(cases), _hours(hours)
    more = (f" hours {hours}" if hours else "") + (" against a list of cases" if cases else "")
    words = scope.words("anomalies", more)
    with answering(context, asked, scope, words) as (here, period, tell):
        tell(ask(here.index, period, listed, working))


@question(
    app,
    f"can --by sex,age_band,region --since 2026-01-01 --groups groups.csv {LIVE}",
    f"{HELD} --by region --groups groups.csv --json",
)
def rates(
    context: typer.Context,
    *,
    by: Annotated[
        str, typer.Option(metavar="LIST", help="Of sex, age_band and region, with commas.")
    ] = "sex,age_band,region",
    groups: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The registrar's subject,sex,age_band,region; the ledger holds no sex and no age.",
        ),
    ] = None,
    scope: Scope,
    asked: Asked,
) -> None:
    """Give hit and false-hit rates by group of people, with intervals; counts below 10 are suppressed.

    Exit code 0: answered. 1: not by group, for want of --groups. 2: could not be answered.
    """
    from gateway.auditor.demographic_groups import read_groups
    from gateway.auditor.questions.rates import rates as ask

    dimensions = by.split(",")
    if not set(dimensions) <= set(DIMENSIONS) or len(set(dimensions)) < len(dimensions):
        raise UserError(f"--by is some of {', '.join(DIMENSIONS)}, each once, with commas between")
    with answering(context, asked, scope, scope.words(f"rates by {by}")) as (here, period, tell):
        stated = None if groups is None else read_groups(groups)
        tell(ask(here.index, period, dimensions, stated))


@question(
    app,
    f"can F-17 --lang en,fr --out F-17.zip {LIVE}",
    f"S-1234567890123456789 --lang fr --out pack {HELD}",
)
def subject(
    context: typer.Context,
    person: Annotated[
        str,
        typer.Argument(
            metavar="FILE_NUMBER",
            help="Local file number of the person, or S-… as entries name them; with --bundle S-…",
        ),
    ] = "",
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PACK", help="New folder for the pack, or FILE.zip."),
    ],
    lang: Annotated[
        str, typer.Option(metavar="LIST", help="Languages of the pack: en,fr, en or fr.")
    ] = "en,fr",
    case: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CASE", help="A case of the person in which we asked; may be repeated."
        ),
    ] = None,
    release: Annotated[
        list[int] | None,
        typer.Option(
            metavar="LEAF",
            help="A leaf among the findings that an officer releases; may be repeated.",
        ),
    ] = None,
    withhold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEAF=SECTION",
            help="One that an officer withholds, and the section of the Privacy Act, e.g. 17=21; may be repeated.",
        ),
    ] = None,
    scope: Scope,
    asked: Asked,
) -> None:
    """Write all exchanges about one person into a pack that answers their access request.

    Officers, examiners, scores and other people are left out. A match that the partner was not told of and a
    ground of refusal are left out too, each with a finding, until an officer has decided: --release or --withhold.

    Exit code 0: written. 1: written, with findings. 2: could not be answered.
    """
    from gateway.auditor.questions import subject as questions

    asked, person = asked.sorted_out(person)
    languages = lang.split(",")
    if not set(languages) <= set(LANGUAGES) or len(set(languages)) < len(languages):
        raise UserError("--lang is en, fr, or en,fr")
    if not person and not case:
        raise UserError("name the person: FILE_NUMBER, or a case of theirs with --case")
    if out.exists():
        raise UserError(f"{out} is there already; a pack is never written over another")
    decided = _decided(release or [], withhold or [])
    # Sealed with the reading: who looked for whom is asked one day, and who reads the frames learns nothing.
    words = scope.words(_whom(person, case or []))
    with answering(context, asked, scope, words) as (here, period, tell):
        number = registry_number(here, person)
        cite = period_questions.cited(here)
        pack = questions.subject(here.index, period, number, tuple(case or ()), cite, decided)
        questions.write_pack(pack, out, languages)
        output.note(f"pack  {out}")
        tell(pack.table)


def _decided(release: list[int], withhold: list[str]) -> Decided:
    """Return what an officer decided; raises UserError for what is no leaf, no section, or both at once."""
    from gateway.auditor.questions.subject import Decided

    withheld: dict[int, str] = {}
    for each in withhold:
        found = _WITHHELD.fullmatch(each)
        if found is None:
            raise UserError(
                "--withhold is a leaf and a section of the Privacy Act from 18 to 28: 17=21, 17=22(1)(b)"
            )
        withheld[int(found[1])] = found[2]
    if both := sorted(withheld.keys() & set(release)):
        raise UserError(f"leaf {both[0]} is both released and withheld: decide one of them")
    return Decided(frozenset(release), withheld)


def _whom(person: str, cases: list[str]) -> str:
    """Return what the entry of the reading says of whom it was about; of many cases the first, and how many more."""
    said = f"subject {person}".strip()
    for at, case in enumerate(cases):
        if len(said) + len(case) > LONGEST_WHOM:
            return f"{said} and {len(cases) - at} cases more"
        said = f"{said} case {case}"
    return "".join(each if " " <= each <= "~" else "?" for each in said)


def registry_number(room: AuditSession, person: str) -> str:
    """Return the number of the registry of a person; raises UserError where it cannot be known here."""
    from gateway.auditor.questions.subject import number_of
    from gateway.server.local_source import Stored

    number = number_of(person)
    if number is not None or not person:
        return number or ""
    if not isinstance(room.source, Stored):
        raise UserError(
            "a bundle knows no file numbers: name the person S-…, as `passerelle audit subject` of the gateway"
            " shows, or as the entry of the enrolment does"
        )
    found = room.source.subject_of(person)
    if found is None:
        raise UserError("nobody has this file number; of whoever was removed, name S-…")
    return found


def _cases(file: Path | None) -> frozenset[str] | None:
    if file is None:
        return None
    try:
        lines = user_files.named(file, MOST_CASES).decode().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{file} cannot be read: one case reference a line, in UTF-8") from None
    return frozenset(line.strip() for line in lines if line.strip())


def _hours(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = _HOURS.fullmatch(text)
    if found is None:
        raise UserError("--hours is the first and the last working hour, UTC: 6-18")
    return int(found[1]), int(found[2])
