"""A gateway that serves: gallery loaded, pipeline built, listeners open, the periodic jobs in their rounds.

Start: engine loaded → floor of the quantum measured → START entry → listeners → SERVING.
Stop:  NOT_SERVING → listeners drain → counts flushed → STOP entry. The gateway itself is closed by its owner.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import telemetry
from gateway.domain.messages import Operation
from gateway.errors import (
    AuditUnavailable,
    Draining,
    EngineUnavailable,
    KeysUnavailable,
    Refusal,
    UserError,
)
from gateway.exchange import abandonment, correction
from gateway.exchange.capabilities import GetCapabilities, GetQuota
from gateway.exchange.context import ExchangeContext
from gateway.exchange.hit_details import RequestHitDetails
from gateway.exchange.pipeline import Pipeline, PipelineServices
from gateway.exchange.query import SubmitQuery
from gateway.exchange.query_state import GetQueryState, RedeliverResult
from gateway.exchange.rate_limits import Gate, heavy_at_once
from gateway.exchange.refusal_counter import Copies, RefusalCounter
from gateway.exchange.response_timing import ResponseTiming, floor_of
from gateway.keymanagement.transitions import stopped
from gateway.ledger.entry import EntryType
from gateway.ledger_ops.clock_monitor import ClockMonitor
from gateway.ledger_ops.tile_publisher import Publisher
from gateway.matching.inprocess import InProcessEngine
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.partner_files import PartnerFiles
from gateway.monitoring.quota_alerts import QuotaAlerts
from gateway.server import signals
from gateway.server.listener import (
    admission,
    connection_limits,
    file_descriptors,
    interceptor,
    listeners,
)
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_identity import TlsIdentity
from gateway.server.listener.tls_probe import demand_tls_1_3
from gateway.server.metrics_endpoint import Metrics
from gateway.server.process_hardening import forbid_core
from gateway.server.rpc import admin, directory
from gateway.server.rpc import exchange as exchange_rpc
from gateway.server.self_check import demand_current
from gateway.server.workers import periodic_jobs
from gateway.server.workers.tiles import TileWorker
from gateway.server.workers.timestamps import TimestampWorker
from gateway.server.workers.watchdog import EXIT_STUCK
from gateway.trust.partners import own_bundle
from keys.certificates import pin

if TYPE_CHECKING:
    from gateway.server.application import Gateway

GRACE = 30.0  # seconds that calls under way get when the gateway closes; the longest honest search is shorter
ROUND = 30.0  # seconds between the periodic jobs' rounds
SWITCH = 0.0005  # seconds that a thread keeps the interpreter while others wait for it; Python's own is ten times that, and
# a call waits so long after each of its forty statements of SQL, whenever another partner's work is under way
TICK = 1.0  # seconds between two looks at which thread makes no progress
STOPPING = 3.0  # seconds that a stop waits for the round under way; each step of it can be cut
LAST = GRACE + 15.0  # seconds from the signal on; then the process is ended however far it came
LAST_STARTING = 5.0  # seconds, of a process that does not serve yet
LAST_STUCK = 20.0  # seconds, of a process in which a thread makes no progress
ALARM_SECONDS = (
    3.0  # seconds in which the ledger may take an alarm; it may be what makes no progress
)
FAULT = "FAULT"  # why we do not serve: what nobody foresaw, which the log names
WATCHDOG = "WATCHDOG"  # the alarm of a thread that stood still; the next start clears it
FLOOR_SEARCHES = (
    50  # searches that measure the quantum's floor; their largest is taken for the 99th percentile
)
NAMES = (
    "gateway.v1.ExchangeService",
    "gateway.v1.LedgerService",
    "gateway.v1.DirectoryService",
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway listens; ports as bound."""

    exchange: int
    health: int
    metrics: int
    admin: int


class Serving:
    """The listeners of one open gateway. `observe` is called at the end of each step (tests stop there).

    at_once   pieces of heavy work at the same time; None = as this machine has processors for
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        observe: Callable[[str], None] | None = None,
        at_once: int | None = None,
    ) -> None:
        self._gateway = gateway
        self._observe = observe
        self._gate = Gate(at_once or heavy_at_once())
        self.engine = InProcessEngine()
        self._open = threading.Event()
        self._ended = False
        self._refused = RefusalCounter(gateway.sequencer, gateway.clock)
        self.pipeline = self._build_pipeline()
        self._admin = admin.AdminService(gateway, self._admin_ready)
        self._alarms = LatchedAlarms(gateway.database, gateway.sequencer, gateway.clock)
        self._identity = TlsIdentity(self._alarms, gateway.watchdog.beat)
        self._guard = Guard(gateway.watchdog)
        self._job_thread: threading.Thread | None = None
        self._jobs_stop = threading.Event()  # rounds
        self._tile_worker = TileWorker(
            Publisher(
                gateway.settings.evidence.tiles,
                gateway.database,
                lambda: own_bundle(gateway.home).log,
            ),
            gateway.evidence_deadline,
            gateway.clock,
            gateway.watchdog,
        )
        self._timestamp_worker = TimestampWorker(
            gateway.timestamps, gateway.cancellation, gateway.watchdog
        )
        self._clock_monitor = ClockMonitor(gateway.sequencer, gateway.clock)
        self._quota_alerts = QuotaAlerts(
            gateway.database, gateway.sequencer, lambda: gateway.agreements, gateway.clock
        )
        self._partners = PartnerFiles(gateway.directory, self._alarms)
        self._log = telemetry.logger("serving")
        self._jobs = periodic_jobs.Jobs(self._periodic_jobs(), self._alarms)

    def start(self) -> Addresses:
        """Load, record the start, open the listeners; raises UserError when a port is taken."""
        gateway, settings = self._gateway, self._gateway.settings
        demand_current(gateway.keyset, gateway.clock())
        periodic_jobs.Jobs(self._due_at_start(), self._alarms).run()
        self.engine.load(gateway.gallery)
        gateway.engines.append(self.engine.apply)
        self._quantum = self._measured_quantum()
        self._identity.begin(gateway.keyset)
        gateway.active_keyset.follow(self._identity.follow)
        self._interceptor = interceptor.AuthInterceptor(
            self._identify,
            admission.Limits(
                calls=settings.exchange.calls_per_partner,
                rate=settings.exchange.rate_per_second,
                burst=settings.exchange.rate_burst,
                shortest=settings.limits.min_deadline_ms / 1000,
                longest=settings.limits.max_deadline_s,
                unidentified_rate=settings.exchange.unidentified_per_second,
                unidentified_burst=settings.exchange.unidentified_burst,
            ),
            ready=self._ready,
            refused=self._refused.count,
            leaves=self._leaves,
            identified=self._guard.identified,
        )
        gateway.watchdog.also("exchange-departures", self._interceptor.sign)
        share = file_descriptors.shares(settings, file_descriptors.limit())
        self._server, port = listeners.guarded(
            settings.exchange.listen,
            self._identity,
            self._authorities,
            interceptor=self._interceptor,
            threads=settings.exchange.worker_threads,
            max_message=settings.limits.max_message_bytes,
            connections=share["exchange"],
        )
        exchange_rpc.install(
            self._server,
            self.pipeline.handle,
            self._stages,
            proofs=gateway.sequencer,
            witnesses=gateway.witnesses,
            gate=self._gate,
        )
        directory.install(self._server, gateway.publication.files)
        self._health, self._servicer, health_port = listeners.health_check(
            settings.health.listen, self._identity, connections=share["health"]
        )
        self._metrics = Metrics(settings.health.metrics_port, telemetry.REGISTRY, share["metrics"])
        self._server.start()
        demand_tls_1_3(listeners.near(settings.exchange.listen), port)
        gateway.record(EntryType.START)
        self._alarms.end(WATCHDOG)
        self._open.set()
        admin_port = self._admin.start(
            self._identity,
            connections=share["admin"],
            identified=self._guard.identified,
            beside={"metrics": f"127.0.0.1:{self._metrics.server_port}"},
        )
        self._health.start()
        self._metrics.start()
        metrics_port = int(self._metrics.server_port)
        ports = {"exchange": port, "admin": admin_port, "health": health_port}
        self._protect({**ports, "metrics": metrics_port}, share)
        gateway.outbound_worker.start()
        self._tile_worker.start()
        self._timestamp_worker.start()
        self._show_state("")
        self._log.info("started", size=self.engine.size, entries=gateway.sequencer.size)
        near = listeners.near
        self._addresses = {
            "exchange": (near(settings.exchange.listen), port),
            "health": (near(settings.health.listen), health_port),
            "admin": (near(settings.admin.listen), admin_port),
        }
        self._identity.look(self._addresses)
        return Addresses(port, health_port, metrics_port, admin_port)

    def run(self, ready: Callable[[Addresses], None]) -> int:
        """Serve until SIGTERM or SIGINT, or until a thread of ours makes no progress; return what the process is to end with.

        `ready` gets the addresses once the listeners are open. For the main thread of a process that ends with it: whoever
        gets the signal does nothing else, and an end that does not come to its own is cut.
        """
        forbid_core()
        told = self._gateway.settings.telemetry
        telemetry.set_levels(told.level, told.access)
        file_descriptors.raise_limit()
        sys.setswitchinterval(SWITCH)
        with signals.heard(_leave) as asked_to_end:
            addresses = self.start()
            # What a start leaves behind stays until the end; each look of the collector at all of it takes a tenth of
            # a second, in which no call is answered.
            gc.collect()
            gc.freeze()
            asked_to_end(0.0)  # from here on a signal is waited for, and the end is recorded
            ready(addresses)
            self._start_jobs()
            stuck: list[str] = []
            while not stuck and not asked_to_end(TICK):
                stuck = self._gateway.watchdog.late(time.monotonic())
            _end_at_last(LAST_STUCK if stuck else LAST)
            if stuck:
                self._report_stuck(stuck)
            self.stop()
        return EXIT_STUCK if stuck else 0

    def _start_jobs(self) -> None:
        def turns() -> None:
            watchdog = self._gateway.watchdog
            with watchdog.watching("rounds"):
                while not watchdog.rest(self._jobs_stop, ROUND):
                    try:
                        self.run_jobs(lambda _: watchdog.beat())
                    except Exception as error:  # noqa: BLE001 - a round that fails is not the end of the gateway
                        self._log.error("round_failed", kind=type(error).__name__)

        self._job_thread = threading.Thread(target=turns, name="rounds", daemon=True)
        self._job_thread.start()

    def _report_stuck(self, names: list[str]) -> None:
        """Say which thread makes no progress and where: to the log, to the orchestrator, and to the ledger if it can take it."""
        for name in names:
            self._log.error("watchdog", state=name, stage=self._gateway.watchdog.where(name))
        self._show_state(WATCHDOG)
        reason = names[0].upper().replace("-", "_") + "_SILENT"
        _bounded(ALARM_SECONDS, {"alarm": lambda: self._alarms.begin(WATCHDOG, reason)})

    def _protect(self, ports: dict[str, int], share: dict[str, int]) -> None:
        """Have the connections of each listener watched."""
        limits = self._gateway.settings.limits
        strangers, age = limits.strangers, limits.identified_s
        for name, port in ports.items():
            most = share[name]
            if name == "exchange":
                bears = connection_limits.Limits(
                    min(strangers, most // 2),
                    min(limits.strangers_per_address, most // 2),
                    age,
                    min(limits.connections_per_partner, most // 2),
                )
            else:
                # Half, so that whoever comes next finds a place; all addresses alike, for these are on loopback.
                bears = connection_limits.Limits(
                    most // 2, most // 2, OTHERS_AGE.get(name, age), most // 2
                )
            self._guard.protect(name, port, bears)
        self._guard.start()

    def run_jobs(self, alive: Callable[[str], None] = lambda _: None) -> None:
        """Run every periodic job once; what one raises stops no other.

        alive   is called with each job's name before it begins
        """
        alive("clock")
        self._clock_monitor.round()
        if not self._gateway.sequencer.healthy:
            # The clock fell behind the last entry. Whatever the rounds would record ends the process; who waits
            # until the clock is right goes on, and says then that it was set.
            self._show_state(AuditUnavailable.reason)
            return
        self._jobs.run(alive)

    def _due_at_start(self) -> tuple[periodic_jobs.Job, ...]:
        """Return what is made up for before the first call is answered."""
        gateway = self._gateway
        return (
            ("abandoned", self._sweep),
            ("reviews", gateway.reviews.expire),
            ("retention", gateway.retention_watchdog.round),
            ("publishing", gateway.publication.round),
        )

    def _periodic_jobs(self) -> tuple[periodic_jobs.Job, ...]:
        """Return what a round runs, in this order."""
        gateway = self._gateway
        return (
            ("own_keys", self._look_at_keys),
            ("abandoned", self._sweep),
            ("reviews", gateway.reviews.expire),
            ("proposals", gateway.approvals.expire),
            ("retention", gateway.retention_watchdog.round),
            ("publishing", gateway.publication.round),
            ("tiles", self._tile_worker.look),
            ("readiness", self._show_readiness),
            ("listeners", lambda: self._identity.look(self._addresses)),
            ("agreements", gateway.active_agreements.round),
            ("rotation", gateway.key_rotation.round),
            ("resealing", gateway.reencryption.round),
            ("expiry", gateway.expiry_alerts.round),
            ("witnesses", gateway.witnesses.round),
            ("quotas", self._quota_alerts.round),
            ("partners", self._partners.round),
            ("refusals", self._refused.flush),
        )

    def _look_at_keys(self) -> None:
        try:
            demand_current(self._gateway.keyset, self._gateway.clock())
            self._ended = False
        except UserError as ended:
            self._ended = True
            self._log.error("keys_ended", reason=str(ended))

    def _sweep(self) -> None:
        gateway = self._gateway
        running = self.pipeline.running
        lost = abandonment.sweep(gateway.database, gateway.sequencer, gateway.clock(), running)
        if lost:
            self._log.warning("abandoned", count=lost)

    def _show_readiness(self) -> None:
        """Tell the orchestrator whether we still serve."""
        why = FAULT
        try:
            self._ready()
            why = ""
        except Refusal as refusal:
            why = refusal.reason
        finally:
            self._show_state(why)

    def _show_state(self, why: str) -> None:
        """Say from now on whether we serve, "", or why not: to the orchestrator, and to `passerelle status`."""
        listeners.set_serving(self._servicer, NAMES, serving=not why)
        telemetry.show_serving(self._gateway.party, why, self._gateway.clock().timestamp())

    def stop(self) -> None:
        """Drain: refuse new calls, finish those that are worked on, record the end. Waits for no caller."""
        self._show_state(Draining.reason)
        self._open.clear()
        self._jobs_stop.set()
        parts = {
            "exchange": lambda: self._interceptor.close(self._server, GRACE),
            "admin": lambda: self._admin.stop(GRACE),
            "health": lambda: self._health.stop(0).wait(STOPPING),
            "metrics": self._metrics.stop,
            "outgoing": self._gateway.outbound_worker.stop,
            "publisher": self._tile_worker.stop,
            "stamper": self._timestamp_worker.stop,
            "rounds": self._stop_jobs,
        }
        for name in _bounded(GRACE + STOPPING, parts):
            self._log.error("thread_left_behind", state=name)
        self._guard.stop()
        self._refused.flush()
        self._gateway.record(EntryType.STOP)
        self._tile_worker.finish()
        self._log.info("stopped", entries=self._gateway.sequencer.size)

    def _stop_jobs(self) -> None:
        if self._job_thread is not None:
            self._job_thread.join(STOPPING)
            if self._job_thread.is_alive():
                self._log.error("thread_left_behind", state=self._job_thread.name)

    def _build_pipeline(self) -> Pipeline:
        gateway = self._gateway
        context = ExchangeContext(
            engine=self.engine,
            people=gateway.people,
            decisions=gateway.decisions,
            database=gateway.database,
            data_key=gateway.data_key,
            clock=gateway.clock,
            random=gateway.random,
        )
        follow_up = correction.CorrectionContext(gateway.database, gateway.data_key, gateway.clock)
        services = PipelineServices(
            party=gateway.party,
            keyset=lambda: gateway.keyset,
            directory=gateway.directory,
            agreements=lambda: gateway.agreements,
            database=gateway.database,
            sequencer=gateway.sequencer,
            limits=gateway.settings.limits,
            clock=gateway.clock,
            own_version=gateway.own_version,
            refused=self._refused,
            gate=self._gate,
            copies=Copies(
                gateway.settings.exchange.copies_per_second,
                gateway.settings.exchange.copies_burst,
                gateway.clock,
            ),
        )
        return Pipeline(
            services,
            {
                Operation.GET_CAPABILITIES: GetCapabilities(
                    services.agreements, gateway.own_version, gateway.clock
                ),
                Operation.SUBMIT_QUERY: SubmitQuery(context),
                Operation.GET_QUERY_STATE: GetQueryState(context),
                Operation.REDELIVER_RESULT: RedeliverResult(context),
                Operation.SUBMIT_CORRECTION: correction.SubmitCorrection(follow_up),
                Operation.ACK_CORRECTION: correction.AckCorrection(follow_up),
                Operation.REQUEST_HIT_DETAILS: RequestHitDetails(context),
                Operation.GET_QUOTA: GetQuota(services.agreements, gateway.database, gateway.clock),
            },
        )

    def _measured_quantum(self) -> ResponseTiming:
        step = self._gateway.settings.exchange.quantum_step_ms / 1000
        floor = self._gateway.settings.exchange.quantum_floor_ms / 1000
        if floor == 0:
            taken = sorted(self.engine.rehearse(FLOOR_SEARCHES))
            floor = floor_of(taken[int(0.99 * (len(taken) - 1))], step)
        return ResponseTiming(floor, step)

    def _leaves(self, name: str, started: float, now: float) -> float:
        return self._quantum.leaves(started, now) if name in _HELD else now

    def _ready(self) -> None:
        if not self._open.is_set():
            raise Draining
        if not self._gateway.sequencer.healthy:
            raise AuditUnavailable
        self._gateway.publication.demand()
        if self._ended or stopped(self._gateway.keyset):
            raise KeysUnavailable
        self._gateway.retention_watchdog.demand()
        self._gateway.evidence_deadline.demand(self._gateway.clock())
        if not self.engine.loaded:
            raise EngineUnavailable

    def _admin_ready(self) -> None:
        """What is overdue or ended is set right through the admin listener, so only these two make it refuse calls."""
        if not self._open.is_set():
            raise Draining
        if not self._gateway.sequencer.healthy:
            raise AuditUnavailable

    def _authorities(self) -> bytes:
        # With no partner yet, nobody may come in; TLS asks for some authority all the same, and our own
        # has signed no leaf that the directory pins.
        return self._gateway.directory.authorities() or self._gateway.keyset.tls_ca_pem

    def _identify(self, certificate: bytes) -> str | None:
        pinned = pin(certificate)
        bundle = self._gateway.directory.partner_by_pin(pinned)
        if bundle is None:
            return None
        self._gateway.shown_certificates.setdefault(bundle.party, {})[pinned] = certificate
        return bundle.party

    def _stages(self) -> telemetry.Stages:
        return telemetry.Stages(observe=self._observe)


_HELD = frozenset(
    {"GetCapabilities", "SubmitQuery", "GetQueryState", "RedeliverResult", "RequestHitDetails"}
)

# Seconds that a connection to these may last: nobody is identified there, and each answer is a moment's work.
OTHERS_AGE = {"health": 40.0, "metrics": 10.0}


def _bounded(seconds: float, works: Mapping[str, Callable[[], object]]) -> list[str]:
    """Do several things at once, each in a thread of its own; return what was not done in time, or failed."""
    done: set[str] = set()

    def one(name: str, work: Callable[[], object]) -> None:
        try:
            work()
            done.add(name)
        except Exception as error:  # noqa: BLE001 - the others are done all the same
            telemetry.logger("serving").error("step_failed", state=name, kind=type(error).__name__)

    threads = [
        threading.Thread(target=one, args=item, name=f"end-{item[0]}", daemon=True)
        for item in works.items()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [name for name in works if name not in done]


def _leave() -> None:
    """End a process that was asked to while it starts: its records are complete, and it answered nobody yet."""
    _end_at_last(LAST_STARTING)
    raise SystemExit(0)


def _end_at_last(seconds: float) -> None:
    """End this process when the time is up, whatever it waits for then; a thread without progress may delay its end."""
    timer = threading.Timer(seconds, os._exit, (EXIT_STUCK,))
    timer.daemon = True
    timer.start()
