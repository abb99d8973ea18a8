"""Which of a probe's fingers is which of a person's: the hypotheses that a search tries, and what each costs.

Whoever captures ten fingers may take the left hand for the right one, or one finger for its neighbour, or may not
know which finger a print is of. So a person is compared as the probe states it, with the hands exchanged, and,
of few people, finger by finger in any order. What is tried more often errs more often: the promised error rate is
shared among the hypotheses, and within one among all ways in which it may come true (union bound; Bonferroni). A score
found by a rarer way is lowered by as much as that way's share of the rate demands, so that one threshold serves all ways.
There is one for each number of fingers that a person shares with the probe; whose score is the rarest beside it is the best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from matcher import calibration
from matcher.calibration import Certificate, Tail, Threshold
from matcher.finger.probe import UNKNOWN_POSITION
from matcher.finger.score_fusion import fuse
from matcher.finger.template import Floats, Ints

HAND = 5  # fingers; positions 1-5 are of the right hand, 6-10 of the left one in the same order
POSITIONS = 10


class Hypothesis(Enum):
    """Which fingers the probe's are, beside what it states."""

    STATED = "STATED"
    HANDS_EXCHANGED = "HANDS_EXCHANGED"
    FINGERS_MIXED = "FINGERS_MIXED"

    def positions(self, stated: Sequence[int]) -> list[int]:
        """Return the position of each finger under the hypothesis; 0 = any."""
        if self is Hypothesis.FINGERS_MIXED:
            return [UNKNOWN_POSITION] * len(stated)
        return [exchanged(each) if self is Hypothesis.HANDS_EXCHANGED else each for each in stated]


# Of the promised share of false alarms; they add up to one. What is stated is true nearly always.
SHARES = {
    Hypothesis.STATED: 0.9,
    Hypothesis.HANDS_EXCHANGED: 0.05,
    Hypothesis.FINGERS_MIXED: 0.05,
}
OF_HYPOTHESES = "-positions"  # of a version: its thresholds are those of all hypotheses together
STATED_SHARE = SHARES[Hypothesis.STATED]


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What a hypothesis comes to for k people.

    score     (k,) float32, fused log10 likelihood ratio of the best way less the price of all ways
    evidence  (k, 10) float32, log10 ratio of the person's finger at position column + 1; nan = not compared
    finger    (k, 10), which of the probe's fingers that is; -1 = none
    ways      (k,) float64, in how many ways the hypothesis could have come true
    rarity    (k,) float64, of the score beside those of others who share as many fingers (`calibration.rarity`)
    """

    score: Floats = field(repr=False)
    evidence: Floats = field(repr=False)
    finger: Ints = field(repr=False)
    ways: NDArray[np.float64] = field(repr=False)
    rarity: NDArray[np.float64] = field(repr=False)


@cache
def search_certificate() -> Certificate:
    """Return how often people of a search who are no mates reach a score, all of its hypotheses together.

    The tails are those of one way to compare a person, of which what is stated has its share alone.
    """
    alone = calibration.default_certificate()
    return replace(
        alone,
        version=f"{alone.version}{OF_HYPOTHESES}",
        tails=tuple(_shared(tail) for tail in alone.tails),
    )


def _shared(tail: Tail) -> Tail:
    least, likeliest, greatest = tail.share
    share = least / STATED_SHARE, likeliest / STATED_SHARE, greatest / STATED_SHARE
    return replace(tail, share=share)


def threshold(fpir: float, size: int, shared: int) -> Threshold:
    """Return the least score that keeps false alarms of a search, all its hypotheses together, at `fpir`.

    It is that of whoever shares so many fingers with the probe. Arguments, errors and result as of
    `calibration.threshold`, which reckons with one way to compare a person.
    """
    return calibration.threshold(fpir, size, shared, search_certificate())


def shared(evidence: Floats) -> Ints:
    """Return how many fingers each person shares with the probe, (k, 10) log10 ratios → (k,); nan = not compared."""
    number: Ints = np.count_nonzero(~np.isnan(evidence), axis=1)
    return number


def exchanged(position: int) -> int:
    """Return the same finger of the other hand; an unknown one stays so."""
    if position == UNKNOWN_POSITION:
        return position
    return position + HAND if position <= HAND else position - HAND


def weigh(
    evidence: Floats,
    positions: Sequence[int],
    impressions: tuple[Sequence[int], Ints],
    hypothesis: Hypothesis,
) -> Weighed:
    """Return the best assignment of q fingers to those of each of k people, under one hypothesis.

    evidence     (k, q, 10) log10 ratios of each finger with each of the person's, the best of their impressions; nan =
                 not compared
    positions    (q,) the position of each finger under the hypothesis; 0 = unknown
    impressions  how many there are of each finger (q,), and of each of the people's (k, 10)

    An enrolled finger is used at most once, and one of a known position is used up by it.
    """
    mine, theirs = impressions
    best = np.full((len(evidence), POSITIONS), np.nan, dtype=np.float32)
    used = np.full(best.shape, -1, dtype=np.intp)
    ways = np.ones(len(evidence))
    for finger, position in enumerate(positions):
        if position != UNKNOWN_POSITION:
            best[:, position - 1] = evidence[:, finger, position - 1]
            compared = ~np.isnan(best[:, position - 1])
            used[compared, position - 1] = finger
            ways *= np.where(compared, mine[finger] * theirs[:, position - 1], 1)
    unknown = [at for at, position in enumerate(positions) if position == UNKNOWN_POSITION]
    taken = [position - 1 for position in positions if position != UNKNOWN_POSITION]
    if unknown:
        for person, ratios in enumerate(evidence[:, unknown]):
            compared = ~np.isnan(ratios).all(axis=0)
            compared[taken] = False
            free = np.flatnonzero(compared)
            fingers, places = assigned(ratios[:, free])
            best[person, free[places]] = ratios[fingers, free[places]]
            used[person, free[places]] = np.array(unknown)[fingers]
            most = np.sort(theirs[person, free])[len(free) - len(places) :]
            ways[person] *= math.perm(max(len(free), len(unknown)), len(places))
            ways[person] *= math.prod(mine[at] for at in unknown) * float(np.prod(most))
    rarer = ways * STATED_SHARE / SHARES[hypothesis]
    number = shared(best)
    score = (fuse(best) - calibration.price(rarer, number)).astype(np.float32)
    rarity = calibration.rarity(score, number, search_certificate())
    return Weighed(score, best, used, ways, rarity)


def assigned(ratios: Floats) -> tuple[Ints, Ints]:
    """Return the rows and columns of the one-to-one assignment whose sum is the greatest, min(r, c) pairs.

    Shortest augmenting paths (Jonker, Volgenant, Computing 38, 1987), for ten rows at most.
    """
    if ratios.shape[0] > ratios.shape[1]:
        columns, rows = assigned(ratios.T)
        return rows, columns
    # Numbers of Python: so few that an array would cost more to begin with than to reckon with.
    cost: list[list[float]] = (-ratios.astype(np.float64)).tolist()
    width = ratios.shape[1]
    row_price, column_price = [0.0] * len(cost), [0.0] * width
    row_of = [-1] * width
    for start in range(len(cost)):
        distance, before = [math.inf] * width, [-1] * width
        left = list(range(width))
        row, last, length = start, -1, 0.0
        while row >= 0:
            for column in left:
                through = length + cost[row][column] - row_price[row] - column_price[column]
                if through < distance[column]:
                    distance[column], before[column] = through, last
            last = min(left, key=distance.__getitem__)
            length = distance[last]
            left.remove(last)
            row = row_of[last]
        row_price[start] += length
        for column in set(range(width)).difference(left):
            if row_of[column] >= 0:
                row_price[row_of[column]] += length - distance[column]
            column_price[column] -= length - distance[column]
        while last >= 0:
            previous = before[last]
            row_of[last] = start if previous < 0 else row_of[previous]
            last = previous
    columns = np.flatnonzero(np.array(row_of, dtype=np.intp) >= 0)
    return np.array(row_of, dtype=np.intp)[columns], columns
