"""What a raw score is worth: in order, bounded, kept under many comparisons, and no better than the data."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher import calibration, score_calibration
from matcher.score_calibration import Scores, cost, document, fit, load_calibration

NAMED = {
    "version": "test-1",
    "model": "model-1",
    "data": "invented",
    "split": "people drawn anew",
    "date": "2026-11-30",
    "code": "0",
}


def drawn(seed: int, people: int = 60, spread: float = 0.1) -> Scores:
    """Return scores of people who each have a mated pair, all compared with all: normal, two kinds."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(people, 1)
    return Scores(
        rng.normal(0.6, spread, people),
        np.arange(people),
        rng.normal(0.0, 0.1, len(first)),
        np.stack([first, second], axis=1),
    )


FITTED = document(fit(drawn(1), np.random.default_rng(2)), **NAMED)
HELD = load_calibration(FITTED, "ab" * 32)

raw_scores = st.floats(-3, 3)


@given(raw_scores, raw_scores)
def test_of_two_scores_the_higher_is_worth_more_and_equals_the_same(
    one: float, other: float
) -> None:
    low, high = sorted((one, other))
    ratio = HELD.ratios([low, high])

    assert (ratio[0] < ratio[1]) == (high - low > 1e-9) or high - low <= 1e-9


@given(raw_scores, st.integers(1, 50))
def test_no_comparison_below_the_least_raw_score_has_the_ratio(raw: float, compared: int) -> None:
    ratio = float(HELD.ratios(raw, compared))

    assert HELD.least(ratio, compared) == pytest.approx(raw, abs=1e-6)


def test_no_score_says_more_than_the_data_can_tell() -> None:
    """Sixty people with mates cannot exclude more than twenty-fold, whatever the score."""
    low, high = HELD.ratios([-1.0, 1.5])

    assert low == pytest.approx(math.log10(3 / 60), abs=2e-3)
    assert high < math.log10(FITTED["trials"] / 3) + score_calibration.EXTRAPOLATED + 2


def test_a_threshold_is_kept_by_people_that_the_fit_has_not_seen() -> None:
    level = calibration.threshold(1e-2, 1, 1, HELD.certificate).score
    unseen = drawn(7, people=300)

    assert (HELD.ratios(unseen.non_mated) >= level).mean() <= 1e-2
    assert (HELD.ratios(unseen.mated) >= level).mean() > 0.95
    assert cost(HELD, unseen) < 0.25


def test_the_best_of_many_comparisons_keeps_the_promise_of_one() -> None:
    rng = np.random.default_rng(3)
    level = calibration.threshold(1e-2, 1, 1, HELD.certificate).score
    best = rng.normal(0.0, 0.1, (20_000, 8)).max(axis=1)

    assert (HELD.ratios(best, 8) >= level).mean() <= 1e-2
    assert (HELD.ratios(best, 8) < HELD.ratios(best, 1)).all()


def test_a_split_by_person_leaves_no_pair_of_both_sides() -> None:
    scores = drawn(4)
    half = scores.of(np.arange(0, 60, 2))

    assert len(half.mated) == 30
    assert not (half.people % 2).any()
    assert len(half.non_mated) == 30 * 29 // 2


@pytest.mark.parametrize("fault", ["few people", "few scores", "nan", "no better", "worse"])
def test_nothing_is_fitted_to_scores_that_say_nothing(fault: str) -> None:
    scores = drawn(5)
    mated, non_mated = scores.mated.copy(), scores.non_mated
    if fault == "nan":
        mated[3] = np.nan
    if fault in ("no better", "worse"):
        mated -= 0.6 if fault == "no better" else 2.0
    if fault == "few scores":
        non_mated = non_mated[:900]
    people = np.minimum(scores.person, 8) if fault == "few people" else scores.person
    with pytest.raises(ValueError):
        fit(
            Scores(mated, people, non_mated, scores.people[: len(non_mated)]),
            np.random.default_rng(0),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"line": [[0.0, 1.0]]},
        {"line": [[0.0, 1.0], [0.0, 2.0]]},
        {"line": [[0.0, 1.0], [1.0, 1.0]]},
        {"line": [[0.0, 1.0], [1.0, math.nan]]},
        {"line": "none"},
        {"tails": []},
        {"tails": [{"samples": 2, "level": 0, "share": [1, 1, 1], "rate": [1, 1, 1]}]},
        {"tails": [{"samples": 1, "level": math.inf, "share": [1, 1, 1], "rate": [1, 1, 1]}]},
        {"trials": 0},
        {"model": ""},
        {"split": 3},
        {"data": "x" * 401},
        {"date": None},
    ],
)
def test_a_calibration_that_breaks_its_rules_is_not_loaded(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        load_calibration(FITTED | change, "")


@pytest.mark.parametrize("missing", sorted([*NAMED, "line", "tails", "trials"]))
def test_a_calibration_with_a_part_missing_is_not_loaded(missing: str) -> None:
    with pytest.raises(ValueError):
        load_calibration({name: FITTED[name] for name in FITTED if name != missing}, "")


def test_a_calibration_comes_back_from_its_file_as_it_was() -> None:
    again = load_calibration(json.loads(json.dumps(FITTED)), "ab" * 32)

    assert (again.ratios(np.linspace(-1, 1, 50)) == HELD.ratios(np.linspace(-1, 1, 50))).all()
    assert again.certificate.id == "test-1-abababababababab"
