"""What every modality refuses alike: records that break their layout, people twice or not enrolled, searches cut off."""

from __future__ import annotations


class MalformedRecord(ValueError):
    """A record breaks its standard; `reason` says how and `offset` in bytes says where, never with what value."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


class AlreadyEnrolled(ValueError):
    """The subject is in the gallery; remove it first."""


class UnknownSubject(KeyError):
    """No such subject in the gallery."""


class SearchAbandoned(RuntimeError):
    """The caller's patience ended before the search did; there is no partial answer."""
