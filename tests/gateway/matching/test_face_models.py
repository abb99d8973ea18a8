"""An operator's own calibrations are known once a package brings them, and a faulty one is named, not skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import UserError
from gateway.matching import face_models
from gateway.matching.engine import UnreadableSample
from gateway.matching.face import FaceCodec, FaceEngine
from gateway.matching.face_models import ENTRY_POINTS, known_models
from matcher.face import record
from matcher.face.models import shipped_models
from tests.matcher.face.vectors import face, fitted, unit


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of an installed package of face models, as yet without any."""
    name = f"models_of_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("ours", name, ENTRY_POINTS)
    monkeypatch.setattr(
        face_models, "entry_points", lambda group: [point] if group == ENTRY_POINTS else []
    )
    known_models.cache_clear()
    yield folder
    known_models.cache_clear()


def put(folder: Path, name: str, document: Any) -> None:
    (folder / name).write_text(json.dumps(document))


def test_a_model_of_an_installed_package_is_read_enrolled_and_searched(package: Path) -> None:
    octets = record.write(face(unit(np.random.default_rng(1), 1)[0]))
    with pytest.raises(UnreadableSample, match="no calibration"):
        FaceCodec().sample_to_enrol(octets, 0, "model-1")
    known_models.cache_clear()
    put(package, "one.json", fitted())

    assert known_models().keys() == {*shipped_models(), "model-1"}
    sample = FaceCodec().sample_to_enrol(octets, 0, "model-1")
    assert len(FaceEngine().read({"s": sample}).vectors) == 1


def test_the_operators_calibration_counts_before_the_shipped_one(package: Path) -> None:
    put(package, "ours.json", fitted("facenet512", 512))

    assert known_models()["facenet512"].calibration.certificate.version == "facenet512-test"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSON"),
        ("[]", "calibration"),
        (json.dumps(fitted() | {"line": [[0, 0]]}), "line"),
        (json.dumps({k: v for k, v in fitted().items() if k != "dimension"}), "dimension"),
        (json.dumps(fitted() | {"padding": "x" * 70_000}), "longer"),
    ],
)
def test_a_file_that_is_no_calibration_is_named(package: Path, text: str, reason: str) -> None:
    (package / "bad.json").write_text(text)

    with pytest.raises(UserError, match=f"bad.json: .*{reason}"):
        known_models()


def test_two_calibrations_of_one_model_are_refused(package: Path) -> None:
    put(package, "a.json", fitted())
    put(package, "b.json", fitted())

    with pytest.raises(UserError, match="another installed file"):
        known_models()


def test_a_package_that_is_gone_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = EntryPoint("ours", "no_such_package_of_models", ENTRY_POINTS)
    monkeypatch.setattr(face_models, "entry_points", lambda **_: [gone])

    with pytest.raises(UserError, match="no_such_package_of_models"):
        known_models()
