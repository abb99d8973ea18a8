"""How many people are missed by one to ten fingers, at the threshold for a large gallery.

python tests/bench/ten_fingers.py [--people 2000] [--size 100000] [--fpir 1e-4] [--real FOLDER] [--search 0 [--fewer]]
    [--strangers 0]

Each synthetic person's ten fingers are enrolled and captured again as `synthetic.field_capture` says; the mate's score is
the exact one of all fingers that are compared. The threshold is that of the certificate for whoever shares so many fingers, in a
gallery of `size`: no gallery of that size is built. With --real the same of people composed of the ten fingers of one set of FVC2002 (FOLDER
as in fvc.py), one person for each set and two impressions. With --search so many people are enrolled and searched for
through all stages, and as many who are not: what the stages lose, and the best score of somebody else. With --fewer they
have one finger to ten, and are searched for by ten. With --strangers so many people, of whom none is searched for, are
compared in full with forty others: how often they reach what the certificate says for so many shared fingers.
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
from matcher.calibration import default_certificate
from matcher.finger import assignment, synthetic
from matcher.finger.alignment import compare, gather
from matcher.finger.assignment import Hypothesis, weigh
from matcher.finger.descriptors import default_model, describe
from matcher.finger.gallery import Candidates, Gallery
from matcher.finger.probe import NothingUsable, assess, prepare
from matcher.finger.score_fusion import default_likelihood, finger_ratio, fuse
from matcher.finger.template import Minutiae

ORDER = (2, 7, 3, 8, 1, 6, 4, 9, 5, 10)  # index fingers first; who has fewer has the first of these
STRANGER = 10_000_000  # seeds of people who are enrolled nowhere
SEARCHES = 60  # for mates, and as many for strangers
ASKED = 40  # probes whom strangers are compared with
AT_ONCE = 32  # fingers of one comparison
RATES = (1e-2, 1e-3, 1e-4, 1e-5)  # for which the certificate knows a score
DRAWN, DRAWN_AT_ONCE = 4_000_000, 400_000  # composed strangers
GALLERIES = 200  # drawn: who shares how many fingers


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
    for one in read_sets([folder], ("secugen", "fingerjet")):
        scores, _ = tables(one)
        people += [rng.permutation(column) for column in scores.T]
    return np.array(people, dtype=np.float32)


def strangers(number: int) -> None:
    """Print how often people who are no mates reach what the certificate says, by how many fingers they share."""
    ratios = non_mated(number)
    rng, pairs = np.random.default_rng(31), ratios.shape[0] * ratios.shape[1]
    each = ratios.reshape(pairs, len(ORDER))
    score = np.stack(
        [fuse(rng.permuted(each, axis=1)[:, :shared]) for shared in range(1, len(ORDER) + 1)],
        axis=1,
    )
    say(f"strangers: {number} people beside {ASKED} probes, {pairs:,} pairs of people")
    for shared, tail in enumerate(default_certificate().tails, 1):
        own = score[:, shared - 1]
        seen = " ".join(
            f"{rate:g}: {float((own >= tail.score(rate)).mean()):.2e}" for rate in RATES[:3]
        )
        say(
            f"  {shared:2} fingers: greatest {own.max():6.2f}; share that reaches the score for {seen}"
        )
    by_person = score.reshape(*ratios.shape[:2], len(ORDER))
    for fpir in (0.5, 0.1, 0.01):
        levels = np.array(
            [assignment.threshold(fpir, number, at).score for at in range(1, len(ORDER) + 1)]
        )
        alarms = 0
        for _ in range(GALLERIES):
            shared = rng.integers(len(ORDER), size=number)
            alarms += int((by_person[:, range(number), shared] >= levels[shared]).any(axis=1).sum())
        share = alarms / (GALLERIES * ASKED)
        say(
            f"  galleries of {number} who share one finger to ten: FPIR {share:.2e} where {fpir:g} is promised"
        )


def composed_strangers(folder: Path) -> None:
    """Print the same of people composed of one set's pairs of different fingers, whose impressions are the same ones."""
    rng, tails = np.random.default_rng(32), default_certificate().tails
    sets = [tables(one)[1] for one in read_sets([folder], ("secugen", "fingerjet"))]
    rows = [each[np.triu_indices(len(each), 1)].astype(np.float32) for each in sets]
    say(f"composed strangers: {DRAWN:,} of each number, of one set, extractor and condition")
    for shared in (1, 2, 3, 5, 10):
        reached = np.zeros(len(RATES), dtype=np.intp)
        for _ in range(DRAWN // DRAWN_AT_ONCE):
            for each in rows:
                number = DRAWN_AT_ONCE // len(rows)
                pair = rng.integers(len(each), size=(number, shared))
                score = fuse(each[pair, rng.integers(each.shape[1], size=(number, 1))])
                reached += [(score >= tails[shared - 1].score(rate)).sum() for rate in RATES]
        seen = " ".join(
            f"{rate:g}: {at / DRAWN:.2e}" for rate, at in zip(RATES, reached, strict=True)
        )
        say(f"  {shared:2} fingers: share that reaches the score for {seen}")


def non_mated(number: int) -> np.ndarray:
    """Return the ratios of each of the probes with each of some people, finger by finger, (probes, people, 10)."""
    model, likelihood = default_model(), default_likelihood()
    held = [[describe(each, model) for _, each in captured(seed, 1)] for seed in range(number)]
    found = np.empty((ASKED, number, len(ORDER)), dtype=np.float32)
    for finger in range(len(ORDER)):
        order = sorted(range(number), key=lambda person: len(held[person][finger]))
        for start in range(0, number, AT_ONCE):
            some = order[start : start + AT_ONCE]
            beside = gather([held[person][finger] for person in some])
            for probe in range(ASKED):
                asked = describe(captured(STRANGER + probe, 2, (ORDER[finger],))[0][1], model)
                found[probe, some, finger] = finger_ratio(compare(asked, beside), likelihood)
    return found


def searched(number: int, size: int, fpir: float, *, fewer: bool) -> None:
    gallery = Gallery()

    def owned(seed: int) -> int:
        return len(ORDER) - seed % len(ORDER) if fewer else len(ORDER)

    for seed in range(number):
        try:
            gallery.add(seed, captured(seed, 1, ORDER[: owned(seed)]))
        except NothingUsable:
            say(f"  person {seed} has no usable finger")

    def reached(found: Candidates) -> bool:
        least = assignment.threshold(fpir, size, max(1, int(found.shared[0]))).score
        return bool(found.score[0] >= least)

    step = max(1, number // SEARCHES)
    lost, others, wrong = 0, [], 0
    asked = [at + at // step % step for at in range(0, number - step + 1, step)]  # of every number
    for seed in asked:
        ratios = mated(seed)[: owned(seed)]
        least = assignment.threshold(fpir, size, max(1, np.count_nonzero(~np.isnan(ratios)))).score
        found = gallery.search(prepare(captured(seed, 2)), 2)
        hit = bool(len(found)) and reached(found)
        lost += fused(ratios[None])[0] >= least and not (hit and int(found.subject[0]) == seed)
        wrong += hit and int(found.subject[0]) != seed
        stranger = gallery.search(prepare(captured(STRANGER + seed, 2)), 1)
        others.append(
            assignment.threshold(fpir, size, int(stranger.shared[0])).score - stranger.score[0]
        )
    say(
        f"search of {len(gallery)} people by ten fingers: of {len(asked)} mates {lost} lost by the stages; wrong people "
        f"{wrong}; of {len(others)} strangers the best is {min(others):.2f} below their threshold for {size:,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--fpir", type=float, default=1e-4)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--search", type=int, default=0, help="people of a gallery that is built")
    parser.add_argument("--fewer", action="store_true", help="of whom each has one finger to ten")
    parser.add_argument("--strangers", type=int, default=0, help="people compared in full")
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
        searched(arguments.search, arguments.size, arguments.fpir, fewer=arguments.fewer)
    if arguments.strangers:
        strangers(arguments.strangers)
        if arguments.real is not None:
            composed_strangers(arguments.real)


if __name__ == "__main__":
    main()
