"""What the sum of fingers' and a face's scores must reach, beside what each must reach alone; and what that takes.

python tests/bench/fusion.py [--fpir 1e-4]

Thresholds by the certificates that are shipped, for so many people. `drawn` is the share of non-mated sums that reach the
threshold for a rate of 1e-4, where scores are drawn as high as both certificates and the meaning of a likelihood ratio
permit: what was promised is 1e-4. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from matcher import calibration, fusion
from matcher.calibration import Tail
from matcher.face.models import shipped_models
from matcher.finger import assignment
from matcher.fusion import Tails

SIZES = (1_000, 10_000, 100_000, 1_000_000)
DRAWN = 20_000_000
RATE = 1e-4
MILLION = 1_000_000  # drawn at once
SEED = 20


def main() -> int:
    """Print a table and, last, JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fpir", type=float, default=1e-4)
    fpir = parser.parse_args().fpir
    (model,) = shipped_models().values()
    face = model.calibration.certificate.tails
    found = [row(fpir, size, shared, face) for shared in (1, 2, 10) for size in SIZES]
    for each in found:
        sys.stdout.write(
            f"{each['fingers']:2} fingers, {each['people']:>9,} people: fingers {each['alone']:6.2f}"
            f"  face {each['face']:6.2f}  both {each['both']:6.2f}  {each['milliseconds']:.1f} ms\n"
        )
    told = {"fpir": fpir, "rows": found, "drawn": drawn(face)}
    sys.stdout.write(f"{json.dumps(told)}\n")
    return 0


def row(fpir: float, size: int, shared: int, face: Tails) -> dict[str, float]:
    """Return the thresholds for one size, of whoever shares so many fingers."""
    fingers = calibration.tails_for(shared, assignment.search_certificate())
    fusion._sum.cache_clear()
    started = time.process_time()
    both = fusion.threshold(fpir, [fingers, face], size)
    taken = time.process_time() - started
    return {
        "fingers": shared,
        "people": size,
        "alone": round(fusion.threshold(fpir, [fingers], size).score, 3),
        "face": round(fusion.threshold(fpir, [face], size).score, 3),
        "both": round(both.score, 3),
        "expected": both.fpir_expected,
        "milliseconds": round(1000 * taken, 2),
    }


def drawn(face: Tails) -> float:
    """Return how often non-mated sums reach the threshold, where both are as high as they may be."""
    tails = (assignment.search_certificate().tails[0], face[0])
    least = fusion.threshold(RATE, [(each,) for each in tails], 1).score
    random, reached = np.random.default_rng(SEED), 0
    for _ in range(DRAWN // MILLION):
        reached += int((sum(one(each, random) for each in tails) >= least).sum())
    return reached / DRAWN


def one(tail: Tail, random: np.random.Generator) -> np.ndarray:
    """Return a million non-mated scores, (1000000,): of the tail, or of a body in which one in 10^x reaches x."""
    body = np.clip(-np.log10(random.random(MILLION)), min(tail.level, 0.0), tail.level)
    above = random.random(MILLION) < tail.share[fusion.CAUTIOUS]
    return np.where(above, tail.level + random.exponential(1 / tail.rate[0], MILLION), body)


if __name__ == "__main__":
    sys.exit(main())
