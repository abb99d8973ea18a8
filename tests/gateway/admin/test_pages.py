"""Lists are whole over several pages; a token that somebody made up is refused by name, whatever stands in it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.admin.pages import WRONG, Page, token
from gateway.admin.staff import CUSTODY
from gateway.errors import UserError
from gateway.operations.declaration import Role
from gateway.operations.forms import Paged
from tests.pages import demand_pages

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
CASEWORKER = Officer("P-2", frozenset({Role.CASEWORKER}))


def page(text: str) -> Page:
    return Page(Paged.read({"page_token": text}))


@pytest.mark.parametrize("number", [int("9" * 30), -int("9" * 30), 1 << 63, -(1 << 63) - 1])
def test_a_number_that_no_row_can_hold_is_refused(number: int) -> None:
    with pytest.raises(UserError, match=WRONG):
        page(token(number)).after(int)
    with pytest.raises(UserError, match=WRONG):
        page(token(number)).start()


def test_half_a_character_is_refused() -> None:
    octets = base64.urlsafe_b64encode(b'["\\ud800"]').decode().rstrip("=")
    with pytest.raises(UserError, match=WRONG):
        page(octets).after(str)


def test_what_a_list_gave_is_taken() -> None:
    assert page(token(7, "Zoë 😀")).after(int, str) == [7, "Zoë 😀"]
    assert page(token((1 << 63) - 1)).after(int) == [(1 << 63) - 1]


def test_holds_are_listed_in_pages(gateway: Any) -> None:
    for number in range(5):
        values = {"kind": "person", "reference": "P-1", "reason": f"request {number}"}
        gateway.admin.perform(CASEWORKER, "hold.place", values)

    demand_pages(gateway, OPERATOR, "hold.list", "holds")


def test_decisions_are_listed_in_pages(gateway: Any) -> None:
    for number in range(5):
        values = {
            "person": f"P-{number + 1}",
            "scope": "ALL",
            "ground": "NATIONAL_SECURITY",
            "reason": "as decided",
        }
        gateway.admin.perform(CASEWORKER, "decision.refuse", values)

    demand_pages(gateway, CASEWORKER, "decision.list", "decisions")


def test_staff_are_listed_in_pages(gateway: Any, wish: Any) -> None:
    for number in range(5):
        gateway.admin.perform(CUSTODY, "staff.add", wish(f"P-{number + 20}", "auditor"))

    demand_pages(gateway, OPERATOR, "staff.list", "staff")


def test_a_page_of_no_size_or_of_more_than_fits_is_refused(gateway: Any) -> None:
    for size in (0, -1, 201):
        with pytest.raises(UserError, match="page_size"):
            gateway.admin.perform(OPERATOR, "hold.list", {"page_size": size})


def test_a_token_of_another_list_is_refused(gateway: Any) -> None:
    with pytest.raises(UserError, match=WRONG):
        gateway.admin.perform(OPERATOR, "hold.list", {"page_token": token("of", "another")})
