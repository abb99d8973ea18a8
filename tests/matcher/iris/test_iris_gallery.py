"""The gallery of irises: decisions as by comparing everybody in full, whatever company, order and threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from matcher.errors import AlreadyEnrolled, SearchAbandoned, UnknownSubject
from matcher.iris import coders, synthetic
from matcher.iris.code_table import CodeTable, turn
from matcher.iris.coders import MASEK, OPEN_IRIS, Coder
from matcher.iris.gallery import Gallery
from matcher.iris.probe import Orientation, Probe, oriented, prepare
from matcher.iris.template import IrisCode, from_cells, mirrored, to_cells

PEOPLE = 40
FLOORS = (0.0, 0.5, 1.0, 2.0, 3.0)  # log10 ratios
Eyes = list[tuple[int, IrisCode]]


def eyes(seed: int, capture: int = 0, coder: Coder = MASEK, which: Sequence[int] = (1, 2)) -> Eyes:
    person = synthetic.person(seed, synthetic.CLEAR)
    return [(eye, synthetic.capture(person, eye, capture, coder)) for eye in which]


def filled(coder: Coder = MASEK, people: Sequence[int] = range(PEOPLE)) -> Gallery:
    gallery = Gallery()
    for seed in people:
        gallery.add(100 + seed, eyes(seed, coder=coder))
    return gallery


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return filled()


def public_codes(shared: Path) -> tuple[list[IrisCode], np.ndarray]:
    arrays = np.load(shared / "data" / "iris" / "casia1.npz")
    shape = MASEK.rows, MASEK.columns, MASEK.cell_bits
    codes = [
        from_cells(MASEK, *(np.unpackbits(each, axis=1).reshape(shape) for each in pair))
        for pair in zip(arrays["code"], arrays["mask"], strict=True)
    ]
    return codes, arrays["eye"]


def test_no_mate_that_full_comparison_accepts_is_lost_on_the_public_set(shared: Path) -> None:
    """The first code of every other eye against all 378, at floors from FMR 2e-3 down."""
    codes, eye = public_codes(shared)
    table = CodeTable(MASEK)
    for number, iris in enumerate(codes):
        table.put(iris, number, 1)
    accepted = lost = given_up = 0
    for number in range(0, len(codes), 14):
        probe = turn(codes[number])
        full = table.compare(probe, table.rows()).closeness
        for floor in (0.08, 0.11, 0.14):
            near = table.near(probe, floor)
            mates = (eye == eye[number]) & (full >= floor)
            accepted += int(mates.sum())
            lost += int((~np.isin(np.flatnonzero(mates), near)).sum())
            given_up += len(codes) - len(near)
    assert lost == 0
    assert accepted > 400
    assert given_up > 0.5 * 3 * 27 * len(codes)


@pytest.mark.parametrize("coder", [MASEK, OPEN_IRIS], ids=lambda each: each.name)
def test_decisions_are_those_of_the_exhaustive_search(coder: Coder) -> None:
    """People as on the public set, whose mates lie on both sides of every floor."""
    gallery = Gallery()
    people = [synthetic.person(seed) for seed in range(60)]
    for number, person in enumerate(people):
        gallery.add(number, [(1, synthetic.capture(person, 1, 0, coder))])
    found = 0
    for person in people[:20]:
        probe = prepare([(1, synthetic.capture(person, 1, 1, coder))])
        everybody = gallery.search(probe, len(gallery))
        assert len(everybody) == len(gallery)
        for floor in FLOORS:
            some = gallery.search(probe, len(gallery), floor=floor)
            wanted = everybody.subject[everybody.score >= floor]
            assert some.subject.tolist() == wanted.tolist()
            assert some.score.tolist() == everybody.score[: len(wanted)].tolist()
            found += len(wanted)
    assert found > 30


def test_a_comparison_in_full_is_what_the_bits_say() -> None:
    """Against plain loops over cells, of the coder whose code turns as one: open-iris' distance and ours are one."""
    first, second = (
        synthetic.capture(synthetic.person(5), 1, number, OPEN_IRIS) for number in (0, 1)
    )
    table = CodeTable(OPEN_IRIS)
    table.put(second, 1, 1)
    (code, mask), (other, usable) = to_cells(first), to_cells(second)
    best = 1.0
    for turned in range(-15, 16):
        both = np.roll(mask, turned, axis=1) & usable
        differ = (np.roll(code, turned, axis=1) ^ other) & both
        distance, compared = differ.sum() / both.sum(), int(both.sum())
        best = min(best, 0.45 - (0.45 - distance) * (0.00005 * compared + 0.5))

    found = table.compare(turn(first), table.rows())

    assert 0.5 - found.closeness[0] == pytest.approx(best, abs=1e-12)


def test_a_sector_may_be_turned_by_one_column_more() -> None:
    """Of a code whose second half is turned by a column, each half finds its rotation, at the coder's price."""
    iris = synthetic.capture(synthetic.person(6), 1, 0)
    code, mask = to_cells(iris)
    half = MASEK.columns // 2
    stretched = [
        np.concatenate([b[:, :half], np.roll(b, 1, axis=1)[:, half:]], axis=1) for b in (code, mask)
    ]
    table = CodeTable(MASEK)
    table.put(iris, 1, 1)
    table.put(from_cells(MASEK, *stretched), 2, 1)

    found = table.compare(turn(iris), table.rows())

    assert found.rotation.tolist()[0] == 0
    least = coders.closeness(MASEK, 4 * MASEK.drift_cost + 200, iris.usable)
    assert found.closeness[1] > least


def test_a_score_is_equal_in_any_company_order_and_number_of_threads(gallery: Gallery) -> None:
    probe = prepare(eyes(7, 1))
    alone = filled(people=[7])
    shuffled = filled(people=[*reversed(range(PEOPLE))])
    wanted = alone.search(probe, 1).score.tolist()
    for other in (gallery, shuffled):
        for threads in (1, 2, 3):
            found = other.search(probe, 1, floor=3.0, threads=threads)
            assert (found.subject.tolist(), found.score.tolist()) == ([107], wanted)
    score, shared = gallery.scores(probe, [107])
    assert (score.tolist(), shared.tolist()) == (wanted, [2])


def test_equals_are_ranked_by_subject() -> None:
    gallery = Gallery()
    for subject in (9, 3, 7, 5):
        gallery.add(subject, eyes(1))

    for floor in (None, 2.0):
        found = gallery.search(prepare(eyes(1, 1)), 3, floor=floor)
        assert found.subject.tolist() == [3, 5, 7]
        assert len(set(found.score.tolist())) == 1


def test_two_eyes_are_the_sum_of_both_and_a_missing_one_says_nothing(gallery: Gallery) -> None:
    both = gallery.search(prepare(eyes(3, 1)), 1)
    right, left = (gallery.search(prepare(eyes(3, 1, which=[eye])), 1) for eye in (1, 2))

    assert both.subject.tolist() == right.subject.tolist() == left.subject.tolist() == [103]
    assert both.score[0] == right.score[0] + left.score[0]
    assert both.evidence.tolist() == [[right.score[0], left.score[0]]]
    assert np.isnan(right.evidence[0]).tolist() == [False, True]


def test_who_reaches_the_floor_by_both_eyes_alone_is_found() -> None:
    """Neither eye reaches it; the floor of one eye is half of it."""
    gallery = Gallery()
    person = synthetic.person(11)
    captured = [[(eye, synthetic.capture(person, eye, n)) for eye in (1, 2)] for n in (0, 1)]
    gallery.add(1, captured[0])
    for seed in range(20, 40):
        gallery.add(seed, eyes(seed))
    probe = prepare(captured[1])
    found = gallery.search(probe, 1)
    assert max(found.evidence[0]) < found.score[0]

    assert gallery.search(probe, 1, floor=float(found.score[0])).subject.tolist() == [1]


def test_right_is_never_compared_with_left(gallery: Gallery) -> None:
    exchanged = prepare([(3 - eye, iris) for eye, iris in eyes(3, 1)])

    assert gallery.search(exchanged, 1).score[0] < 0
    assert gallery.search(oriented(exchanged, Orientation.EXCHANGED), 1).subject.tolist() == [103]


@pytest.mark.parametrize("coder", [MASEK, OPEN_IRIS], ids=lambda each: each.name)
def test_a_mirrored_probe_finds_nobody_until_it_is_read_as_mirrored(coder: Coder) -> None:
    gallery = filled(coder, range(12))
    person = synthetic.person(3, synthetic.CLEAR)
    hidden = prepare(
        [(eye, synthetic.capture(person, eye, 1, coder, mirror=True)) for eye in (1, 2)]
    )

    assert len(gallery.search(hidden, 1, floor=2.0)) == 0
    found = gallery.search(oriented(hidden, Orientation.MIRRORED), 1, floor=2.0)
    assert found.subject.tolist() == [103]
    both = prepare([(3 - eye, iris) for eye, iris in hidden.eyes])
    found = gallery.search(oriented(both, Orientation.MIRRORED_AND_EXCHANGED), 1, floor=2.0)
    assert found.subject.tolist() == [103]


def test_codes_of_two_coders_never_meet(gallery: Gallery) -> None:
    probe = prepare(eyes(3, 1, coder=OPEN_IRIS))

    assert len(gallery.search(probe, 10)) == 0
    assert np.isnan(gallery.scores(probe, [103])[0]).all()


def test_named_people_have_scores_and_others_say_nothing(gallery: Gallery) -> None:
    probe = prepare(eyes(3, 1))
    everybody = gallery.search(probe, len(gallery))
    known = dict(zip(everybody.subject.tolist(), everybody.score.tolist(), strict=True))

    found, shared = gallery.scores(probe, [105, 999, 103])

    assert found[[0, 2]].tolist() == [known[105], known[103]]
    assert np.isnan(found[1])
    assert shared.tolist() == [2, 0, 2]
    assert everybody.shared.tolist() == [2] * len(everybody)


def test_several_codes_of_an_eye_cost_the_union_bound() -> None:
    gallery = Gallery()
    (same,) = eyes(3, which=[1])
    gallery.add(1, [same])
    gallery.add(2, [same, *eyes(8, which=[1]), *eyes(9, which=[1])])

    (one, three), shared = gallery.scores(prepare(eyes(3, 1, which=[1])), [1, 2])

    assert shared.tolist() == [1, 1]
    assert three < one
    assert one - three < 0.5


def test_the_removed_are_overwritten_and_their_rows_used_again() -> None:
    gallery = filled(people=range(6))
    table = gallery._tables[MASEK.label, 1]
    before = table.nbytes
    probe = prepare(eyes(3, 1))

    gallery.remove(103)

    assert len(gallery) == 5
    assert not any(
        arrays[0][..., 3].any() for arrays in (table._codes, table._masks, table._sketches)
    )
    assert 103 not in gallery.search(probe, 10).subject.tolist()
    with pytest.raises(UnknownSubject):
        gallery.remove(103)
    gallery.add(203, eyes(3))
    assert gallery.search(probe, 1).subject.tolist() == [203]
    assert gallery._tables[MASEK.label, 1].nbytes == before


def test_a_change_grows_the_version_and_a_refused_one_changes_nothing() -> None:
    gallery = filled(people=range(3))
    version = gallery.version
    with pytest.raises(AlreadyEnrolled):
        gallery.add(100, eyes(0))
    for bad in ([], [(0, eyes(0)[0][1])], eyes(0) * 5):
        with pytest.raises(ValueError, match=r"eye|codes"):
            gallery.add(900, bad)
    with pytest.raises(ValueError, match="64-bit"):
        gallery.add(1 << 64, eyes(0))
    with pytest.raises(ValueError, match="eye"):
        gallery.replace(100, [(3, eyes(0)[0][1])])
    assert (gallery.version, len(gallery), gallery.irises) == (version, 3, 6)
    gallery.replace(100, eyes(0, which=[2]))
    gallery.replace(101, [])
    assert gallery.version > version
    assert (len(gallery), gallery.irises) == (2, 3)


def test_an_expired_search_is_abandoned_and_not_answered_in_part(gallery: Gallery) -> None:
    for floor in (None, 1.0):
        with pytest.raises(SearchAbandoned):
            gallery.search(prepare(eyes(3, 1)), 1, floor=floor, expired=lambda: True)


def test_a_pair_whose_masks_leave_nothing_in_common_says_nothing() -> None:
    code, mask = to_cells(eyes(3)[0][1])
    top, bottom = mask.copy(), mask.copy()
    top[10:], bottom[:10] = 0, 0
    gallery = Gallery()
    gallery.add(1, [(1, from_cells(MASEK, code, top))])

    probe = prepare([(1, from_cells(MASEK, code, bottom))])

    assert len(gallery.search(probe, 1)) == 0
    assert np.isnan(gallery.scores(probe, [1])[0]).all()


def test_a_destroyed_probe_holds_nothing() -> None:
    probe = prepare(eyes(3))
    arrays = [array for _, each in probe.turned for array in (each.code, each.mask, each.sketch)]
    assert all(array.any() for array in arrays)

    probe.destroy()

    assert not any(array.any() for array in arrays)


def test_an_orientation_leaves_the_probe_as_it_was() -> None:
    probe: Probe = prepare(eyes(3))
    before = [iris.code.tolist() for _, iris in probe.eyes]

    for orientation in Orientation:
        made = oriented(probe, orientation)
        assert made.positions == (1, 2)
        made.destroy()

    assert [iris.code.tolist() for _, iris in probe.eyes] == before
    assert mirrored(probe.eyes[0][1]).code.tolist() != before[0]


@pytest.mark.parametrize("floor", [None, 1.0])
def test_a_search_says_how_many_people_could_be_compared_by_the_coders_of_its_probe(
    floor: float | None,
) -> None:
    gallery = filled(people=range(4))

    def counted(coder: Coder) -> tuple[int, int]:
        found = gallery.search(prepare(eyes(1, 1, coder)), floor=floor)
        return found.comparable, found.size

    assert counted(MASEK) == (4, 4)
    assert counted(OPEN_IRIS) == (0, 4)
    gallery.remove(100)
    gallery.replace(101, eyes(1, coder=OPEN_IRIS))
    assert counted(MASEK) == (2, 3)
    assert counted(OPEN_IRIS) == (1, 3)
    right, left = eyes(1, coder=OPEN_IRIS)
    gallery.replace(101, [left])
    assert counted(OPEN_IRIS) == (1, 3)
    assert gallery.search(prepare([left]), floor=floor).comparable == 1
    assert gallery.search(prepare([right]), floor=floor).comparable == 0
