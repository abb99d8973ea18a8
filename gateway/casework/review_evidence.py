"""What an examiner sees: two fingers side by side, as minutiae and what agrees; plain values.

No score and no likelihood: who knows what the machine thinks of it sees what the machine saw (ADR 17). Nothing
says whose fingers they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from matcher.finger import record_fmr
from matcher.finger.descriptors import default_model, describe, distinct
from matcher.finger.explanation import Explanation, explain
from matcher.finger.template import Minutiae

KINDS = ("other", "ending", "bifurcation")


def compared(
    probe: Mapping[int, Minutiae], record: Mapping[int, Minutiae]
) -> list[dict[str, object]]:
    """Return each finger that both have, the probe's minutiae moved onto the record's."""
    return [
        {"position": position, **_finger(probe[position], record[position])}
        for position in sorted(probe.keys() & record.keys())
    ]


def minutiae(octets: bytes) -> Minutiae:
    """Return the minutiae of a record that was read before."""
    return record_fmr.read(octets).views[0].minutiae


def _finger(probe: Minutiae, record: Minutiae) -> dict[str, object]:
    model = default_model()
    found = explain(describe(probe, model), describe(record, model))
    mine, theirs = distinct(probe), distinct(record)
    return {
        "probe": [
            _mark(found.moved[at], probe.angle[row] + found.turn, int(probe.kind[row]))
            for at, row in enumerate(mine)
        ],
        "record": [
            _mark(record.xy[row], record.angle[row], int(record.kind[row])) for row in theirs
        ],
        "pairs": [[int(a), int(b)] for a, b in found.pairs],
        **_moved(found),
    }


def _mark(xy: np.ndarray, angle: float, kind: int) -> dict[str, object]:
    return {
        "x": round(float(xy[0]), 1),
        "y": round(float(xy[1]), 1),
        "degrees": round(float(np.degrees(angle)) % 360, 1),
        "kind": KINDS[kind],
    }


def _moved(found: Explanation) -> dict[str, object]:
    return {
        "turn_degrees": round(float(np.degrees(found.turn)), 1),
        "shift_pixels": [round(each, 1) for each in found.shift],
    }
