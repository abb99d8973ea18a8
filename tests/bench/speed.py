"""How fast a search is, what a finger takes in memory, and which mates the shortlist loses.

python tests/bench/speed.py N [--threads T] [--probes 64] [--real FOLDER]
    N synthetic one-finger people; FOLDER as in fvc.py: its first impressions join them, the others search

Loss: of the mates that a comparison with the whole gallery would accept at FPIR 1e-4, those that the shortlist
leaves out. It is measured beside the synthetic people, and estimated for real ones: a mate counts as lost where
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

from matcher import calibration, synthetic
from matcher.cascade import ALIGNED_FINGERS
from matcher.gallery import Gallery
from matcher.glance import Glance
from matcher.measure import interval
from matcher.probe import Probe, prepare

FPIR = 1e-4
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


def loss(gallery: Gallery, folder: Path, extractors: tuple[str, ...]) -> None:
    mates = Gallery()  # the real people alone: their exhaustive scores, and the ranks among them
    enrolled: dict[tuple[str, str, int], int] = {}
    searches: list[tuple[int, Probe]] = []
    for one in read_sets(folder, extractors):
        for finger, minutiae in zip(one.finger, one.minutiae, strict=True):
            name = one.extractor, one.sensor, int(finger)
            if name not in enrolled:
                enrolled[name] = MOST_SYNTHETIC + len(enrolled)
                gallery.add(enrolled[name], [(1, minutiae)])
                mates.add(enrolled[name], [(1, minutiae)])
            elif (probe := prepare([(1, minutiae)])).fingers:
                searches.append((enrolled[name], probe))
    level = calibration.threshold(FPIR, len(gallery), 1).score
    whole = mates.search_many([probe for _, probe in searches], len(mates), shortlist=len(mates))
    accepted = [
        (mate, probe)
        for (mate, probe), found in zip(searches, whole, strict=True)
        if found.score[found.subject == mate][0] >= level
    ]
    short = gallery.search_many([probe for _, probe in accepted], ALIGNED_FINGERS)
    lost = sum(mate not in f.subject for (mate, _), f in zip(accepted, short, strict=True))
    crowded = _crowded(mates, accepted, ALIGNED_FINGERS / len(gallery))
    for what, missing in (("among the synthetic", lost), ("if strangers were real", crowded)):
        low, high = interval(missing, len(accepted))
        say(f"lost {what}: {missing} of {len(accepted)} accepted mates, {low:.2%} to {high:.2%}")


def _crowded(mates: Gallery, accepted: list[tuple[int, Probe]], share: float) -> int:
    """Return how many mates look less alike locally than so great a share of real strangers.

    Each probe has few strangers, so their likeness is taken in the probe's own mean and spread and pooled.
    """
    mine, theirs = [], []
    for mate, probe in accepted:
        whole = [block.rows() for block in mates._blocks]
        score = np.concatenate([Glance([probe.fingers[0][1]]).scores(r)[0] for r in whole])
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
    arguments = parser.parse_args()
    gallery = filled(arguments.number)
    speed(gallery, arguments.threads, arguments.probes)
    if arguments.real is not None:
        loss(gallery, arguments.real, tuple(arguments.extractors))


if __name__ == "__main__":
    main()
