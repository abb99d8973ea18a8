"""Fit the calibration of open-iris' codes that is shipped, on synthetic irises alone.

python tests/bench/iris_fit.py --date 2026-11-30     writes matcher/iris/open-iris-v0.1.json

No public set of its codes was at hand. Non-mated scores are spread by a quarter more than the synthetic ones, for these
spread a tenth less than the real ones where both are known (CASIA-IrisV1 under the log-Gabor coder, whose calibration is
made by `passerelle eval casia1.npz --modality iris --calibrate masek-1.json`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from matcher import score_calibration
from matcher.iris import synthetic, two_eyes
from matcher.iris.code_table import CodeTable, turn
from matcher.iris.coders import OPEN_IRIS, Coder
from matcher.iris.template import IrisCode
from matcher.score_calibration import Scores

FOLDER = Path(__file__).parents[2] / "matcher" / "iris"
EYES = 600
SPREAD = 1.25
SEED = 19795


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


def invented(coder: Coder) -> Scores:
    codes = [
        synthetic.capture(synthetic.person(seed), 1, number, coder)
        for seed in range(EYES)
        for number in (0, 1)
    ]
    found = scores_of(codes, np.repeat(np.arange(EYES), 2))
    middle = found.non_mated.mean()
    wider = middle + SPREAD * (found.non_mated - middle)
    return Scores(found.mated, found.person, wider, found.people)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", required=True)
    scores = invented(OPEN_IRIS)
    fitted = score_calibration.fit(scores, np.random.default_rng(SEED))
    fitted["tails"].append(two_eyes.tail(fitted, scores.non_mated))
    whole = score_calibration.document(
        fitted,
        version="synthetic-open-iris-1",
        model=OPEN_IRIS.label,
        data=f"synthetic irises only: {EYES} eyes, two codes each, non-mated spread by {SPREAD}",
        split="none: nothing here was measured on an eye",
        date=parser.parse_args().date,
        code="passerelle 0.1.0",
    )
    (FOLDER / f"{OPEN_IRIS.label}.json").write_text(json.dumps(whole, indent=1) + "\n")
    sys.stdout.write(f"{json.dumps(whole['line'])} {json.dumps(whole['tails'])}\n")


if __name__ == "__main__":
    main()
