"""What records with few minutiae score, and who is refused: parts of real fingers, and of invented ones.

python tests/bench/sparse.py FOLDER [--extractors secugen fingerjet] [--invented 80]
    FOLDER/<extractor>/<sensor>/<finger>_<impression>.<ext>

Of each record so many minutiae are left, drawn by lot as of a faint print, or those around one of them as of a
corner of a finger. A score is a log10 likelihood ratio, so of non-mated pairs at most one in ten may pass 1, one in a
hundred 2, one in a thousand 3. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fit import read_sets

from matcher.finger import synthetic
from matcher.finger.alignment import compare, gather
from matcher.finger.descriptors import default_model, describe
from matcher.finger.probe import assess
from matcher.finger.score_fusion import default_likelihood, finger_ratio
from matcher.finger.template import Minutiae

LEFT = (4, 5, 6, 8, 12)  # minutiae of a part
LEVELS = (1, 2, 3)  # log10
SEED = 5
ODD_SCALE = (18, 21)  # of an extractor that states no more for its best minutiae
INVENTED = 900_000  # seeds from here on; nobody else's

Labelled = list[tuple[int, Minutiae]]


def part(whole: Minutiae, left: int, rng: np.random.Generator, *, corner: bool) -> Minutiae:
    """Return so many minutiae of a finger, their qualities on another scale."""
    centre = whole.xy[rng.integers(len(whole))]
    order = np.hypot(*(whole.xy - centre).T) if corner else rng.random(len(whole))
    kept = np.argsort(order)[:left]
    quality = rng.integers(*ODD_SCALE, len(kept))
    marks = {name: getattr(whole, name)[kept] for name in ("xy", "angle", "kind")}
    return replace(whole, quality=quality, **marks)


def fingers(arguments: argparse.Namespace) -> Iterator[tuple[str, Labelled]]:
    """Yield sets by name: the finger of each record, and its minutiae."""
    for one in read_sets([arguments.folder], arguments.extractors):
        pairs = zip(one.finger, one.minutiae, strict=True)
        yield f"{one.extractor} {one.sensor}", [(int(finger), each) for finger, each in pairs]
    people = [synthetic.person(INVENTED + n, synthetic.TOUCHED) for n in range(arguments.invented)]
    yield (
        "invented",
        [
            (number, synthetic.impression(who, 2, seed))
            for number, who in enumerate(people)
            for seed in (1, 2)
        ],
    )


def scores(parts: Labelled, others: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratios of mated and of non-mated pairs; a record never meets its own finger's as non-mated."""
    model, likelihood = default_model(), default_likelihood()
    gallery = gather([describe(each, model) for _, each in others])
    whose = np.array([finger for finger, _ in others])
    mated, non_mated = [np.zeros(0)], [np.zeros(0)]
    for finger, each in parts:
        found = finger_ratio(compare(describe(each, model), gallery), likelihood)
        mated.append(found[whose == finger])
        non_mated.append(found[whose != finger])
    return np.concatenate(mated), np.concatenate(non_mated)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--invented", type=int, default=80)
    arguments = parser.parse_args()
    sets = list(fingers(arguments))
    told = []
    for left in LEFT:
        for corner in (False, True):
            rng, refused, total = np.random.default_rng(SEED), 0, 0
            impostors, mates = [], []
            for _, whole in sets:
                parts = [(finger, part(each, left, rng, corner=corner)) for finger, each in whole]
                # No record meets a part of itself: every second one asks, the others are asked for.
                asking, asked = (
                    [one for one in some if assess(one[1]) is None]
                    for some in (parts[1::2], parts[::2])
                )
                refused += len(parts) - len(asking) - len(asked)
                total += len(parts)
                for others in (whole[::4], asked):
                    found = scores(asking, others)
                    mates.append(found[0])
                    impostors.append(found[1])
            against, own = np.concatenate(impostors), np.concatenate(mates)
            row = {
                "minutiae": left,
                "part": "corner" if corner else "by lot",
                "records": total,
                "refused": refused,
                "non_mated": len(against),
                "most": round(float(against.max()), 2),
                "beyond": {str(level): float((against > level).mean()) for level in LEVELS},
                "mated_beyond_2": float((own > 2).mean()),
            }
            told.append(row)
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps({"sparse": told}) + "\n")


if __name__ == "__main__":
    main()
