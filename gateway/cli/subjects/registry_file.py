"""A file of people, as a case system exports it: CSV with a heading, or JSON lines; each row told apart.

What stands in the columns is judged by the gateway. Here a file becomes rows of text, a photograph's path becomes
its base64, and what cannot even become a row is named by its line.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gateway import user_files
from gateway.cli.subjects.biometric_files import Bad, Unusable
from gateway.domain.person import FieldCode
from gateway.errors import UserError
from gateway.user_files import FileRefused
from keys import strict_json
from keys.strict_json import JsonRefused

LONGEST = 65_536  # characters of a line; names, dates and paths take far less
MAX_PHOTOGRAPH = 196_608  # bytes; what one answer to a partner holds beside the other fields
STATED = ("reference", "status", "nationalities", "persecutors", "confirmed")
PHOTOGRAPH = FieldCode.PHOTOGRAPH.name


@dataclass(frozen=True, slots=True)
class Line:
    """One row and the line that it stands on."""

    number: int
    row: dict[str, str] = field(repr=False)


def rows(file: Path) -> Iterator[Line | Bad]:
    """Yield the rows of a file in their order; raises UserError for a file that is neither CSV nor JSON lines."""
    reader = _json_lines if file.suffix.lower() in {".jsonl", ".ndjson", ".json"} else _csv
    for number, row in reader(file):
        try:
            if isinstance(row, Unusable):
                raise row
            yield Line(number, _with_photograph(file.parent, row))
        except Unusable as fault:
            yield Bad(f"{file.name} line {number}", str(fault))


def _csv(file: Path) -> Iterator[tuple[int, dict[str, str] | Unusable]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        heading: list[str] | None = None
        try:
            for line in reader:
                cells = [cell.strip() for cell in line]
                if heading is None:
                    heading = _heading(file, cells)
                elif len(cells) != len(heading):
                    wanted = f"has {len(cells)} columns; the heading has {len(heading)}"
                    if cells:
                        yield reader.line_num, Unusable(wanted)
                else:
                    named = zip(heading, cells, strict=True)
                    yield reader.line_num, {name: cell for name, cell in named if cell}
        except (csv.Error, UnicodeDecodeError):
            raise UserError(f"{file}: no CSV in UTF-8 from line {reader.line_num} on") from None
        if heading is None:
            raise UserError(
                f"{file}: empty; its first line names the columns: reference, status, …"
            )


def _heading(file: Path, cells: list[str]) -> list[str]:
    names = [_name(cell) for cell in cells]
    if None in names or len(set(names)) < len(names) or "reference" not in names:
        raise UserError(
            f"{file} line 1: the heading names each column once, and reference among them:"
            f" {', '.join(STATED)}, or a field such as LAST_NAME"
        )
    return [name for name in names if name is not None]


def _json_lines(file: Path) -> Iterator[tuple[int, dict[str, str] | Unusable]]:
    with file.open("rb") as stream:
        for number, line in enumerate(_bounded(stream), 1):
            if not line.strip():
                continue
            try:
                yield number, _object(line)
            except Unusable as fault:
                yield number, fault


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file; of one that is too long a beginning that `_object` refuses, and no more."""
    while line := stream.readline(LONGEST + 1):
        yield line
        while len(line) > LONGEST and not line.endswith(b"\n"):
            line = stream.readline(LONGEST + 1)


def _object(line: bytes, *, keep_empty: bool = False) -> dict[str, str]:
    if len(line) > LONGEST:
        raise Unusable(f"longer than {LONGEST} bytes; photographs are named by path")
    try:
        stated = strict_json.read(line, LONGEST)
    except JsonRefused as fault:
        raise Unusable(f"no JSON object in UTF-8: {fault}") from None
    if not isinstance(stated, dict):
        raise Unusable("no JSON object in UTF-8")
    row: dict[str, str] = {}
    for key, value in stated.items():
        name = _name(key)
        if name is None:
            raise Unusable("a column of no known name")
        if name in row:
            raise Unusable(f"{name}: stands twice")
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            row[name] = " ".join(value)
        elif value is None or isinstance(value, str):
            row[name] = value or ""
        else:
            raise Unusable(f"{name}: neither a text nor a list of texts")
    return {name: value for name, value in row.items() if value or keep_empty}


def _name(cell: str) -> str | None:
    """Return a column's name as the gateway knows it, however it was typed; None for any other."""
    if cell.lower() in STATED:
        return cell.lower()
    return cell.upper() if cell.upper() in FieldCode.__members__ else None


def _with_photograph(folder: Path, row: dict[str, str]) -> dict[str, str]:
    if not row.get(PHOTOGRAPH):
        return row
    try:
        octets = user_files.read_below(folder, row[PHOTOGRAPH], MAX_PHOTOGRAPH)
    except FileRefused as fault:
        raise Unusable(f"{PHOTOGRAPH}: {fault}") from None
    return {**row, PHOTOGRAPH: base64.b64encode(octets).decode()}


def changes(file: Path) -> dict[str, str]:
    """Return what one JSON object says of a person; null becomes empty, which removes. Raises UserError."""
    try:
        octets = user_files.read(file, LONGEST)
        row = _object(octets.replace(b"\n", b" "), keep_empty=True)
        return _with_photograph(file.parent, row)
    except (Unusable, FileRefused) as fault:
        raise UserError(f"{file}: {fault}") from None
