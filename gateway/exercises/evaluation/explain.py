"""One comparison as an examiner and a court see it: which minutiae agreed, and what each stage gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gateway.exercises.evaluation.files import Read, Specimen, read
from gateway.svg import Mark, overlay
from matcher.finger.descriptors import default_model, describe, distinct
from matcher.finger.explanation import Explanation, explain
from matcher.finger.template import Minutiae

FEW = 12  # agreeing minutiae; fewer decide little (matching.md 8)


@dataclass(frozen=True, slots=True)
class Explained:
    """The document and the picture of one comparison."""

    document: dict[str, Any] = field(repr=False)
    picture: str = field(repr=False)


def one(path: Path) -> Read:
    """Return a record that stands alone."""
    return read(Specimen(path, str(path), "", "", ""))


def explained(probe: Minutiae, gallery: Minutiae, names: tuple[str, str]) -> Explained:
    """Return why two fingers score as they do, and a picture of it."""
    model = default_model()
    found = explain(describe(probe, model), describe(gallery, model))
    mine, theirs = distinct(probe), distinct(gallery)
    document = {
        "ok": True,
        "probe": {"file": names[0], "minutiae": len(probe)},
        "gallery": {"file": names[1], "minutiae": len(gallery)},
        "log10_likelihood_ratio": found.llr,
        "agreeing": len(found.pairs),
        "few": len(found.pairs) < FEW,
        "stages": {
            "local_likeness": found.local,
            "features": found.features,
            "contributions_log10": found.contributions,
            "bias_log10": found.bias,
        },
        "alignment": {
            "turn_degrees": float(np.degrees(found.turn)),
            "shift_pixels": list(found.shift),
        },
        "pairs": [
            {
                "probe": _minutia(probe, int(mine[a])),
                "gallery": _minutia(gallery, int(theirs[b])),
                "apart_pixels": float(np.hypot(*(found.moved[a] - gallery.xy[theirs[b]]))),
                "closeness": float(closeness),
                "likeness": float(likeness),
            }
            for (a, b), closeness, likeness in zip(
                found.pairs.tolist(), found.closeness, found.likeness, strict=True
            )
        ],
    }
    return Explained(document, _picture(found, probe, gallery, names))


def _minutia(minutiae: Minutiae, row: int) -> dict[str, float | int | str]:
    x, y = minutiae.xy[row]
    return {
        "row": row,
        "x": round(float(x), 2),
        "y": round(float(y), 2),
        "degrees": round(float(np.degrees(minutiae.angle[row])), 2),
        "kind": ("other", "ending", "bifurcation")[int(minutiae.kind[row])],
    }


def _picture(found: Explanation, probe: Minutiae, gallery: Minutiae, names: tuple[str, str]) -> str:
    mine, theirs = distinct(probe), distinct(gallery)
    angle = probe.angle[mine] + found.turn
    ours, others = set(found.pairs[:, 0].tolist()), set(found.pairs[:, 1].tolist())
    titles = f"{names[0]} against {names[1]}", f"log10 likelihood ratio {found.llr:.2f}"
    return overlay(
        [
            Mark(float(x), float(y), float(turned), at in ours)
            for at, ((x, y), turned) in enumerate(zip(found.moved, angle, strict=True))
        ],
        [
            Mark(
                float(gallery.xy[row, 0]),
                float(gallery.xy[row, 1]),
                float(gallery.angle[row]),
                at in others,
            )
            for at, row in enumerate(theirs)
        ],
        [(int(a), int(b)) for a, b in found.pairs],
        titles,
    )
