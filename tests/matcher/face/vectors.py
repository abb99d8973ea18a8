"""Unit vectors of people who do not exist, and a model that knows what their cosines are worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from matcher.face.models import FaceModel
from matcher.face.template import FaceVector
from matcher.score_calibration import load_calibration

DIMENSION = 64


LINE = [[0.15, -1.5], [0.7, 4.0], [1.0, 6.0]]


def fitted(model: str = "model-1", dimension: int = DIMENSION, **others: Any) -> dict[str, Any]:
    """Return what a calibration's file holds; its line is plain: 0 at a cosine of 0.3, 4 at 0.7."""
    return {
        **dict.fromkeys(("data", "split", "date", "code"), "invented"),
        "version": f"{model}-test",
        "model": model,
        "dimension": dimension,
        "line": LINE,
        "trials": 100_000,
        "mated": 500,
        "people": 100,
        "tails": [
            {"samples": 1, "level": 0.0, "share": [0.01, 0.01, 0.01], "rate": [2.3, 2.4, 2.5]}
        ],
        **others,
    }


def model(name: str = "model-1", dimension: int = DIMENSION, **others: Any) -> FaceModel:
    file = fitted(name, dimension, **others)
    del file["dimension"]
    return FaceModel(dimension, load_calibration(file, "cd" * 32))


MODELS = {each.name: each for each in (model(), model("model-2", 32))}


def unit(rng: np.random.Generator, rows: int, dimension: int = DIMENSION, rank: int = 0) -> Any:
    """Return unit vectors (rows, dimension) float32, of full rank or near a few directions."""
    drawn = rng.standard_normal((rows, rank or dimension))
    if rank:
        drawn = drawn @ rng.standard_normal((rank, dimension))
        drawn += 0.01 * rng.standard_normal(drawn.shape)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def face(vector: Any, name: str = "model-1") -> FaceVector:
    return FaceVector(name, vector)
