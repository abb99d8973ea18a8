"""Which files are records of which finger, for an evaluation: from names, or from a manifest.

A file is named `<finger>_<impression>.<anything>`; the folder that it lies in, seen from the folder that is
evaluated, is its set. Fingers of different sets are different fingers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gateway import user_files
from gateway.domain.messages import TEMPLATES
from gateway.errors import UserError
from gateway.matching import sample_files
from gateway.matching.engine import UnreadableSample
from gateway.matching.finger import FORMATS
from gateway.sample_files import ansi_nist
from gateway.user_files import FileRefused
from matcher.finger import record_fmr
from matcher.finger.probe import assess
from matcher.finger.template import Minutiae

MOST_BYTES = 1 << 20  # of a file; a transaction file with images is larger, and is not read here
MOST_FILES = 20_000  # in one evaluation; the matrix of more would not fit in memory
COLUMNS = ("path", "finger", "impression", "set")  # of a manifest; the last may be absent

_named = re.compile(r"(?P<finger>.+)_(?P<impression>[^_]+)")


@dataclass(frozen=True, slots=True)
class Specimen:
    """One record: its path, its name relative to what is evaluated, its set, finger and impression.

    below   folder of the manifest that names it, which `path` is seen from; None where a person named the file
    """

    path: Path
    name: str
    set: str
    finger: str
    impression: str
    below: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A record as far as it could be read: the minutiae, or why it cannot be enrolled; and what was repaired for it.

    extracted   False: an image of which no record could be made
    """

    specimen: Specimen
    form: str
    minutiae: Minutiae | None = field(repr=False)
    reason: str
    repairs: tuple[str, ...] = ()
    extracted: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The records, sorted by name, and the files that are none."""

    specimens: tuple[Specimen, ...]
    ignored: tuple[str, ...]


def find(place: Path) -> Found:
    """Return the records under a folder, or those that a manifest lists; hidden files are not seen.

    Raises UserError where there is none, or where a manifest is none.
    """
    found = _listed(place) if place.is_file() else _found(place)
    if not found.specimens:
        raise UserError(
            f"{place}: no record in it; files are named <finger>_<impression>.<suffix>,"
            " or a CSV lists path,finger,impression[,set]"
        )
    if len(found.specimens) > MOST_FILES:
        raise UserError(f"{place}: more than {MOST_FILES} records; evaluate fewer at a time")
    return found


def read(specimen: Specimen) -> Read:
    """Return a record's minutiae, or the reason why it counts as a failure to enrol."""
    try:
        octets = octets_of(specimen, MOST_BYTES)
        found = sample_files.opened(octets)
    except (FileRefused, UnreadableSample) as fault:
        return Read(specimen, "UNREADABLE", None, str(fault))
    prints = [each for each in found.samples if each.format in FORMATS]
    if not prints:
        images = [each for each in found.samples if each.format not in TEMPLATES]
        remedy = "  → passerelle eval DIR --extractor NAME is for images" if images else ""
        what = f"{found.kind}, not a finger minutiae record"
        return Read(specimen, "UNREADABLE", None, what + remedy)
    transaction = ansi_nist.is_transaction(octets)
    form = "ANSI_NIST_TYPE_9" if transaction else prints[0].format.name
    if len(prints) != 1:
        return Read(specimen, form, None, f"holds {len(prints)} fingers; one impression a record")
    if found.unread:
        return Read(specimen, form, None, str(found.unread[0]))
    return judged(specimen, form, prints[0].data, found.notes)


def judged(specimen: Specimen, form: str, record: bytes, repairs: tuple[str, ...] = ()) -> Read:
    """Return the minutiae of a finger's record, which a strict reader reads, or why it is too poor to enrol."""
    minutiae = record_fmr.read(record).views[0].minutiae
    poor = assess(minutiae)
    if poor is not None:
        return Read(specimen, form, None, poor.lower().replace("_", " "))
    return Read(specimen, form, minutiae, "", repairs)


def octets_of(specimen: Specimen, most: int) -> bytes:
    """Return a specimen's file of at most so many bytes; raises FileRefused, which says why not."""
    if specimen.below is None:
        return user_files.read(specimen.path, most)
    return user_files.read_below(specimen.below, str(specimen.path), most)


def numbered(names: list[str], more: list[str] | None = None) -> tuple[NDArray[np.intp], ...]:
    """Return numbers for names, alike for the like ones, in natural order: 2 before 10."""
    every = sorted({*names, *(more or [])}, key=_naturally)
    number = {name: at for at, name in enumerate(every)}
    return tuple(
        np.array([number[name] for name in some], dtype=np.intp) for some in (names, more or [])
    )


def _naturally(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+|[0-9]+", name)
    return tuple((0, int(p), "") if p.isdecimal() and len(p) < 19 else (1, 0, p) for p in parts)


def _found(folder: Path) -> Found:
    specimens, ignored = [], []
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        parts = _named.fullmatch(file.stem)
        if parts is None:
            ignored.append(name)
            continue
        home = PurePosixPath(name).parent.as_posix()
        home = folder.resolve().name if home == "." else home
        specimens.append(Specimen(file, name, home, parts["finger"], parts["impression"]))
    return Found(tuple(sorted(specimens, key=lambda each: each.name)), tuple(ignored))


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, and no manifest")
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file


def _listed(manifest: Path) -> Found:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file, restkey="more"))
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{manifest}: not a CSV in UTF-8") from None
    specimens = {}
    for number, line in enumerate(lines, 2):
        stated = [line.get(column) for column in COLUMNS[:3]]
        if not all(stated):
            raise UserError(
                f"{manifest} line {number}: needs the columns path, finger and impression"
            )
        name, finger, impression = (str(each) for each in stated)
        if name in specimens:
            raise UserError(f"{manifest} line {number}: names a file twice")
        home = line.get("set") or PurePosixPath(name).parent.as_posix()
        home = manifest.stem if home == "." else home
        specimens[name] = Specimen(Path(name), name, home, finger, impression, manifest.parent)
    return Found(tuple(specimens[name] for name in sorted(specimens)), ())
