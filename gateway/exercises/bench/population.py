"""What a population costs on this machine: to enrol it from records, to start with it, to keep it in memory, to search it.

A gateway of the measurement's own, by the code that serves: records are read and recorded as `gallery enrol` does, a start is
`passerelle serve` until its listeners are open, and searches go through the engines that answer partners. People do not
exist; each is made when it is enrolled and forgotten then. Captures are as `synthetic.field_capture` says, some of
them too poor to be enrolled.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from gateway.domain.messages import Modality, Sample
from gateway.exercises import process_tree
from gateway.exercises.bench import machine_speed
from gateway.exercises.bench.machine_speed import MachineSpeed
from gateway.exercises.bench.ten import ASKED, ENROLLED, LIMIT, WARM_UP, captured
from gateway.exercises.demo import parties
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.queries import percentile
from gateway.exercises.subprocess_cli import READY_SECONDS, Server
from gateway.matching.engine import OperatingPoint
from gateway.matching.engines import Engines
from gateway.matching.modality import codec_of
from gateway.server.application import Gateway
from gateway.store.people import subjects
from gateway.subjects.enrolment import Row
from matcher.finger import synthetic

EXTRACTOR = "synthetic"
STRANGERS_FROM = 1_000_000_000  # seeds of people who are never enrolled
START_A_FINGER = 0.02  # seconds that a start is waited for, beside what it takes without anybody

Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What is measured: people, fingers of each, searches for enrolled people and as many for others, false alarms a search."""

    people: int
    fingers: int
    searches: int
    fpir: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured; later versions add fields and remove none.

    refused           records that nobody could be found by, of all people
    enrolled_per_s    people a second from records to a durable ledger, without the time to invent them
    enrol_cpu_ms      processor time of a person there
    start_s, empty_start_s   from the command to open listeners, with everybody and with nobody; in a process of its own
    bytes_per_person  what the serving processes have more with everybody than with nobody; None = unknown here
    load_s            from records to engines that answer, in this process
    prepare_ms        mean, to prepare a probe
    search_…          of a prepared probe: p50, p95, mean processor time
    found, missed     of those enrolled, whether the search names them above the threshold
    wrong             searches that name somebody else above it
    """

    people: int
    fingers: int
    searches: int
    refused: int
    enrolled_per_s: float
    enrol_cpu_ms: float
    start_s: float
    empty_start_s: float
    bytes_per_person: int | None
    load_s: float
    prepare_ms: float
    search_p50_ms: float
    search_p95_ms: float
    search_cpu_ms: float
    found: int
    missed: int
    wrong: int
    cores: int
    signatures_per_s: float
    sgemm_gflops: float


@dataclass(frozen=True, slots=True)
class _Started:
    seconds: float
    memory: int | None


@dataclass(slots=True)
class _People:
    """The records of people who are made one after the other, and what making them took."""

    order: Order
    advance: Advance
    seconds: float = 0.0
    cpu: float = 0.0

    def rows(self) -> Iterator[Row]:
        for number in range(self.order.people):
            begun, spent = time.perf_counter(), time.thread_time()
            samples = _samples(number, ENROLLED, self.order.fingers)
            self.seconds += time.perf_counter() - begun
            self.cpu += time.thread_time() - spent
            for one in samples:
                yield Row(_name(number), _name(number), one.position, EXTRACTOR, one.data)
            self.advance(1)


@dataclass(slots=True)
class _Searched:
    """What searches took, in seconds, and whom they named."""

    prepare: float = 0.0
    cpu: float = 0.0
    times: list[float] = field(default_factory=list)
    found: int = 0
    wrong: int = 0


def measured(order: Order, advance: Advance) -> Figures:
    """Found, enrol, start and search; `advance` is told each person enrolled and each search.

    Raises UserError where the gateway does not start.
    """
    speed = machine_speed.measure()
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as folder:
        can = parties.found(Path(folder), "CAN", "A measurement")
        empty = _started(can, 0)
        people = _People(order, advance)
        with Gateway.open(can.home, can.passphrase) as gateway:
            begun, spent = time.perf_counter(), time.process_time()
            report = gateway.subjects.registry.enrol(people.rows())
            enrolling = time.perf_counter() - begun - people.seconds
            cpu = time.process_time() - spent - people.cpu
            begun = time.perf_counter()
            engines = Engines(calibrations=gateway.calibrations.in_force)
            engines.load(gateway.subjects.gallery)
            load = time.perf_counter() - begun
            searched = _searched(order, engines, gateway, advance)
            del engines
        full = _started(can, order.people * order.fingers)
    return _figures(order, speed, (empty, full), searched, (len(report.bad), enrolling, cpu, load))


def _started(can: Party, fingers: int) -> _Started:
    """Serve until the listeners are open; return how long that took and what the processes then have."""
    patience = READY_SECONDS + fingers * START_A_FINGER
    log = can.home.parent / "can.log"
    begun = time.perf_counter()
    with Server(can.home, can.passphrase_file, log, ready_seconds=patience) as server:
        seconds = time.perf_counter() - begun
        return _Started(seconds, process_tree.memory_bytes(server.pid))


def _searched(order: Order, engines: Engines, gateway: Gateway, advance: Advance) -> _Searched:
    """Search for enrolled people, spread over all of them, and for strangers, by turns."""
    told = _Searched()
    step = max(1, order.people // order.searches)
    seeds = islice(_asked(step), WARM_UP + 2 * order.searches)
    for number, (seed, enrolled) in enumerate(seeds, -WARM_UP):
        counts = _Searched() if number < 0 else told
        with gateway.database.reader() as reader:
            mate = subjects.find(reader, _name(seed)) if enrolled else None
        named = _search(order, engines, seed, counts)
        counts.found += mate is not None and mate in named
        counts.wrong += bool(named - {mate})
        if number >= 0:
            advance(1)
    return told


def _asked(step: int) -> Iterator[tuple[int, bool]]:
    """Yield seeds of those to be asked about: first the strangers that warm up, then enrolled people and strangers by turns."""
    for warming in range(WARM_UP):
        yield STRANGERS_FROM - 1 - warming, False
    number = 0
    while True:
        yield number * step, True
        yield STRANGERS_FROM + number, False
        number += 1


def _search(order: Order, engines: Engines, seed: int, told: _Searched) -> set[int]:
    """Search for one person; return whom the search names above the threshold."""
    samples = {f"samples[{at}]": one for at, one in enumerate(_samples(seed, ASKED, order.fingers))}
    probes = engines.read(samples)
    begun = time.perf_counter()
    engines.prepare(probes)
    told.prepare += time.perf_counter() - begun
    begun, spent = time.perf_counter(), time.process_time()
    found = engines.search(probes, OperatingPoint(order.fpir), LIMIT, lambda: math.inf)
    told.times.append(time.perf_counter() - begun)
    told.cpu += time.process_time() - spent
    engines.destroy(probes)
    return {one.subject for one in found.candidates if one.score >= one.threshold}


def _samples(seed: int, number: int, fingers: int) -> list[Sample]:
    """Return an impression of each of a person's fingers as a record."""
    codec = codec_of(Modality.FINGER)
    return [
        codec.sample(synthetic.record(minutiae, position), position, EXTRACTOR)
        for position, minutiae in captured(seed, number, fingers)
    ]


def _name(seed: int) -> str:
    return f"P-{seed}"


def _figures(
    order: Order,
    speed: MachineSpeed,
    starts: tuple[_Started, _Started],
    searched: _Searched,
    enrolment: tuple[int, float, float, float],
) -> Figures:
    (empty, full), (refused, enrolling, cpu, load) = starts, enrolment
    held = None
    if empty.memory is not None and full.memory is not None:
        held = round((full.memory - empty.memory) / order.people)
    count = len(searched.times)
    return Figures(
        people=order.people,
        fingers=order.fingers,
        searches=count,
        refused=refused,
        enrolled_per_s=round(order.people / enrolling, 1),
        enrol_cpu_ms=round(cpu * 1000 / order.people, 2),
        start_s=round(full.seconds, 2),
        empty_start_s=round(empty.seconds, 2),
        bytes_per_person=held,
        load_s=round(load, 2),
        prepare_ms=round(searched.prepare * 1000 / count, 2),
        search_p50_ms=round(percentile(searched.times, 0.5) * 1000, 2),
        search_p95_ms=round(percentile(searched.times, 0.95) * 1000, 2),
        search_cpu_ms=round(searched.cpu * 1000 / count, 2),
        found=searched.found,
        missed=order.searches - searched.found,
        wrong=searched.wrong,
        cores=machine_speed.cores(),
        signatures_per_s=speed.signatures_per_s,
        sgemm_gflops=speed.sgemm_gflops,
    )
