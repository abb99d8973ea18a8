"""A place in bytes that never leaves its bounds."""

from __future__ import annotations

import struct
from typing import Any

from gateway.sample_files.containers.image import UnreadableImage


class Cursor:
    """A place in bytes; every read is bounded, and what is left over can be refused."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data, self.at = data, at
        self.end = len(data) if end is None else end

    def take(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """Return what a layout reads, and step over it."""
        start = self.at
        self.skip(layout.size, what)
        return layout.unpack_from(self.data, start)

    def octets(self, size: int, what: str) -> bytes:
        """Return some bytes, and step over them."""
        start = self.at
        self.skip(size, what)
        return self.data[start : start + size]

    def skip(self, size: int, what: str) -> None:
        """Step over some bytes; raise UnreadableImage where so many are not left."""
        if self.end - self.at < size:
            raise UnreadableImage(f"{what} is cut short")
        self.at += size

    def demand_end(self, what: str) -> None:
        """Raise UnreadableImage where bytes are left over."""
        if self.at != self.end:
            raise UnreadableImage(f"bytes follow {what}")
