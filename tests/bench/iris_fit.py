"""Fit the calibrations of irises that are shipped, and say how they do on eyes that they were not fitted on.

python tests/bench/iris_fit.py CASIA1.npz --date 2026-11-30     writes matcher/iris/<coder>.json

masek-1          from CASIA-IrisV1: fitted on all eyes; the split by eye, even numbers against odd ones, is printed
open-iris-v0.1   from synthetic irises, for no public set of its codes was at hand; non-mated scores are spread by a
                 quarter more than the synthetic ones, which spread a tenth less than the real set's where both are
                 known
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matcher import score_calibration
from matcher.iris import synthetic
from matcher.iris.code_table import CodeTable, turn
from matcher.iris.coders import MASEK, OPEN_IRIS, Coder
from matcher.iris.template import IrisCode, from_cells
from matcher.score_calibration import Scores

FOLDER = Path(__file__).parents[2] / "matcher" / "iris"
SYNTHETIC_EYES = 600
SPREAD = 1.25
STEP, CELLS = 0.02, 1 << 13  # of the grid on which two eyes' ratios are added
TAIL = (1e-3, 1e-7)  # shares between which the rate of two eyes is read


def scores_of(codes: Sequence[IrisCode], eye: np.ndarray) -> Scores:
    """Return the closeness of all pairs, each once."""
    table = CodeTable(codes[0].coder)
    for number, iris in enumerate(codes):
        table.put(iris, number, 1)
    closeness = np.stack([table.compare(turn(iris), table.rows()).closeness for iris in codes])
    first, second = np.triu_indices(len(codes), 1)
    score, same = closeness[first, second], eye[first] == eye[second]
    seen = score > -np.inf
    mates, others = seen & same, seen & ~same
    pairs = np.stack([eye[first], eye[second]], axis=1)[others]
    return Scores(score[mates], eye[first][mates], score[others], pairs)


def casia(path: Path) -> Scores:
    arrays = np.load(path)
    shape = MASEK.rows, MASEK.columns, MASEK.cell_bits
    codes = [
        from_cells(MASEK, *(np.unpackbits(each, axis=1).reshape(shape) for each in pair))
        for pair in zip(arrays["code"], arrays["mask"], strict=True)
    ]
    return scores_of(codes, arrays["eye"].astype(np.intp))


def invented(coder: Coder) -> Scores:
    codes = [
        synthetic.capture(synthetic.person(seed), 1, number, coder)
        for seed in range(SYNTHETIC_EYES)
        for number in (0, 1)
    ]
    found = scores_of(codes, np.repeat(np.arange(SYNTHETIC_EYES), 2))
    middle = found.non_mated.mean()
    wider = middle + SPREAD * (found.non_mated - middle)
    return Scores(found.mated, found.person, wider, found.people)


def two_eyes(fitted: dict[str, Any], scores: Scores) -> dict[str, Any]:
    """Return the tail of the sum of two non-mated eyes, as if one said nothing of the other.

    The body is that of the scores, the tail that of the fit; both are put on a grid and added by convolution.
    """
    one = fitted["tails"][0]
    calibration = score_calibration.load_calibration(
        {**fitted, **dict.fromkeys(("version", "model", "data", "split", "date", "code"), "-")}, ""
    )
    ratio = calibration.ratios(scores.non_mated)
    edges = one["level"] + STEP * (np.arange(CELLS) - CELLS // 4)
    body = np.histogram(ratio[ratio < one["level"]], bins=edges)[0].astype(np.float64)
    shares, rates, levels = [], [], []
    for share, rate in zip(one["share"], reversed(one["rate"]), strict=True):
        tail = np.where(
            edges >= one["level"], share * np.exp(-rate * (edges - one["level"])), share
        )
        whole = body / body.sum() * (1 - share) - np.diff(tail)
        size = 2 * len(whole)
        sums = np.fft.irfft(np.fft.rfft(whole, size) ** 2, size).clip(0)
        above = np.cumsum(sums[::-1])[::-1]
        at = 2 * edges[0] + STEP * np.arange(size)
        level, far = (at[int(np.argmax(above <= each))] for each in TAIL)
        levels.append(level)
        rates.append(float(np.log(TAIL[0] / TAIL[1]) / (far - level)))
        shares.append(above)
    level = levels[1]
    at = 2 * edges[0] + STEP * np.arange(len(shares[0]))
    place = int(np.argmin(np.abs(at - level)))
    return {
        "samples": 2,
        "level": float(level),
        "share": sorted(float(each[place]) for each in shares),
        "rate": sorted(rates),
    }


def fitted_on(scores: Scores) -> dict[str, Any]:
    found = score_calibration.fit(scores, np.random.default_rng(19794))
    found["tails"].append(two_eyes(found, scores))
    return found


def write(coder: Coder, scores: Scores, **named: str) -> None:
    whole = score_calibration.document(
        fitted_on(scores), version=f"{coder.label}-1", model=coder.label, code="0.1.0", **named
    )
    (FOLDER / f"{coder.label}.json").write_text(json.dumps(whole, indent=1) + "\n")
    sys.stdout.write(f"{coder.label} {json.dumps(whole['line'])} {json.dumps(whole['tails'])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("casia", type=Path)
    parser.add_argument("--date", required=True)
    arguments = parser.parse_args()
    real = casia(arguments.casia)
    eyes = np.unique(real.person)
    for fold in (0, 1):
        mine, others = real.of(eyes[eyes % 2 == fold]), real.of(eyes[eyes % 2 != fold])
        words = dict.fromkeys(("version", "model", "data", "split", "date", "code"), "-")
        calibration = score_calibration.load_calibration({**fitted_on(mine), **words}, "")
        cost = score_calibration.cost(calibration, others)
        sys.stdout.write(f"fitted on eyes {fold} mod 2, Cllr of the others {cost:.3f}\n")
    split = "by eye, even against odd, to judge it (docs/performance-card.md); shipped: fitted on all 54 eyes"
    write(MASEK, real, data="CASIA-IrisV1, 54 eyes, 378 codes", split=split, date=arguments.date)
    data = f"synthetic irises only, {SYNTHETIC_EYES} eyes, non-mated spread by {SPREAD}"
    write(OPEN_IRIS, invented(OPEN_IRIS), data=data, split="none: synthetic", date=arguments.date)


if __name__ == "__main__":
    main()
