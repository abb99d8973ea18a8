"""Faces: an operator's own ONNX model, as its card describes it, run by onnxruntime on one thread; needs the extra `images`.

The card is TOML beside the model. It states which file and its SHA-256, how the model is called in records, which picture
it takes and how the numbers of its pixels are made, and how many numbers it gives. The picture is the whole one, resized:
whoever sends portraits to a model that was trained on aligned faces sends aligned ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway import bounded_toml
from gateway.domain.messages import Modality
from gateway.extraction import pixels as pictures
from gateway.extraction.extractor import Extracted, NothingFound
from matcher.face import record
from matcher.face.template import MODEL_NAME, MOST_DIMENSION, FaceVector, VectorRefused

MOST_CARD = 16_384  # bytes
MOST_MODEL = 1 << 30  # bytes; ONNX itself allows twice as much
MOST_SIDE = 1_024  # pixels of what a model takes
MOST_NAME = 43  # characters of the model's name; `onnx-` stands before it in samples
KEYS = {"model", "file", "sha256", "width", "height", "dimension", "mean", "scale"}
OPTIONS = {"colours": ("RGB", "BGR"), "layout": ("NCHW", "NHWC")}


class BadCard(ValueError):
    """The card, or the model that it names, cannot be used; the text says what to correct."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a model takes and gives.

    model          its name and version, as records of face vectors state it
    width, height  pixels of its input
    dimension      numbers of its output
    mean, scale    of each channel: (value of 0-255 − mean) ÷ scale goes in
    """

    model: str
    file: Path
    sha256: str
    width: int
    height: int
    dimension: int
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    colours: str = "RGB"
    layout: str = "NCHW"


class OnnxFace:
    """A model, loaded; made once a process."""

    name = "onnx"
    modality = Modality.FACE

    def __init__(self, card: Card) -> None:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

        octets = _read(card.file, MOST_MODEL)
        if sha256(octets).hexdigest() != card.sha256:
            raise BadCard(f"{card.file}: another SHA-256 than its card states")
        self.version, self._card = card.model, card
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            octets, options, providers=["CPUExecutionProvider"]
        )
        if len(self._session.get_inputs()) != 1:
            raise BadCard(f"{card.file}: a model of one input is wanted")
        self._input = self._session.get_inputs()[0].name

    def extract(self, pixels: NDArray[np.uint8], ppi: int, position: int) -> Extracted:
        """Return the vector of a face as a record of our own, of unit length; raises NothingFound for one of no length."""
        del ppi, position
        card = self._card
        colour = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
        sized = pictures.resized(colour, card.width, card.height)
        ordered = sized[..., ::-1] if card.colours == "BGR" else sized
        mean, scale = (np.array(each, dtype=np.float32) for each in (card.mean, card.scale))
        values = (ordered.astype(np.float32) - mean) / scale
        laid = values.transpose(2, 0, 1) if card.layout == "NCHW" else values
        answer = self._session.run(None, {self._input: laid[None].astype(np.float32)})[0]
        vector = np.asarray(answer, dtype=np.float64).reshape(-1)
        if len(vector) != card.dimension:
            raise BadCard("the model gives another number of numbers than its card states")
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or not length:
            raise NothingFound
        try:
            face = FaceVector(card.model, (vector / length).astype(np.float32))
        except VectorRefused:
            raise NothingFound from None
        return Extracted(record.write(face))


def make(options: Mapping[str, str]) -> OnnxFace:
    """Return the extractor of the model that option `card` describes; raises BadCard."""
    if "card" not in options:
        raise BadCard(
            "no card of a model is named  → extraction.face_card in the settings, or --card"
        )
    return OnnxFace(read_card(Path(options["card"])))


def read_card(path: Path) -> Card:
    """Return what a card says; raises BadCard, which names the key."""
    try:
        tree = bounded_toml.read(_read(path, MOST_CARD), MOST_CARD)
    except bounded_toml.TomlRefused as fault:
        raise BadCard(f"{path}: {fault}") from None
    unknown = sorted(set(tree) - KEYS - set(OPTIONS)) + sorted(KEYS - set(tree))
    if unknown:
        raise BadCard(f"{path}: a card says {', '.join(sorted(KEYS))}; look at {unknown[0]}")
    for key, words in OPTIONS.items():
        if tree.get(key, words[0]) not in words:
            raise BadCard(f"{path}: {key} is one of {', '.join(words)}")
    model, file = _text(tree, "model", path), _text(tree, "file", path)
    if not MODEL_NAME.fullmatch(model) or len(model) > MOST_NAME:
        raise BadCard(
            f"{path}: model is a name and version of 1 to {MOST_NAME} of A-Z a-z 0-9 . _ -"
        )
    if Path(file).name != file:
        raise BadCard(f"{path}: file is the name of a file beside the card")
    return Card(
        model=model,
        file=path.parent / file,
        sha256=_text(tree, "sha256", path),
        width=_whole(tree, "width", MOST_SIDE, path),
        height=_whole(tree, "height", MOST_SIDE, path),
        dimension=_whole(tree, "dimension", MOST_DIMENSION, path),
        mean=_three(tree, "mean", path),
        scale=_three(tree, "scale", path),
        colours=tree.get("colours", "RGB"),
        layout=tree.get("layout", "NCHW"),
    )


def _read(path: Path, most: int) -> bytes:
    """Return a file of the operator's, whole; what names it is in the settings, and this process has no keys."""
    try:
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except OSError as fault:
        raise BadCard(f"{path}: {fault.strerror}") from None
    if len(octets) > most:
        raise BadCard(f"{path}: longer than {most} bytes")
    return octets


def _text(tree: Mapping[str, Any], key: str, path: Path) -> str:
    if not isinstance(tree[key], str):
        raise BadCard(f"{path}: {key} is a text")
    return str(tree[key])


def _whole(tree: Mapping[str, Any], key: str, most: int, path: Path) -> int:
    value = tree[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadCard(f"{path}: {key} is a whole number of 1 to {most}")
    return value


def _three(tree: Mapping[str, Any], key: str, path: Path) -> tuple[float, float, float]:
    values = tree[key]
    numbers = isinstance(values, list) and len(values) == 3
    if not numbers or not all(
        isinstance(each, int | float) and np.isfinite(each) for each in values
    ):
        raise BadCard(f"{path}: {key} is a list of three numbers")
    red, green, blue = (float(each) for each in values)
    if key == "scale" and not (red and green and blue):
        raise BadCard(f"{path}: scale is not zero")
    return red, green, blue
