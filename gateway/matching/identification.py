"""Who is it, by one modality or by several: each searched in full, and their scores added.

(1) each engine searches its whole gallery
(2) whoever is among the best of one modality gets the exact score of every other one; how much is compared does not
    depend on whether the modalities name the same people
(3) a person's score is the sum; a modality of which nothing is held of the person adds 0
(4) it is held against the threshold of whoever has just these modalities (`matcher.fusion`): a face in the query makes
    nobody harder to find of whom no face is held, and the promise holds for all together

Of one modality it is the search of its engine, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from gateway.domain.messages import Modality
from gateway.errors import DeadlineTooShort
from gateway.matching.engine import (
    Candidate,
    Deadline,
    Engine,
    Found,
    Identified,
    OperatingPoint,
    Probe,
)
from matcher import fusion
from matcher.fusion import Tails

Probes = Mapping[Modality, Probe]  # one person's, prepared
Said = Mapping[int, Mapping[Modality, float]]  # what each modality says of each person


def identify(
    engines: Mapping[Modality, Engine],
    probes: Probes,
    point: OperatingPoint,
    limit: int,
    deadline: Deadline,
) -> Identified:
    """Return the people likeliest to be the probes', at least the best of each modality, up to `limit` of each.

    Raises what the engines raise, EngineUnavailable and DeadlineTooShort: a search of a part is no answer.
    """
    order = sorted(probes)
    found = {
        each: engines[each].search(probes[each], point, limit, deadline) for each in order
    }  # (1)
    if len(found) == 1:
        return _alone(*found.items())
    if deadline() <= 0:
        raise DeadlineTooShort
    most = limit * (len(order) - 1)  # (2)
    scores = {each: _scores(engines[each], probes[each], each, found, most) for each in order}
    named = dict.fromkeys(who for each in found.values() for who, _ in each.candidates)
    said = {
        who: {modality: of[who] for modality, of in scores.items() if who in of} for who in named
    }
    return _fused(found, said, point)


def _alone(only: tuple[Modality, Found]) -> Identified:
    modality, found = only
    return Identified(
        candidates=tuple(
            Candidate(who, score, found.threshold, found.floor, {modality: score})
            for who, score in found.candidates
        ),
        threshold=found.threshold,
        floor=found.floor,
        fpir_expected=found.fpir_expected,
        size=found.size,
        by_modality={modality: found},
    )


def _scores(
    engine: Engine, probe: Probe, modality: Modality, found: Mapping[Modality, Found], most: int
) -> Mapping[int, float]:
    """Return what one modality says of everybody whom any modality named.

    The others may name nobody, or whom it named too: it looks again at its own best then, and at as many people always.
    """
    others = [
        who
        for other, theirs in found.items()
        if other is not modality
        for who, _ in theirs.candidates
    ]
    own = dict(found[modality].candidates)
    looked_at = list(dict.fromkeys([*others, *own]))[:most]
    return {**engine.scores(probe, looked_at), **own}


def _fused(found: Mapping[Modality, Found], said: Said, point: OperatingPoint) -> Identified:
    """Return everybody whom any modality named, (3) and (4), the best first; of equals, whom the first named first."""
    # Who is in several galleries is counted in each: nobody asks them who else has whom.
    size = sum(each.size for each in found.values())
    least = {
        frozenset(some): _least([found[each].tails for each in some], size, point)
        for number in range(1, len(found) + 1)
        for some in combinations(found, number)
    }
    candidates = [
        Candidate(who, sum(each.values()), *least[frozenset(each)][:2], each)
        for who, each in said.items()
    ]
    enrolled = frozenset(each for each, of in found.items() if of.size) or frozenset(found)
    score, floor, _ = least[enrolled]
    return Identified(
        candidates=tuple(sorted(candidates, key=lambda each: each.threshold - each.score)),
        threshold=score,
        floor=floor,
        fpir_expected=max(each[2] for some, each in least.items() if some <= enrolled),
        size=size,
        by_modality=found,
    )


def _least(
    held: Sequence[Tails], size: int, point: OperatingPoint
) -> tuple[float, float | None, float]:
    """Return threshold, floor and expected FPIR of whoever has these modalities."""
    match = fusion.threshold(point.fpir, held, size)
    floor = None
    if point.review_fpir is not None:
        floor = fusion.threshold(point.review_fpir, held, size).score
    return match.score, floor, match.fpir_expected
