"""Calibrations of an operator's own, of people who do not exist: what their files hold."""

from __future__ import annotations

import json
from typing import Any

from gateway.matching import calibrations
from gateway.matching.calibrations import Calibration, shipped
from tests.matcher.face.vectors import fitted


def face_file(model: str = "model-1", dimension: int = 64, **others: Any) -> str:
    """Return the file of a model of faces; its scores are far from those of the shipped ones."""
    return json.dumps(fitted(model, dimension, **others))


def iris_file(model: str = "masek-1", **others: Any) -> str:
    """Return the file of a coder of irises: the shipped one, whose likelihood ratios here are half."""
    held = json.loads(text_of("masek-1"))
    line = [[raw, ratio / 2] for raw, ratio in held["line"]]
    tails = [
        {**tail, "level": tail["level"] / 2, "rate": [2 * each for each in tail["rate"]]}
        for tail in held["tails"]
    ]
    named = {"model": model, "version": f"{model}-own", "line": line, "tails": tails}
    return json.dumps({**held, **named, **others})


def text_of(model: str) -> str:
    """Return the file that is shipped for a model or coder."""
    one = shipped().of(model)
    assert one is not None
    return calibrations.shipped_text(one).decode()


def read(text: str) -> Calibration:
    return calibrations.read(text.encode())
