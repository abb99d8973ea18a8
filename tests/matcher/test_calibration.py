"""A threshold keeps its promise at the gallery's size, and says how far the promise may be trusted."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher import calibration
from matcher.calibration import default_certificate, load_certificate, threshold
from matcher.finger import synthetic
from matcher.finger.gallery import Gallery
from matcher.finger.probe import prepare


@given(st.floats(1e-7, 0.5), st.integers(0, 10**7), st.integers(1, 10))
def test_the_upper_end_of_the_interval_keeps_the_promise(
    fpir: float, size: int, usable: int
) -> None:
    found = threshold(fpir, size, usable)
    low, high = found.interval

    assert 0 < low <= found.fpir_expected <= high <= fpir * (1 + 1e-6)


@given(st.floats(1e-6, 0.1), st.integers(1, 10**6), st.integers(1, 9))
def test_larger_galleries_and_stricter_rates_ask_for_more_and_more_shared_fingers_never(
    fpir: float, size: int, shared: int
) -> None:
    level = threshold(fpir, size, shared).score

    assert threshold(fpir, size * 2, shared).score >= level
    assert threshold(fpir / 2, size, shared).score >= level
    assert threshold(fpir, size, shared + 1).score <= level


# Fits cross: by itself the second tail would ask for more than the first where the rate is small.
CROSSING = load_certificate(
    {
        "tails": [
            {"samples": 1, "level": 0.0, "share": [0.01] * 3, "rate": [3.0] * 3},
            {"samples": 2, "level": -1.0, "share": [0.01] * 3, "rate": [2.0] * 3},
            {"samples": 3, "level": -2.0, "share": [0.01] * 3, "rate": [2.5] * 3},
        ],
        "trials": 1000,
        "data": "d",
        "split": "s",
        "version": "v",
    },
    "00",
)


def test_tails_that_cross_never_make_one_more_sample_ask_for_more() -> None:
    tails = CROSSING.tails
    for fpir in (1e-2, 1e-4, 1e-8):
        least = [threshold(fpir, 1, shared, CROSSING).score for shared in (1, 2, 3)]
        assert least == sorted(least, reverse=True)
        assert all(level >= tail.score(fpir) for level, tail in zip(least, tails, strict=True))
    assert least[0] == tails[1].score(fpir) > tails[0].score(fpir)


@given(st.floats(1e-9, 0.5), st.integers(1, 3))
def test_the_rarity_of_a_threshold_is_that_of_its_promise(fpir: float, shared: int) -> None:
    """One number orders people who are held against different thresholds, whatever the promise is."""
    least = threshold(fpir, 1, shared, CROSSING).score

    at, above, below = calibration.rarity([least, least + 0.01, least - 0.01], shared, CROSSING)

    if least > calibration.LEAST_MATCH:  # else the promise alone would be content with less
        assert at == pytest.approx(-math.log(fpir))
    assert below < at < above
    assert at >= -math.log(fpir) - 1e-9


@pytest.mark.parametrize("shared", [1, 2, 10])
def test_what_speaks_against_a_person_is_no_match_however_weak_the_promise(shared: int) -> None:
    tails = [replace(each, level=min(each.level, -0.1)) for each in default_certificate().tails]
    held = replace(default_certificate(), tails=tuple(tails))
    assert threshold(0.4, 1, shared, held).score == calibration.LEAST_MATCH == 0.0
    assert threshold(0.4, 1, shared, held).interval[1] <= 1.0
    assert threshold(0.4, 1, shared).score >= calibration.LEAST_MATCH


def test_a_score_of_many_shared_samples_is_rarer_than_the_same_of_few_and_nothing_is_the_least() -> (
    None
):
    rarity = calibration.rarity([3.0] * 3 + [-np.inf], [1, 2, 3, 0], CROSSING)

    assert list(rarity[:3]) == sorted(rarity[:3])
    assert rarity[3] == -np.inf


def test_a_rarer_way_costs_what_the_tail_of_as_many_samples_says() -> None:
    price = calibration.price([1.0, 8.0, 8.0, 8.0], [1, 1, 2, 0], CROSSING)

    assert price.tolist() == pytest.approx([0.0, math.log(8) / 3, math.log(8) / 2, math.log(8) / 3])


@given(st.floats(1e-6, 0.1), st.integers(1, 10**6), st.integers(1, 10))
def test_a_score_at_the_threshold_has_the_promised_rate(
    fpir: float, size: int, usable: int
) -> None:
    level = threshold(fpir, size, usable)
    found = calibration.score(level.score, size, usable)

    assert found.interval == level.interval
    assert found.fpir == level.fpir_expected
    assert found.interval[1] <= fpir * (1 + 1e-6)
    assert found.calibration_id == level.calibration_id


def test_better_scores_and_smaller_galleries_raise_fewer_alarms() -> None:
    rates = [calibration.score(value, 10**5, 2).fpir for value in (-1.5, 1, 4, 8, 12)]

    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1.0
    assert calibration.score(8, 10**4, 2).fpir < rates[3]
    assert calibration.score(12, 1, 1).modelled
    assert not calibration.score(0, 1, 1).modelled


@pytest.mark.parametrize(
    ("value", "size", "usable"), [(float("nan"), 10, 1), (3.0, -1, 1), (3.0, 10, 0), (3.0, 10, 11)]
)
def test_what_is_no_score_has_no_rate(value: float, size: int, usable: int) -> None:
    with pytest.raises(ValueError):
        calibration.score(value, size, usable)


@pytest.mark.parametrize(
    ("fpir", "size", "usable"),
    [(0.0, 10, 1), (1.0, 10, 1), (-1e-4, 10, 1), (1e-4, -1, 1), (1e-4, 10, 0), (1e-4, 10, 11)],
)
def test_what_is_no_rate_no_size_and_no_finger_is_refused(
    fpir: float, size: int, usable: int
) -> None:
    with pytest.raises(ValueError):
        threshold(fpir, size, usable)


def test_the_certificate_says_on_what_it_rests() -> None:
    held = default_certificate()

    assert held.trials == 11 * 2_880 + 2_808  # of twelve sets; one record of one set is missing
    assert held.certain == pytest.approx(3 / held.trials)
    assert "FVC2002" in held.data
    assert held.split
    assert threshold(1e-4, 1, 1).extrapolated is False
    assert threshold(1e-4, 10**6, 1).extrapolated is True
    assert threshold(1e-4, 10, 1).calibration_id == f"{held.version}-{held.digest[:16]}"


def test_a_certificate_with_a_gap_is_not_loaded() -> None:
    good = {
        "tails": [
            {"fingers": k, "level": 0.0, "share": [0.009, 0.01, 0.02], "rate": [2, 2.1, 2.2]}
            for k in range(1, 11)
        ],
        "trials": 1000,
        "data": "d",
        "split": "s",
        "version": "v",
    }
    assert load_certificate(good, "00").trials == 1000

    for bad in (good | {"tails": good["tails"][1:]}, good | {"tails": "none"}):
        with pytest.raises(ValueError):
            load_certificate(bad, "00")
    backwards = json.loads(json.dumps(good))
    backwards["tails"][3]["rate"] = [3, 2, 1]
    with pytest.raises(ValueError):
        load_certificate(backwards, "00")


def test_non_mated_people_stay_below_the_threshold_of_a_thousandth() -> None:
    """40 strangers against 40 people, two fingers each: at an FPIR of 1e-3 none is expected to be raised."""
    gallery = Gallery()
    for seed in range(40):
        gallery.add(seed, _prints(seed))
    level = calibration.threshold(1e-3, len(gallery), 2).score

    best = [gallery.search(prepare(_prints(seed))).score[0] for seed in range(500, 540)]

    assert np.max(best) < level


def _prints(seed: int) -> list[tuple[int, synthetic.Minutiae]]:
    person = synthetic.person(seed)
    return [(at, synthetic.impression(person, at, 1)) for at in (1, 6)]
