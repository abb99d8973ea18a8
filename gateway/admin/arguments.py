"""The arguments of an act, each taken by its rule."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Final, TypeVar

from gateway import calendar_bounds
from gateway.errors import UserError

PSEUDONYM = re.compile(r"[A-Za-z0-9._-]{1,64}")
FILE_NUMBER = re.compile(r"[A-Za-z0-9._/-]{1,64}")  # of a person, as it was enrolled under
LONGEST_REASON = 500  # characters; a reason is a sentence or two, the case file holds the rest

_PARTY = "a partner's name as `passerelle party list` shows it, e.g. AUS"
_NUMBER = "a transaction's number of 8 to 64 letters, digits and hyphens, e.g. 20260301-0123456789abcdef0123"
_PERSON = "a file number of at most 64 letters, digits and . _ / -, e.g. F-2026/17"
_CASE = "a pseudonym of at most 64 letters, digits and . _ -, e.g. C-2026-17"
_COUNTRIES = "codes of three capitals with commas between, e.g. IRN,SYR"

# What an argument has to look like, with an example: what is said to whoever wrote another.
WANTED: Final[Mapping[str, str]] = {
    "action": "an act that takes two persons, e.g. keys.promote",
    "agreement": "ID@VERSION as `passerelle agreements list` shows it, e.g. au@1",
    "case": _CASE,
    "decision": "R- and 16 digits as `passerelle decisions list` shows it, e.g. R-5d2e0c6a9b1f4e37",
    "digest": "64 hexadecimal digits of a SHA-256",
    "extractor": "at most 48 letters, digits and . _ -, e.g. acme-extractor-2.1",
    "file": "the name of an agreement file, without a folder, e.g. au-2.toml",
    "finger": "a record in base64",
    "hold": "H- and 16 digits as `passerelle retention hold list` shows it, e.g. H-5d2e0c6a9b1f4e37",
    "id": "P- and 16 digits as `passerelle proposals list` shows it, e.g. P-5d2e0c6a9b1f4e37",
    "key": "8 to 64 hexadecimal digits of its id as `passerelle keys list` shows it, e.g. 3f9a01c2",
    "metadata": "a metadata file of the directory in base64",
    "nationalities": _COUNTRIES,
    "alleged_persecution_region_codes": _COUNTRIES,
    "note": "a cosigned checkpoint in hexadecimal",
    "number": _NUMBER,
    "page_token": "what the page before handed as next_page_token",
    "partner": _PARTY,
    "passphrase_file": "the whole path of a file that the gateway can read, e.g. /etc/passerelle/new.pass",
    "person": _CASE,
    "prior": _NUMBER,
    "question": "the command as it was typed, at most 200 characters",
    "reason": f"at most {LONGEST_REASON} printable characters",
    "reference": f"{_PERSON}; of a transaction PARTNER/NUMBER, of a partner its name",
    "role": "root or targets",
    "since": "a day as it was typed, e.g. 2026-03-01",
    "subject": _PERSON,
    "terms": "at most 300 printable characters, as the partner will read them",
    "text": "the text as the gateway drafted it, or as the file has it, unaltered",
    "to": "file:PATH, or a token's URI, at most 1,000 characters of ASCII",
    "transaction": _NUMBER,
    "unit": _CASE,
    "until": "a day as it was typed, e.g. 2026-03-01",
    "used_in": _CASE,
}

E = TypeVar("E", bound=IntEnum)


def wanted(name: str) -> str:
    """Return what an argument has to look like."""
    return WANTED.get(
        name.partition("_")[0] if name.startswith("finger_") else name, "as --help has it"
    )


class Arguments:
    """The arguments of one act, each taken by its rule; what is left over in the end refuses.

    Every method raises UserError that names the argument and holds nothing of its value.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        self._left = dict(values)

    def text(self, name: str, pattern: re.Pattern[str] = PSEUDONYM, default: str = "") -> str:
        """Take a string that matches `pattern` as a whole; required unless there is a default."""
        value = self._left.pop(name, default)
        if isinstance(value, str) and (value == default != "" or pattern.fullmatch(value)):
            return value
        if not value:
            raise UserError(f"{name}: is missing; it is {wanted(name)}")
        raise UserError(f"{name}: write {wanted(name)}")

    def optional(self, name: str, pattern: re.Pattern[str] = PSEUDONYM) -> str:
        """Take a string that may be absent or empty."""
        if self._left.get(name) in (None, ""):
            self._left.pop(name, None)
            return ""
        return self.text(name, pattern)

    def reason(self, name: str = "reason") -> str:
        """Take a reason in words: one to 500 printable characters."""
        value = self._left.pop(name, "")
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{name}: say why; it goes into the ledger")
        if len(value) > LONGEST_REASON or not value.isprintable():
            raise UserError(f"{name}: at most {LONGEST_REASON} printable characters")
        return value.strip()

    def number(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Take a whole number of `least` to `most`."""
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UserError(f"{name}: a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        """Take a truth value; absent is false."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise UserError(f"{name}: true or false")
        return value

    def choice(self, name: str, kind: type[E], default: E | None = None) -> E:
        """Take a name of a closed list."""
        value = self._left.pop(name, None if default is None else default.name)
        if isinstance(value, str) and value in kind.__members__:
            return kind[value]
        raise UserError(f"{name}: one of {', '.join(kind.__members__)}")

    def choices(self, name: str, kind: type[E]) -> tuple[E, ...]:
        """Take different names of a closed list, in the order of their numbers; absent is none."""
        values = self._left.pop(name, [])
        if not isinstance(values, list) or not all(
            isinstance(v, str) and v in kind.__members__ for v in values
        ):
            raise UserError(f"{name}: of {', '.join(kind.__members__)}")
        return tuple(sorted({kind[value] for value in values}))

    def word(self, name: str, known: Collection[str]) -> str:
        """Take one word of a closed list."""
        value = self._left.pop(name, None)
        if isinstance(value, str) and value in known:
            return value
        raise UserError(f"{name}: one of {', '.join(known)}")

    def words(self, name: str, known: Collection[str]) -> tuple[str, ...]:
        """Take one or more different words of a closed list, sorted."""
        values = self._left.pop(name, None)
        if (
            not isinstance(values, list)
            or not values
            or not all(isinstance(v, str) and v in known for v in values)
        ):
            raise UserError(f"{name}: one or more of {', '.join(known)}")
        return tuple(sorted(set(values)))

    def mapping(self, name: str) -> dict[str, object]:
        """Take an object; its content is read where its rules are known."""
        value = self._left.pop(name, None)
        if not isinstance(value, dict):
            raise UserError(f"{name}: an object with a name for each argument")
        return value

    def objects(self, name: str, most: int) -> tuple[dict[str, object], ...]:
        """Take a list of at most so many objects; their content is read where their rules are known."""
        values = self._left.pop(name, None)
        if (
            not isinstance(values, list)
            or len(values) > most
            or not all(isinstance(value, dict) for value in values)
        ):
            raise UserError(f"{name}: a list of at most {most} objects")
        return tuple(values)

    def time(self, name: str) -> datetime | None:
        """Take a moment of ISO 8601 with its zone, whole milliseconds; absent is None."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        moment = calendar_bounds.read(value) if isinstance(value, str) else None
        if moment is None or moment.microsecond % 1000:
            raise UserError(
                f"{name}: {calendar_bounds.RULE} with its zone, e.g. 2026-03-01T00:00:00+00:00"
            )
        return moment

    def octets(self, name: str, length: int) -> bytes:
        """Take so many bytes, written in hexadecimal."""
        value = self._left.pop(name, "")
        if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-f]{{{2 * length}}}", value):
            raise UserError(f"{name}: {2 * length} hexadecimal digits")
        return bytes.fromhex(value)

    def rest(self) -> dict[str, object]:
        """Take all that is left as it is: for who says what an act would do with it."""
        left, self._left = self._left, {}
        return left

    def end(self) -> None:
        """Refuse what nobody took."""
        if self._left:
            raise UserError(f"{', '.join(sorted(self._left))}: no such argument")
