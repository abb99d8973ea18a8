"""What the demonstration says, what was seen, and whether it held."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise: in words, what was seen, and whether it held; `refusals` that it took."""

    says: str
    seen: str
    kept: bool
    refusals: int = 0


def refusal(says: str, reason: str, wanted: str) -> Promise:
    """Return the promise that something is refused for a stated reason; `reason` is what came, "" an answer."""
    kept = reason == wanted
    seen = reason if kept else f"{reason or 'it was ANSWERED'}, expected {wanted}"
    return Promise(says, seen, kept, refusals=int(kept))
