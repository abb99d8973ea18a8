"""Files of faces are measured as they are, and a calibration is judged on people that it has not seen."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import UserError
from gateway.exercises.evaluation import faces, labelled_set
from matcher.face import synthetic
from matcher.face.models import load_model, shipped_models
from matcher.score_calibration import load_calibration

NAMED = {"version": "test-1", "data": "invented", "split": "by person", "date": "-", "code": "-"}


def written(path: Path, people: int = 60, captures: int = 3, **changed: Any) -> Path:
    vectors = [
        synthetic.capture(synthetic.person(seed), number, seed).vector
        for seed in range(people)
        for number in range(captures)
    ]
    arrays: dict[str, Any] = {
        "vectors": np.array(vectors),
        "person": np.repeat(np.arange(people), captures),
        "model": synthetic.MODEL,
    }
    np.savez(path, **{**arrays, **changed})
    return path


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("faces") / "crowd.npz")


def test_halves_have_no_person_in_common_and_nobody_is_lost(crowd: Path) -> None:
    whole = faces.read_set(crowd)
    one, other = labelled_set.halves(whole)

    assert not set(one.label) & set(other.label)
    assert len(one.label) + len(other.label) == len(whole.label) == 180


def test_a_calibration_is_judged_on_the_other_half_and_keeps_its_promise_there(crowd: Path) -> None:
    seen, unseen = labelled_set.halves(faces.read_set(crowd))
    fitted = labelled_set.fitted(seen, **NAMED)
    used = load_calibration(fitted, "00")

    figures, pairs = labelled_set.judged(unseen, used)

    assert load_model(json.loads(json.dumps(fitted)), "00").dimension == 512
    assert figures["people"] == 30
    assert (len(pairs.mated), len(pairs.non_mated)) == (90, 90 * 89 // 2 - 90)
    assert figures["all_pairs"]["eer"] < 0.15
    assert figures["calibration"]["cllr"] < 0.5
    for promise in figures["calibration"]["promises"]:
        assert promise["fmr_seen"] <= 3 * promise["fpir"] / promise["gallery"] + 3 / 3900
    sizes = [row["gallery"] for row in figures["identification"]]
    assert sizes == [10, 30]
    assert figures["identification"][0]["rank_1"] >= figures["identification"][1]["rank_1"]


def test_the_errors_are_those_of_the_cosines(crowd: Path) -> None:
    whole = faces.read_set(crowd)
    with np.load(crowd) as arrays:
        cosine = arrays["vectors"] @ arrays["vectors"].T

    assert np.abs(whole.score - cosine).max() < 1e-6
    assert (whole.score == whole.score.T).all()


def test_vectors_that_are_none_count_as_failures_and_hide_nobody(tmp_path: Path) -> None:
    clean = faces.read_set(written(tmp_path / "clean.npz", 5, 2))
    with np.load(tmp_path / "clean.npz") as arrays:
        vectors = arrays["vectors"].copy()
    vectors[0] = np.nan
    vectors[3] *= 2
    found = faces.read_set(written(tmp_path / "bad.npz", 5, 2, vectors=vectors))

    assert [row for row, _ in found.refused] == [0, 3]
    kept = [1, 2, *range(4, 10)]
    assert (found.score == clean.score[np.ix_(kept, kept)]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"vectors": np.zeros(10)},
        {"vectors": np.zeros((10, 512), dtype=np.int64)},
        {"person": np.arange(9)},
        {"person": np.arange(10) / 2},
        {"model": "no name"},
        {"vectors": np.zeros((10, 512))},
    ],
)
def test_another_layout_is_refused_with_what_is_missing(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(UserError):
        faces.read_set(written(tmp_path / "bad.npz", 5, 2, **change))


def test_what_is_no_archive_is_never_opened_as_something_else(tmp_path: Path) -> None:
    for name, octets in (("a.npz", pickle.dumps([1])), ("b.npz", b"no"), ("c.npz", b"")):
        (tmp_path / name).write_bytes(octets)
        with pytest.raises(UserError, match="NumPy archive"):
            faces.read_set(tmp_path / name)
    np.savez(tmp_path / "d.npz", vectors=np.zeros((2, 64)))
    with pytest.raises(UserError, match="person"):
        faces.read_set(tmp_path / "d.npz")


def test_the_shipped_calibration_is_the_one_that_half_of_the_real_set_gives(shared: Path) -> None:
    whole = faces.read_set(shared / "data" / "face" / "lfw-facenet512.npz")
    shipped = shipped_models()["facenet512"].calibration
    seen, unseen = labelled_set.halves(whole)
    again = load_calibration(labelled_set.fitted(seen, **NAMED), "00")

    figures, _ = labelled_set.judged(unseen, shipped)

    assert np.allclose(again.ratio, shipped.ratio, rtol=1e-4)
    assert figures["all_pairs"]["eer"] < 0.05
    assert figures["calibration"]["cllr"] < 0.21
    for promise in figures["calibration"]["promises"]:
        assert promise["fmr_seen"] <= promise["fpir"] / promise["gallery"]


def test_synthetic_faces_score_like_the_real_ones(shared: Path) -> None:
    real = faces.read_set(shared / "data" / "face" / "lfw-facenet512.npz").scores()
    first, second = (
        np.array([synthetic.capture(synthetic.person(s), n, s).vector for s in range(400)])
        for n in (1, 2)
    )
    _, once = np.unique(real.person, return_index=True)
    mated, others = (first * second).sum(axis=1), (first @ first.T)[np.triu_indices(400, 1)]

    for share in (0.25, 0.5, 0.75, 0.9):
        wanted = np.quantile(real.mated[once], share)
        assert np.quantile(mated, share) == pytest.approx(wanted, abs=0.07)
    for share in (0.01, 0.25, 0.5, 0.75, 0.99, 0.999):
        wanted = np.quantile(real.non_mated, share)
        assert np.quantile(others, share) == pytest.approx(wanted, abs=0.05)
