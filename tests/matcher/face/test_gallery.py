"""The search finds what comparing everybody finds, bit for bit, in any company; nothing removed is found."""

from __future__ import annotations

from functools import partial
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.errors import AlreadyEnrolled, SearchAbandoned, UnknownSubject
from matcher.face.gallery import Gallery
from matcher.face.gallery_block import MOST_ROWS, Storage, basis_of
from matcher.face.models import UnknownModel
from matcher.face.probe import MOST_VECTORS, NothingUsable, Probe
from matcher.face.template import FaceVector
from tests.matcher.face.vectors import DIMENSION, MODELS, face, model, unit

CALIBRATION = MODELS["model-1"].calibration
probe_of = partial(Probe, models=MODELS)


def everybody(vectors: np.ndarray, probe: np.ndarray, compared: int = 1) -> np.ndarray:
    """Return the score of each vector by the definition, in float64."""
    cosine = (vectors.astype(np.float64) * probe.astype(np.float64)).sum(axis=1).astype(np.float32)
    return CALIBRATION.ratios(cosine, compared)


def filled(vectors: np.ndarray, storage: Storage = Storage.FLOAT32) -> Gallery:
    gallery = Gallery(storage)
    for subject, vector in enumerate(vectors):
        gallery.add(subject, [face(vector)])
    return gallery


@pytest.fixture(scope="module", params=[0, 12], ids=["full rank", "low rank"])
def crowd(request: pytest.FixtureRequest) -> tuple[np.ndarray, Gallery]:
    vectors = unit(np.random.default_rng(11), MOST_ROWS + 900, rank=request.param)
    gallery = filled(vectors)
    looked = gallery.search_many([probe_of((face(vectors[0]),))])
    assert looked
    return vectors, gallery


def test_the_first_look_is_along_few_directions_only_where_these_hold_the_energy() -> None:
    rng = np.random.default_rng(1)

    assert basis_of(unit(rng, 2000)) is None
    assert basis_of(unit(rng, 1000, rank=12)) is None
    found = basis_of(unit(rng, 2000, rank=12))
    assert found is not None
    assert found.directions.shape[1] < DIMENSION / 2


def test_a_search_finds_what_comparing_everybody_finds(crowd: tuple[np.ndarray, Gallery]) -> None:
    vectors, gallery = crowd
    rng = np.random.default_rng(2)
    near = vectors[::600] + 0.1 * unit(rng, len(vectors[::600]))
    asked = [*unit(rng, 4), *(near / np.linalg.norm(near, axis=1, keepdims=True))]

    for probe in (face(each).vector for each in asked):
        scores = everybody(vectors, probe)
        wanted = np.lexsort((np.arange(len(scores)), -scores))[:10]
        found = gallery.search(probe_of((face(probe),)))
        assert found.subject.tolist() == wanted.tolist()
        assert (found.score == scores[wanted].astype(np.float32)).all()


def test_a_score_is_the_same_in_any_company_order_batch_and_number_of_threads(
    crowd: tuple[np.ndarray, Gallery],
) -> None:
    vectors, gallery = crowd
    probes = [probe_of((face(each),)) for each in unit(np.random.default_rng(3), 9)]
    alone = [gallery.search(each) for each in probes]
    small = filled(vectors[:300])

    for others in (
        gallery.search_many(probes),
        gallery.search_many(probes[::-1])[::-1],
        gallery.search_many(probes, threads=3),
        [gallery.search(each, threads=2) for each in probes],
    ):
        for one, other in zip(alone, others, strict=True):
            assert one.subject.tolist() == other.subject.tolist()
            assert (one.score == other.score).all()
    for probe, one in zip(probes, alone, strict=True):
        named = gallery.scores(probe, one.subject.tolist())
        assert list(named.values()) == one.score.tolist()
        few = small.search(probe, 300)
        mine = dict(zip(few.subject.tolist(), few.score.tolist(), strict=True))
        assert mine == small.scores(probe, range(300))
        assert mine == gallery.scores(probe, range(300))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 12))
def test_no_bound_leaves_out_who_belongs_to_the_best(seed: int, rank: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng, 1100, rank=rank)
    probe = face(unit(rng, 1, rank=rank)[0]).vector
    scores = everybody(vectors, probe)

    found = filled(vectors).search(probe_of((face(probe),)), limit)

    assert found.subject.tolist() == np.lexsort((np.arange(1100), -scores))[:limit].tolist()


def test_equals_come_in_the_order_of_their_numbers_however_they_were_enrolled() -> None:
    one = unit(np.random.default_rng(4), 1)[0]
    gallery = Gallery()
    for subject in np.random.default_rng(5).permutation(2500).tolist():
        gallery.add(subject, [face(one)])

    assert gallery.search(probe_of((face(one),)), 7).subject.tolist() == list(range(7))


def test_quantised_storage_has_the_same_ten_best_in_half_the_memory() -> None:
    vectors = unit(np.random.default_rng(6), 2000, rank=20)
    whole, half = filled(vectors), filled(vectors, Storage.INT16)

    same = 0
    for probe in (probe_of((face(each),)) for each in unit(np.random.default_rng(7), 40, rank=20)):
        one, other = whole.search(probe), half.search(probe)
        same += one.subject.tolist() == other.subject.tolist()
        assert np.abs(one.score - other.score).max() < 1e-3
        assert list(half.scores(probe, other.subject.tolist()).values()) == other.score.tolist()
    assert same >= 39
    assert half.nbytes < 0.8 * whole.nbytes


def test_several_faces_of_a_person_are_one_candidate_whose_best_counts_less_the_union_bound() -> (
    None
):
    vectors = unit(np.random.default_rng(8), 6)
    gallery = Gallery()
    gallery.add(1, [face(vectors[0]), face(vectors[1])])
    gallery.add(2, [face(vectors[2])])
    probe = probe_of((face(vectors[1]), face(vectors[3])))

    found = gallery.search(probe)

    assert found.subject.tolist() == [1, 2]
    assert found.score[0] == np.float32(CALIBRATION.ratios(np.float32(1.0), 4))
    assert gallery.scores(probe, [2, 1]) == dict(
        zip(found.subject.tolist(), found.score.tolist(), strict=True)
    )


def test_vectors_of_two_models_never_meet() -> None:
    rng = np.random.default_rng(9)
    gallery = Gallery()
    gallery.add(1, [face(unit(rng, 1)[0])])
    other = unit(rng, 1, 32)[0]
    gallery.add(2, [face(other, "model-2")])
    both = probe_of((face(unit(rng, 1)[0]), face(other, "model-2")))

    assert gallery.search(probe_of((face(other, "model-2"),))).subject.tolist() == [2]
    assert gallery.search(both).subject.tolist() == [2, 1]
    assert gallery.scores(probe_of((face(other, "model-2"),)), [1, 2, 3]).keys() == {2}


@pytest.mark.parametrize("name", ["model-3", "model-1.1"])
def test_a_model_without_a_calibration_is_refused(name: str) -> None:
    vector = unit(np.random.default_rng(1), 1)[0]

    with pytest.raises(UnknownModel):
        probe_of((face(vector, name),))


def test_a_probe_is_searched_by_the_calibrations_that_it_came_with() -> None:
    """The gallery holds vectors alone: a calibration that is replaced is another question to the same people."""
    vectors = unit(np.random.default_rng(1), 20)
    gallery, other = filled(vectors), model("model-1", line=[[0.15, -1.5], [0.7, 2.0], [1.0, 3.0]])
    by = {"model-1": other}
    old, new = (Probe((face(vectors[3]),), models) for models in (MODELS, by))

    (before,) = gallery.search(old, 1).score.tolist()
    assert gallery.search(old, 1).subject.tolist() == gallery.search(new, 1).subject.tolist() == [3]
    assert gallery.search(new, 1).score.tolist() == [pytest.approx(before / 2)]
    assert gallery.scores(new, [3])[3] == gallery.search(new, 1).score[0]
    with pytest.raises(ValueError, match="one calibration"):
        gallery.search_many([old, new])


def test_a_dimension_that_is_not_the_models_is_refused_and_the_old_faces_stay() -> None:
    gallery, rng = Gallery(), np.random.default_rng(1)
    gallery.add(1, [face(unit(rng, 1)[0])])

    for bad in ([face(unit(rng, 1, 65)[0])], [face(unit(rng, 1)[0])] * (MOST_VECTORS + 1)):
        with pytest.raises(ValueError):
            gallery.replace(1, bad)
    assert (len(gallery), gallery.faces, gallery.version) == (1, 1, 1)


def test_numbers_that_are_none_never_reach_a_gallery() -> None:
    """A row of them would be above no threshold, and below none: it could hide whoever is searched after it."""
    vector = unit(np.random.default_rng(1), 1)[0]
    for bad in (vector * np.nan, vector * np.inf, vector * 0, vector * 2):
        with pytest.raises(ValueError):
            FaceVector("model-1", bad)
    with pytest.raises(NothingUsable):
        Gallery().add(1, [])


def test_who_is_removed_is_overwritten_and_never_found() -> None:
    vectors = unit(np.random.default_rng(10), 1500, rank=12)
    gallery = filled(vectors)
    gallery.search(probe_of((face(vectors[7]),)))
    gallery.remove(7)

    assert 7 not in gallery.search(probe_of((face(vectors[7]),)), 1500).subject
    assert gallery.scores(probe_of((face(vectors[7]),)), [7]) == {}
    (block,) = gallery._blocks
    assert not block._numbers[7].any()
    assert not block._leading[:, 7].any()
    with pytest.raises(UnknownSubject):
        gallery.remove(7)
    with pytest.raises(AlreadyEnrolled):
        gallery.add(8, [face(vectors[8])])


def test_a_gallery_is_the_same_after_it_gave_the_room_of_removed_people_back() -> None:
    vectors = unit(np.random.default_rng(12), 3000, rank=12)
    gallery, kept = filled(vectors), Gallery()
    for subject in range(2900, 3000):
        kept.add(subject, [face(vectors[subject])])
    full = gallery.nbytes
    for subject in range(2900):
        gallery.remove(subject)
    probe = probe_of((face(vectors[2950]),))

    assert gallery.nbytes < full / 2
    assert len(gallery) == gallery.faces == 100
    assert gallery.search(probe).subject.tolist() == kept.search(probe).subject.tolist()
    gallery.replace(2950, [])
    assert 2950 not in gallery.search(probe).subject


def test_a_search_beside_changes_answers_of_people_that_are_here() -> None:
    vectors = unit(np.random.default_rng(13), 1200, rank=12)
    gallery = filled(vectors)
    probe, wrong = probe_of((face(vectors[3]),)), []

    def change() -> None:
        for subject in range(600, 1200):
            gallery.replace(subject, [])

    thread = Thread(target=change)
    thread.start()
    while thread.is_alive():
        found = gallery.search(probe)
        wrong += [one for one in found.subject[:1] if one != 3]
    thread.join()

    assert not wrong
    assert gallery.search(probe, 1200).subject.max() < 600


def test_a_search_that_runs_out_of_time_answers_nothing() -> None:
    gallery = filled(unit(np.random.default_rng(14), 50))
    with pytest.raises(SearchAbandoned):
        gallery.search(
            probe_of((face(unit(np.random.default_rng(15), 1)[0]),)), expired=lambda: True
        )


def test_an_empty_gallery_has_nobody() -> None:
    probe = probe_of((face(unit(np.random.default_rng(15), 1)[0]),))

    assert len(Gallery().search(probe)) == 0
    probe.destroy()
    assert not probe.vectors[0].vector.any()


def test_a_search_says_how_many_people_could_be_compared_by_the_models_of_its_probe() -> None:
    rng = np.random.default_rng(31)
    gallery = Gallery()
    for subject, vector in enumerate(unit(rng, 4)):
        gallery.add(subject, [face(vector), face(vector)])
    other = FaceVector("model-2", unit(rng, 1, 32)[0])

    def counted(*vectors: FaceVector) -> tuple[int, int]:
        found = gallery.search(probe_of(vectors))
        return found.comparable, found.size

    own = face(unit(rng, 1)[0])
    assert counted(own) == (4, 4)
    assert counted(other) == (0, 4)
    assert counted(own, other) == (4, 4)
    gallery.remove(0)
    gallery.replace(1, [other])
    assert counted(own) == (2, 3)
    assert counted(other) == (1, 3)
    gallery._compact()
    assert counted(own) == (2, 3)
    assert counted(other) == (1, 3)
