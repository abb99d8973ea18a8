"""The table of operations: the right role, strict arguments, and nothing done before both are known."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.admin.operation import (
    Answer,
    Handler,
    NotAllowed,
    Officer,
    OperationRegistry,
    TwoPersons,
)
from gateway.domain.person import Ground
from gateway.errors import Refusal, UserError
from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import PSEUDONYM, named
from gateway.server.rpc import admin

EVERYBODY = Officer("P-1", frozenset(Role), second="P-2")
REGISTRAR = Officer("P-1", frozenset({Role.REGISTRAR}))


@operation("test.say", roles=frozenset({Role.REGISTRAR}), command="")
class Say(Request):
    """Say a word."""

    word: str = argument(PSEUDONYM)
    ground: Ground = argument(named(Ground), default=Ground.SOVEREIGNTY)


def registry(done: list[str]) -> OperationRegistry:
    def say(officer: Officer, request: Say) -> Answer:
        done.append(request.word)
        return {"by": officer.person, "ground": request.ground.name}

    return OperationRegistry([Handler(request=Say, do=say)])


def test_an_operation_is_done_by_whom_it_is_for() -> None:
    done: list[str] = []

    assert registry(done).perform(REGISTRAR, "test.say", {"word": "a"}) == {
        "by": "P-1",
        "ground": "SOVEREIGNTY",
    }
    assert done == ["a"]


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.REGISTRAR}, key=lambda role: role.value))
def test_another_role_does_nothing(role: Role) -> None:
    done: list[str] = []

    with pytest.raises(NotAllowed, match="registrar"):
        registry(done).perform(Officer("P-2", frozenset({role})), "test.say", {"word": "a"})

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
        registry(done).perform(REGISTRAR, "test.say", values)

    assert done == []


def test_an_unknown_operation_is_none() -> None:
    with pytest.raises(UserError, match="there is no operation"):
        registry([]).perform(REGISTRAR, "sing", {})


def test_a_closed_list_is_named(gateway: Any) -> None:
    for name, said in (
        ("keys.rotate", "kind: one of KEM, SIGNING, "),
        ("hold.place", "kind: one of person, "),
    ):
        with pytest.raises(UserError, match=said):
            gateway.admin.perform(EVERYBODY, name, {"kind": "KEY", "reason": "weekly"})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (NotAllowed("for an auditor"), "ROLE_REQUIRED"),
        (NotAllowed("needs a role", "APPROVER_ROLE"), "ROLE_REQUIRED"),
        (NotAllowed("nobody approves their own", "SAME_PERSON"), "OFFICER_REFUSED"),
        (NotAllowed("its proposer withdraws it", "ANOTHERS"), "OFFICER_REFUSED"),
        (NotAllowed("of no key in force", "SIGNATURE"), "OFFICER_REFUSED"),
        (TwoPersons("propose it"), "TWO_PERSONS"),
        (UserError("no such proposal"), "ACT_REFUSED"),
    ],
)
def test_a_listener_says_why_in_a_reason_that_is_true(fault: UserError, reason: str) -> None:
    """Another role would change nothing where the officer is the proposer."""
    with pytest.raises(Refusal) as refused, admin._as_refusal():
        raise fault

    assert (refused.value.reason, str(refused.value)) == (reason, str(fault))
