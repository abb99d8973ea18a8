"""The fused threshold keeps its promise for whoever has all modalities and for whoever has one of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from matcher import calibration
from matcher.calibration import Tail, default_certificate
from matcher.fusion import STEP, Searched, threshold

FPIR = 1e-4
PEOPLE = 100_000
FACE = (Tail(1, -0.5, (0.02, 0.02, 0.02), (2.0, 2.0, 2.0)),)
IRIS = (Tail(1, 0.5, (0.05, 0.05, 0.05), (3.0, 3.0, 3.0)),)


def fingers(usable: int) -> tuple[Tail, ...]:
    return default_certificate().tails[:usable]


@pytest.mark.parametrize("usable", [1, 2, 10])
@pytest.mark.parametrize("size", [0, 1, 12, 100_000])
def test_of_one_modality_the_threshold_is_the_calibrations_to_the_bit(
    usable: int, size: int
) -> None:
    alone = calibration.threshold(FPIR, size, usable)
    fused = threshold(FPIR, [Searched(size, fingers(usable))])

    assert (fused.score, fused.fpir_expected) == (alone.score, alone.fpir_expected)


def test_an_empty_gallery_beside_another_changes_nothing() -> None:
    alone = threshold(FPIR, [Searched(PEOPLE, fingers(2))])
    assert threshold(FPIR, [Searched(PEOPLE, fingers(2)), Searched(0, FACE)]) == alone


def test_who_has_one_of_the_modalities_reaches_the_threshold_no_more_often_than_promised() -> None:
    fused = threshold(FPIR, [Searched(PEOPLE, fingers(2)), Searched(PEOPLE, FACE)])

    rate = FPIR / (2 * PEOPLE)
    for tails in (fingers(2), FACE):
        assert max(tail.errors(fused.score)[2] for tail in tails) <= rate * (1 + 1e-9)
    assert fused.size == 2 * PEOPLE
    assert 0 < fused.fpir_expected <= FPIR


def test_the_tail_of_a_sum_is_that_of_two_exponentials_to_within_the_grid() -> None:
    """Two tails that are known from their least value have a sum with a closed form (hypoexponential)."""
    one, other = (Tail(1, 0.0, (1.0,) * 3, (rate,) * 3) for rate in (2.0, 3.0))
    fused = threshold(FPIR, [Searched(1, (one,)), Searched(1, (other,))])

    def above(score: float) -> float:
        return 3.0 * math.exp(-2.0 * score) - 2.0 * math.exp(-3.0 * score)

    assert above(fused.score) <= FPIR / 2
    assert above(fused.score - 3 * STEP) > FPIR / 2


def test_drawn_sums_reach_the_threshold_no_more_often_than_promised() -> None:
    """Bodies stand at their levels, as the bound says; what is drawn stays below it."""
    random, promised, drawn = np.random.default_rng(20), 2e-3, 400_000
    total = np.zeros(drawn)
    for tails in (FACE, IRIS, fingers(1)):
        tail = tails[0]
        above = random.random(drawn) < tail.share[2]
        total += tail.level + above * random.exponential(1 / tail.rate[0], drawn)
    fused = threshold(promised, [Searched(1, each) for each in (FACE, IRIS, fingers(1))])

    share = float((total >= fused.score).mean())
    assert share <= promised / 3 + 4 * math.sqrt(promised / 3 / drawn)


def test_the_threshold_grows_with_the_gallery_and_falls_with_the_promise() -> None:
    def at(fpir: float, size: int) -> float:
        return threshold(fpir, [Searched(size, fingers(2)), Searched(size, FACE)]).score

    assert at(FPIR, 1_000) < at(FPIR, 1_000_000) < at(1e-8, 1_000_000)
    assert (
        at(1e-12, 1_000_000_000) < 40
    )  # beyond any gallery there is, and still a number of the grid


@pytest.mark.parametrize(
    ("fpir", "searched"),
    [
        (0.0, [Searched(1, FACE)]),
        (1.0, [Searched(1, FACE)]),
        (FPIR, []),
        (FPIR, [Searched(-1, FACE)]),
        (FPIR, [Searched(1, ())]),
    ],
)
def test_what_is_no_promise_is_refused(fpir: float, searched: list[Searched]) -> None:
    with pytest.raises(ValueError, match="FPIR"):
        threshold(fpir, searched)
