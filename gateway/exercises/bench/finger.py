"""How fast one finger is searched in a large gallery on this machine, and what the shortcut of the search costs.

The gallery is of people who do not exist (`synthetic.TOUCHED`: number, spacing and directions of minutiae as
counted on FVC2002). Every one is made and prepared in full; nothing is copied or cut short. Some are enrolled
whose other impression is the probe, so that the search has somebody to find.

cascade loss   of the mates that alignment with everybody would accept at the threshold for this gallery, the
               share that the search's shortlist leaves out
sgemm          a product of two 2048 × 2048 float32 matrices, in processes of its own on one thread and on T:
               ratios to it hold between machines
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from gateway.exercises.evaluation import error_rates
from gateway.exercises.evaluation.evaluate import load
from matcher.calibration import threshold
from matcher.finger import synthetic
from matcher.finger.gallery import Candidates, Gallery
from matcher.finger.probe import Probe, assess, prepare
from matcher.finger.template import Minutiae

POSITION = 1
BATCH = 64  # probes that share one pass
SAMPLED = 200  # fingers whose preparation is timed
WARM_UP = 2  # searches that do not count
LIMIT = 10  # candidates asked for
SIDE = 2048  # rows and columns of the calibration kernel
BUILT_AT_ONCE = 64  # people a thread takes
_KERNEL = """
import time, numpy as np
a = np.random.default_rng(1).standard_normal((2, {side}, {side})).astype(np.float32)
times = []
for _ in range(4):
    started = time.perf_counter(); a[0] @ a[1]; times.append(time.perf_counter() - started)
print(2 * {side}**3 / min(times) / 1e9)
"""

Advance = Callable[[int], None]
Pair = tuple[Minutiae, Minutiae]  # enrolled and asked with


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured: people enrolled, probes, threads, false alarms per search; real mates, if any."""

    gallery: int
    probes: int
    threads: int
    fpir: float
    records: Path | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; _cps = comparisons per second, a comparison = one probe with one enrolled finger."""

    gallery: int
    probes: int
    threads: int
    minutiae_mean: float
    prepare_ms: float
    bytes_per_finger: int
    single_cps: float
    batch_cps: float
    cascade_loss: float | None
    sgemm_gflops_1: float
    sgemm_gflops_t: float
    single_ms: float
    build_seconds: float
    mates: str
    mates_accepted: int
    cascade_interval_95: tuple[float, float] | None
    threshold: float


def measured(order: Order, advance: Advance) -> Figures:
    """Build, search and count; `advance` is told each person enrolled and each probe asked."""
    pairs = _pairs(order)
    probes = [prepare([(POSITION, asked)]) for _, asked in pairs]
    prepare_ms, minutiae = _preparation()
    started = time.perf_counter()
    gallery = _build(order, [enrolled for enrolled, _ in pairs], advance)
    built = time.perf_counter() - started
    for probe in probes[:WARM_UP]:
        gallery.search(probe, LIMIT, threads=order.threads)
    times, found = _one_by_one(gallery, probes, order.threads, advance)
    batch_seconds = _batched(gallery, probes, order.threads)
    alone = sgemm(1)
    level = threshold(order.fpir, order.gallery, 1).score
    accepted, lost = _losses(pairs, probes, found, level)
    return Figures(
        gallery=order.gallery,
        probes=len(probes),
        threads=order.threads,
        minutiae_mean=round(minutiae, 1),
        prepare_ms=round(prepare_ms, 3),
        bytes_per_finger=round(footprint(gallery) / order.gallery),
        single_cps=round(len(times) * order.gallery / sum(times)),
        batch_cps=round(len(probes) * order.gallery / batch_seconds),
        cascade_loss=lost / accepted if accepted else None,
        sgemm_gflops_1=round(alone, 1),
        sgemm_gflops_t=round(alone if order.threads == 1 else sgemm(order.threads), 1),
        single_ms=round(float(np.median(times)) * 1000, 2),
        build_seconds=round(built, 1),
        mates="invented" if order.records is None else "real",
        mates_accepted=accepted,
        cascade_interval_95=error_rates.interval(lost, accepted) if accepted else None,
        threshold=round(level, 2),
    )


def footprint(thing: object) -> int:
    """Return the bytes of everything that an object of ours holds, arrays and containers, each once."""
    seen: set[int] = set()
    total, queue = 0, [thing]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            if one.base is None:
                total += one.nbytes
            else:
                queue.append(one.base)
            continue
        inside = _inside(one)
        if inside is not None:
            total += sys.getsizeof(one)
            queue.extend(inside)
    return total


def sgemm(threads: int) -> float:
    """Return the GFLOP/s of the calibration kernel on so many threads: best of four."""
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    run = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, "-c", _KERNEL.format(side=SIDE)],
        env={**os.environ, **dict.fromkeys(names, str(threads))},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def _inside(one: object) -> list[object] | None:
    """Return what a container or an object of the matcher holds; None for what is not counted."""
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, list | tuple | set | frozenset):
        return list(one)
    if type(one).__module__.split(".")[0] != "matcher":
        return [] if isinstance(one, int | float) else None
    names = [*getattr(one, "__dict__", {})]
    names += [n for kind in type(one).__mro__ for n in getattr(kind, "__slots__", ())]
    # The model and the weights are everybody's, and the lock holds nothing.
    return [getattr(one, name) for name in names if name not in ("_model", "_likelihood", "_lock")]


def _pairs(order: Order) -> list[Pair]:
    """Return what is enrolled and asked with of each probe's person."""
    if order.records is None:
        return list(islice(_invented(), order.probes))
    pairs = list(_real(order.records))
    step = max(1, len(pairs) // order.probes)
    return pairs[::step][: order.probes]


def _invented() -> Iterator[Pair]:
    seed = 0
    while True:
        person = synthetic.person(seed, synthetic.TOUCHED)
        pair = tuple(synthetic.impression(person, POSITION, number) for number in (1, 2))
        if all(assess(each) is None for each in pair):
            yield pair[0], pair[1]
        seed += 1


def _real(folder: Path) -> Iterator[Pair]:
    """Yield the first usable record of each finger of a folder with each other one of it."""
    held: dict[tuple[str, str], Minutiae] = {}
    for one in load(folder).records:
        if one.minutiae is None:
            continue
        finger = one.specimen.set, one.specimen.finger
        if finger in held:
            yield held[finger], one.minutiae
        else:
            held[finger] = one.minutiae


def _preparation() -> tuple[float, float]:
    """Return the milliseconds to prepare one record, one thread, and the mean number of minutiae."""
    crowd = [_unknown_finger(seed) for seed in range(SAMPLED)]
    started = time.perf_counter()
    for one in crowd:
        prepare([(POSITION, one)])
    taken = (time.perf_counter() - started) / SAMPLED
    return taken * 1000, float(np.mean([len(one) for one in crowd]))


def _unknown_finger(number: int) -> Minutiae:
    """Return a usable impression of a person who is nobody's mate."""
    seed = 1_000_000 + number
    while True:
        one = synthetic.impression(synthetic.person(seed, synthetic.TOUCHED), POSITION, 1)
        if assess(one) is None:
            return one
        seed += 1_000_000_000


def _build(order: Order, mates: Sequence[Minutiae], advance: Advance) -> Gallery:
    """Return a gallery of the mates, each once, under the number of its first probe, and of other people."""
    gallery = Gallery()
    for number, home in enumerate(_homes(mates)):
        if home == number:
            gallery.add(number, [(POSITION, mates[number])])

    def enrol(start: int) -> None:
        last = min(start + BUILT_AT_ONCE, order.gallery - enrolled)
        for number in range(start, last):
            gallery.add(len(mates) + number, [(POSITION, _unknown_finger(number))])
        advance(last - start)

    enrolled = len(gallery)
    starts = range(0, max(0, order.gallery - enrolled), BUILT_AT_ONCE)
    with ThreadPoolExecutor(max(order.threads, os.cpu_count() or 1)) as pool:
        list(pool.map(enrol, starts))
    return gallery


def _homes(mates: Sequence[Minutiae]) -> list[int]:
    """Return for each probe the first one whose person's enrolled record is the same."""
    first: dict[int, int] = {}
    return [first.setdefault(id(one), number) for number, one in enumerate(mates)]


def _one_by_one(
    gallery: Gallery, probes: Sequence[Probe], threads: int, advance: Advance
) -> tuple[list[float], list[Candidates]]:
    times, found = [], []
    for probe in probes:
        started = time.perf_counter()
        found.append(gallery.search(probe, LIMIT, threads=threads))
        times.append(time.perf_counter() - started)
        advance(1)
    return times, found


def _batched(gallery: Gallery, probes: Sequence[Probe], threads: int) -> float:
    """Return the seconds of all probes in batches."""
    started = time.perf_counter()
    for start in range(0, len(probes), BATCH):
        gallery.search_many(probes[start : start + BATCH], LIMIT, threads=threads)
    return time.perf_counter() - started


def _losses(
    pairs: Sequence[Pair], probes: Sequence[Probe], found: Sequence[Candidates], level: float
) -> tuple[int, int]:
    """Return how many mates alignment accepts, and how many of these the search did not find."""
    mates = [enrolled for enrolled, _ in pairs]
    homes = _homes(mates)
    alone = Gallery()
    for number in sorted(set(homes)):
        alone.add(number, [(POSITION, mates[number])])
    accepted = lost = 0
    for probe, home, candidates in zip(probes, homes, found, strict=True):
        everybody = alone.search(probe, len(alone), shortlist=len(alone))
        scores = everybody.score[everybody.subject == home]
        if len(scores) and scores[0] >= level:
            accepted += 1
            seen = candidates.score[candidates.subject == home]
            lost += not (len(seen) and seen[0] >= level)
    return accepted, lost
