"""What is wrong with a file of samples."""

from __future__ import annotations


class MalformedFile(ValueError):
    """A file breaks its standard; `reason` says how and `offset` in bytes says where, never with what value."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset
