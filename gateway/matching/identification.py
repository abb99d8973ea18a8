"""Who is it, by one modality or by several: each searched in full, and their scores added.

(1) each engine searches its whole gallery
(2) whoever is among the best of one modality gets the exact score of every other one; how much is compared does not
    depend on whether the modalities name the same people
(3) a person's score is the sum; a modality of which nothing is held of the person adds 0
(4) the threshold keeps the promise whichever of the modalities a person has (`matcher.fusion`)

Of one modality it is the search of its engine, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping

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

Probes = Mapping[Modality, Probe]  # one person's, prepared
Scores = Mapping[Modality, Mapping[int, float]]


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
    scores = {each: _scores(engines[each], probes[each], each, found) for each in order}  # (2)
    candidates = _candidates(found, scores)  # (3)
    searched = [fusion.Searched(each.size, each.tails) for each in found.values()]
    least = fusion.threshold(point.fpir, searched)  # (4)
    floor = None
    if point.review_fpir is not None:
        floor = fusion.threshold(point.review_fpir, searched).score
    return Identified(candidates, least.score, floor, least.fpir_expected, least.size, found)


def _alone(only: tuple[Modality, Found]) -> Identified:
    modality, found = only
    return Identified(
        candidates=tuple(
            Candidate(who, score, {modality: score}) for who, score in found.candidates
        ),
        threshold=found.threshold,
        floor=found.floor,
        fpir_expected=found.fpir_expected,
        size=found.size,
        by_modality={modality: found},
    )


def _scores(
    engine: Engine, probe: Probe, modality: Modality, found: Mapping[Modality, Found]
) -> Mapping[int, float]:
    """Return what one modality says of everybody whom any modality named."""
    others = [
        who
        for other, theirs in found.items()
        if other is not modality
        for who, _ in theirs.candidates
    ]
    return {**engine.scores(probe, others), **dict(found[modality].candidates)}


def _candidates(found: Mapping[Modality, Found], scores: Scores) -> tuple[Candidate, ...]:
    """Return everybody whom any modality named, the best first; of equals, whom the first modality named first."""
    named = dict.fromkeys(who for each in found.values() for who, _ in each.candidates)
    said = {
        who: {modality: of[who] for modality, of in scores.items() if who in of} for who in named
    }
    candidates = [Candidate(who, sum(each.values()), each) for who, each in said.items()]
    return tuple(sorted(candidates, key=lambda each: -each.score))
