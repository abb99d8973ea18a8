"""Fingers of unknown position, exchanged hands and mixed fingers are found, and pay for having been tried."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher import calibration
from matcher.finger import synthetic
from matcher.finger.assignment import (
    SHARES,
    STATED_SHARE,
    Hypothesis,
    assigned,
    exchanged,
    threshold,
    weigh,
)
from matcher.finger.gallery import Gallery
from matcher.finger.probe import Probe, prepare
from matcher.finger.score_fusion import fuse
from matcher.finger.template import Floats, Minutiae

FOUR = (2, 3, 7, 8)  # index and middle fingers
PEOPLE = 24


def prints(seed: int, number: int, where: dict[int, int]) -> list[tuple[int, Minutiae]]:
    """Return impressions of fingers, each as the position that is stated for it."""
    person = synthetic.person(seed)
    return [(said, synthetic.impression(person, finger, number)) for finger, said in where.items()]


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    made = Gallery()
    for seed in range(PEOPLE):
        made.add(seed, prints(seed, 1, {at: at for at in FOUR}))
    return made


def level(usable: int) -> float:
    return threshold(
        1e-4, PEOPLE, usable
    ).score  # of whoever shares them all, as everybody here does


def found(gallery: Gallery, probe: Probe) -> tuple[int, Hypothesis, bool]:
    best = gallery.search(probe, 3)
    return (
        int(best.subject[0]),
        best.hypothesis[0],
        bool(best.score[0] >= level(len(probe.usable))),
    )


@pytest.mark.parametrize(
    ("where", "hypothesis"),
    [
        ({at: at for at in FOUR}, Hypothesis.STATED),
        ({2: 7, 3: 8, 7: 2, 8: 3}, Hypothesis.HANDS_EXCHANGED),
        ({2: 7, 3: 8}, Hypothesis.HANDS_EXCHANGED),
        ({2: 2, 3: 8, 7: 7, 8: 3}, Hypothesis.FINGERS_MIXED),
        ({2: 0, 3: 0, 7: 0, 8: 0}, Hypothesis.STATED),
        ({7: 0}, Hypothesis.STATED),
        ({2: 2, 8: 0}, Hypothesis.STATED),
        ({2: 7, 8: 0}, Hypothesis.HANDS_EXCHANGED),
    ],
)
def test_a_person_is_found_wherever_the_fingers_are_said_to_be(
    gallery: Gallery, where: dict[int, int], hypothesis: Hypothesis
) -> None:
    for seed in (3, 11):
        assert found(gallery, prepare(prints(seed, 2, where))) == (seed, hypothesis, True)
    stranger = gallery.search(prepare(prints(500, 2, where)), 1)
    assert stranger.score[0] < level(len(where))


def test_the_work_of_a_search_is_the_same_whoever_is_found(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time must not tell a hit from a no-hit: exchanged hands and mixed fingers are always tried."""
    from matcher.finger import search_cascade

    compared: list[int] = []
    align = search_cascade.align

    def counted(probes: object, some: object) -> object:
        compared[-1] += len(some.count)  # type: ignore[attr-defined]
        return align(probes, some)  # type: ignore[arg-type]

    monkeypatch.setattr(search_cascade, "align", counted)
    for seed, where in ((3, {2: 2, 7: 7}), (3, {2: 7, 7: 2}), (600, {2: 2, 7: 7})):
        compared.append(0)
        gallery.search(prepare(prints(seed, 2, where)))

    assert len(set(compared)) == 1


def test_an_enrolled_finger_answers_for_one_of_the_probe_only(gallery: Gallery) -> None:
    """Two prints of one finger, said to be of two unknown ones, do not count twice."""
    twice = [(0, synthetic.impression(synthetic.person(5), 2, number)) for number in (2, 3)]

    best = gallery.search(prepare(twice), 1)

    assert best.subject[0] == 5
    assert np.count_nonzero(best.evidence[0] > 2) == 1


def test_what_was_tried_is_paid_for(gallery: Gallery) -> None:
    once, anywhere = ((2, 2, 1), (2, 0, len(FOUR)))
    scores = []
    for finger, said, ways in (once, anywhere):
        best = gallery.search(prepare(prints(7, 2, {finger: said})), 1)
        assert best.subject[0] == 7
        assert best.ways[0] == ways
        scores.append(float(best.score[0]))

    price = float(calibration.price(4.0, 1))
    assert price > 0
    assert scores[0] - scores[1] == pytest.approx(price, abs=1e-3)


def test_the_shares_of_the_hypotheses_add_up_to_the_promise() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    for shared, tail in enumerate(calibration.default_certificate().tails, 1):
        least = threshold(1e-4, 1000, shared).score
        assert threshold(1e-4, 1000, shared).interval[1] <= 1e-4 * (1 + 1e-6)
        for hypothesis, share in SHARES.items():
            for ways in (1.0, 90.0, float(math.factorial(10))):
                rarer = ways * STATED_SHARE / share
                reached = least + float(calibration.price(rarer, shared))
                errors = tail.errors(reached)[2]
                assert errors * ways <= share * 1e-4 / 1000 * (1 + 1e-6), hypothesis


def test_several_impressions_of_a_finger_count_by_the_best_of_them() -> None:
    person, other = synthetic.person(1), synthetic.person(2)
    good, again = (synthetic.impression(person, 2, number) for number in (1, 2))
    poor = Minutiae(good.xy[:12], good.angle[:12], good.kind[:12], good.quality[:12], 360, 400)
    several, single = Gallery(), Gallery()
    for gallery in (several, single):
        gallery.add(8, [(2, synthetic.impression(other, 2, 1))])
        gallery.add(9, [(2, poor), (2, good)] if gallery is several else [(2, good)])

    best, alone = (each.search(prepare([(2, again)]), 2) for each in (several, single))

    assert several.fingers == single.fingers + 1
    assert best.subject[0] == alone.subject[0] == 9
    assert best.evidence[0, 1] == pytest.approx(alone.evidence[0, 1], abs=1e-3)
    assert (best.ways[0], alone.ways[0]) == (2, 1)
    both = several.search(prepare([(2, again), (2, poor)]), 1)
    assert both.evidence[0, 1] >= best.evidence[0, 1]
    assert both.ways[0] == 4
    several.remove(9)
    assert 9 not in several.search(prepare([(2, again)])).subject


def test_impressions_keep_apart_where_rows_are_moved_together() -> None:
    gallery = Gallery()
    for seed in range(6):
        person = synthetic.person(seed)
        gallery.add(seed, [(2, synthetic.impression(person, 2, number)) for number in (1, 3)])
    gallery.remove(0)
    probe = prepare([(2, synthetic.impression(synthetic.person(4), 2, 2))])
    before = gallery.search(probe, 5)

    gallery._compact()
    after = gallery.search(probe, 5)

    assert gallery.fingers == 10
    assert before.subject[0] == after.subject[0] == 4
    assert before.score[0] == pytest.approx(after.score[0], abs=1e-3)


def test_many_threads_find_what_one_does(gallery: Gallery) -> None:
    probe = prepare(prints(3, 2, {2: 0, 3: 0, 7: 7, 8: 8}))

    one, four = gallery.search(probe), gallery.search(probe, threads=4)

    assert one.subject.tolist() == four.subject.tolist()
    assert one.score.tolist() == four.score.tolist()


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 999))
def test_no_assignment_is_better_than_the_one_that_is_taken(
    rows: int, columns: int, seed: int
) -> None:
    ratios = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)

    mine, theirs = assigned(ratios)

    assert len(set(mine)) == len(set(theirs)) == len(mine) == min(rows, columns)
    wide: Floats = ratios if rows <= columns else ratios.T
    every = permutations(range(wide.shape[1]), wide.shape[0])
    best = max(sum(float(wide[at, to]) for at, to in enumerate(each)) for each in every)
    assert float(ratios[mine, theirs].sum()) == pytest.approx(best, abs=1e-4)


def test_a_person_with_fewer_fingers_than_the_probe_has_fewer_ways() -> None:
    evidence = np.full((2, 3, 10), np.nan, dtype=np.float32)
    evidence[0, :, [1, 6]] = [[4, 0, -1], [0, 5, -1]]
    evidence[1, :, :] = 1
    held = np.where(np.isnan(evidence[:, 0]), 0, 1)

    weighed = weigh(evidence, [0, 0, 0], ([1, 1, 1], held), Hypothesis.STATED)

    assert weighed.ways.tolist() == [3 * 2, 10 * 9 * 8]
    assert weighed.evidence[0, [1, 6]].tolist() == [4, 5]
    assert np.count_nonzero(~np.isnan(weighed.evidence[1])) == 3
    assert (weighed.score < fuse(weighed.evidence)).all()


def test_exchanging_twice_changes_nothing() -> None:
    assert [exchanged(at) for at in range(11)] == [0, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5]
    assert all(exchanged(exchanged(at)) == at for at in range(11))


def test_nobody_is_enrolled_at_an_unknown_position() -> None:
    with pytest.raises(ValueError):
        Gallery().add(1, prints(1, 1, {2: 0}))


def test_a_score_that_is_asked_for_is_that_of_the_search(gallery: Gallery) -> None:
    for where in ({2: 2, 7: 7}, {2: 7, 7: 2}, {2: 0}, {2: 2, 3: 8, 7: 7, 8: 3}):
        probe = prepare(prints(9, 2, where))
        best = gallery.search(probe, 3)

        named = gallery.scores(probe, [*best.subject.tolist(), 999])

        again = dict(zip(named.subject.tolist(), named.score.tolist(), strict=True))
        assert again[9] == pytest.approx(float(best.score[0]), abs=1e-3)
        assert all(
            again[who] >= score - 1e-3
            for who, score in zip(best.subject.tolist(), best.score.tolist(), strict=True)
        )
        assert named.shared[0] == best.shared[0] == len(where)
        assert 999 not in again
