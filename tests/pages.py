"""Lists read in pages, as a command reads them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.admin.operation import Officer


def whole(gateway: Any, officer: Officer, act: str, rows: str, size: int) -> list[Any]:
    """Return all rows of a list, page after page, as a command reads them; no page is longer than was asked."""
    found: list[Any] = []
    token = ""
    for _ in range(100):
        asked = {"page_size": size, **({"page_token": token} if token else {})}
        page = gateway.admin.perform(officer, act, asked)
        assert len(page[rows]) <= size
        found += steady(page[rows])
        token = page["next_page_token"]
        if not token:
            return found
        assert len(page[rows]) == size
    pytest.fail("the list has no end")


def steady(rows: list[Any]) -> list[Any]:
    """Return rows without what counts down while they are read."""
    return [{name: value for name, value in row.items() if name != "seconds_left"} for row in rows]


def demand_pages(gateway: Any, officer: Officer, act: str, rows: str) -> None:
    """Have a list read in pages of each small size: always the same rows, in their order, each once."""
    at_once = steady(gateway.admin.perform(officer, act, {})[rows])
    assert len(at_once) >= 5
    for size in (1, 2, len(at_once) - 1, len(at_once), len(at_once) + 1):
        assert whole(gateway, officer, act, rows, size) == at_once
