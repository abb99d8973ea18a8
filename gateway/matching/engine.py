"""Who is it? The port to the matcher: what is loaded, changed and searched, and what that must mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from matcher.finger.gallery import Candidates
from matcher.finger.probe import Probe

Fingers = Sequence[tuple[int, bytes]]  # position 1-10 and its record
Batch = Sequence[tuple[int, Fingers]]  # subject number, unsigned 64 bits, and the subject's fingers
Deadline = Callable[[], float]  # seconds that remain


def no_deadline() -> float:
    """Return that any time remains."""
    return float("inf")


@dataclass(frozen=True, slots=True)
class Change:
    """What a subject's fingers are from now on; none = the subject is removed."""

    subject: int
    fingers: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)


class Source(Protocol):
    """All enrolled subjects: a recipe to read them, not a connection.

    All shards together MUST yield every subject exactly once, and MUST raise rather than end early.
    """

    def batches(self, shard: int, of: int) -> Iterator[Batch]:
        """Yield the subjects of one of so many shards, in batches."""
        ...


class Engine(Protocol):
    """The port: a gallery that is loaded, changed and searched.

    A search MUST see all subjects of the last load and the changes since, or raise; it MUST NOT answer from
    a part of them. `version` MUST grow with each change.
    """

    def load(self, source: Source) -> None:
        """Replace everything by what the source yields, or raise EngineUnavailable and keep nothing."""
        ...

    def apply(self, change: Change) -> None:
        """Make one subject's fingers what the change says; the same change twice is one change."""
        ...

    def search(self, probe: Probe, limit: int, deadline: Deadline = no_deadline) -> Candidates:
        """Return the best people; raise EngineUnavailable, or DeadlineTooShort when time runs out."""
        ...
