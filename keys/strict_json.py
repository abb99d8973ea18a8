"""JSON of others, read within bounds: each name once, whole numbers of a size, a depth.

The library goes as deep as brackets do and hands Python a number of any length, and of a name that is there twice
it keeps the last. What may be read twice in two ways is refused, and what is too deep is seen in one walk over
the text, linear in its length, before the library begins.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

DEEPEST: Final = 32  # containers within each other; the directory's metadata need eight
LONGEST_NUMBER: Final = 32  # characters; 64 bits need 20, a float of Python's 24

# A text that never ends is one token too, or each quote in it would be tried anew.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


class JsonRefused(ValueError):
    """A text is no JSON, or more of it than any file of ours needs; the message holds nothing of it."""


def read(octets: bytes, most: int, deepest: int = DEEPEST) -> Any:  # noqa: ANN401 - JSON is any of its kinds
    """Return what UTF-8 text of at most `most` bytes says; raises `JsonRefused`, which is a ValueError."""
    if len(octets) > most:
        raise JsonRefused(f"longer than {most} bytes")
    try:
        text = octets.decode("utf-8")
        _demand_shallow(text, deepest)
        return json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_short,
        )
    except JsonRefused:
        raise
    except (ValueError, RecursionError):
        raise JsonRefused("no JSON in UTF-8") from None


def _demand_shallow(text: str, deepest: int) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        depth += (mark in "[{") - (mark in "]}")
        if depth > deepest:
            raise JsonRefused(f"more than {deepest} lists and objects within each other")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonRefused("a name stands twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise JsonRefused("a number that is none")


def _finite(text: str) -> float:
    value = float(text) if len(text) <= LONGEST_NUMBER else math.inf
    if not math.isfinite(value):
        raise JsonRefused("a number beyond what a computer holds")
    return value


def _short(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise JsonRefused("a number of too many digits")
    return int(text)
