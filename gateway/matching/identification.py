"""Who is it, by one modality or by several: each searched in full, and their scores added.

(1) each engine searches its whole gallery
(2) whoever is among the best of one modality gets the exact score of every other one; each modality looks at as many people
    as all of them name together, whether or not they name the same
(3) a person's score is the sum; a modality of which nothing is held of the person adds 0
(4) it is held against the threshold of whoever shares as many samples of each modality with the probe (`matcher.fusion`): a
    face in the query makes nobody harder to find of whom no face is held, nor do ten fingers whoever has one; who shares
    ten is not held to what one finger must show; and the promise holds for all together

The thresholds of all that anybody may share are computed in every search, so that none takes longer by whom it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

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
    Scored,
)
from matcher import fusion
from matcher.fusion import Tails

Probes = Mapping[Modality, Probe]  # one person's, prepared
Said = Mapping[int, Mapping[Modality, Scored]]  # what each modality says of each person
Shares = tuple[
    tuple[Modality, int], ...
]  # how many samples a person shares with the probe, of each modality that says anything


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
    if len(found) > 1 and deadline() <= 0:
        raise DeadlineTooShort
    most = limit * (len(order) - 1)  # (2)
    scores = {each: _scores(engines[each], probes[each], each, found, most) for each in order}
    named = dict.fromkeys(one.subject for each in found.values() for one in each.candidates)
    said = {
        who: {modality: of[who] for modality, of in scores.items() if who in of} for who in named
    }
    return _judged(found, said, point)


def _scores(
    engine: Engine, probe: Probe, modality: Modality, found: Mapping[Modality, Found], most: int
) -> Mapping[int, Scored]:
    """Return what one modality says of everybody whom any modality named.

    The others may name nobody, or whom it named too: it looks again at its own best then, as far as it has so many.
    """
    own = {each.subject: each for each in found[modality].candidates}
    if not most:
        return own
    others = [
        one.subject
        for other, theirs in found.items()
        if other is not modality
        for one in theirs.candidates
    ]
    looked_at = list(dict.fromkeys([*others, *own]))[:most]
    return {each.subject: each for each in engine.scores(probe, looked_at)} | own


def _judged(found: Mapping[Modality, Found], said: Said, point: OperatingPoint) -> Identified:
    """Return everybody whom any modality named, (3) and (4), the best first; of equals, whom the first named first."""
    # Who is in several galleries is counted in each: nobody asks them who else has whom.
    size = sum(each.size for each in found.values())
    least = {
        shares: _least([found[each].tails[number] for each, number in shares], size, point)
        for shares in _every(found)
    }
    alone = {
        (modality, number): fusion.threshold(point.fpir, [tails], each.size).score
        for modality, each in found.items()
        for number, tails in each.tails.items()
    }
    candidates = [
        Candidate(
            subject=who,
            score=sum(one.score for one in each.values()),
            threshold=least[_shares(each)][0],
            floor=least[_shares(each)][1],
            scores=each,
            alone={modality: alone[modality, one.shared] for modality, one in each.items()},
        )
        for who, each in said.items()
    ]
    whole = {modality: max(each.tails) for modality, each in found.items()}
    enrolled = {each for each, of in found.items() if of.size} or set(found)
    score, floor, _ = least[tuple((each, whole[each]) for each in found if each in enrolled)]
    return Identified(
        candidates=tuple(sorted(candidates, key=lambda each: each.threshold - each.score)),
        threshold=score,
        floor=floor,
        alone={modality: alone[modality, number] for modality, number in whole.items()},
        fpir_expected=max(
            each[2] for shares, each in least.items() if enrolled.issuperset(dict(shares))
        ),
        size=size,
        by_modality=found,
    )


def _every(found: Mapping[Modality, Found]) -> Iterator[Shares]:
    """Yield whatever a person may share with the probe, but nothing at all."""
    choices = [[None, *((each, number) for number in of.tails)] for each, of in found.items()]
    for chosen in product(*choices):
        if any(chosen):
            yield tuple(each for each in chosen if each is not None)


def _shares(scores: Mapping[Modality, Scored]) -> Shares:
    return tuple((modality, one.shared) for modality, one in scores.items())


def _least(
    held: Sequence[Tails], size: int, point: OperatingPoint
) -> tuple[float, float | None, float]:
    """Return threshold, floor and expected FPIR of whoever is judged by these tails, one set a modality."""
    match = fusion.threshold(point.fpir, held, size)
    floor = None
    if point.review_fpir is not None:
        floor = fusion.threshold(point.review_fpir, held, size).score
    return match.score, floor, match.fpir_expected
