"""Which finger of a probe an examiner sees beside which of a candidate's: as the search took them to fit.

A finger's position may be unknown, hands may be exchanged, and either side may have several impressions of a finger. Of
each of the candidate's fingers one pair is shown: the impressions that agree best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from gateway.domain.messages import Sample
from gateway.matching.finger import FORMATS
from matcher.finger import record_fmr
from matcher.finger.alignment import compare, gather
from matcher.finger.assignment import POSITIONS, Hypothesis, weigh
from matcher.finger.descriptors import Finger, default_model, describe, readings
from matcher.finger.probe import assess, distinct_fingers
from matcher.finger.score_fusion import default_likelihood, finger_ratio

Pair = tuple[Sample, Sample]
Described = tuple[Sample, Finger]


def best_pairs(probe: Sequence[Sample], record: Sequence[Sample]) -> list[Pair]:
    """Return a sample of the probe and one of the record for each finger that both have, by the record's position.

    What is too poor to be searched is not shown. What was described is destroyed before this returns.
    """
    mine = _described(sorted(probe, key=lambda each: each.position))
    theirs = _described(record)
    try:
        return _fitting(mine, theirs) if mine and theirs else []
    finally:
        for _, finger in (*mine, *theirs):
            finger.destroy()


def _fitting(mine: Sequence[Described], theirs: Sequence[Described]) -> list[Pair]:
    positions = distinct_fingers(each.position for each, _ in mine)
    known = {position: at for at, position in enumerate(positions) if position}
    columns = [known.get(each.position, at) for at, (each, _) in enumerate(mine)]
    best = _compared(mine, columns, theirs)
    evidence = np.full((1, len(positions), POSITIONS), np.nan, dtype=np.float32)
    for (column, position), (ratio, _) in best.items():
        evidence[0, column, position - 1] = ratio
    counted = Counter(each.position for each, _ in theirs)
    held = np.array([[counted[at + 1] for at in range(POSITIONS)]])
    given = [columns.count(column) for column in range(len(positions))]
    tried = [weigh(evidence, each.positions(positions), (given, held), each) for each in Hypothesis]
    fingers = max(tried, key=lambda each: float(each.rarity[0])).finger[0].tolist()
    return [best[column, at][1] for at, column in enumerate(fingers, 1) if column >= 0]


def _compared(
    probe: Sequence[Described], columns: Sequence[int], record: Sequence[Described]
) -> Mapping[tuple[int, int], tuple[float, Pair]]:
    """Return the ratio of each finger with each position, and the impressions that gave it."""
    best: dict[tuple[int, int], tuple[float, Pair]] = {}
    for column, (mine, finger) in zip(columns, probe, strict=True):
        for each, other in record:
            ratio = _ratio(finger, other)
            place = column, each.position
            if place not in best or best[place][0] < ratio:
                best[place] = ratio, (mine, each)
    return best


def _described(samples: Sequence[Sample]) -> list[Described]:
    found = []
    for each in samples:
        if each.format not in FORMATS:  # an image is shown by whoever extracts it
            continue
        minutiae = record_fmr.read(each.data).views[0].minutiae
        if assess(minutiae) is None:
            found.append((each, describe(minutiae, default_model())))
        minutiae.destroy()
    return found


def _ratio(finger: Finger, other: Finger) -> float:
    beside, likelihood = gather([other]), default_likelihood()
    read = readings(finger, other.frame, default_model())
    return max(float(finger_ratio(compare(each, beside), likelihood)[0]) for each in read)
