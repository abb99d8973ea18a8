"""What was written wrongly is answered by what is wanted, with an example; never by "not of its form" or a pattern."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from gateway.domain.messages import Purpose
from gateway.domain.person import Ground, SubjectKind
from gateway.errors import UserError
from gateway.exercises.operations_reference import every_operation
from gateway.operations.calibrations import Adopt
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

TEXTS = [
    (each, name)
    for each in every_operation()
    for name, said in each.arguments().items()
    if said.form.typed is str
]
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


@pytest.mark.parametrize(("operation", "name"), TEXTS, ids=[f"{o.__name__}.{n}" for o, n in TEXTS])
def test_half_of_a_character_is_no_text(operation: type[Request], name: str) -> None:
    """JSON can say it and UTF-8 cannot: nobody who encodes a text later has to expect it."""
    with pytest.raises(UserError, match=f"^{name}: "):
        operation.arguments()[name].form.read(name, "a\ud800")


def test_the_text_of_a_file_is_told_what_is_wrong_with_it() -> None:
    form = Adopt.arguments()["text"].form

    assert form.read("text", "é😀") == "é😀"
    with pytest.raises(UserError, match="half of a character"):
        form.read("text", "é\udc80")


def test_an_argument_of_a_name_that_is_no_text_is_refused_by_a_sentence_that_can_be_sent() -> None:
    with pytest.raises(UserError, match="no such argument") as caught:
        Say.read({"\ud800": "x"})

    assert str(caught.value).isascii()


@pytest.mark.parametrize("kind", [Purpose, SubjectKind])
def test_what_says_nothing_is_neither_taken_nor_offered(kind: Any) -> None:
    nothing, *others = kind

    for form, value in ((named(kind), nothing.name), (several(kind), [nothing.name])):
        with pytest.raises(UserError) as caught:
            form.read("x", value)
        assert nothing.name not in str(caught.value).replace("[", " ").replace(",", "").split()
        assert all(each.name in str(caught.value) for each in others)
