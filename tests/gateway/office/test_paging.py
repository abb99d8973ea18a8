"""A token of a page that somebody made up is refused by name, whatever stands in it."""

from __future__ import annotations

import base64

import pytest

from gateway.errors import Remedy
from gateway.office.arguments import Arguments
from gateway.office.paging import WRONG, Page, token


def page(text: str) -> Page:
    return Page(Arguments({"page_token": text}))


@pytest.mark.parametrize("number", [int("9" * 30), -int("9" * 30), 1 << 63, -(1 << 63) - 1])
def test_a_number_that_no_row_can_hold_is_refused(number: int) -> None:
    with pytest.raises(Remedy, match=WRONG):
        page(token(number)).after(int)
    with pytest.raises(Remedy, match=WRONG):
        page(token(number)).start()


def test_half_a_character_is_refused() -> None:
    octets = base64.urlsafe_b64encode(b'["\\ud800"]').decode().rstrip("=")
    with pytest.raises(Remedy, match=WRONG):
        page(octets).after(str)


def test_what_a_list_gave_is_taken() -> None:
    assert page(token(7, "Zoë 😀")).after(int, str) == [7, "Zoë 😀"]
    assert page(token((1 << 63) - 1)).after(int) == [(1 << 63) - 1]
