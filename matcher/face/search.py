"""The exact search: each vector of a gallery is looked at, few are multiplied in full, none that matters is left out.

For each block a bound of all products at once, by the leading coordinates (`gallery_block`) or, where these leave too
many, by the products themselves in single precision with their rounding added. What may reach the running threshold,
the score of the last of the best so far, is scored exactly. A batch of probes shares the pass. Threads take blocks of
their own; since nothing that reaches a threshold is left out and scores are exact, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from matcher.errors import SearchAbandoned
from matcher.face.gallery_block import Basis, Doubles, Ints, RowGroup, Rows, groups
from matcher.face.template import Floats
from matcher.score_calibration import ScoreCalibration

SLACK = np.float32(
    1e-4
)  # of a bound by leading coordinates: what float32 may lose in it, with room to spare
LOOSE = 16  # one pair in so many that passes the first look is too many to score one by one
AT_ONCE_PAIRS = 1 << 18  # of probes' vectors and rows; their bounds are 1 MB
FIRST = 4  # times as many as are wanted are scored to have a threshold at all,
FIRST_AMONG = (
    16_384  # the likeliest of so many rows; to sort more costs more than a low threshold does
)


@dataclass(frozen=True, slots=True, eq=False)
class Meetings:
    """How many comparisons there are between probes and people, over all models.

    asked (probes, models): vectors of each probe; held: for each model, vectors by person number (people,)
    """

    asked: NDArray[np.int64] = field(repr=False)
    held: tuple[NDArray[np.uint8], ...] = field(repr=False)

    def between(self, probe: Ints, person: Ints) -> NDArray[np.int64]:
        """Return the number of comparisons of probes with people, pair by pair."""
        total = np.zeros(len(probe), dtype=np.int64)
        for asked, held in zip(self.asked.T, self.held, strict=True):
            inside = person < len(
                held
            )  # who came later with a vector of another model has none of this one
            total += asked[probe] * np.where(inside, held[np.where(inside, person, 0)], 0)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is looked for among vectors of one model.

    vectors (m, d) float32, of all probes; probe (m,): whose each is
    calibration   what cosines of the model are worth
    meetings      how often a probe's vectors meet those of a person
    """

    vectors: Floats = field(repr=False)
    probe: Ints = field(repr=False)
    calibration: ScoreCalibration
    meetings: Meetings


class Best:
    """The best people of each probe so far, side by side, and the score that the last of them has.

    probe, person, ratio (k,), sorted by probe, then the best first
    least (probes,): no score below it is wanted; -inf = whoever comes
    """

    def __init__(self, probes: int, wanted: int) -> None:
        self.wanted = wanted
        self.probe: Ints = np.zeros(0, dtype=np.intp)
        self.person: Ints = np.zeros(0, dtype=np.intp)
        self.ratio: Doubles = np.zeros(0)
        self.least: Doubles = np.full(probes, -np.inf)

    def add(self, probe: Ints, person: Ints, ratio: Doubles) -> None:
        """Count people in, each perhaps several times; of equals of the last of the best none is dropped."""
        probe = np.concatenate([self.probe, probe])
        person = np.concatenate([self.person, person])
        ratio = np.concatenate([self.ratio, ratio])
        people = int(person.max(initial=0)) + 1
        order = np.lexsort((person, -ratio, probe))
        once = np.unique((probe * people + person)[order], return_index=True)[1]
        order = order[np.sort(once)]
        probe, person, ratio = probe[order], person[order], ratio[order]
        start = np.searchsorted(probe, np.arange(len(self.least)))
        last = start + self.wanted - 1
        enough = last < np.append(start[1:], len(probe))
        self.least[enough] = ratio[last[enough]]
        kept = ratio >= self.least[probe]
        self.probe, self.person, self.ratio = probe[kept], person[kept], ratio[kept]

    def of(self, probe: int) -> tuple[Ints, Doubles]:
        """Return person numbers and ratios of one probe's best."""
        own = self.probe == probe
        return self.person[own], self.ratio[own]


@dataclass(frozen=True, slots=True)
class Search:
    """One pass over the rows of one model."""

    question: Question
    basis: Basis | None
    threads: int
    expired: Callable[[], bool]

    def run(self, rows: Sequence[Rows], best: Best) -> None:
        """Count into `best` whoever of the rows may belong there."""
        if self.threads == 1 or len(rows) < 2 * self.threads:
            self._pass(rows, best)
            return
        parts = [rows[start :: self.threads] for start in range(self.threads)]
        found = [Best(len(best.least), best.wanted) for _ in parts]
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(self._pass, parts, found))
        for each in found:
            best.add(each.probe, each.person, each.ratio)

    def _pass(self, rows: Sequence[Rows], best: Best) -> None:
        vectors = self.question.vectors
        asked = None if self.basis is None else self.basis.leading(vectors)
        for group in groups(rows, AT_ONCE_PAIRS // len(vectors)):
            if self.expired():
                raise SearchAbandoned("time ran out among the vectors")
            leading = None if asked is None else group.leading_bounds(asked)
            if leading is not None and self._looked(group, leading, SLACK, LOOSE, best):
                continue
            self._looked(group, group.full_bounds(vectors), group.rounding, 1, best)

    def _looked(
        self, group: RowGroup, bound: Floats, slack: np.float32, loose: int, best: Best
    ) -> bool:
        """Score what may reach its threshold; return False, with nothing left out, where that is too much."""
        self._score(group, *self._first(bound, best), best)
        columns, places = _reaching(bound, self._least(best) - slack)
        if len(columns) > bound.size // loose:
            return False
        self._score(group, columns, places, best)
        return True

    def _first(self, bound: Floats, best: Best) -> tuple[Ints, Ints]:
        """Return the likeliest rows for probes that have no threshold yet: it is then high from the start."""
        columns = np.flatnonzero(best.least[self.question.probe] == -np.inf)
        among = min(bound.shape[1], max(FIRST_AMONG, FIRST * best.wanted))
        some = min(among, FIRST * best.wanted) if len(columns) else 0
        if not some:
            return columns[:0], columns[:0]
        places = np.argpartition(bound[columns, :among], among - some, axis=1)[:, -some:]
        return np.repeat(columns, some), places.reshape(-1)

    def _least(self, best: Best) -> Floats:
        """Return the cosine below which nobody reaches a probe's threshold, (m,) float32, rounded down."""
        fewest = np.maximum(np.bincount(self.question.probe, minlength=len(best.least)), 1)
        reached = self.question.calibration.least(best.least, fewest)
        rounded = np.nextafter(reached.astype(np.float32), np.float32(-np.inf))
        found: Floats = rounded[self.question.probe]
        return found

    def _score(self, group: RowGroup, columns: Ints, places: Ints, best: Best) -> None:
        alive = group.person[places] >= 0
        columns, places = columns[alive], places[alive]
        if not len(columns):
            return
        question = self.question
        cosine = group.exact(places, question.vectors, columns)
        probe, person = question.probe[columns], group.person[places].astype(np.intp)
        ratio = question.calibration.ratios(cosine, question.meetings.between(probe, person))
        best.add(probe, person, ratio)


def _reaching(bound: Floats, least: Floats) -> tuple[Ints, Ints]:
    """Return columns and places of bounds, (m, r), that reach what is least for their column, (m,)."""
    flat = np.flatnonzero(bound >= least[:, None])  # three times as fast as nonzero of two axes
    columns, places = np.divmod(flat, bound.shape[1])
    return columns, places
