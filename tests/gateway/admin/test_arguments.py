"""What was written wrongly is answered by what is wanted, with an example; never by "not of its form" or a pattern."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Officer
from gateway.errors import UserError
from gateway.operations.declaration import Role
from gateway.server.application import Gateway

EVERYBODY = Officer("P-1", frozenset(Role), second="P-2")


@pytest.mark.parametrize("value", ["", None, 7, "\x00", "no such thing at all, surely not"])
def test_a_wrong_argument_is_told_what_is_wanted(value: Any) -> None:
    with pytest.raises(UserError, match=r"hold: .*H-5d2e0c6a9b1f4e37"):
        Arguments({"hold": value}).text("hold", re.compile("H-[0-9a-f]{16}"))


def test_a_closed_list_is_named(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        for act, said in (
            ("keys.rotate", "kind: one of KEM, SIGNING, "),
            ("hold.place", "kind: one of person, "),
        ):
            with pytest.raises(UserError, match=said):
                gateway.admin.perform(EVERYBODY, act, {"kind": "KEY", "reason": "weekly"})
