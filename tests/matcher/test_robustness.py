"""What no extractor here does but another may, costs few mates; what is no finger never scores like one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from matcher.finger import record_fmr, synthetic
from matcher.finger.alignment import compare, gather
from matcher.finger.descriptors import MOST_COMPARED, default_model, describe, distinct
from matcher.finger.probe import assess
from matcher.finger.score_fusion import default_likelihood, finger_ratio
from matcher.finger.template import Minutiae

sys.path.insert(0, str(Path(__file__).parent))

from changes import (
    Change,
    against_the_ridge,
    denser,
    further_along,
    of_other_sides,
    sparser,
    unsteady,
    upside_down,
)

FINGERS = range(101, 111)


def fingers(shared: Path, impression: int) -> list[Minutiae]:
    folder = shared / "data" / "fingerprint" / "fvc2002" / "secugen" / "DB1"
    paths = [next(folder.glob(f"{finger}_{impression}.*")) for finger in FINGERS]
    return [record_fmr.read(path.read_bytes()).views[0].minutiae for path in paths]


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        (sparser, 2),
        (denser, 1),
        (unsteady, 1),
        (against_the_ridge, 1),
        (further_along, 1),
        (of_other_sides, 1),
        (upside_down, 1),
    ],
)
def test_what_another_extractor_may_do_costs_few_mates(
    shared: Path, change: Change, missed: int
) -> None:
    """Ten fingers, each enrolled once and searched once as it is changed; shipped weights."""
    rng = np.random.default_rng(11)
    gallery = gather([describe(each, default_model()) for each in fingers(shared, 1)])
    found = []
    for each in fingers(shared, 2):
        probe = describe(change(each, rng), default_model())
        found.append(finger_ratio(compare(probe, gallery), default_likelihood()))
    scores = np.stack(found)
    mated = np.diag(scores)
    strangers = scores[~np.eye(len(scores), dtype=bool)]

    assert (mated > strangers.max()).sum() >= len(FINGERS) - missed
    assert strangers.max() < 2.5


def noise(count: int, rng: np.random.Generator, spread: float) -> Minutiae:
    xy, angle = rng.uniform(20, 380, (count, 2)), (1.5 + rng.normal(0, spread, count)) % 6.28
    return Minutiae(xy, angle, np.ones(count, np.uint8), np.zeros(count, np.uint8), 400, 400)


@pytest.mark.parametrize("count", [6, 12, 30, 60, 120, 255])
@pytest.mark.parametrize("spread", [0.2, 3.0])
def test_noise_never_scores_like_a_finger(count: int, spread: float) -> None:
    """Against real counts of minutiae; parallel directions are what a scratched sensor gives."""
    rng = np.random.default_rng(count)
    people = [synthetic.impression(synthetic.person(seed), 1, 1) for seed in range(40)]
    gallery = gather([describe(each, default_model()) for each in people])
    for _ in range(3):
        probe = describe(noise(count, rng, spread), default_model())
        score = finger_ratio(compare(probe, gallery), default_likelihood())

        assert np.isfinite(score).all()
        assert score.max() < 2.5


@pytest.mark.parametrize("side", [80, 130, 260])
@pytest.mark.parametrize("count", [30, 80, 200])
@pytest.mark.parametrize("spread", [0.2, 0.5, 3.0])
def test_two_records_of_noise_are_refused_or_do_not_match(
    side: int, count: int, spread: float
) -> None:
    """Crowded or parallel minutiae meet any others that are: both prints would score like one finger."""
    rng = np.random.default_rng(side + count)
    xy = 50 + rng.uniform(0, side, (6, count, 2))
    angle = (1.5 + rng.normal(0, spread, (6, count))) % 6.28
    zeros = np.zeros(count, np.uint8)
    made = [Minutiae(*each, zeros, zeros, 400, 400) for each in zip(xy, angle, strict=True)]
    fingers = [describe(each, default_model()) for each in made if assess(each) is None]

    for at, one in enumerate(fingers[:-1]):
        score = finger_ratio(compare(one, gather(fingers[at + 1 :])), default_likelihood())
        assert score.max() < 7


def test_a_crowd_of_the_best_quality_is_judged_without_those_it_displaces() -> None:
    """Only the best 120 are compared: what lies around them must not make a spot look like a finger."""
    rng = np.random.default_rng(3)
    xy = np.concatenate([rng.uniform(186, 214, (120, 2)), rng.uniform(20, 380, (100, 2))])
    quality = np.repeat([80, 5], [120, 100])
    angle = rng.uniform(0, 6.2, 220)

    assert assess(Minutiae(xy, angle, np.ones(220), quality, 400, 400)) == "AREA_TOO_SMALL"
    for larger, fault in ((4, "QUALITY_TOO_LOW"), (8, None)):
        spread = 200 + larger * (xy[:120] - 200)
        alone = Minutiae(spread, angle[:120], np.ones(120), quality[:120], 400, 400)
        assert assess(alone) == fault


@pytest.mark.parametrize("extractor", ["secugen", "fingerjet"])
def test_no_real_finger_is_too_crowded_or_too_parallel(shared: Path, extractor: str) -> None:
    folder = shared / "data" / "fingerprint" / "fvc2002" / extractor
    faults = [
        assess(record_fmr.read(path.read_bytes()).views[0].minutiae)
        for path in folder.glob("DB*/*_3.*")
    ]

    assert len(faults) == 40
    assert "QUALITY_TOO_LOW" not in faults


@pytest.mark.parametrize("extractor", ["secugen", "fingerjet", "fingerjet-ansi"])
def test_no_real_record_with_four_minutiae_is_refused_whatever_quality_it_states(
    shared: Path, extractor: str
) -> None:
    folder = shared / "data" / "fingerprint" / "fvc2002" / extractor
    refused = []
    for path in sorted(folder.glob("DB*/*")):
        read = record_fmr.read(path.read_bytes()).views[0].minutiae
        rng = np.random.default_rng(len(read))
        for quality in (read.quality, rng.integers(18, 21, len(read))):
            stated = replace(read, quality=quality)
            if assess(stated) is not None and len(distinct(stated)) >= 4:
                refused.append(path.name)

    assert refused == []


def test_of_too_many_minutiae_the_best_and_most_central_are_compared() -> None:
    many = noise(255, np.random.default_rng(1), 3.0)
    quality = np.r_[np.full(100, 80), np.zeros(155)].astype(np.uint8)
    stated = Minutiae(many.xy, many.angle, many.kind, quality, 400, 400)
    away = np.hypot(*(many.xy - np.median(many.xy, axis=0)).T)

    kept = distinct(stated)

    assert len(kept) == len(describe(stated, default_model())) == MOST_COMPARED
    assert set(range(100)) <= set(kept.tolist())
    assert away[distinct(many)].max() <= np.sort(away)[MOST_COMPARED - 1]
