"""The table of acts: the right role, strict arguments, and nothing done before both are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, NotAllowed, Officer, OperationRegistry
from gateway.domain.person import Ground
from gateway.errors import UserError
from gateway.operations.declaration import Role

REGISTRAR = Officer("P-1", frozenset({Role.REGISTRAR}))


def desk(done: list[str]) -> OperationRegistry:
    def read(officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        word = arguments.text("word")
        ground = arguments.choice("ground", Ground, Ground.SOVEREIGNTY)

        def do() -> Answer:
            done.append(word)
            return {"by": officer.person, "ground": ground.name}

        return do

    return OperationRegistry([Act("say", frozenset({Role.REGISTRAR}), read)])


def test_an_act_is_done_by_whom_it_is_for() -> None:
    done: list[str] = []

    assert desk(done).perform(REGISTRAR, "say", {"word": "a"}) == {
        "by": "P-1",
        "ground": "SOVEREIGNTY",
    }
    assert done == ["a"]


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.REGISTRAR}, key=lambda role: role.value))
def test_another_role_does_nothing(role: Role) -> None:
    done: list[str] = []

    with pytest.raises(NotAllowed, match="registrar"):
        desk(done).perform(Officer("P-2", frozenset({role})), "say", {"word": "a"})

    assert done == []


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"word": ""},
        {"word": 7},
        {"word": "a b"},
        {"word": "a", "more": 1},
        {"word": "a", "ground": "WHIM"},
        {"word": "a", "ground": 1},
    ],
)
def test_arguments_are_strict_and_nothing_is_done_before_they_are_read(
    values: dict[str, object],
) -> None:
    done: list[str] = []

    with pytest.raises(UserError):
        desk(done).perform(REGISTRAR, "say", values)

    assert done == []


def test_an_unknown_act_is_no_act() -> None:
    with pytest.raises(UserError, match="there is no act"):
        desk([]).perform(REGISTRAR, "sing", {})


@pytest.mark.parametrize(
    ("take", "value"),
    [
        (lambda a: a.reason("x"), "  "),
        (lambda a: a.reason("x"), "a\x1b[0m"),
        (lambda a: a.reason("x"), "a" * 501),
        (lambda a: a.number("x", 1, 3), 4),
        (lambda a: a.number("x", 1, 3), True),
        (lambda a: a.flag("x"), "yes"),
        (lambda a: a.choices("x", Ground), ["WHIM"]),
        (lambda a: a.choices("x", Ground), "SOVEREIGNTY"),
        (lambda a: a.time("x"), "2026-01-01"),
        (lambda a: a.time("x"), 7),
        (lambda a: a.octets("x", 2), "zz00"),
        (lambda a: a.optional("x"), "a b"),
    ],
)
def test_a_wrong_argument_is_named_and_not_repeated(
    take: Callable[[Arguments], object], value: object
) -> None:
    with pytest.raises(UserError) as caught:
        take(Arguments({"x": value}))

    assert str(caught.value).startswith("x")
    assert "WHIM" not in str(caught.value)


def test_what_may_be_absent_may_be() -> None:
    empty = Arguments({})

    assert empty.optional("a") == ""
    assert empty.time("b") is None
    assert empty.choices("c", Ground) == ()
    assert empty.flag("d") is False
    assert empty.number("e", 1, 9, default=3) == 3
    empty.end()
