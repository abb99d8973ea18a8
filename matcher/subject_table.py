"""Who is in a gallery and where each person's samples lie: rows of two tables, no object a person.

A person's number is never used again; whoever was removed keeps a row that nobody points to until the gallery
is compacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.void]
Place = tuple[int, int]  # number of the block, row in it

PERSON: Any = [("subject", "<u8"), ("enrolment", "<i8"), ("first", "<u4"), ("samples", "u1")]
PLACE: Any = [("block", "<u4"), ("row", "<u2")]
FIRST_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class PeopleThen:
    """Subject and enrolment by person number, (p,), as they stood at one moment."""

    subjects: NDArray[np.uint64] = field(repr=False)
    enrolments: NDArray[np.int64] = field(repr=False)

    @property
    def number(self) -> int:
        """How many numbers were given."""
        return len(self.subjects)


class SubjectTable:
    """Person numbers by subject; subject, enrolment and samples by person number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._people: Table = np.zeros(FIRST_ROWS, dtype=PERSON)
        self._places: Table = np.zeros(FIRST_ROWS, dtype=PLACE)
        self._used = self._placed = 0
        self._samples = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, subject: int) -> bool:
        return subject in self._numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    @property
    def samples(self) -> int:
        """How many samples are held of the people who are here."""
        return self._samples

    @property
    def next_number(self) -> int:
        """The number of the person who is added next."""
        return self._used

    def add(self, subject: int, enrolment: int, places: Sequence[Place]) -> None:
        """Write down a person who is not here."""
        self._people = _with_room(self._people, self._used + 1)
        self._places = _with_room(self._places, self._placed + len(places))
        self._people[self._used] = subject, enrolment, self._placed, len(places)
        for place in places:
            self._places[self._placed] = place
            self._placed += 1
        self._numbers[subject] = self._used
        self._used += 1
        self._samples += len(places)

    def remove(self, subject: int) -> tuple[Place, ...] | None:
        """Forget a person and return where the samples were; None for one who is not here."""
        places = self.places(subject) if subject in self else None
        if places is not None:
            del self._numbers[subject]
            self._samples -= len(places)
        return places

    def places(self, subject: int) -> tuple[Place, ...]:
        """Return where a person's samples are."""
        row = self._people[self._numbers[subject]]
        first = int(row["first"])
        return tuple(
            (int(each["block"]), int(each["row"]))
            for each in self._places[first : first + int(row["samples"])]
        )

    def number_of(self, subject: int) -> int:
        """Return the number of a person who is here."""
        return self._numbers[subject]

    def enrolment(self, subject: int) -> int:
        """Return a person's enrolment, or 0 for one who is not here."""
        number = self._numbers.get(subject)
        return 0 if number is None else int(self._people[number]["enrolment"])

    def held(self, then: PeopleThen) -> NDArray[np.bool_]:
        """Return which of the numbers that were given then are of somebody who is here, (p,)."""
        here = np.zeros(then.number, dtype=np.bool_)
        numbers = np.fromiter(self._numbers.values(), dtype=np.intp, count=len(self._numbers))
        here[numbers[numbers < then.number]] = True
        return here

    def now(self) -> PeopleThen:
        """Return the people as they stand, numbers of removed ones among them."""
        people = self._people[: self._used]
        return PeopleThen(people["subject"], people["enrolment"])


def _with_room(table: Table, rows: int) -> Table:
    """Return a table of at least so many rows; a fresh one, for a search under way keeps that it began with."""
    if rows <= len(table):
        return table
    more = max(rows - len(table), len(table) // 8, FIRST_ROWS)
    return np.concatenate([table, np.zeros(more, dtype=table.dtype)])
