"""TOML, read within bounds: settings, and agreements that came from elsewhere.

`tomllib` takes time with the square of a dotted key's parts, goes as deep as brackets do, and hands Python a
number of any length; 64 KiB of such a file keep it busy for half a minute, or end in an error that is none of
TOML's. One walk over the text, linear in its length, counts what it would have to do, and refuses before it
begins. What passes is read by `tomllib` alone: nothing is understood twice.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from gateway.errors import PasserelleError

DEEPEST: Final = 16  # dots of one key and brackets around it; an agreement needs five
LONGEST_WORD: Final = 128  # characters of a key or a number; Python refuses to read 4,300 digits
MOST_VALUES: Final = (
    4_096  # keys, tables and members of lists; the largest agreement of ours has 300
)

_TOKEN: Final = re.compile(
    r"""
      (?P<blank>  [^\S\n]++ | \#[^\n]*+ )
    | (?P<text>   \"{3} (?: [^"\\] | \\. | "(?!"") )*+ "{3,5}
                | '{3} (?: [^'] | '(?!'') )*+ '{3,5}
                | (?!\"{3}) " (?: [^"\\\n] | \\[^\n] )*+ "
                | (?!'{3}) ' [^'\n]*+ ' )
    | (?P<word>   [^\s#"'\[\]{}=,.]++ )
    | (?P<mark>   [\[\]{}=,.\n] )
    """,
    re.VERBOSE | re.DOTALL,
)
_where: Final = re.compile(r"\(at line (\d+), column \d+\)")


class TomlRefused(PasserelleError):
    """A file is no TOML, or more of it than any file of ours needs; `line` is where, 0 where none can be named."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.why = why
        self.line = line


def read(octets: bytes, most: int) -> dict[str, Any]:
    """Return the tree of a file of at most `most` bytes; raises `TomlRefused`."""
    if len(octets) > most:
        raise TomlRefused(f"longer than {most} bytes")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise TomlRefused("not TOML: it is not UTF-8") from None
    _demand_small(text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _where.search(str(error))
        raise TomlRefused("not TOML", int(found[1]) if found else _line(text, len(text))) from None
    except (
        ValueError,
        RecursionError,
        OverflowError,
    ):  # such as a number that Python will not read
        raise TomlRefused("not TOML that can be read") from None


def _demand_small(text: str) -> None:
    """Refuse what would take long; of a text that is no TOML it may say anything, for it is refused anyway."""
    at = depth = dots = values = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise TomlRefused("a text without its end", _line(text, at))
        if token.lastgroup == "word" and len(token[0]) > LONGEST_WORD:
            raise TomlRefused(
                f"a name or a number of more than {LONGEST_WORD} characters", _line(text, at)
            )
        if token.lastgroup == "mark":
            mark = token[0]
            depth = max(0, depth + (mark in "[{") - (mark in "]}"))
            dots = dots + 1 if mark == "." else 0
            values += mark in "=[,"
            if depth + dots > DEEPEST:
                raise TomlRefused(f"more than {DEEPEST} levels within each other", _line(text, at))
            if values > MOST_VALUES:
                raise TomlRefused(f"more than {MOST_VALUES} values", _line(text, at))
        at = token.end()


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
