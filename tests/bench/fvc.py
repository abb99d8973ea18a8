"""How often the matcher errs on FVC2002 records; every sensor is judged by weights fitted on the others.

python tests/bench/fvc.py FOLDER... [--extractors secugen fingerjet fingerjet-ansi] [--shipped]
    FOLDER/<extractor>/<sensor>/<finger>_<impression>.<ext>
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fit import read_sets

from gateway.exercises.evaluation import model_fitting
from gateway.exercises.evaluation.error_rates import interval, verification
from matcher.finger import assignment
from matcher.finger.descriptors import default_model
from matcher.finger.gallery import Gallery
from matcher.finger.probe import assess, prepare
from matcher.finger.score_fusion import Likelihood, default_likelihood


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def pairs(sets: list[model_fitting.RecordSet], *, shipped: bool) -> None:
    """Print EER and FNMR, of each extractor and across every two; what cannot be enrolled scores -inf."""
    table: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for sensor in sorted({each.sensor for each in sets}):
        if shipped:
            model, likelihood = default_model(), default_likelihood()
        else:
            model, likelihood = model_fitting.left_out(sets, sensor)
        here = [each for each in sets if each.sensor == sensor]
        for one in here:
            first, second = np.triu_indices(len(one.minutiae), 1)
            alone = model_fitting.compare_all(one, model)
            bad = poor(one)[first] | poor(one)[second]
            table[one.extractor].append((sensor, *errors(alone, likelihood, bad)))
            for other in (each for each in here if each is not one):
                across = model_fitting.compare_across(one, other, model, likelihood)
                bad = (poor(one)[:, None] | poor(other))[~model_fitting.twins(one, other)]
                name = f"{one.extractor} → {other.extractor}"
                table[name].append((sensor, *errors(across, likelihood, bad)))
    for name, rows in table.items():
        for sensor, eer, fnmr in [*rows, ("mean", *np.mean([row[1:] for row in rows], axis=0))]:
            say(f"{name:24}{sensor:6} EER {eer:7.2%}   FNMR1000 {fnmr:7.2%}")


def poor(one: model_fitting.RecordSet) -> np.ndarray:
    return np.array([assess(each) is not None for each in one.minutiae])


def errors(
    compared: model_fitting.Compared, likelihood: Likelihood, bad: np.ndarray
) -> tuple[float, float]:
    score = np.where(bad, -np.inf, model_fitting.ratios(compared, likelihood, raw=True))
    found = verification(score[compared.mated], score[~compared.mated])
    return found.eer, found.fnmr_1000


def people(sets: list[model_fitting.RecordSet], fingers: int, fpir: float = 1e-4) -> None:
    """Print misses and wrong hits of searches for people made of neighbouring fingers, shipped weights."""
    positions = (2, 7, 3, 8)[:fingers]
    for extractor in dict.fromkeys(each.extractor for each in sets):
        crowd = []
        for one in (each for each in sets if each.extractor == extractor):
            held = defaultdict(list)
            for number, minutiae in zip(one.finger, one.minutiae, strict=True):
                held[int(number)].append(minutiae)
            names = sorted(held)
            crowd += [
                [held[name] for name in names[start : start + fingers]]
                for start in range(0, len(names) - fingers + 1, fingers)
            ]
        missed = wrong = mated = others = 0
        for absent in (0, 1):
            gallery = Gallery()
            for number, person in enumerate(crowd):
                if number % 2 != absent:
                    gallery.add(number, [(p, f[0]) for p, f in zip(positions, person, strict=True)])
            for number, person in enumerate(crowd):
                for turn in range(1, min(len(finger) for finger in person)):
                    probe = prepare([(p, f[turn]) for p, f in zip(positions, person, strict=True)])
                    if not probe.usable:
                        missed, mated = missed + 1, mated + 1
                        continue
                    found = gallery.search(probe, 1)
                    level = assignment.threshold(fpir, len(gallery), int(found.shared[0])).score
                    hit = bool(found.score[0] >= level)
                    right = hit and int(found.subject[0]) == number
                    wrong += hit and not right
                    if number % 2 == absent:
                        others += 1
                    else:
                        mated += 1
                        missed += not right
        say(
            f"{extractor:16}{fingers} fingers, FPIR {fpir:g}: missed {missed}/{mated}, "
            f"wrong {wrong}/{others + mated}, at most {interval(wrong, others + mated)[1]:.2%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--shipped", action="store_true", help="the shipped weights, fitted on all")
    arguments = parser.parse_args()
    sets = read_sets(arguments.folders, arguments.extractors)
    pairs(sets, shipped=arguments.shipped)
    for fingers in (1, 2, 4):
        people(sets, fingers)


if __name__ == "__main__":
    main()
