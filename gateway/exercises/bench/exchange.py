"""How many sealed queries a second this machine answers, and what a query's time is spent on.

A real server in a process of its own, and askers in processes of theirs, on one machine: each query is
composed, sealed, signed, sent over mutual TLS, recorded, searched, recorded again, verified with receipt
and consistency, under a transaction number of its own. Half ask about enrolled people.

Two rounds: a quiet one with a single asker, whose times are those of the work itself, and a loaded one,
whose times include waiting for processors. Rate limits and quota are set out of the way, in a folder of
the measurement's own; the beat on which answers leave stays as it is served. Of each round the processor time is
told too, of the server with all its processes and of the askers: where both together fill the cores, they are what limits.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gateway import user_files
from gateway.exercises import process_tree, server_metrics, subprocess_cli
from gateway.exercises.bench import machine_speed
from gateway.exercises.bench.machine_speed import MachineSpeed, cores
from gateway.exercises.bench.stage_profile import CRYPTO, SEARCH, Share, profile
from gateway.exercises.demo import parties
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, invented, write_manifest
from gateway.exercises.demo.queries import percentile
from gateway.exercises.load_client import SEEDS_FROM, Plan, Round, Spell, together
from gateway.exercises.load_process import Askers
from gateway.exercises.subprocess_cli import Server
from gateway.home_layout import SETTINGS
from gateway.law.agreement_library import packaged
from gateway.law.toml_reader import MOST

GALLERY = 50  # people, two fingers each
SECONDS = 10.0  # that count, under load
WARM_UP = 1.5  # seconds before, under load: caches, TLS, the pace of the sequencer
QUIET_SECONDS = 2.0  # that count, with one asker
QUIET_WARM_UP = 0.5  # seconds
ASKERS_A_CORE = (
    4  # questions under way: answers wait for their beat, the server must not wait for them
)
PROCESSES = 2  # of askers; one interpreter alone would hold the server up, more would take its time
SPARE_PLACES = 8  # of a partner, beyond one for each asker; proofs of consistency are calls too

AGREEMENT = ("bench", 1)
_SETTINGS = """\
[exchange]
calls_per_partner = {clients}
copies_per_second = 100000
copies_burst = 100000
rate_per_second = 100000
rate_burst = 100000
"""


@dataclass(frozen=True, slots=True)
class Load:
    """How many ask side by side, for how many seconds, in a gallery of how many people."""

    clients: int = field(default_factory=lambda: ASKERS_A_CORE * cores())
    seconds: float = SECONDS
    gallery: int = GALLERY
    processes: int = PROCESSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured; later versions add fields and remove none.

    qps            queries answered, verified and believed, per second of the loaded round
    p50_ms …       from composing a query to believing its answer, under load
    crypto_ms      mean of a query under load: the server's verify, open, seal; the asker's seal, sign, verify, open
    search_ms      mean of a query under load: the server's preparation of the probe, and its search
    mean_ms        mean of the same, which the means of its stages add up to
    server_cpu_ms  processor time that a query under load takes in the server and all processes of it; None = unknown here
    askers_cpu_ms  likewise in the askers
    busy_cores     processors that both together had under load, on average
    quiet_…        the same with one asker
    stages_ms      means of the server's stages under load
    profile        each stage's share of mean_ms under load, by name; quiet_profile: of quiet_mean_ms
    errors         queries without an answer that can be believed
    """

    qps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    crypto_ms: float
    search_ms: float
    clients: int
    seconds: float
    cores: int
    processes: int
    gallery: int
    queries: int
    errors: int
    errors_by_reason: Mapping[str, int]
    hits: int
    wrong_hits: int
    missed: int
    mean_ms: float
    server_cpu_ms: float | None
    askers_cpu_ms: float | None
    busy_cores: float | None
    quiet_p50_ms: float
    quiet_mean_ms: float
    quiet_server_cpu_ms: float | None
    quiet_askers_cpu_ms: float | None
    quiet_crypto_ms: float
    quiet_search_ms: float
    stages_ms: Mapping[str, float]
    quiet_stages_ms: Mapping[str, float]
    profile: Mapping[str, Share]
    quiet_profile: Mapping[str, Share]
    signatures_per_s: float
    sgemm_gflops: float


class Clock:
    """Told how far a measurement is. This one shows nobody."""

    def begin(self, what: str, seconds: float | None = None) -> None:
        """Say that a part begins, and how long it takes where that is known."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One round: what was asked, the server's mean milliseconds by stage meanwhile, and the processor seconds of both sides."""

    asked: Round
    stages: Mapping[str, float]
    server_cpu: float | None
    askers_cpu: float | None

    @property
    def asker_ms(self) -> float:
        return self.asked.crypto * 1000 / max(1, len(self.asked.latencies))

    @property
    def crypto_ms(self) -> float:
        return _sum(self.stages, CRYPTO) + self.asker_ms

    @property
    def search_ms(self) -> float:
        return _sum(self.stages, SEARCH)

    @property
    def mean_ms(self) -> float:
        return sum(self.asked.latencies) * 1000 / max(1, len(self.asked.latencies))

    @property
    def busy_cores(self) -> float | None:
        if self.server_cpu is None or self.askers_cpu is None:
            return None
        return round((self.server_cpu + self.askers_cpu) / self.asked.window, 2)

    def each_ms(self, cpu: float | None) -> float | None:
        """Return the processor time of a query out of that of all; None where it is unknown or nothing was answered."""
        answered = len(self.asked.latencies)
        return None if cpu is None or not answered else round(cpu * 1000 / answered, 2)

    def profile(self) -> dict[str, Share]:
        return profile(self.mean_ms, self.stages, self.asker_ms)


def measure(load: Load, clock: Clock) -> Figures:
    """Measure an exchange; raises `UserError` where the server or an asker does not start."""
    clock.begin("calibrating")
    speed = machine_speed.measure()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="passerelle-bench-")))
        clock.begin(f"enrolling {load.gallery} people")
        can, aus = _parties(folder, load)
        clock.begin("starting")
        server = stack.enter_context(Server(can.home, can.passphrase_file, folder / "can.log"))
        plans = (_plan(aus, load, number) for number in range(min(load.processes, load.clients)))
        askers = [stack.enter_context(Askers(plan)) for plan in plans]
        for one in askers:
            one.wait_ready()
        quiet = _round(server, askers, (1,), Spell(0, QUIET_WARM_UP, QUIET_SECONDS), clock)
        spread = shares(load.clients, len(askers))
        loaded = _round(server, askers, spread, Spell(0, WARM_UP, load.seconds), clock)
    return _figures(load, speed, quiet, loaded)


def _parties(folder: Path, load: Load) -> tuple[Party, Party]:
    """Found both parties with the measurement's own limits and agreement, and enrol the gallery."""
    can = parties.found(folder, "CAN", "A measurement")
    aus = parties.found(folder, "AUS", "A measurement")
    parties.introduce(can, aus)
    parties.introduce(aus, can)
    unbound(can, load.clients)
    people = invented(
        range(SEEDS_FROM, SEEDS_FROM + load.gallery), (ENROLLED_IMPRESSION,), lambda _: True
    )
    manifest = write_manifest(people, folder / "records")
    subprocess_cli.run(
        *("gallery", "enrol", can.home, "--manifest", manifest),
        *("--passphrase-file", can.passphrase_file),
    )
    return can, aus


def unbound(party: Party, clients: int) -> None:
    """Set limits of rate, calls and quota out of the way of so many askers; the law stays Australia's."""
    settings = party.home / SETTINGS
    limits = _SETTINGS.format(clients=clients + SPARE_PLACES)
    text = settings.read_text(encoding="utf-8")
    user_files.write(settings, text.replace("[exchange]\n", limits, 1).encode())
    parties.agree(party, "bench.toml", _agreement())


def _agreement() -> str:
    """Return Canada's agreement with Australia under another name, without an end to its quota."""
    text = packaged()["au.toml"].decode().replace('id = "au"', 'id = "bench"')
    return text.replace('preset = "hvdsp-400000"', f"day = {MOST}\nyear = {MOST}")


def _plan(aus: Party, load: Load, number: int) -> Plan:
    return Plan(
        home=str(aus.home),
        passphrase_file=str(aus.passphrase_file),
        peer="CAN",
        witness=str(aus.home / "witness" / f"CAN-{number}.checkpoint"),
        agreement=AGREEMENT,
        gallery=load.gallery,
    )


def _round(
    server: Server, askers: Sequence[Askers], spread: Iterable[int], spell: Spell, clock: Clock
) -> _Measured:
    """Let the processes ask, each with its share of threads, and read the server's time meanwhile."""
    busy = [(one, share) for one, share in zip(askers, spread, strict=False) if share]
    total = sum(share for _, share in busy)
    clock.begin(f"{total} asking", spell.warm + spell.seconds)
    for one, share in busy:
        one.begin(Spell(share, spell.warm, spell.seconds))
    clock.wait(spell.warm)
    before = server_metrics.read(server.metrics)
    sides = (server.pid,), tuple(one.pid for one, _ in busy)
    begun = [process_tree.processor_seconds(*side) for side in sides]
    clock.wait(spell.seconds)
    ended = [process_tree.processor_seconds(*side) for side in sides]
    stages = server_metrics.read(server.metrics).since(before)
    asked = together([one.end() for one, _ in busy])
    return _Measured(asked, stages, *map(_between, begun, ended))


def _between(begun: float | None, ended: float | None) -> float | None:
    return None if begun is None or ended is None else ended - begun


def shares(clients: int, processes: int) -> list[int]:
    """Return how many of the askers each process has; as even as can be."""
    return [math.ceil((clients - number) / processes) for number in range(processes)]


def _figures(load: Load, speed: MachineSpeed, quiet: _Measured, loaded: _Measured) -> Figures:
    asked = loaded.asked
    p50, p95, p99 = (_ms(percentile(asked.latencies, at)) for at in (0.5, 0.95, 0.99))
    errors = Counter(asked.errors)
    errors.update(quiet.asked.errors)
    return Figures(
        qps=round(len(asked.latencies) / asked.window, 2),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        crypto_ms=round(loaded.crypto_ms, 2),
        search_ms=round(loaded.search_ms, 2),
        clients=load.clients,
        seconds=load.seconds,
        cores=cores(),
        processes=min(load.processes, load.clients),
        gallery=load.gallery,
        queries=len(asked.latencies),
        errors=errors.total(),
        errors_by_reason=dict(errors),
        hits=asked.hits,
        wrong_hits=asked.wrong_hits,
        missed=asked.missed,
        mean_ms=round(loaded.mean_ms, 2),
        server_cpu_ms=loaded.each_ms(loaded.server_cpu),
        askers_cpu_ms=loaded.each_ms(loaded.askers_cpu),
        busy_cores=loaded.busy_cores,
        quiet_p50_ms=_ms(percentile(quiet.asked.latencies, 0.5)),
        quiet_mean_ms=round(quiet.mean_ms, 2),
        quiet_server_cpu_ms=quiet.each_ms(quiet.server_cpu),
        quiet_askers_cpu_ms=quiet.each_ms(quiet.askers_cpu),
        quiet_crypto_ms=round(quiet.crypto_ms, 2),
        quiet_search_ms=round(quiet.search_ms, 2),
        stages_ms=_rounded(loaded.stages),
        quiet_stages_ms=_rounded(quiet.stages),
        profile=loaded.profile(),
        quiet_profile=quiet.profile(),
        signatures_per_s=speed.signatures_per_s,
        sgemm_gflops=speed.sgemm_gflops,
    )


def _sum(stages: Mapping[str, float], names: Iterable[str]) -> float:
    return sum(stages.get(name, 0.0) for name in names)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _rounded(stages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(mean, 3) for name, mean in stages.items()}
