"""Faces by an operator's own model: its card says what it takes, and the model is the one whose digest stands there."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gateway.domain.messages import Compression, Modality
from gateway.extraction.child_process import ChildSettings, ExtractorUnavailable
from gateway.extraction.extractors.onnx_face import BadCard, read_card
from gateway.extraction.frames import Task
from gateway.extraction.service import ExtractionService
from gateway.sample_files.containers.image import Picture
from matcher.face import record

INSTALLED = all(find_spec(each) for each in ("onnxruntime", "PIL"))
needs_extra = pytest.mark.skipif(not INSTALLED, reason="needs the extra `images`")
SIDE = 8  # pixels; the trial model gives its input back: 3 × 8 × 8 numbers
CARD = """
model = "trial.1"
file = "model.onnx"
sha256 = "{digest}"
width = 8
height = 8
dimension = 192
mean = [127.5, 127.5, 127.5]
scale = [127.5, 127.5, 127.5]
"""


def proto(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer, whose lengths are under 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def described(name: bytes, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(proto(1, proto(1, side & 0x7F | 0x80) + b"\x01" if side > 127 else proto(1, side)) for side in shape)  # fmt: skip
    return proto(1, name) + proto(2, proto(1, proto(1, 1) + proto(2, sides)))


def model() -> bytes:
    """An ONNX model of one node, Flatten."""
    node = proto(1, b"x") + proto(2, b"y") + proto(4, b"Flatten")
    graph = proto(1, node) + proto(2, b"g")
    graph += proto(11, described(b"x", (1, 3, SIDE, SIDE)))
    graph += proto(12, proto(1, b"y") + proto(2, proto(1, proto(1, 1))))
    return proto(1, 8) + proto(7, graph) + proto(8, proto(1, b"") + proto(2, 13))


def card(folder: Path, text: str = CARD) -> Path:
    (folder / "model.onnx").write_bytes(model())
    path = folder / "card.toml"
    path.write_text(text.format(digest=sha256(model()).hexdigest()))
    return path


def test_a_card_says_what_a_model_takes(tmp_path: Path) -> None:
    said = read_card(card(tmp_path))

    assert (said.model, said.dimension, said.colours, said.layout) == ("trial.1", 192, "RGB", "NCHW")  # fmt: skip
    assert said.file == tmp_path / "model.onnx"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('model = "trial.1"', "", "model"),
        ('model = "trial.1"', 'model = "a model"', "model"),
        ('"model.onnx"', '"../model.onnx"', "file"),
        ("width = 8", "width = 0", "width"),
        ("width = 8", "width = 100000", "width"),
        ("height = 8", "height = true", "height"),
        ("dimension = 192", 'dimension = "many"', "dimension"),
        ("mean = [127.5, 127.5, 127.5]", "mean = [1.0]", "mean"),
        ("scale = [127.5, 127.5, 127.5]", "scale = [1.0, 0.0, 1.0]", "scale"),
        ("mean = [127.5, 127.5, 127.5]", "mean = [nan, 1.0, 1.0]", "mean"),
        ("width = 8", 'width = 8\ncolours = "CMYK"', "colours"),
        ("width = 8", 'width = 8\ncaption = "a face"', "caption"),
        ("width = 8", "width = = 8", "TOML"),
    ],
)
def test_a_card_that_cannot_be_used_names_the_key(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    path = card(tmp_path, CARD.replace(old, new))

    with pytest.raises(BadCard, match=named):
        read_card(path)


def started(path: Path) -> ExtractionService:
    child = ChildSettings(
        modality=Modality.FACE,
        extractor="onnx",
        options={"card": str(path)},
        memory=3 << 30,
        seconds=20,
    )
    return ExtractionService((child,))


@needs_extra
def test_a_face_becomes_the_vector_that_the_model_makes_of_it(tmp_path: Path) -> None:
    rows = np.arange(96 * 96, dtype=np.uint32).astype(np.uint8)
    task = Task(Picture(Compression.NONE, 96, 96), 0, 0, rows.tobytes())
    service = started(card(tmp_path))
    try:
        offer = service.offer(Modality.FACE)
        made = record.read(service.extract(Modality.FACE, task).record)
    finally:
        service.close()

    assert offer is not None
    assert offer.extractor == "onnx-trial.1"
    assert (made.model, len(made)) == ("trial.1", 192)


@needs_extra
def test_a_model_that_is_another_than_its_card_states_does_not_start(tmp_path: Path) -> None:
    path = card(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model() + b"\0")

    with pytest.raises(ExtractorUnavailable, match="SHA-256"):
        started(path)
