"""How many people are missed by one to ten fingers, at the threshold for a large gallery.

python tests/bench/ten_fingers.py [--people 2000] [--size 100000] [--fpir 1e-4] [--real FOLDER] [--search 0]

Each synthetic person's ten fingers are enrolled and captured again as `synthetic.field_capture` says; the mate's score is
the exact one of all fingers that are compared. The threshold is that of the certificate for a gallery of `size`: no
gallery of that size is built. With --real the same of people composed of the ten fingers of one set of FVC2002 (FOLDER
as in fvc.py), one person for each set and two impressions. With --search so many people are enrolled and searched for
through all stages, and as many who are not: what the stages lose, and the best score of somebody else.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from dependence import tables
from fit import read_sets

from gateway.exercises.evaluation.error_rates import interval
from matcher.finger import assignment, synthetic
from matcher.finger.alignment import compare, gather
from matcher.finger.assignment import Hypothesis, weigh
from matcher.finger.descriptors import default_model, describe
from matcher.finger.gallery import Gallery
from matcher.finger.probe import NothingUsable, assess, prepare
from matcher.finger.score_fusion import default_likelihood, finger_ratio
from matcher.finger.template import Minutiae

ORDER = (2, 7, 3, 8, 1, 6, 4, 9, 5, 10)  # index fingers first; who has fewer has the first of these
STRANGER = 10_000_000  # seeds of people who are enrolled nowhere
SEARCHES = 60  # for mates, and as many for strangers


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def captured(
    seed: int, number: int, positions: tuple[int, ...] = ORDER
) -> list[tuple[int, Minutiae]]:
    person = synthetic.person(seed, synthetic.TOUCHED)
    return [
        (at, synthetic.impression(person, at, number, synthetic.field_capture(person, at, number)))
        for at in positions
    ]


def mated(seed: int) -> np.ndarray:
    """Return the ratio of each of a person's fingers with itself, (10,) in ORDER; nan = one of the two is too poor."""
    model, likelihood = default_model(), default_likelihood()
    found = np.full(len(ORDER), np.nan, dtype=np.float32)
    for at, ((_, held), (_, asked)) in enumerate(
        zip(captured(seed, 1), captured(seed, 2), strict=True)
    ):
        if assess(held) is None and assess(asked) is None:
            beside = gather([describe(held, model)])
            found[at] = finger_ratio(compare(describe(asked, model), beside), likelihood)[0]
    return found


def fused(ratios: np.ndarray) -> np.ndarray:
    """Return the score of people (p,) of the ratios of their fingers (p, k), as a search as stated gives it."""
    people, number = ratios.shape
    evidence = np.full((people, number, assignment.POSITIONS), np.nan, dtype=np.float32)
    evidence[:, range(number), range(number)] = ratios
    held = np.ones((people, assignment.POSITIONS), dtype=np.intp)
    positions = list(range(1, number + 1))
    return weigh(evidence, positions, ([1] * number, held), Hypothesis.STATED).score


def table(name: str, ratios: np.ndarray, size: int, fpir: float) -> None:
    say(f"{name}: {len(ratios)} people, size {size:,}, FPIR {fpir:g}")
    for number in range(1, ratios.shape[1] + 1):
        level = assignment.threshold(fpir, size, number).score
        score = fused(ratios[:, :number])
        missed = int((score < level).sum())
        low, high = interval(missed, len(score))
        say(
            f"  {number:2} fingers: threshold {level:5.2f}, median {np.median(score):6.2f}, missed {missed} = "
            f"{missed / len(score):.2%} ({low:.2%} to {high:.2%})"
        )


def real(folder: Path, rng: np.random.Generator) -> np.ndarray:
    """Return the ratios of people made of one set's ten fingers, in an order drawn for each, (p, 10)."""
    people = []
    for one in read_sets(folder, ("secugen", "fingerjet")):
        scores, _ = tables(one)
        people += [rng.permutation(column) for column in scores.T]
    return np.array(people, dtype=np.float32)


def searched(number: int, size: int, fpir: float) -> None:
    gallery = Gallery()
    for seed in range(number):
        try:
            gallery.add(seed, captured(seed, 1))
        except NothingUsable:
            say(f"  person {seed} has no usable finger")
    level = assignment.threshold(fpir, size, len(ORDER)).score
    step = max(1, number // SEARCHES)
    lost, others, wrong = 0, [], 0
    asked = range(0, number, step)
    for seed in asked:
        whole = float(fused(mated(seed)[None])[0])
        found = gallery.search(prepare(captured(seed, 2)), 2)
        first = bool(len(found)) and int(found.subject[0]) == seed and found.score[0] >= level
        lost += whole >= level and not first
        wrong += bool(len(found)) and int(found.subject[0]) != seed and found.score[0] >= level
        stranger = gallery.search(prepare(captured(STRANGER + seed, 2)), 1)
        others.append(float(stranger.score[0]))
    say(
        f"search of {len(gallery)} people by ten fingers: of {len(asked)} mates {lost} lost by the stages; wrong people "
        f"{wrong}; of {len(others)} strangers the best score {max(others):.2f}, threshold for {size:,} {level:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--fpir", type=float, default=1e-4)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--search", type=int, default=0, help="people of a gallery that is built")
    arguments = parser.parse_args()
    if arguments.people:
        ratios = np.array([mated(seed) for seed in range(arguments.people)])
        quantiles = np.nanquantile(ratios, (0.01, 0.05, 0.1, 0.2, 0.5))
        say("mated fingers, 1, 5, 10, 20, 50 %: " + " ".join(f"{each:.2f}" for each in quantiles))
        say(f"fingers too poor to compare: {np.isnan(ratios).mean():.2%}")
        table("synthetic", ratios, arguments.size, arguments.fpir)
    if arguments.real is not None:
        people = real(arguments.real, np.random.default_rng(2002))
        quantiles = np.nanquantile(people, (0.01, 0.05, 0.1, 0.2, 0.5))
        say("mated fingers, 1, 5, 10, 20, 50 %: " + " ".join(f"{each:.2f}" for each in quantiles))
        table("FVC2002", people, arguments.size, arguments.fpir)
    if arguments.search:
        searched(arguments.search, arguments.size, arguments.fpir)


if __name__ == "__main__":
    main()
