"""Probes that share a pass get what each would get alone; a resized picture is undone; bad rows never match."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matcher.errors import SearchAbandoned
from matcher.finger import synthetic
from matcher.finger.alignment import Alignment, Fingers, Probes, align, width_for
from matcher.finger.constants import ABSENT
from matcher.finger.descriptors import CANVAS, DOUBT, Finger, default_model, describe, readings
from matcher.finger.explanation import explain
from matcher.finger.gallery import MOST_FRAMES, Gallery
from matcher.finger.gallery_block import Block, fingers_of, heads_of, slots_for
from matcher.finger.probe import NothingUsable, Probe, prepare
from matcher.finger.search_cascade import (
    LEAST_REACH,
    LocalSimilarity,
    best_finite,
    least_reach,
    ranked,
    supported,
)
from matcher.finger.template import Minutiae

POSITIONS = (1, 6)


def probe(seed: int, number: int = 2, positions: tuple[int, ...] = POSITIONS) -> Probe:
    person = synthetic.person(seed)
    return prepare([(at, synthetic.impression(person, at, number)) for at in positions])


def resized(minutiae: Minutiae, frame: tuple[int, int]) -> Minutiae:
    """As an extractor reports it that resizes every picture to one canvas and states 500 ppi all the same."""
    across, down = frame[0] / minutiae.width, frame[1] / minutiae.height
    xy = np.minimum(minutiae.xy * [across, down], np.array(frame) - 1)
    heading = across * np.cos(minutiae.angle) + 1j * down * np.sin(minutiae.angle)
    angle = (np.angle(heading) % (2 * np.pi)) * 0.9999999
    return Minutiae(xy, angle, minutiae.kind, minutiae.quality, *frame)


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    made = Gallery()
    for seed in range(50):
        person = synthetic.person(seed)
        made.add(seed, [(at, synthetic.impression(person, at, 1)) for at in POSITIONS])
    return made


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_finds_what_each_probe_finds_alone(gallery: Gallery, threads: int) -> None:
    probes = [probe(3), probe(70), probe(8, positions=(6,)), probe(9)]

    together = gallery.search_many(probes, 5, threads=threads)

    for found, each in zip(together, probes, strict=True):
        alone = gallery.search(each, 5)
        assert found.subject.tolist() == alone.subject.tolist()
        assert found.score.tolist() == alone.score.tolist()
        assert np.array_equal(found.evidence, alone.evidence, equal_nan=True)
    assert [int(found.subject[0]) for found in together if found.score[0] > 2] == [3, 8, 9]


def test_no_two_fingers_are_aligned_twice_in_a_search(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned: list[tuple[bytes, bytes]] = []

    def counted(probes: Probes, fingers: Fingers) -> Alignment:
        for mine, theirs in zip(probes.fingers.vectors, fingers.vectors, strict=True):
            aligned.append((mine.tobytes(), theirs.tobytes()))
        return align(probes, fingers)

    monkeypatch.setattr("matcher.finger.search_cascade.align", counted)
    found = gallery.search_many([probe(3), probe(70), probe(8, positions=(6, 1))], 5)

    assert len(aligned) == len(set(aligned)) >= 3 * 4
    assert [int(each.subject[0]) for each in found if each.score[0] > 2] == [3, 8]


def test_a_batch_too_large_for_memory_is_searched_in_parts(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = [probe(seed) for seed in range(4)]
    whole = gallery.search_many(probes, 3)

    monkeypatch.setattr("matcher.finger.search_cascade.MOST_COARSE", 120)
    parts = gallery.search_many(probes, 3)

    assert [f.subject.tolist() for f in parts] == [f.subject.tolist() for f in whole]


def test_a_batch_with_an_unusable_probe_is_refused_whole(gallery: Gallery) -> None:
    with pytest.raises(NothingUsable):
        gallery.search_many([probe(1), Probe((), ())])
    assert gallery.search_many([]) == []


def test_a_batch_out_of_time_gives_no_partial_answer(gallery: Gallery) -> None:
    left = iter([False] * 9)

    with pytest.raises(SearchAbandoned):
        gallery.search_many([probe(1), probe(2)], threads=2, expired=lambda: next(left, True))


def test_a_picture_resized_to_a_canvas_still_finds_its_person() -> None:
    """Some extractors state 300 × 400 at 500 ppi whatever the sensor (matching.md 1)."""
    frame = CANVAS
    gallery, plain = Gallery(), Gallery()
    for seed in range(12):
        finger = synthetic.impression(synthetic.person(seed), 1, 1)
        wide = Minutiae(finger.xy, finger.angle, finger.kind, finger.quality, 500, 420)
        plain.add(seed, [(1, wide)])
        gallery.add(seed, [(1, resized(wide, frame))])

    for seed in range(0, 12, 3):
        other = synthetic.impression(synthetic.person(seed), 1, 2)
        wide = Minutiae(other.xy, other.angle, other.kind, other.quality, 500, 420)
        for enrolled, searched in ((gallery, wide), (plain, resized(wide, frame))):
            found = enrolled.search(prepare([(1, searched)]), 2)
            assert found.subject[0] == seed
            assert found.score[0] > 3 > found.score[1]


def test_an_explanation_says_that_a_picture_was_taken_for_resized() -> None:
    one, other = (synthetic.impression(synthetic.person(2), 1, k) for k in (1, 2))
    wide = Minutiae(one.xy, one.angle, one.kind, one.quality, 500, 420)
    mate = Minutiae(other.xy, other.angle, other.kind, other.quality, 500, 420)
    fingers = [describe(each, default_model()) for each in (wide, resized(mate, CANVAS))]

    found = explain(*fingers)

    assert found.resized == pytest.approx((300 / 500, 400 / 420))
    assert found.llr > 3
    theirs = np.column_stack([fingers[1].place.real, -fingers[1].place.imag])
    apart = np.hypot(*(found.moved[found.pairs[:, 0]] - theirs[found.pairs[:, 1]]).T)
    assert np.median(apart) < 6


def test_pictures_of_true_or_unknown_size_are_taken_as_stated() -> None:
    one = describe(synthetic.impression(synthetic.person(2), 1, 1), default_model())
    bare = Finger(one.place, one.heading, one.vectors)

    assert readings(one, (388, 374), default_model()) == (one,)
    assert readings(one, (0, 0), default_model()) == (one,)
    assert readings(bare, CANVAS, default_model()) == (bare,)
    assert [each.doubt for each in readings(one, CANVAS, default_model())] == [DOUBT, 0]


def test_the_canvas_is_told_apart_however_many_sizes_came_before() -> None:
    gallery = Gallery()
    for seed in range(MOST_FRAMES + 2):
        one = synthetic.impression(synthetic.person(seed), 1, 1)
        gallery.add(
            seed, [(1, Minutiae(one.xy, one.angle, one.kind, one.quality, 500 + seed, 420))]
        )
    other = synthetic.impression(synthetic.person(70), 1, 1)
    wide = Minutiae(other.xy, other.angle, other.kind, other.quality, 500, 420)
    gallery.add(70, [(1, resized(wide, CANVAS))])

    again = synthetic.impression(synthetic.person(70), 1, 2)
    asked = Minutiae(again.xy, again.angle, again.kind, again.quality, 500, 420)
    found = gallery.search(prepare([(1, asked)]), 1)

    assert found.subject.tolist() == [70]
    assert found.score[0] > 3


def test_a_picture_narrower_than_a_pixel_has_a_size_all_the_same() -> None:
    thin = Minutiae([[0.1, 5], [0.2, 300]], [1, 2], [1, 1], [0, 0], 0.4, 400)
    one = describe(thin, default_model())
    whole = describe(synthetic.impression(synthetic.person(2), 1, 1), default_model())

    for first, second in ((one, whole), (whole, one)):
        for frame in (CANVAS, second.frame):
            for each in readings(first, frame, default_model()):
                assert np.isfinite(each.place).all()
                assert np.isfinite(each.heading).all()


def test_a_minutia_takes_45_bytes_and_a_finger_less_than_two_thousand(gallery: Gallery) -> None:
    """law.md 11 and the issue: at most 2 kB a finger; one of 35 minutiae stands in 36 slots."""
    full = Block(slots_for(35), default_model().size)
    whole = describe(synthetic.impression(synthetic.person(1), 1, 1), default_model())
    finger = Finger(whole.place[:35], whole.heading[:35], whole.vectors[:35])
    for _ in range(512):
        full.append(1, finger)

    assert full.full
    assert full.nbytes / 512 <= 36 * 45 + 16
    assert gallery.nbytes > 0


def test_a_row_keeps_a_finger_as_precisely_as_its_pixels() -> None:
    finger = describe(synthetic.impression(synthetic.person(1), 1, 1), default_model())
    block, again = (Block(slots_for(len(finger)), default_model().size) for _ in range(2))
    block.append(7, finger)
    for _ in range(20):
        again.adopt(7, block, 0)

    kept, moved = (
        fingers_of([(rows.rows(), at)], width_for(len(finger)))
        for rows, at in ((block, 0), (again, 19))
    )

    used = kept.used[0]
    assert np.abs(kept.place[0][used] - finger.place).max() < 0.1
    assert np.abs(kept.heading[0][used] - finger.heading).max() < 0.013
    assert np.array_equal(kept.vectors, moved.vectors)
    assert np.array_equal(kept.place, moved.place)


def test_rows_without_minutiae_never_win_whatever_the_probe() -> None:
    """A padded slot or an empty row must lose to every real minutia, however unlike."""
    block = Block(12, default_model().size)
    finger = describe(synthetic.impression(synthetic.person(1), 1, 1), default_model())
    empty = Finger(finger.place[:0], finger.heading[:0], finger.vectors[:0])
    single = Finger(finger.place[:1], finger.heading[:1], -finger.vectors[:1])
    block.append(1, empty)
    block.append(2, single)

    for sign in (1, -1):
        extreme = np.full((5, default_model().size), sign / np.sqrt(default_model().size))
        for vectors in (finger.vectors, extreme.astype(np.float32)):
            other = Finger(finger.place[: len(vectors)], finger.heading[: len(vectors)], vectors)
            scores = LocalSimilarity([other]).scores(heads_of([block.rows()]))[0]
            assert scores[0] == ABSENT
            assert scores[1] >= -1.5


def test_rows_of_several_blocks_score_as_in_their_own() -> None:
    fingers = [
        describe(synthetic.impression(synthetic.person(seed, build), 1, 1), default_model())
        for build in (synthetic.TOUCHED, synthetic.ROLLED)
        for seed in range(4)
    ]
    blocks = [Block(slots_for(len(finger)), default_model().size) for finger in fingers]
    for person, (block, finger) in enumerate(zip(blocks, fingers, strict=True)):
        block.append(person, finger)
    blocks[2].wipe(0)
    rows = [block.rows() for block in blocks]
    assert len({len(each.packed) for each in rows}) > 2
    glance = LocalSimilarity(fingers)

    together = heads_of(rows)

    assert together.person.tolist() == [0, 1, -1, 3, 4, 5, 6, 7]
    apart = np.concatenate([glance.scores(heads_of([each])) for each in rows], axis=1)
    assert np.allclose(glance.scores(together), apart, atol=1e-5)
    assert (glance.scores(together)[:, 2] == ABSENT).all()


def test_only_finite_scores_are_candidates_and_ties_keep_their_order() -> None:
    score = np.array([1, np.nan, -np.inf, 3, 1, np.inf, 3], dtype=np.float32)

    assert best_finite(score, 3).tolist() == [3, 6, 0]
    assert best_finite(score, 9).tolist() == [3, 6, 0, 4]


def test_support_is_counted_above_that_of_most_and_nothing_for_what_is_absent() -> None:
    nan = np.nan
    values = np.array([[1, nan], [1, 3], [2, 1], [nan, 1], [nan, nan]], dtype=np.float32)
    ten = np.full((5, 10), nan, dtype=np.float32)
    ten[:, [2, 7]] = values

    assert supported(ten).tolist() == [0, 2, 1, 0, 0]
    assert supported(ten[:0]).tolist() == []


def test_where_few_have_a_finger_they_are_not_judged_by_each_other_alone() -> None:
    """The only one at a position, or a person enrolled twice, stands above the strangers of the others."""
    ten = np.full((12, 10), np.nan, dtype=np.float32)
    ten[:10, 1] = np.linspace(0.5, 1, 10)
    ten[10:, 6] = 4

    assert supported(ten).argsort()[-2:].tolist() == [10, 11]


def test_a_mate_who_alone_has_a_finger_at_a_position_is_found_among_many() -> None:
    gallery = Gallery()
    for seed in range(150):
        gallery.add(seed, [(1, synthetic.impression(synthetic.person(seed), 1, 1))])
    for seed in (1000, 1001, 1002):
        gallery.add(seed, [(6, synthetic.impression(synthetic.person(seed), 6, 1))])
        found = gallery.search(probe(seed), 3)
        assert found.subject[0] == seed
        assert found.score[0] > 3
        gallery.remove(seed)


def test_the_stages_find_whom_alignment_with_everybody_finds(gallery: Gallery) -> None:
    """A quarter of the gallery is aligned in full: the mate is always among them, with the same evidence."""
    for seed in range(0, 50, 7):
        for positions in (POSITIONS, POSITIONS[:1]):
            asked = probe(seed, positions=positions)
            staged = gallery.search(asked, 5)
            whole = gallery.search(asked, len(gallery), shortlist=len(gallery))
            assert staged.subject[0] == whole.subject[0] == seed
            assert staged.score[0] == pytest.approx(whole.score[0], abs=1e-3)
            assert set(staged.subject) <= set(whole.subject)


def test_records_of_one_extractor_find_those_of_another(shared: Path) -> None:
    from matcher.finger import record_fmr

    folder = shared / "data" / "fingerprint" / "fvc2002"
    gallery = Gallery()
    for finger in range(101, 111):
        record = record_fmr.read((folder / "fingerjet" / "DB1" / f"{finger}_1.iso").read_bytes())
        gallery.add(finger, [(1, record.views[0].minutiae)])

    found = 0
    for finger in range(101, 111):
        record = record_fmr.read((folder / "secugen" / "DB1" / f"{finger}_2.iso").read_bytes())
        best = gallery.search(prepare([(1, record.views[0].minutiae)]), 1)
        found += int(best.subject[0]) == finger and best.score[0] > 2
    assert found >= 9


def test_people_are_ranked_among_those_who_share_as_many_fingers() -> None:
    """Ten poor fingers of a mate come to less than one finger of many others, and are the rarest of their like."""
    one, ten = np.linspace(-1.2, 0.5, 40), np.linspace(-7.0, -5.0, 40)
    values = np.concatenate([one, ten, [-2.0, -np.inf]]).astype(np.float32)
    shared = np.repeat([1, 10, 10, 0], [40, 40, 1, 1])

    order = best_finite(ranked(values, shared), 4)

    assert set(order[:2]) == {39, 80}  # the best of one finger, and of ten
    assert set(order[2:]) == {38, 79}
    assert len(best_finite(ranked(values, shared), 100)) == 81


def test_two_enrolments_of_one_person_are_both_found_among_people_who_share_more() -> None:
    """Two who share three fingers are few beside many who share ten: they are not each other's rivals."""
    gallery, ten = Gallery(), tuple(range(1, 11))
    for seed in range(40):
        made = synthetic.person(seed)
        gallery.add(seed, [(at, synthetic.impression(made, at, 1)) for at in ten])
    mate = synthetic.person(900)
    for subject, number in ((900, 1), (901, 3)):
        gallery.add(subject, [(at, synthetic.impression(mate, at, number)) for at in (1, 2, 3)])

    found = gallery.search(probe(900, 2, ten), 5)

    assert set(found.subject[:2].tolist()) == {900, 901}
    assert found.score[:2].min() > 6


def test_who_shares_many_fingers_need_not_reach_what_one_must() -> None:
    reach = least_reach(np.arange(11))

    assert reach[0] == reach[1] == LEAST_REACH
    assert reach[2] == LEAST_REACH  # what two are asked by their number is no less
    assert (np.diff(reach[2:]) < 0).all()


def test_where_everybody_shares_as_many_fingers_the_values_themselves_rank() -> None:
    values = np.array([0.5, -np.inf, 2.0, 2.0], dtype=np.float32)

    assert ranked(values, np.array([2, 0, 2, 2])) is values
