"""A probe is prepared from what is good enough, and says what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.calibration import threshold
from matcher.errors import MalformedRecord
from matcher.finger import synthetic
from matcher.finger.gallery import Gallery
from matcher.finger.probe import (
    FingerSample,
    NothingUsable,
    PositionMismatch,
    SampleFault,
    assess,
    prepare,
    read_sample,
)
from matcher.finger.record_fmr import Format, Record, View, read, write
from matcher.finger.template import Minutiae


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
        (scattered(4), None),
        (on_one_spot(40), "TOO_FEW_MINUTIAE"),
        (scattered(20, spread=20.0), "AREA_TOO_SMALL"),
        (scattered(20, quality=5), None),
        (scattered(4, spread=20.0), "AREA_TOO_SMALL"),
        (scattered(20), None),
        (scattered(20, quality=60), None),
        (scattered(255), None),
    ],
)
def test_a_poor_finger_is_named_with_its_reason(minutiae: Minutiae, code: str | None) -> None:
    assert assess(minutiae) == code


@pytest.mark.parametrize("scale", [1, 5, 18, 50, 100])
def test_what_an_extractor_calls_good_is_its_own_affair(scale: int) -> None:
    """Some state 18 to 20 for good minutiae: no number of a scale that is not known refuses a record."""
    for seed in range(20):
        one = synthetic.impression(synthetic.person(seed), 2, 1)
        stated = replace(one, quality=np.full(len(one), scale))

        assert assess(stated) is assess(one) is None


def test_records_of_four_minutiae_are_enrolled_and_score_low() -> None:
    """They prove little, so they reach little: at four minutiae no two people's come near a threshold."""
    rng = np.random.default_rng(4)
    gallery, probes = Gallery(), []
    for number in range(60):
        whole = synthetic.impression(synthetic.person(number), 2, 1)
        kept = rng.choice(len(whole), 4, replace=False)
        few = replace(
            whole,
            **{name: getattr(whole, name)[kept] for name in ("xy", "angle", "kind", "quality")},
        )
        if assess(few) is None:
            gallery.add(number, [(2, few)])
            probes.append((number, prepare([(2, few)])))

    most = max(
        float(found.score[found.subject != number].max())
        for number, probe in probes
        for found in [gallery.search(probe, 60)]
    )

    assert len(probes) >= 57
    assert most < threshold(1e-4, 60, 1).score


def test_few_minutiae_that_point_one_way_are_taken_where_they_stand_apart() -> None:
    apart = np.array([[50, 50], [250, 80], [90, 300], [270, 330]])
    angle = np.array([1.0, 1.1, 0.95, 1.05])
    zeros = np.zeros(4)

    assert assess(Minutiae(apart, angle, zeros, zeros, 400, 400)) is None
    near = 200 + (apart - 200) / 6
    assert assess(Minutiae(near, angle, zeros, zeros, 400, 400)) is not None


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


@pytest.mark.parametrize("positions", [(11,), (-1,), (2,) * 5, (0,) * 11, (0, *range(1, 11))])
def test_a_person_has_ten_fingers_and_a_finger_four_impressions(positions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        prepare([(position, scattered(20)) for position in positions])


def test_impressions_of_one_finger_are_one_and_unknown_ones_are_each_their_own() -> None:
    probe = prepare([(at, scattered(30)) for at in (7, 0, 2, 7, 0, 7)])

    assert probe.usable == (0, 0, 2, 7)
    assert probe.columns == (0, 1, 2, 3, 3, 3)


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


def test_minutiae_further_apart_than_a_finger_is_long_are_no_finger() -> None:
    """A record that states a thousandth of its resolution must not be searched as if it were one."""
    huge = Minutiae(
        scattered(30).xy * 100, scattered(30).angle, np.ones(30), np.zeros(30), 1 << 17, 1 << 17
    )

    assert assess(huge) == "QUALITY_TOO_LOW"


def test_minutiae_that_are_given_twice_count_once() -> None:
    one = synthetic.impression(synthetic.person(3), 2, 1)
    twice = Minutiae(
        *(np.concatenate([each, each]) for each in (one.xy, one.angle, one.kind, one.quality)),
        one.width,
        one.height,
    )
    gallery = Gallery()
    gallery.add(1, [(2, one)])
    gallery.add(2, [(2, twice)])

    for minutiae in (one, twice):
        found = gallery.search(prepare([(2, minutiae)]))
        assert found.score[0] == found.score[1]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 7)), max_size=40),
    st.sampled_from([0.05, 1.0, 10.0, 400.0, 3000.0]),
)
def test_whatever_is_searched_or_enrolled_has_a_number_or_a_fault(
    rows: list[tuple[int, int, int]], scale: float
) -> None:
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    zeros = np.zeros(len(table))
    size = 41 * scale
    odd = Minutiae(table[:, :2] * scale, table[:, 2] * 0.78, zeros, zeros, size, size)
    gallery = Gallery()
    gallery.add(1, [(2, scattered(30))])

    if assess(odd) is None:
        gallery.add(2, [(2, odd)])
        for minutiae in (odd, scattered(30)):
            found = gallery.search(prepare([(2, minutiae)]))
            assert np.isfinite(found.score).all()
            assert len(found) == 2
            other = found.evidence[found.subject == (1 if minutiae is odd else 2), 1]
            assert other < 3
    else:
        with pytest.raises(NothingUsable):
            gallery.add(2, [(2, odd)])
