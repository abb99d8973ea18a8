"""People of many fingers are chosen by codes before the cascade, and nothing else about a search changes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from matcher.errors import SearchAbandoned
from matcher.finger import gallery as galleries
from matcher.finger import person_code, synthetic
from matcher.finger.assignment import Hypothesis, exchanged
from matcher.finger.descriptors import default_model
from matcher.finger.gallery import Candidates, Gallery
from matcher.finger.probe import prepare
from matcher.finger.template import Minutiae

PEOPLE = 40
FEW = 3  # kept of them
ALL = tuple(range(1, 11))
Fingers = list[tuple[int, Minutiae]]


def captured(seed: int, number: int, positions: tuple[int, ...] = ALL) -> Fingers:
    person = synthetic.person(seed, synthetic.TOUCHED)
    return [(at, synthetic.impression(person, at, number)) for at in positions]


@pytest.fixture(scope="module")
def crowd() -> Gallery:
    people = Gallery()
    for seed in range(PEOPLE):
        people.add(seed, captured(seed, 1))
    return people


@pytest.fixture
def filtered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filter small galleries too, and tell how many people each filtered pass had."""
    monkeypatch.setattr(person_code, "LEAST_PEOPLE", 10)
    monkeypatch.setattr(person_code, "LEAST_KEPT", FEW)
    passes: list[int] = []
    among = Gallery._among

    def told(self: Gallery, kept: np.ndarray, *rest: object) -> object:
        passes.append(len(kept))
        return among(self, kept, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Gallery, "_among", told)
    return passes


def best(found: Candidates) -> tuple[int, float, tuple[float, ...], Hypothesis]:
    evidence = tuple(np.nan_to_num(found.evidence[0], nan=-99).tolist())
    return int(found.subject[0]), float(found.score[0]), evidence, found.hypothesis[0]


def unfiltered(people: Gallery, fingers: Fingers) -> Candidates:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(person_code, "LEAST_PEOPLE", 1 << 40)
        return people.search(prepare(fingers), FEW)


@pytest.mark.parametrize("seed", [0, 7, PEOPLE - 1])
def test_the_best_candidate_has_the_same_score_with_and_without_a_filter(
    crowd: Gallery, filtered: list[int], seed: int
) -> None:
    fingers = captured(seed, 2)

    found = crowd.search(prepare(fingers), FEW)

    assert filtered == [FEW, FEW]  # as stated, and with exchanged hands
    assert best(found) == best(unfiltered(crowd, fingers))
    assert found.subject[0] == seed
    assert found.comparable == found.size == PEOPLE


def test_exchanged_hands_are_found_through_the_filter(crowd: Gallery, filtered: list[int]) -> None:
    fingers = [(exchanged(at), minutiae) for at, minutiae in captured(5, 2)]

    found = crowd.search(prepare(fingers), FEW)

    assert filtered
    assert best(found) == best(unfiltered(crowd, fingers))
    assert (found.subject[0], found.hypothesis[0]) == (5, Hypothesis.HANDS_EXCHANGED)


def test_a_probe_with_a_missing_finger_is_searched_without_a_filter(
    crowd: Gallery, filtered: list[int]
) -> None:
    fingers = captured(9, 2, ALL[:9])

    assert best(crowd.search(prepare(fingers), FEW)) == best(unfiltered(crowd, fingers))
    assert not filtered


def test_unknown_positions_several_impressions_and_an_exhaustive_search_are_not_filtered(
    crowd: Gallery, filtered: list[int]
) -> None:
    unknown = [(0, minutiae) for _, minutiae in captured(3, 2, ALL[:1])] + captured(3, 2, ALL[1:])
    twice = captured(3, 2) + captured(3, 3, ALL[:1])

    for fingers in (unknown, twice):
        assert crowd.search(prepare(fingers), FEW).subject[0] == 3
    assert crowd.search(prepare(captured(3, 2)), shortlist=PEOPLE).subject[0] == 3
    assert not filtered


def test_who_has_few_fingers_is_always_kept(filtered: list[int]) -> None:
    people = Gallery()
    for seed in range(20):
        people.add(seed, captured(seed, 1, ALL if seed else ALL[:4]))

    found = people.search(prepare(captured(0, 2)), FEW)

    assert filtered == [FEW + 1, FEW + 1]
    assert found.subject[0] == 0


def test_a_resized_picture_may_be_read_otherwise_than_its_code(
    crowd: Gallery, filtered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = prepare(captured(3, 2))
    monkeypatch.setattr(galleries, "CANVAS", probe.fingers[0][1].frame)
    other = {galleries.CANVAS, (500, 500)}
    monkeypatch.setattr(crowd, "_frames", other)

    assert crowd._may_be_resized(probe)
    assert crowd.search(probe, FEW).subject[0] == 3
    assert not filtered


def test_a_batch_finds_what_single_searches_find_at_any_number_of_threads(
    crowd: Gallery, filtered: list[int]
) -> None:
    probes = [
        prepare(captured(seed, 2, ALL[:number])) for seed, number in ((1, 10), (2, 3), (4, 9))
    ]

    alone = [best(crowd.search(probe, FEW)) for probe in probes]

    assert [best(each) for each in crowd.search_many(probes, FEW)] == alone
    assert [best(each) for each in crowd.search_many(probes, FEW, threads=2)] == alone
    assert filtered


def test_a_removed_person_is_never_found_and_its_code_is_wiped(filtered: list[int]) -> None:
    people = Gallery()
    for seed in range(20):
        people.add(seed, captured(seed, 1))
    number = people._people.number_of(7)
    words, occupied, positions = people._codes.now().parts[0]
    assert words[..., number].any()

    people.remove(7)

    assert not words[..., number].any()
    assert not occupied[:, number].any()
    assert not positions[number]
    assert 7 not in people.search(prepare(captured(7, 2)), FEW).subject.tolist()
    assert filtered


def test_compaction_takes_the_codes_along(
    filtered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(galleries, "LEAST_TO_COMPACT", 0)
    people = Gallery()
    for seed in range(30):
        people.add(seed, captured(seed, 1))
    for seed in range(16):
        people.remove(seed)

    found = people.search(prepare(captured(20, 2)), FEW)

    assert people._people.next_number < 30
    assert filtered == [FEW, FEW]
    assert found.subject[0] == 20
    assert 3 not in people.search(prepare(captured(3, 2)), FEW).subject.tolist()


def test_a_scan_ends_when_time_runs_out(crowd: Gallery, filtered: list[int]) -> None:
    with pytest.raises(SearchAbandoned, match="codes"):
        crowd.search(prepare(captured(3, 2)), expired=lambda: True)


def test_the_shipped_centroids_are_of_the_shipped_descriptor_and_named_by_what_scores_depend_on() -> (
    None
):
    book = person_code.book_for(default_model())

    assert book is not None
    assert book.digest[:16] in galleries.reckoned_by()


def test_every_word_has_half_of_its_bits_or_none() -> None:
    code = person_code.coded(prepare(captured(1, 1)).fingers, person_code.default_codebook())

    assert code is not None
    assert set(np.bitwise_count(code.words).ravel().tolist()) <= {0, 32}
    assert (np.bitwise_count(code.occupied) == np.count_nonzero(code.words, axis=1)).all()


def test_centroids_of_another_shape_are_refused() -> None:
    packed = io.BytesIO()
    np.savez(packed, centroids=np.zeros((2, 2)), model=np.array("x"))

    with pytest.raises(ValueError, match="another version"):
        person_code.load_codebook(packed.getvalue())


def test_a_small_gallery_is_not_filtered(crowd: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gallery, "_among", None)

    assert crowd.search(prepare(captured(3, 2)), FEW).subject[0] == 3
