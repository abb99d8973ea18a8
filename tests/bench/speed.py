"""How fast a search is, what a finger takes in memory, and which mates the shortlist loses.

python tests/bench/speed.py N [--threads T] [--probes 64] [--real FOLDER] [--enrol 1 3 5] [--fpir 1e-4]
    N synthetic one-finger people; FOLDER as in fvc.py: impression 1 of each of its fingers joins them and the
    others search, then 3, then 5

Loss: of the mates that a comparison with the whole gallery would accept at this FPIR, those that the stages
leave out. It is measured beside the synthetic people, and estimated for real ones: a mate counts as lost where
so great a share of real strangers looks more alike locally that N of them would fill the shortlist.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fit import read_sets

from gateway.exercises.evaluation.error_rates import interval
from matcher import calibration
from matcher.finger import synthetic
from matcher.finger.gallery import Gallery
from matcher.finger.gallery_block import heads_of
from matcher.finger.probe import Probe, prepare
from matcher.finger.search_cascade import SHORTLIST_FINGERS, SHORTLIST_SHARE, LocalSimilarity

SEARCHES = 7
MOST_SYNTHETIC = 1 << 32  # the real people's numbers lie beyond


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def least(run: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)


def gigaflops() -> float:
    square = np.ones((2048, 2048), dtype=np.float32)
    return 2 * 2048**3 / least(lambda: square @ square, 5) / 1e9


def filled(number: int) -> Gallery:
    gallery = Gallery()
    minutiae = 0
    started = time.perf_counter()
    for seed in range(number):
        finger = synthetic.impression(synthetic.person(seed), 1, 1)
        minutiae += len(finger)
        gallery.add(seed, [(1, finger)])
    taken = time.perf_counter() - started
    say(
        f"gallery {number:,}, {minutiae / number:.1f} minutiae a finger, "
        f"{gallery.nbytes / number:,.0f} bytes a finger; "
        f"{taken / number * 1000:.2f} ms to synthesise and enrol one"
    )
    return gallery


def speed(gallery: Gallery, threads: int, number: int) -> None:
    people = [synthetic.person(seed) for seed in range(number)]
    probes = [prepare([(1, synthetic.impression(person, 1, 2))]) for person in people]
    for used in sorted({1, threads}):
        before = gigaflops()
        search = partial(gallery.search_many, limit=1, threads=used)
        single = np.median([least(partial(search, [probe]), 1) for probe in probes[:SEARCHES]])
        batch = least(partial(search, probes), 2) / len(probes)
        flops = (before + gigaflops()) / 2
        for name, taken in (("single probe", single), (f"batch of {number}", batch)):
            rate = len(gallery) / taken
            say(
                f"{used} threads, {name}: {taken * 1000:.1f} ms a probe, {rate:,.0f} comparisons/s, "
                f"{rate / flops:,.0f} per one-thread GFLOP/s ({flops:.0f})"
            )


def loss(
    gallery: Gallery, folder: Path, extractors: tuple[str, ...], enrolled: int, fpir: float
) -> np.ndarray:
    """Return accepted mates, those lost beside the synthetic, and those that would be if strangers were real."""
    mates = Gallery()  # the real people alone: their exhaustive scores, and the ranks among them
    people: dict[tuple[str, str, int], int] = {}
    searches: list[tuple[int, Probe]] = []
    sets = list(read_sets([folder], extractors))
    for asking in (False, True):
        for one in sets:
            for finger, number, minutiae in zip(
                one.finger, one.impression, one.minutiae, strict=True
            ):
                name, probe = (one.extractor, one.sensor, int(finger)), prepare([(1, minutiae)])
                if not probe.fingers:
                    continue
                if asking and name in people and number != enrolled:
                    searches.append((people[name], probe))
                elif not asking and number == enrolled:
                    people[name] = MOST_SYNTHETIC + len(people)
                    gallery.add(people[name], [(1, minutiae)])
                    mates.add(people[name], [(1, minutiae)])
    level = calibration.threshold(fpir, len(gallery), 1).score
    whole = mates.search_many([probe for _, probe in searches], len(mates), shortlist=len(mates))
    accepted = [
        (mate, probe)
        for (mate, probe), found in zip(searches, whole, strict=True)
        if found.score[found.subject == mate][0] >= level
    ]
    # Several, for one finger is enrolled by each extractor, and the other record of it may score as high.
    short = gallery.search_many([probe for _, probe in accepted], 10)
    lost = sum(mate not in f.subject for (mate, _), f in zip(accepted, short, strict=True))
    shortlist = max(SHORTLIST_FINGERS, len(gallery) // SHORTLIST_SHARE)
    crowded = _crowded(mates, accepted, min(1.0, shortlist / len(gallery)))
    for subject in people.values():
        gallery.remove(subject)
    return np.array([len(accepted), lost, crowded])


def _crowded(mates: Gallery, accepted: list[tuple[int, Probe]], share: float) -> int:
    """Return how many mates look less alike locally than so great a share of real strangers.

    Each probe has few strangers, so their likeness is taken in the probe's own mean and spread and pooled.
    """
    mine, theirs = [], []
    for mate, probe in accepted:
        whole = [block.rows() for block in mates._blocks]
        score = np.concatenate(
            [LocalSimilarity([probe.fingers[0][1]]).scores(heads_of([r]))[0] for r in whole]
        )
        subject = mates._people.now().subjects[np.concatenate([r.person for r in whole])]
        others = score[subject != mate]
        mine.append((score[subject == mate][0] - others.mean()) / others.std())
        theirs.append((others - others.mean()) / others.std())
    return int((np.array(mine) < np.quantile(np.concatenate(theirs), 1 - share)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--probes", type=int, default=64)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--enrol", nargs="+", type=int, default=[1], help="impressions, in turn")
    parser.add_argument(
        "--fpir", type=float, default=1e-4, help="of the threshold that accepts mates"
    )
    arguments = parser.parse_args()
    gallery = filled(arguments.number)
    speed(gallery, arguments.threads, arguments.probes)
    if arguments.real is not None:
        extractors = tuple(arguments.extractors)
        counted = sum(
            loss(gallery, arguments.real, extractors, each, arguments.fpir)
            for each in arguments.enrol
        )
        accepted, *others = counted.tolist()
        for what, missing in zip(
            ("among the synthetic", "if strangers were real"), others, strict=True
        ):
            low, high = interval(missing, accepted)
            say(f"lost {what}: {missing} of {accepted} accepted mates, {low:.2%} to {high:.2%}")


if __name__ == "__main__":
    main()
