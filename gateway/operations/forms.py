"""The forms of arguments: what each has to look like, said once, with an example for whoever wrote another."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeVar

from gateway import calendar_bounds
from gateway.errors import UserError
from gateway.operations.declaration import Form, Request, argument

LONGEST_REASON: Final = (
    500  # characters; a reason is a sentence or two, the case file holds the rest
)

PAGE_SIZE: Final = (
    200  # rows of a page, where nobody says; a row takes at most 4 KB of the 1 MB of an answer
)
LONGEST_TOKEN: Final = 400  # characters; what it holds is shorter still

E = TypeVar("E", bound=Enum)

# Half of a surrogate pair: JSON can write one alone, UTF-8 cannot.
HALF: Final = re.compile(r"[\ud800-\udfff]")


def text(pattern: str, wanted: str) -> Form[str]:
    """Return the form of a string that matches `pattern` as a whole."""
    whole = re.compile(pattern)

    def take(value: object) -> str:
        if not isinstance(value, str) or not whole.fullmatch(value):
            raise ValueError
        if HALF.search(value):
            raise ValueError(f"has half of a character, which is no text: write {wanted}")
        return value

    return Form(
        take=take, wrong=f"write {wanted}", missing=f"is missing; it is {wanted}", blank=True
    )


def number(least: int, most: int) -> Form[int]:
    """Return the form of a whole number of `least` to `most`."""

    def take(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return value

    wrong = f"a whole number from {least} to {most}"
    return Form(take=take, wrong=wrong, typed=int, least=least, most=most)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - the one error of a form
    return value


FLAG: Final = Form(take=_flag, wrong="true or false", typed=bool)


def named(kind: type[E]) -> Form[E]:
    """Return the form of a name of a closed list; what says that nothing is said is none."""
    known = sayable(kind)

    def take(value: object) -> E:
        if isinstance(value, str) and value in known:
            return known[value]
        raise ValueError

    return Form(take=take, wrong=f"one of {', '.join(known)}")


def sayable(kind: type[E]) -> dict[str, E]:
    """Return the members of a closed list that a person can mean, by name: zero of a number is what says nothing."""
    return {name: each for name, each in kind.__members__.items() if each.value != 0}


def valued(kind: type[E]) -> Form[E]:
    """Return the form of a closed list whose members are written by their values."""
    known = {str(each.value): each for each in kind}

    def take(value: object) -> E:
        if isinstance(value, str) and value in known:
            return known[value]
        raise ValueError

    return Form(take=take, wrong=f"one of {', '.join(known)}")


def several(kind: type[E]) -> Form[tuple[E, ...]]:
    """Return the form of different names of a closed list, which come in the list's order; none is a list too."""
    known = sayable(kind)

    def take(value: object) -> tuple[E, ...]:
        if not isinstance(value, list) or not all(
            isinstance(each, str) and each in known for each in value
        ):
            raise ValueError
        return tuple(each for name, each in known.items() if name in value)

    return Form(take=take, wrong=f"of {', '.join(known)}", typed=list)


def words(known: Collection[str]) -> Form[tuple[str, ...]]:
    """Return the form of one or more different words of a closed list, which come sorted."""

    def take(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError
        if not all(isinstance(each, str) and each in known for each in value):
            raise ValueError
        return tuple(sorted(set(value)))

    return Form(take=take, wrong=f"one or more of {', '.join(known)}", typed=list)


def octets(length: int) -> Form[bytes]:
    """Return the form of so many bytes, written in hexadecimal."""
    whole = re.compile(rf"[0-9a-f]{{{2 * length}}}")

    def take(value: object) -> bytes:
        if isinstance(value, str) and whole.fullmatch(value):
            return bytes.fromhex(value)
        raise ValueError

    return Form(take=take, wrong=f"{2 * length} hexadecimal digits")


def objects(most: int) -> Form[tuple[dict[str, object], ...]]:
    """Return the form of a list of at most so many objects; their content is read where its rules are known."""

    def take(value: object) -> tuple[dict[str, object], ...]:
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(each, dict) for each in value)
        ):
            raise ValueError
        return tuple(value)

    return Form(take=take, wrong=f"a list of at most {most} objects", typed=list)


def members(
    most: int, forms: Mapping[str, Form[Any]], needed: Collection[str]
) -> Form[tuple[dict[str, Any], ...]]:
    """Return the form of a list of at most so many objects, each with members of these forms; those `needed` are there."""
    listed = objects(most)

    def take(value: object) -> tuple[dict[str, Any], ...]:
        found = []
        for index, each in enumerate(listed.take(value)):
            if not set(needed) <= each.keys() <= forms.keys():
                raise ValueError(f"[{index}]: an object with {', '.join(forms)}")
            try:
                found.append({name: forms[name].read(name, told) for name, told in each.items()})
            except UserError as fault:
                raise ValueError(f"[{index}].{fault}") from None
        return tuple(found)

    return replace(listed, take=take)


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - the one error of a form
    return value


MAPPING: Final = Form(take=_mapping, wrong="an object with a name for each argument")


def _moment(value: object) -> datetime:
    moment = calendar_bounds.read(value) if isinstance(value, str) else None
    if moment is None or moment.microsecond % 1000:
        raise ValueError
    return moment


MOMENT: Final = Form(
    take=_moment,
    wrong=f"{calendar_bounds.RULE} with its zone, e.g. 2026-03-01T00:00:00+00:00",
)


def _words(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    if len(value) > LONGEST_REASON or not value.isprintable():
        raise ValueError(f"at most {LONGEST_REASON} printable characters")
    return value.strip()


REASON: Final = Form(take=_words, wrong="say why; it goes into the ledger", blank=True)


def reason(**said: Any) -> Any:  # noqa: ANN401 - as `argument`
    """Declare the reason in words: one to 500 printable characters. A dry run needs none."""
    help_ = "Why, in a sentence; it goes into the ledger."
    return argument(REASON, **{"help": help_, "metavar": "WORDS", "planned": False, **said})


PSEUDONYM: Final = text(
    r"[A-Za-z0-9._-]{1,64}",
    "a pseudonym of at most 64 letters, digits and . _ -, e.g. C-2026-17",
)
FILE_NUMBER: Final = text(
    r"[A-Za-z0-9._/-]{1,64}",  # of a person, as it was enrolled under
    "a file number of at most 64 letters, digits and . _ / -, e.g. F-2026/17",
)
PARTY: Final = text(
    r"[A-Z0-9-]{2,32}", "a partner's name as `passerelle party list` shows it, e.g. AUS"
)
TRANSACTION: Final = text(
    r"[A-Za-z0-9-]{8,64}",
    "a transaction's number of 8 to 64 letters, digits and hyphens, e.g. 20260301-0123456789abcdef0123",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged(Request):
    """The arguments of a list in pages, beside its own; `gateway.admin.pages` reads the token."""

    page_size: int = argument(number(1, PAGE_SIZE), default=PAGE_SIZE)
    page_token: str = argument(
        text(
            rf"[A-Za-z0-9_-]{{1,{LONGEST_TOKEN}}}", "what the page before handed as next_page_token"
        ),
        default="",
    )
