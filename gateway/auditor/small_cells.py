"""Counts that are shown without showing anybody: small ones are withheld, also against subtraction.

A table is a partition: its counts add up to a total that is stated elsewhere. A count under ten is withheld. So are as
many others, the smallest first, as it takes that each withheld one could still be anything from 1 to 20 for
whoever subtracts what is shown from the total. Where no number of them is enough all of the table is withheld. What is
withheld bears one mark, whatever the reason; nobody counted, 0, is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 10  # a smaller count may point at a person; the usual limit of statistical offices
ROOM: Final = 20  # each withheld count must remain possible up to here, twice the limit


@dataclass(frozen=True, slots=True)
class Cells:
    """A partition as it may be shown.

    counts   None where one is withheld; empty where all of it is
    total    None where it is small itself
    """

    names: tuple[str, ...]
    counts: tuple[int | None, ...]
    total: int | None

    @property
    def withheld(self) -> bool:
        """Whether all of the table is."""
        return bool(self.names) and not self.counts

    def shown(self) -> list[tuple[str, int | None]]:
        """Return the rows that may be shown."""
        return [] if self.withheld else list(zip(self.names, self.counts, strict=True))

    def of(self, name: str) -> int | None:
        """Return one count; None where it is withheld, 0 where there is none of that name."""
        if self.withheld:
            return None
        return dict(zip(self.names, self.counts, strict=True)).get(name, 0)


def cells(counted: Mapping[str, int] | Iterable[tuple[str, int]]) -> Cells:
    """Return a partition as it may be shown."""
    pairs = list(counted.items() if isinstance(counted, Mapping) else counted)
    names, counts = tuple(name for name, _ in pairs), [count for _, count in pairs]
    total = sum(counts)
    hidden = withheld(counts)
    if hidden is None:
        return Cells(names, (), total if total >= LEAST else None)
    shown = tuple(None if at in hidden else count for at, count in enumerate(counts))
    return Cells(names, shown, total if total >= LEAST or not total else None)


def withheld(counts: Sequence[int]) -> frozenset[int] | None:
    """Return which counts of a partition are withheld, by place; None where nothing may be shown."""
    rising = sorted((count, at) for at, count in enumerate(counts) if count)
    small = sum(count < LEAST for count, _ in rising)
    if not small:
        return frozenset()
    for number in range(max(2, small), len(rising) + 1):
        most = sum(count for count, _ in rising[:number]) - (number - 1)
        if most >= ROOM:
            return frozenset(at for _, at in rising[:number])
    return None
