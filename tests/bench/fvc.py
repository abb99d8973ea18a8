"""How often the matcher errs on FVC2002 records, and how fast it is; every sensor judged by weights fitted elsewhere.

python tests/bench/fvc.py FOLDER [--extractors secugen fingerjet fingerjet-ansi] [--shipped]
    FOLDER/<extractor>/<sensor>/<finger>_<impression>.<ext>
python tests/bench/fvc.py --speed N     single-probe search of N synthetic one-finger people
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fit import read_sets

from matcher import calibration, fitting, synthetic
from matcher.finger import default_model
from matcher.fusion import default_likelihood
from matcher.gallery import Gallery
from matcher.measure import interval, verification
from matcher.probe import assess, prepare


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def pairs(sets: list[fitting.RecordSet], *, shipped: bool) -> None:
    """Print EER and FNMR of the all-pairs protocol; a record that cannot be enrolled scores -inf."""
    table: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for sensor in sorted({each.sensor for each in sets}):
        if shipped:
            model, likelihood = default_model(), default_likelihood()
            judged = {
                (one.extractor, one.sensor): fitting.compare_all(one, model)
                for one in sets
                if one.sensor == sensor
            }
        else:
            _, likelihood, judged = fitting.left_out(sets, sensor)
        for one in (each for each in sets if each.sensor == sensor):
            compared = judged[one.extractor, sensor]
            score = fitting.ratios(compared, likelihood, raw=True)
            poor = np.array([assess(each) is not None for each in one.minutiae])
            first, second = np.triu_indices(len(poor), 1)
            score = np.where(poor[first] | poor[second], -np.inf, score)
            errors = verification(score[compared.mated], score[~compared.mated])
            table[one.extractor].append((sensor, errors.eer, errors.fnmr_1000))
    for extractor, rows in table.items():
        for sensor, eer, fnmr in [*rows, ("mean", *np.mean([row[1:] for row in rows], axis=0))]:
            say(f"{extractor:16}{sensor:6} EER {eer:7.2%}   FNMR1000 {fnmr:7.2%}")


def people(sets: list[fitting.RecordSet], fingers: int, fpir: float = 1e-4) -> None:
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
                    level = calibration.threshold(fpir, len(gallery), len(probe.usable)).score
                    found = gallery.search(probe, 1)
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


def speed(number: int) -> None:
    """Print enrolment and search times, beside a matrix product that lets machines be compared."""
    gallery = Gallery()
    started = time.perf_counter()
    for seed in range(number):
        gallery.add(seed, [(1, synthetic.impression(synthetic.person(seed), 1, 1))])
    enrolled = time.perf_counter() - started
    square = np.ones((2048, 2048), dtype=np.float32)
    started = time.perf_counter()
    _ = square @ square
    gigaflops = 2 * 2048**3 / (time.perf_counter() - started) / 1e9
    for shortlist in (1, 128):
        taken = []
        for seed in range(10):
            probe = prepare([(1, synthetic.impression(synthetic.person(seed), 1, 2))])
            started = time.perf_counter()
            gallery.search(probe, 1, shortlist=shortlist)
            taken.append(time.perf_counter() - started)
        middle = float(np.median(taken))
        say(
            f"gallery {number}, shortlist {shortlist}: {middle * 1000:.1f} ms a search, "
            f"{number / middle:,.0f} comparisons/s; sgemm {gigaflops:.0f} GFLOP/s; "
            f"enrolment with synthesis {enrolled / number * 1000:.2f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--shipped", action="store_true", help="the shipped weights, fitted on all")
    parser.add_argument("--speed", type=int, metavar="N")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        sets = read_sets(arguments.folder, tuple(arguments.extractors))
        pairs(sets, shipped=arguments.shipped)
        for fingers in (1, 2, 4):
            people(sets, fingers)
    if arguments.speed:
        speed(arguments.speed)


if __name__ == "__main__":
    main()
