"""The fused threshold keeps its promise for whoever has all modalities, and for whoever has one of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from matcher import calibration
from matcher.calibration import Tail
from matcher.fusion import STEP, Tails, threshold

FPIR = 1e-4
PEOPLE = 100_000
FACE: Tails = (Tail(1, -0.5, (0.02, 0.02, 0.02), (2.0, 2.0, 2.0)),)
IRIS: Tails = (Tail(1, 1.5, (0.001, 0.001, 0.001), (3.0, 3.0, 3.0)),)


def fingers(shared: int) -> Tails:
    return calibration.tails_for(shared)


@pytest.mark.parametrize("shared", [1, 2, 10])
@pytest.mark.parametrize("size", [0, 1, 12, 100_000])
def test_of_one_modality_the_threshold_is_the_calibrations_to_the_bit(
    shared: int, size: int
) -> None:
    alone = calibration.threshold(FPIR, size, shared)
    fused = threshold(FPIR, [fingers(shared)], size)

    assert (fused.score, fused.fpir_expected) == (alone.score, alone.fpir_expected)


def test_the_tail_of_a_sum_is_that_of_two_exponentials_to_within_the_grid() -> None:
    """Two tails that are known from their least value have a sum with a closed form (hypoexponential)."""
    one, other = (Tail(1, 0.0, (1.0,) * 3, (rate,) * 3) for rate in (2.0, 3.0))
    fused = threshold(FPIR, [(one,), (other,)], 1)

    def above(score: float) -> float:
        return 3.0 * math.exp(-2.0 * score) - 2.0 * math.exp(-3.0 * score)

    assert above(fused.score) <= FPIR
    assert above(fused.score - 3 * STEP) > FPIR


def drawn(tail: Tail, number: int, random: np.random.Generator) -> np.ndarray:
    """Return non-mated scores that are as high as their certificate and their meaning permit."""
    body = np.minimum(-np.log10(random.random(number)), tail.level)  # one in 10^x reaches x
    body = np.maximum(body, min(tail.level, 0.0))
    above = random.random(number) < tail.share[2]
    return np.where(above, tail.level + random.exponential(1 / tail.rate[0], number), body)


@pytest.mark.parametrize("sets", [(FACE, IRIS), (FACE, IRIS, fingers(1)), (IRIS, IRIS)])
def test_drawn_sums_reach_the_threshold_no_more_often_than_promised(
    sets: tuple[Tails, ...],
) -> None:
    random, promised, number = np.random.default_rng(20), 1e-3, 1_000_000
    total = sum(drawn(tails[0], number, random) for tails in sets)

    share = float((total >= threshold(promised, sets, 1).score).mean())
    assert 0 < share <= promised + 4 * math.sqrt(promised / number)


def test_whoever_lacks_a_modality_has_a_threshold_of_their_own() -> None:
    """A face in the query makes nobody harder to find who is enrolled by fingers alone."""
    alone = threshold(FPIR, [fingers(2)], PEOPLE)
    both = threshold(FPIR, [fingers(2), IRIS], PEOPLE)

    assert alone.score < both.score < alone.score + 1.0
    assert 0 < both.fpir_expected <= FPIR


def test_the_threshold_grows_with_the_gallery_and_falls_with_the_promise() -> None:
    def at(fpir: float, size: int) -> float:
        return threshold(fpir, [fingers(2), FACE], size).score

    assert at(FPIR, 1_000) < at(FPIR, 1_000_000) < at(1e-8, 1_000_000)
    assert (
        at(1e-12, 1_000_000_000) < 40
    )  # beyond any gallery there is, and still a number of the grid


def test_a_sum_that_speaks_against_a_person_is_no_match_however_weak_the_promise() -> None:
    assert threshold(0.4, [fingers(10), FACE], 1).score == 0.0
    assert threshold(0.4, [fingers(10)], 1).score == 0.0


@pytest.mark.parametrize("beside", [(), (FACE,), (FACE, IRIS)])
def test_sharing_more_fingers_never_asks_for_more(beside: tuple[Tails, ...]) -> None:
    scores = [threshold(FPIR, [fingers(shared), *beside], PEOPLE).score for shared in range(1, 11)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < scores[0]


@pytest.mark.parametrize(
    ("fpir", "held", "people"),
    [
        (0.0, [FACE], 1),
        (1.0, [FACE], 1),
        (FPIR, [], 1),
        (FPIR, [FACE], -1),
        (FPIR, [FACE, ()], 1),
    ],
)
def test_what_is_no_promise_is_refused(fpir: float, held: list[Tails], people: int) -> None:
    with pytest.raises(ValueError, match="FPIR"):
        threshold(fpir, held, people)
