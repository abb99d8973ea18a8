"""Lists in pages: an answer has at most so many rows, and says where the next page begins.

A token is opaque to whoever asks. It names the last row shown, or, for short lists of our own doing, how many rows
were shown; what changed between two pages may be missed or shown twice, what stood there all the time is not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.errors import UserError
from gateway.operations.forms import HALF, LONGEST_TOKEN, Paged
from keys import strict_json

LARGEST = 1 << 63  # beyond every whole number of SQLite
WRONG = "page_token: not one that this list gave; ask for the first page, without it"

T = TypeVar("T")


class Page:
    """Which rows of a list are wanted: what a request says of its page."""

    def __init__(self, request: Paged) -> None:
        self.size, self._token = request.page_size, request.page_token

    def after(self, *kinds: type) -> list[object] | None:
        """Return the values that the token was made of, each of its kind; None for the first page. Raises UserError."""
        if not self._token:
            return None
        try:
            octets = base64.urlsafe_b64decode(self._token + "=" * (-len(self._token) % 4))
            values = strict_json.read(octets, LONGEST_TOKEN)
        except ValueError:
            raise UserError(WRONG) from None
        if not isinstance(values, list) or [type(each) for each in values] != list(kinds):
            raise UserError(WRONG)
        if not all(_storable(each) for each in values):
            raise UserError(WRONG)
        return values

    def cut(
        self, rows: Sequence[T], key: Callable[[T], Sequence[int | str]]
    ) -> tuple[Sequence[T], str]:
        """Return the rows of this page of those that were read, and the token of the next; "" at the end.

        rows   one more than `size` where there are as many
        """
        shown = rows[: self.size]
        return shown, token(*key(shown[-1])) if len(rows) > self.size else ""

    def start(self) -> int:
        """Return how many rows of a whole list were shown before; raises UserError."""
        (start,) = self.after(int) or (0,)
        if not isinstance(start, int) or start < 0:
            raise UserError(WRONG)
        return start

    def slice(self, rows: Sequence[T]) -> tuple[Sequence[T], str]:
        """Return the rows of this page of a whole list, and the token of the next; "" at the end."""
        start = self.start()
        end = start + self.size
        return rows[start:end], token(end) if len(rows) > end else ""


def _storable(value: object) -> bool:
    """Whether a row could hold a value: the database takes no longer number and no half of a character."""
    if isinstance(value, int):
        return -LARGEST <= value < LARGEST
    return not isinstance(value, str) or value.isascii() or not HALF.search(value)


def token(*values: int | str) -> str:
    """Return the token of plain values."""
    octets = json.dumps(values, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
