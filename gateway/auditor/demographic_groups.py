"""Groups of people, for rates by group: which coarse sex, age band and region each number of the registry has.

A CSV file of the registrar's, made for one audit and destroyed after it:

    subject,sex,age_band,region
    1234567890,F,30-44,Asia

The ledger has neither sex nor age, by design (ADR 0026). What joins both is the number of the registry
in the sealed detail, so that whoever has the file alone learns nothing of queries, and whoever has the ledger
alone nothing of people.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from gateway import user_files
from gateway.errors import PasserelleError

DIMENSIONS: Final = ("sex", "age_band", "region")
HEAD: Final = ["subject", *DIMENSIONS]
MOST: Final = 64 << 20  # bytes; two million people
_FORMS: Final = (
    re.compile(r"[1-9][0-9]{0,18}"),
    re.compile(r"[FMXU]"),
    re.compile(r"14-17|18-29|30-44|45-59|60-79|80\+|U"),  # IRPR 12.2: prints are taken from 14 on
    re.compile(r"[A-Z][A-Za-z ]{1,31}"),
)

Groups: TypeAlias = Mapping[str, tuple[str, str, str]]  # number of the registry → its groups


class GroupsRefused(PasserelleError):
    """A file of groups cannot be read; the text names the line and what belongs there, never its content."""


def read_groups(path: Path) -> Groups:
    """Return the groups of a file; raises GroupsRefused."""
    try:
        text = io.StringIO(user_files.read(path, MOST).decode("ascii"), newline="")
        return _read(path, enumerate(csv.reader(text, strict=True), 1))
    except user_files.FileRefused as fault:
        raise GroupsRefused(f"{path}: {fault}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise GroupsRefused(f"{path} cannot be read as CSV in ASCII") from error


def _read(path: Path, lines: enumerate[list[str]]) -> Groups:
    found: dict[str, tuple[str, str, str]] = {}
    if next(lines, (0, []))[1] != HEAD:
        raise GroupsRefused(f"{path}: the first line is {','.join(HEAD)}")
    for number, line in lines:
        well = len(line) == len(_FORMS) and all(
            form.fullmatch(cell) for form, cell in zip(_FORMS, line, strict=True)
        )
        if not well or line[0] in found:
            raise GroupsRefused(
                f"{path}, line {number}: number of the registry, once; sex F, M, X or U; age band 14-17, 18-29,"
                " 30-44, 45-59, 60-79, 80+ or U; region in words"
            )
        found[line[0]] = line[1], line[2], line[3]
    return found
