"""The bench builds what it says, counts what it says, and its invented people are like real people's records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.exercises.bench.finger import Order, footprint, measured
from matcher.finger import synthetic
from matcher.finger.gallery import Gallery

FIELDS = [
    "gallery",
    "probes",
    "threads",
    "minutiae_mean",
    "prepare_ms",
    "bytes_per_finger",
    "single_cps",
    "batch_cps",
    "cascade_loss",
    "sgemm_gflops_1",
    "sgemm_gflops_t",
]


@pytest.mark.slow
def test_every_figure_is_told() -> None:
    told = []

    figures = measured(Order(150, 4, 2, 0.01), told.append)

    assert all(hasattr(figures, name) for name in FIELDS)
    assert (figures.gallery, figures.probes, figures.threads) == (150, 4, 2)
    assert sum(told) == 150 - 4 + 4
    assert 30 < figures.minutiae_mean < 40
    assert min(figures.prepare_ms, figures.single_cps, figures.batch_cps) > 0
    assert figures.sgemm_gflops_1 > 0
    assert 0 <= (figures.cascade_loss or 0) <= 1
    assert figures.mates_accepted >= 2


@pytest.mark.slow
def test_real_records_can_be_looked_for_among_the_invented(tmp_path: Path) -> None:
    for number in range(3):
        for turn in range(3):
            finger = synthetic.impression(synthetic.person(number), 1, turn)
            (tmp_path / f"{number}_{turn}.iso").write_bytes(synthetic.record(finger, 0))

    figures = measured(Order(100, 6, 1, 0.01, tmp_path), lambda _: None)

    assert (figures.mates, figures.probes) == ("real", 6)
    assert figures.mates_accepted >= 4


def test_a_footprint_counts_arrays_once_and_whole() -> None:
    array = np.zeros(1000, dtype=np.float64)

    assert footprint([array, array[:10], array]) == pytest.approx(8000, abs=200)
    assert footprint(Gallery()) < 20_000


def test_invented_records_lie_as_real_ones_do() -> None:
    """FVC2002, two extractors, eight sets: 26-47 minutiae, spread 7-19; median nearest neighbour 13-21 pixels."""
    crowd = [
        synthetic.impression(synthetic.person(seed, synthetic.TOUCHED), 1, 1) for seed in range(80)
    ]

    counts = [len(one) for one in crowd]
    nearest = []
    for one in crowd:
        apart = np.hypot(*(one.xy[:, None] - one.xy).transpose(2, 0, 1))
        np.fill_diagonal(apart, np.inf)
        nearest += apart.min(axis=1).tolist()
    assert 32 <= np.mean(counts) <= 38
    assert 7 <= np.std(counts) <= 13
    assert 15 <= np.median(nearest) <= 21
    assert 4.5 <= np.percentile(nearest, 5) <= 8
