"""Which files hold whose fingers: from paths, from a manifest, or from `--finger 2=FILE`.

The records of most sensors say position 0, unknown; whoever names the file then says the finger. A file
that cannot be used is named with its reason and never stops the others.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from gateway.errors import Remedy

MAX_RECORD = (
    65_536  # bytes; ten views of 255 minutiae make 16 KB, the rest is room for extended blocks
)
UNSTATED = "unstated"  # extractor, where nobody says which software made the records
COLUMNS = ("path", "subject", "position", "extractor")  # of a manifest; the last may be absent
MAX_LINES = 10_000_000  # lines of a manifest; more is another file

_subject = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_finger = re.compile(r"(?P<position>[0-9]{1,2})=(?P<path>.+)")


class Unusable(Exception):
    """A file, or a line of a manifest, cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file and what is said of it.

    label      what the user calls it; named in complaints
    subject    whose it is; a pseudonym
    position   finger 1 to 10; 0 = the record says it itself
    """

    label: str
    path: Path
    subject: str
    position: int
    extractor: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A file or line that cannot be used, and why."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What was named, the bad apart."""

    good: tuple[Source, ...] = ()
    bad: tuple[Bad, ...] = field(default=())


def from_paths(paths: Sequence[Path], position: int, extractor: str) -> Sources:
    """Return the files under `paths`, each a person of its own.

    The subject is the file's name, below a folder its path from that folder's own name on, without the
    suffix: the same command again names the same people.
    """
    good, bad = [], []
    for path in paths:
        if not path.exists():
            bad.append(Bad(str(path), "no such file"))
        for file in _files(path):
            named = file.relative_to(path.absolute().parent) if path.is_dir() else Path(file.name)
            subject = str(named.with_suffix(""))
            if _subject.fullmatch(subject):
                good.append(Source(str(file), file, subject, position, extractor))
            else:
                bad.append(Bad(str(file), "its name cannot be a file number; use a manifest"))
    return Sources(tuple(good), tuple(bad))


def from_manifest(manifest: Path, extractor: str) -> Sources:
    """Return the files of a CSV with the columns path, subject, position and, if wanted, extractor.

    Paths are relative to the manifest's folder. Lines of one subject need not stand together. Raises
    `Remedy` for a file that is no manifest.
    """
    good, bad = [], []
    for number, line in _lines(manifest):
        label = f"{manifest.name} line {number}"
        try:
            good.append(_source(manifest.parent, line, extractor))
        except Unusable as fault:
            bad.append(Bad(label, str(fault)))
    return Sources(tuple(sorted(good, key=lambda source: source.subject)), tuple(bad))


def from_fingers(stated: Iterable[str], extractor: str) -> Sources:
    """Return the files of `2=FILE` statements."""
    good = []
    for each in stated:
        parts = _finger.fullmatch(each)
        if parts is None or not 1 <= int(parts["position"]) <= 10:
            raise typer.BadParameter(
                "write POSITION=FILE with a position of 1 to 10", param_hint="--finger"
            )
        path = Path(parts["path"])
        good.append(Source(str(path), path, path.stem, int(parts["position"]), extractor))
    return Sources(tuple(good))


def read(source: Source) -> tuple[bytes, int]:
    """Return the record of a file and the finger it is of, 0 where neither file nor user says.

    Raises `Unusable` with the reason.
    """
    try:
        with source.path.open("rb") as file:
            octets = file.read(MAX_RECORD + 1)
    except OSError as fault:
        raise Unusable(fault.strerror or type(fault).__name__) from None
    if len(octets) > MAX_RECORD:
        raise Unusable(f"larger than {MAX_RECORD} bytes; this is no record")
    return octets, source.position or _stated(octets)


def _stated(octets: bytes) -> int:
    """Return the finger that a record itself names; what is wrong with it, its reader says later."""
    from matcher import fmr
    from matcher.template import MalformedRecord

    try:
        views = fmr.read(octets).views
    except MalformedRecord:
        return 0
    return views[0].position if len(views) == 1 else 0


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        whole = path.absolute()
        for file in sorted(whole.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(whole).parts)
            if file.is_file() and not hidden:
                yield file


def _lines(manifest: Path) -> Iterator[tuple[int, list[str]]]:
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for line in reader:
                if reader.line_num > MAX_LINES:
                    raise Remedy(f"{manifest}: longer than {MAX_LINES} lines; split it")
                heading = reader.line_num == 1 and [c.strip().lower() for c in line[:1]] == ["path"]
                if line and not heading:
                    yield reader.line_num, [cell.strip() for cell in line]
        except (csv.Error, UnicodeDecodeError):
            raise Remedy(
                f"{manifest}: no CSV in UTF-8 with the columns {', '.join(COLUMNS)}"
            ) from None


def _source(folder: Path, line: list[str], extractor: str) -> Source:
    if not 3 <= len(line) <= len(COLUMNS):
        raise Unusable(f"has {len(line)} columns; wanted are {', '.join(COLUMNS)}")
    path, subject, position = line[:3]
    if not path:
        raise Unusable("names no file")
    if not _subject.fullmatch(subject):
        raise Unusable("the subject is not 1 to 64 of letters, digits and . _ / -")
    if not (position.isascii() and position.isdigit() and 0 <= int(position) <= 10):
        raise Unusable("the position is not 1 to 10")
    return Source(
        path, folder / path, subject, int(position), (line[3] if line[3:] else "") or extractor
    )
