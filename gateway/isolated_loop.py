"""A loop over items of several parties, in which one bad item does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from gateway import telemetry

_T = TypeVar("_T")
_log = telemetry.logger("items")


def each(items: Iterable[_T], do: Callable[[_T], object], what: str) -> None:
    """Do something for every item; then raise the first failure, so that it is counted where the loop is run.

    what   names the loop in the log, a constant; of an item nothing is logged
    """
    first: Exception | None = None
    for item in items:
        try:
            do(item)
        except Exception as fault:  # noqa: BLE001 - whatever it was, it is one item's
            _log.error("item_failed", operation=what, kind=type(fault).__name__)
            first = first or fault
    if first is not None:
        raise first
