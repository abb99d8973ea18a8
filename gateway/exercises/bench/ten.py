"""How fast whoever has several fingers is searched in a large gallery, and how many mates its stages lose.

People do not exist; each is made when it is enrolled and forgotten then, and captured as `synthetic.field_capture`
says. Each search is for somebody enrolled, by another impression of each finger.

lost   of the mates whose exact score (every pair aligned in full) reaches the threshold for this gallery, those whom the
       search does not name with such a score
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from gateway.exercises.bench import machine_speed
from gateway.exercises.bench.finger import footprint
from gateway.exercises.demo.queries import percentile
from gateway.exercises.evaluation.error_rates import interval
from matcher.finger import synthetic
from matcher.finger.assignment import threshold
from matcher.finger.gallery import Candidates, Gallery
from matcher.finger.probe import NothingUsable, Probe, prepare
from matcher.finger.template import Minutiae

ORDER = (2, 7, 3, 8, 1, 6, 4, 9, 5, 10)  # index fingers first; who has fewer has the first of these
ENROLLED, ASKED = 1, 2  # impressions
LIMIT = 10  # candidates asked for
BATCH = 16  # probes that share one pass
WARM_UP = 2  # searches that do not count

Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What is measured: people, fingers of each, searches, threads of one, false alarms a search."""

    people: int
    fingers: int
    searches: int
    threads: int
    fpir: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured; later versions add fields and remove none.

    people             enrolled: who had no usable finger is not
    search_…           of a prepared probe: p50, p95, mean processor time
    batch_people_per_s probes answered a second where BATCH share a pass
    """

    people: int
    fingers: int
    searches: int
    threads: int
    enrol_cpu_ms: float
    prepare_ms: float
    bytes_per_person: int
    search_p50_ms: float
    search_p95_ms: float
    search_cpu_ms: float
    batch_people_per_s: float
    mates_accepted: int
    lost: int
    lost_interval_95: tuple[float, float] | None
    wrong: int
    signatures_per_s: float
    sgemm_gflops: float


def measured(order: Order, advance: Advance) -> Figures:
    """Enrol, search one by one and in batches, compare with the exact scores; `advance` is told each of these."""
    speed = machine_speed.measure()
    gallery = Gallery()
    enrolling = sum(_enrolled(gallery, order, advance))
    mates, probes, preparing = _probes(gallery, order)
    for probe in probes[:WARM_UP]:
        gallery.search(probe, LIMIT, threads=order.threads)
    times, spent, found = _one_by_one(gallery, probes, order, advance)
    begun = time.perf_counter()
    for start in range(0, len(probes), BATCH):
        gallery.search_many(probes[start : start + BATCH], LIMIT, threads=order.threads)
    batches = time.perf_counter() - begun
    accepted = lost = wrong = 0
    for mate, probe, named in zip(mates, probes, found, strict=True):
        seen = _accepted(named, order.fpir, len(gallery))
        exact = _accepted(gallery.scores(probe, [mate]), order.fpir, len(gallery))
        accepted += mate in exact
        lost += mate in exact - seen
        wrong += bool(seen - {mate})
    return Figures(
        people=len(gallery),
        fingers=order.fingers,
        searches=len(probes),
        threads=order.threads,
        enrol_cpu_ms=round(enrolling / order.people * 1000, 2),
        prepare_ms=round(preparing / len(probes) * 1000, 2),
        bytes_per_person=round(footprint(gallery) / len(gallery)),
        search_p50_ms=round(percentile(times, 0.5) * 1000, 1),
        search_p95_ms=round(percentile(times, 0.95) * 1000, 1),
        search_cpu_ms=round(spent / len(probes) * 1000, 1),
        batch_people_per_s=round(len(probes) / batches, 2),
        mates_accepted=accepted,
        lost=lost,
        lost_interval_95=interval(lost, accepted) if accepted else None,
        wrong=wrong,
        signatures_per_s=speed.signatures_per_s,
        sgemm_gflops=speed.sgemm_gflops,
    )


def captured(seed: int, number: int, fingers: int) -> list[tuple[int, Minutiae]]:
    """Return an impression of each of a person's first so many fingers, some of them poor."""
    person = synthetic.person(seed, synthetic.TOUCHED)
    return [
        (at, synthetic.impression(person, at, number, synthetic.field_capture(person, at, number)))
        for at in ORDER[:fingers]
    ]


def _enrolled(gallery: Gallery, order: Order, advance: Advance) -> Iterator[float]:
    """Enrol the people, and yield the processor time of each in seconds."""
    for seed in range(order.people):
        fingers = captured(seed, ENROLLED, order.fingers)
        begun = time.process_time()
        with suppress(NothingUsable):  # as at enrolment: capture again
            gallery.add(seed, fingers)
        yield time.process_time() - begun
        advance(1)


def _probes(gallery: Gallery, order: Order) -> tuple[list[int], list[Probe], float]:
    """Return who is searched for, evenly among the enrolled, the probes, and the seconds to prepare them."""
    mates, probes, preparing = [], [], 0.0
    for seed in np.linspace(0, order.people - 1, order.searches).astype(int).tolist():
        fingers = captured(seed, ASKED, order.fingers)
        begun = time.perf_counter()
        probe = prepare(fingers)
        preparing += time.perf_counter() - begun
        if seed in gallery and probe.fingers:
            mates.append(seed)
            probes.append(probe)
    return mates, probes, preparing


def _one_by_one(
    gallery: Gallery, probes: Sequence[Probe], order: Order, advance: Advance
) -> tuple[list[float], float, list[Candidates]]:
    """Return the seconds of each search, the processor time of all, and what they found."""
    times, found, spent = [], [], time.process_time()
    for probe in probes:
        begun = time.perf_counter()
        found.append(gallery.search(probe, LIMIT, threads=order.threads))
        times.append(time.perf_counter() - begun)
        advance(1)
    return times, time.process_time() - spent, found


def _accepted(named: Candidates, fpir: float, size: int) -> set[int]:
    """Return the subjects whose score reaches the threshold of whoever shares so many fingers."""
    rows = zip(named.subject.tolist(), named.score.tolist(), named.shared.tolist(), strict=True)
    return {
        subject for subject, score, shared in rows if score >= threshold(fpir, size, shared).score
    }
