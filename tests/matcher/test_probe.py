"""A probe is prepared from what is good enough, and says what is not."""

from __future__ import annotations

import numpy as np
import pytest

from matcher import synthetic
from matcher.fmr import Format, Record, View, read, write
from matcher.gallery import Gallery
from matcher.probe import (
    FingerSample,
    NothingUsable,
    PositionMismatch,
    SampleFault,
    assess,
    prepare,
    read_sample,
)
from matcher.template import MalformedRecord, Minutiae


def scattered(count: int, spread: float = 300.0, quality: int = 0) -> Minutiae:
    rng = np.random.default_rng(count)
    xy = 50 + rng.uniform(0, spread, (count, 2))
    angle = rng.uniform(0, 6.28, count)
    return Minutiae(xy, angle, np.ones(count), np.full(count, quality), 400, 400)


def on_one_spot(count: int) -> Minutiae:
    xy, zeros = np.full((count, 2), 100.0), np.zeros(count)
    return Minutiae(xy, np.linspace(0, 6, count), zeros, zeros, 400, 400)


@pytest.mark.parametrize(
    ("minutiae", "code"),
    [
        (scattered(0), "TOO_FEW_MINUTIAE"),
        (scattered(3), "TOO_FEW_MINUTIAE"),
        (scattered(5), "TOO_FEW_MINUTIAE"),
        (on_one_spot(40), "TOO_FEW_MINUTIAE"),
        (scattered(20, spread=20.0), "AREA_TOO_SMALL"),
        (scattered(20, quality=5), "QUALITY_TOO_LOW"),
        (scattered(20), None),
        (scattered(20, quality=60), None),
        (scattered(255), None),
    ],
)
def test_a_poor_finger_is_named_with_its_reason(minutiae: Minutiae, code: str | None) -> None:
    assert assess(minutiae) == code


def test_minutiae_on_one_line_span_no_area() -> None:
    along = np.linspace(10, 390, 40)
    zeros = np.zeros(40)

    assert assess(Minutiae(np.stack([along, along], 1), zeros, zeros, zeros, 400, 400)) == (
        "AREA_TOO_SMALL"
    )


def test_poor_fingers_become_faults_and_the_others_are_searched() -> None:
    probe = prepare([(7, scattered(3)), (2, scattered(30))])

    assert probe.usable == (2,)
    assert probe.faults == (SampleFault(7, "TOO_FEW_MINUTIAE"),)


@pytest.mark.parametrize("fingers", [[], [(2, scattered(0))]])
def test_a_probe_without_a_usable_finger_is_never_searched(
    fingers: list[tuple[int, Minutiae]],
) -> None:
    """Poor quality is QUALITY_INSUFFICIENT, never NO_MATCH (protocol 4)."""
    gallery = Gallery()
    gallery.add(1, [(2, scattered(30))])

    with pytest.raises(NothingUsable) as caught:
        gallery.search(prepare(fingers))

    assert len(caught.value.faults) == len(fingers)


@pytest.mark.parametrize("positions", [(0,), (11,), (2, 2)])
def test_positions_are_one_to_ten_and_each_once(positions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        prepare([(position, scattered(20)) for position in positions])


def test_a_destroyed_probe_holds_nothing() -> None:
    probe = prepare([(2, scattered(30))])
    ((_, finger),) = probe.fingers
    assert finger.vectors.any()

    probe.destroy()

    assert not any(array.any() for array in (finger.place, finger.heading, finger.vectors))


def test_a_probe_does_not_show_itself() -> None:
    assert "array" not in repr(prepare([(2, scattered(30))]))


def test_an_unknown_position_gives_way_and_any_other_is_an_error() -> None:
    finger = synthetic.impression(synthetic.person(3), 2, 1)

    assert len(read_sample(FingerSample(7, synthetic.record(finger, 0)))) == len(finger)
    assert len(read_sample(FingerSample(2, synthetic.record(finger, 2)))) == len(finger)
    with pytest.raises(PositionMismatch):
        read_sample(FingerSample(7, synthetic.record(finger, 2)))


def test_several_views_of_a_finger_are_refused() -> None:
    one = read(synthetic.record(scattered(20), 2)).views[0]
    two = write(
        Record(Format.ISO_19794_2_2005, 400, 400, 197, 197, (one, View(2, 0, 0, one.minutiae)))
    )

    with pytest.raises(MalformedRecord, match="more than one view"):
        read_sample(FingerSample(2, two))
