"""What was written wrongly is answered by what is wanted, with an example; never by "not of its form" or a pattern."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from gateway.domain.person import Ground
from gateway.errors import UserError
from gateway.operations.declaration import Form, Request, Role, argument, operation
from gateway.operations.forms import (
    FLAG,
    MOMENT,
    PSEUDONYM,
    REASON,
    named,
    number,
    octets,
    several,
    text,
)
from gateway.operations.retention import Release

HOLD = Release.arguments()["hold"].form


@operation("test.say", roles=frozenset({Role.REGISTRAR}), command="")
class Say(Request):
    """Say something."""

    a: str = argument(PSEUDONYM, default="")
    b: datetime | None = argument(MOMENT, default=None)
    c: tuple[Ground, ...] = argument(several(Ground), default=())
    d: bool = argument(FLAG, default=False)
    e: int = argument(number(1, 9), default=3)


@pytest.mark.parametrize("value", ["", None, 7, "\x00", "no such thing at all, surely not"])
def test_a_wrong_argument_is_told_what_is_wanted(value: Any) -> None:
    with pytest.raises(UserError, match=r"hold: .*H-5d2e0c6a9b1f4e37"):
        HOLD.read("hold", value)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (REASON, "  "),
        (REASON, "a\x1b[0m"),
        (REASON, "a" * 501),
        (number(1, 3), 4),
        (number(1, 3), True),
        (FLAG, "yes"),
        (named(Ground), "WHIM"),
        (several(Ground), ["WHIM"]),
        (several(Ground), "SOVEREIGNTY"),
        (MOMENT, "2026-01-01"),
        (MOMENT, 7),
        (octets(2), "zz00"),
        (PSEUDONYM, "a b"),
        (text("a+", "letters a"), "aab"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(form: Form[Any], value: object) -> None:
    with pytest.raises(UserError) as caught:
        form.read("x", value)

    assert str(caught.value).startswith("x: ")
    assert "WHIM" not in str(caught.value)


@pytest.mark.parametrize("values", [{}, {"a": "", "b": None, "c": [], "d": False, "e": 3}])
def test_what_may_be_absent_may_be(values: dict[str, object]) -> None:
    assert Say.read(values) == Say(a="", b=None, c=(), d=False, e=3)
