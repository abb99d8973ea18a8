"""The gallery finds who is in it, and never who is not, was removed, or is padding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from matcher import calibration
from matcher.errors import AlreadyEnrolled, SearchAbandoned, UnknownSubject
from matcher.finger import synthetic
from matcher.finger.constants import ABSENT
from matcher.finger.gallery import Gallery
from matcher.finger.gallery_block import Block, heads_of
from matcher.finger.probe import NothingUsable, Probe, prepare
from matcher.finger.search_cascade import LocalSimilarity
from matcher.finger.template import Minutiae

POSITIONS = (2, 7)


def prints(seed: int, number: int = 1) -> list[tuple[int, Minutiae]]:
    person = synthetic.person(seed)
    return [(at, synthetic.impression(person, at, number)) for at in POSITIONS]


def probe(seed: int, number: int = 2) -> Probe:
    return prepare(prints(seed, number))


@pytest.fixture(scope="module")
def people() -> dict[int, list[tuple[int, Minutiae]]]:
    return {seed: prints(seed) for seed in range(60)}


@pytest.fixture
def gallery(people: dict[int, list[tuple[int, Minutiae]]]) -> Gallery:
    made = Gallery()
    for seed, fingers in people.items():
        made.add(seed, fingers)
    return made


def test_other_impressions_find_their_person_and_others_nobody(gallery: Gallery) -> None:
    level = calibration.threshold(1e-4, len(gallery), len(POSITIONS)).score

    for seed in range(0, 60, 3):
        found = gallery.search(probe(seed))
        assert found.subject[0] == seed
        assert found.score[0] >= level > found.score[1]
    for seed in range(1000, 1020):
        assert gallery.search(probe(seed)).score[0] < level


def test_a_finger_is_compared_only_with_the_same_position(
    people: dict[int, list[tuple[int, Minutiae]]],
) -> None:
    gallery = Gallery()
    (_, first), (_, second) = people[0]
    gallery.add(1, [(2, first), (7, second)])
    gallery.add(2, [(3, first)])

    found = gallery.search(prepare([(2, first)]))

    assert found.subject.tolist() == [1]
    assert not np.isnan(found.evidence[0, 1])
    assert np.isnan(np.delete(found.evidence[0], 1)).all()
    assert len(gallery.search(prepare([(5, first)]))) == 0


def test_a_search_says_how_many_people_could_be_compared_by_the_fingers_of_its_probe(
    people: dict[int, list[tuple[int, Minutiae]]],
) -> None:
    gallery = Gallery()
    (_, first), (_, second) = people[0]
    gallery.add(1, [(2, first), (2, second), (7, second)])
    gallery.add(2, [(2, second)])
    gallery.add(3, [(8, first)])

    def counted(*positions: int) -> tuple[int, int]:
        found = gallery.search(prepare([(at, first) for at in positions]))
        return found.comparable, found.size

    assert counted(2) == (2, 3)  # of one the second impression counts no second time
    assert counted(8) == counted(3) == (1, 3)  # the same finger of the other hand is compared too
    assert counted(2, 8) == (2, 3)
    assert counted(0) == (2, 3)
    assert counted(5) == (0, 3)
    gallery.remove(1)
    assert counted(2) == (1, 2)
    gallery.remove(3)
    assert counted(3) == (0, 1)
    assert Gallery().search(prepare([(2, first)])).comparable == 0


def test_evidence_is_given_finger_by_finger_in_descending_score(gallery: Gallery) -> None:
    found = gallery.search(probe(5), limit=7, shortlist=7)

    assert found.subject.dtype == np.uint64
    assert found.score.dtype == found.evidence.dtype == np.float32
    assert found.evidence.shape == (7, 10)
    assert (np.diff(found.score) <= 0).all()
    assert (~np.isnan(found.evidence[:, [1, 6]])).all()
    assert (found.size, found.version) == (60, 60)


def test_an_empty_gallery_has_no_candidates() -> None:
    assert len(Gallery().search(probe(1))) == 0


def test_padded_and_empty_rows_never_win(gallery: Gallery) -> None:
    """A slot without a minutia must lose to every real one, however unlike."""
    finger = probe(1).fingers[0][1]
    opposite = prepare([(2, prints(2)[0][1])]).fingers[0][1]
    opposite.vectors.flags.writeable = True
    opposite.vectors[:] = -finger.vectors[0]  # as unlike as a descriptor can be
    gallery._settle(999, gallery.version + 1, [(2, opposite)])

    for block in gallery._blocks:
        rows = block.rows()
        scores = LocalSimilarity([finger]).scores(heads_of([rows]))[0]
        assert (scores[rows.alive] >= -1.0001).all()
        block._used, block._rows = len(block._person), None  # nobody was ever written to its last
        empty = LocalSimilarity([finger]).scores(heads_of([block.rows()]))[0][~block.rows().alive]
        assert (empty == ABSENT).all()
        block._used, block._rows = len(rows.person), None
    found = gallery.search(probe(1), limit=61, shortlist=61)
    assert found.score[found.subject == 999] < 0


def test_a_removed_person_is_never_found_and_leaves_no_trace(gallery: Gallery) -> None:
    places = gallery._people.places(5)
    version = gallery.version

    gallery.remove(5)

    assert 5 not in gallery
    assert 5 not in gallery.search(probe(5), limit=60).subject
    assert gallery.version == version + 1
    assert len(gallery) == 59
    assert len(places) == 2
    for number, row in places:
        block = gallery._blocks[number]
        assert not block._packed[:, :, row].any()
        assert not block._place[row].any()
    with pytest.raises(UnknownSubject):
        gallery.remove(5)
    gallery.add(5, prints(5))
    assert gallery.search(probe(5)).subject[0] == 5


def test_a_growing_gallery_keeps_little_room_unused(
    people: dict[int, list[tuple[int, Minutiae]]],
) -> None:
    """law.md 11: at most 2 kB a finger, whatever Python keeps beside the arrays."""
    gallery = Gallery()
    finger = prepare(people[1]).fingers[:1]
    for number in range(700):
        gallery._settle(number, number + 1, finger)

    held = sum(len(block._person) for block in gallery._blocks)

    assert gallery.fingers == len(gallery) == 700
    assert held <= 512 + 1.25 * 188 + 16
    assert gallery.nbytes == sum(block.nbytes for block in gallery._blocks)


def test_moving_the_rows_together_changes_no_answer(gallery: Gallery) -> None:
    for seed in range(0, 60, 2):
        gallery.remove(seed)
    before = gallery.search(probe(31), limit=30)

    gallery._compact()
    after = gallery.search(probe(31), limit=30)

    assert sum(block._used for block in gallery._blocks) == 60
    assert before.subject[0] == after.subject[0] == 31
    assert sorted(before.subject) == sorted(after.subject)
    assert before.score == pytest.approx(after.score, abs=1e-3)


def test_rows_are_moved_together_when_most_are_wiped(
    monkeypatch: pytest.MonkeyPatch, gallery: Gallery
) -> None:
    monkeypatch.setattr("matcher.finger.gallery.LEAST_TO_COMPACT", 10)

    for seed in range(59):
        gallery.remove(seed)

    assert sum(block._used for block in gallery._blocks) < 60
    assert gallery.search(probe(59)).subject.tolist() == [59]


def test_nobody_is_missing_while_rows_are_moved_and_none_is_lost_where_memory_ends(
    monkeypatch: pytest.MonkeyPatch, gallery: Gallery
) -> None:
    gallery.remove(0)
    seen, adopt = [], Block.adopt

    def watched(block: Block, person: int, old: Block, row: int) -> int:
        seen.append((len(gallery), 1 in gallery, 59 in gallery))
        if len(seen) > 50:
            raise MemoryError
        return adopt(block, person, old, row)

    monkeypatch.setattr(Block, "adopt", watched)
    with pytest.raises(MemoryError):
        gallery._compact()

    assert set(seen) == {(59, True, True)}
    assert [int(gallery.search(probe(seed)).subject[0]) for seed in (1, 59)] == [1, 59]


def test_sizes_of_pictures_that_are_gone_make_room_for_others(gallery: Gallery) -> None:
    gone = [
        (at, Minutiae(one.xy, one.angle, one.kind, one.quality, 700, 700)) for at, one in prints(99)
    ]
    gallery.add(99, gone)
    assert (700, 700) in gallery._frames

    gallery.remove(99)
    gallery._compact()

    assert gallery._frames == {(360, 400)}


def test_a_person_is_enrolled_once_or_replaced(gallery: Gallery) -> None:
    with pytest.raises(AlreadyEnrolled):
        gallery.add(3, prints(3))

    gallery.replace(3, prints(1003))

    assert gallery.search(probe(1003)).subject[0] == 3
    assert gallery.search(probe(3), limit=60).score[0] < 2
    gallery.replace(3, [])
    assert 3 not in gallery


def test_a_person_without_a_usable_finger_is_not_enrolled(gallery: Gallery) -> None:
    nothing = Minutiae(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0), 300, 400)

    with pytest.raises(NothingUsable):
        gallery.add(77, [(2, nothing)])
    with pytest.raises(NothingUsable):
        gallery.replace(3, [(2, nothing)])
    with pytest.raises(ValueError):
        gallery.add(1 << 64, prints(1))
    assert 77 not in gallery
    assert 3 in gallery
    assert [fault.position for fault in gallery.add(78, [*prints(78), (3, nothing)])] == [3]


def test_subjects_of_64_bits_come_back_whole() -> None:
    gallery = Gallery()
    gallery.add((1 << 64) - 1, prints(1))

    assert int(gallery.search(probe(1)).subject[0]) == (1 << 64) - 1


def test_a_block_of_many_rows_grows_without_loss(
    people: dict[int, list[tuple[int, Minutiae]]],
) -> None:
    gallery = Gallery()
    finger = prepare(people[1]).fingers[:1]
    for number in range(2500):
        gallery._settle(number, number + 1, finger)

    found = gallery.search(prepare(people[1]), limit=5, shortlist=5)

    assert len(found) == 5
    assert np.ptp(found.score) < 1e-3
    assert len(gallery._blocks) == 5


def test_a_shortlist_keeps_who_exhaustive_search_finds(gallery: Gallery) -> None:
    for seed in range(0, 60, 7):
        full, short = gallery.search(probe(seed)), gallery.search(probe(seed), 3, shortlist=3)
        assert full.subject[0] == short.subject[0] == seed
        assert full.score[0] == pytest.approx(short.score[0], abs=1e-3)


def test_threads_change_nothing(gallery: Gallery) -> None:
    one, four = gallery.search(probe(9)), gallery.search(probe(9), threads=4)

    assert one.subject.tolist() == four.subject.tolist()
    assert one.score.tolist() == four.score.tolist()


@pytest.mark.parametrize("allowed", [0, 2, 4])
def test_a_search_out_of_time_gives_no_partial_answer(gallery: Gallery, allowed: int) -> None:
    left = iter([False] * allowed)

    with pytest.raises(SearchAbandoned):
        gallery.search(probe(1), expired=lambda: next(left, True))


def test_searches_while_people_come_and_go_find_those_who_stay(gallery: Gallery) -> None:
    def come_and_go() -> None:
        for seed in range(2000, 2030):
            gallery.add(seed, prints(seed))
            gallery.remove(seed - 1970)

    with ThreadPoolExecutor(3) as pool:
        change = pool.submit(come_and_go)
        searches = [pool.submit(gallery.search, probe(seed)) for seed in range(1, 20)]
        change.result()
        found = [search.result() for search in searches]

    assert [int(each.subject[0]) for each in found] == list(range(1, 20))
    assert len(gallery) == 60


def test_who_is_removed_and_enrolled_again_during_a_search_is_not_read_from_wiped_rows(
    gallery: Gallery,
) -> None:
    gone = []

    def meanwhile() -> bool:
        if not gone:
            gallery.replace(4, prints(1004))
            gone.append(4)
        return False

    found = gallery.search(probe(4), limit=60, expired=meanwhile)

    assert 4 not in found.subject
    assert not np.isnan(found.score).any()
