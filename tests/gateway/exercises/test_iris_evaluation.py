"""`passerelle eval --modality iris`: a file of codes in, errors by eye out, and a calibration of half of the eyes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import UserError
from gateway.exercises.evaluation import labelled_set
from gateway.exercises.evaluation.irises import read_set
from gateway.exercises.evaluation.set_readers import READERS
from gateway.matching import calibrations
from matcher.iris import synthetic
from matcher.iris.calibration import calibration_of
from matcher.iris.coders import MASEK
from matcher.iris.template import to_cells
from tests.gateway import own_calibrations
from tests.gateway.own_calibrations import iris_file

EYES, CAPTURES = 24, 3


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    codes, masks = [], []
    for seed in range(EYES):
        for number in range(CAPTURES):
            person = synthetic.person(seed, synthetic.CLEAR)
            code, mask = to_cells(synthetic.capture(person, 1, number))
            codes.append(np.packbits(code.reshape(MASEK.rows, -1), axis=1))
            masks.append(np.packbits(mask.reshape(MASEK.rows, -1), axis=1))
    return {
        "code": np.stack(codes),
        "mask": np.stack(masks),
        "eye": np.repeat(np.arange(EYES), CAPTURES),
        "shape": np.array([20, 480]),
    }


def written(folder: Path, arrays: dict[str, np.ndarray], **changes: np.ndarray) -> Path:
    path = folder / "eyes.npz"
    np.savez(path, **{**arrays, **changes})
    return path


def test_errors_are_told_by_eye_and_a_code_that_is_refused_is_counted(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    mask = arrays["mask"].copy()
    mask[5] = 0

    some = read_set(written(tmp_path, arrays, mask=mask))

    assert READERS["iris"].file is read_set
    assert some.refused == ((5, "the mask leaves too little of the code"),)
    figures, pairs = labelled_set.judged(some, some.known)
    assert (figures["model"], figures["people"], figures["records"]) == ("masek-1", 24, 71)
    assert pairs.complete
    assert figures["all_pairs"]["eer"] < 0.02
    assert figures["calibration"]["id"] == calibration_of(MASEK).certificate.id
    assert figures["identification"][-1]["rank_1"] == 1


def test_a_calibration_of_half_of_the_eyes_has_a_tail_for_two(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    """Scores of eighty eyes are drawn, as many as a fit needs; the set's reader says that two eyes are added."""
    whole = read_set(written(tmp_path, arrays))
    rng, eye = np.random.default_rng(3), np.repeat(np.arange(80), 2)
    same = eye[:, None] == eye
    drawn = np.where(same, rng.normal(0.17, 0.05, same.shape), rng.normal(0.04, 0.013, same.shape))
    seen, _ = labelled_set.halves(replace(whole, label=eye, score=drawn.astype(np.float32)))
    words = dict.fromkeys(("version", "data", "split", "date", "code"), "test")

    fitted = labelled_set.fitted(seen, **words)

    made = calibrations.read(json.dumps(fitted).encode()).scores  # as a gateway that adopts it
    one, two = made.certificate.tails
    assert (made.model, len(np.unique(seen.label))) == ("masek-1", 40)
    assert two.score(1e-6) < 2 * one.score(1e-6)
    assert two.share[0] <= two.share[1] <= two.share[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": np.array([20, 481])}, "no coder"),
        ({"shape": np.array([[20, 480]])}, "no coder"),
        ({"code": np.zeros((2, 20, 60), dtype=np.uint8)}, "bits packed"),
        ({"mask": np.zeros((72, 20, 60), dtype=np.float32)}, "bits packed"),
        ({"eye": np.zeros(72)}, "whole number"),
        ({"eye": np.zeros(0, dtype=int)}, "whole number"),
        ({"mask": np.zeros((72, 20, 60), dtype=np.uint8)}, "none of the codes"),
    ],
)
def test_a_file_that_is_no_set_of_codes_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], changes: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_set(written(tmp_path, arrays, **changes))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "eyes.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="not a NumPy archive"):
        read_set(path)


def test_codes_are_judged_by_the_calibration_of_a_file(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    """As it would be adopted; the shipped one is not asked."""
    own, place = tmp_path / "own.json", written(tmp_path, arrays)
    own.write_text(iris_file())
    words = ["eval", str(place), "--modality", "iris", "--json"]

    shipped, judged = (
        json.loads(CliRunner().invoke(app, [*words, *more], prog_name="passerelle").stdout)
        for more in ([], ["--calibration", str(own)])
    )

    assert judged["calibration"]["id"] == own_calibrations.read(iris_file()).id
    assert judged["calibration"]["cllr"] != shipped["calibration"]["cllr"]
    assert judged["all_pairs"] == shipped["all_pairs"]
