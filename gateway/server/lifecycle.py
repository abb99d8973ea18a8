"""A gateway that serves: gallery loaded, pipeline built, listeners open, the periodic jobs in their rounds.

Start: engine loaded → floor of the quantum measured → START entry → listeners → SERVING.
Stop:  NOT_SERVING → extractors end, listeners drain → counts flushed → STOP entry. The gateway itself is closed by its owner.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway import telemetry
from gateway.domain.messages import Modality, Operation
from gateway.errors import AuditUnavailable, Draining, Refusal
from gateway.exchange import abandonment, correction
from gateway.exchange.capabilities import GetCapabilities, GetQuota
from gateway.exchange.context import ExchangeContext
from gateway.exchange.hit_details import RequestHitDetails
from gateway.exchange.pipeline import Pipeline, PipelineServices
from gateway.exchange.query import SubmitQuery
from gateway.exchange.query_state import GetQueryState, RedeliverResult
from gateway.exchange.rate_limits import Copies, Gate, heavy_at_once
from gateway.exchange.refusal_counter import RefusalCounter
from gateway.exchange.response_timing import ResponseTiming, floor_of
from gateway.ledger.entry import EntryType
from gateway.ledger_ops.clock_monitor import ClockMonitor
from gateway.ledger_ops.tile_publisher import Publisher
from gateway.matching.engines import Engines
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.misread_alerts import MisreadAlerts, MisreadNotes
from gateway.monitoring.open_alarms import OpenAlarms
from gateway.monitoring.partner_files import PartnerFiles
from gateway.monitoring.quota_alerts import QuotaAlerts
from gateway.server import process, search_processes
from gateway.server.application import Gateway
from gateway.server.calibrations_of_folder import demand_no_package
from gateway.server.image_extraction import build_extraction
from gateway.server.listener import connection_limits, file_descriptors, listeners
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_identity import TlsIdentity
from gateway.server.monitoring_listeners import MonitoringListeners
from gateway.server.process import Addresses
from gateway.server.readiness import ExchangeReadiness, Readiness
from gateway.server.rpc.admin import AdminListener, PassphraseHolder
from gateway.server.rpc.exchange import ExchangeAccess, ExchangeListener
from gateway.server.self_check import demand_current
from gateway.server.workers.periodic_jobs import Job, Jobs, JobThread
from gateway.server.workers.tiles import TileWorker
from gateway.server.workers.timestamps import TimestampWorker

STOPPING = 3.0  # seconds beyond the grace until a part that did not end is left behind
ALARM_SECONDS = 3.0  # in which the ledger may take an alarm; it may be what makes no progress
FAULT = "FAULT"  # why we do not serve: what nobody foresaw, which the log names
WATCHDOG = "WATCHDOG"  # the alarm of a thread that stood still; the next start clears it
FLOOR_SEARCHES = (
    50  # searches that measure the quantum's floor; their largest is taken for the 99th percentile
)

_log = telemetry.logger("serving")


class Serving:
    """One open gateway's listeners, workers and periodic jobs (`process.Service`).

    observe   is called at the end of each step of a call; tests stop there
    at_once   pieces of heavy work at the same time; None = as this machine has processors for
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        observe: Callable[[str], None] | None = None,
        at_once: int | None = None,
    ) -> None:
        self._gateway, self._observe = gateway, observe
        few_bits = gateway.settings.matching.face_vectors == "int16"
        self.engines = Engines(
            build_extraction(gateway.settings.extraction),
            frozenset({Modality.FACE}) if few_bits else frozenset(),
            gateway.calibrations.in_force,
            search_processes.number(gateway.settings.matching.workers),
        )
        self._gate = Gate(at_once or heavy_at_once(), self.engines.places)
        self._refused = RefusalCounter(gateway.sequencer, gateway.clock)
        misread = MisreadNotes()
        self.pipeline = build_pipeline(gateway, self.engines, self._refused, self._gate, misread)
        self._alarms = LatchedAlarms(gateway.database, gateway.sequencer, gateway.clock)
        self._identity = TlsIdentity(self._alarms, gateway.watchdog.beat)
        self._guard = Guard(gateway.watchdog)
        self._takes_calls = Readiness(gateway.sequencer)
        self._readiness = build_readiness(gateway, self._takes_calls, self.engines)
        self.exchange = ExchangeListener(
            gateway.settings,
            gateway.directory.partners,
            gateway.keys.active.in_force,
            gateway.watchdog,
        )
        self._admin = build_admin_listener(gateway, self._takes_calls, self._guard)
        self.monitoring = MonitoringListeners(gateway.settings.health, gateway.party, gateway.clock)
        self._tile_worker = build_tile_worker(gateway)
        self._timestamp_worker = TimestampWorker(
            *(gateway.evidence.timestamps, gateway.evidence.cancellation),
            *(gateway.watchdog, gateway.leases),
        )
        self._quota_alerts = QuotaAlerts(
            gateway.database,
            gateway.sequencer,
            gateway.active_agreements.in_force,
            gateway.clock,
        )
        self._misread_alerts = MisreadAlerts(
            misread, gateway.database, gateway.sequencer, gateway.clock
        )
        self._open_alarms = OpenAlarms(
            gateway.database,
            gateway.keys.active.in_force,
            gateway.directory.partners,
            gateway.clock,
        )
        self._clock_monitor = ClockMonitor(gateway.sequencer, gateway.clock)
        self._jobs = Jobs(self._periodic_jobs(), self._alarms, gateway.leases)
        self._job_thread = JobThread(self.run_jobs, gateway.watchdog)

    # Start

    def start(self) -> Addresses:
        """Load, record the start, open the listeners; raises UserError when a port is taken."""
        try:
            return self._start()
        except BaseException:
            self.engines.close()
            raise

    def _start(self) -> Addresses:
        gateway, settings = self._gateway, self._gateway.settings
        self._admin.withdraw()  # what a killed process wrote would be taken for ours
        demand_current(gateway.keyset, gateway.clock())
        demand_no_package()
        Jobs(self._due_at_start(), self._alarms, gateway.leases).run()
        timing = self._load_gallery()
        self._identity.begin(gateway.keyset)
        gateway.keys.active.follow(self._admin.follow)
        gateway.keys.active.follow(self._identity.follow)
        share = file_descriptors.shares(settings, file_descriptors.limit())
        ports = {"exchange": self._bind_exchange(timing, share["exchange"])}
        ports["health"], ports["metrics"] = self.monitoring.bind(self._identity, share)
        self.exchange.start()
        gateway.record(EntryType.START)
        self._alarms.end(WATCHDOG)
        self._takes_calls.open()
        metrics = {"metrics": f"127.0.0.1:{ports['metrics']}"}
        ports["admin"] = self._admin.start(self._identity, share["admin"], metrics)
        self.monitoring.start()
        for name, port in ports.items():
            limits = connection_limits.limits_of(name, share[name], settings.limits)
            self._guard.protect(name, port, limits)
        self._guard.start()
        self._start_workers()
        self._show_state("")
        _log.info("started", size=self.engines.size, entries=gateway.sequencer.size)
        near = listeners.near
        self._addresses = {
            "exchange": (near(settings.exchange.listen), ports["exchange"]),
            "health": (near(settings.health.listen), ports["health"]),
            "admin": (near(settings.admin.listen), ports["admin"]),
        }
        self._look_at_listeners()
        return Addresses(**ports)

    def _load_gallery(self) -> ResponseTiming:
        """Load the gallery, have it follow the records, and measure how long its searches take."""
        self.engines.load(self._gateway.subjects.gallery)
        self._gateway.subjects.galleries.add(self.engines)
        exchange = self._gateway.settings.exchange
        step, floor = exchange.quantum_step_ms / 1000, exchange.quantum_floor_ms / 1000
        if floor == 0:
            taken = sorted(self.engines.rehearse(FLOOR_SEARCHES))
            floor = floor_of(taken[int(0.99 * (len(taken) - 1))], step)
        return ResponseTiming(floor, step)

    def _bind_exchange(self, timing: ResponseTiming, connections: int) -> int:
        """Take the partners' port, with all that answers there; return it."""
        gateway = self._gateway
        access = ExchangeAccess(
            readiness=self._readiness,
            directory=gateway.directory.partners,
            shown=gateway.keys.shown,
            guard=self._guard,
            refusals=self._refused,
            timing=timing,
        )
        port = self.exchange.bind(self._identity, access, connections)
        self.exchange.install(
            self.pipeline,
            observe=self._observe,
            proofs=gateway.sequencer,
            witnesses=gateway.evidence.witnesses,
            files=gateway.directory.publication.files,
            gate=self._gate,
        )
        return port

    def _start_workers(self) -> None:
        self._gateway.outbound.worker.start()
        self._tile_worker.start()
        self._timestamp_worker.start()

    def run(self, ready: Callable[[Addresses], None]) -> int:
        """Serve as `process.run` does; return what the process is to end with."""
        gateway = self._gateway
        return process.run(self, gateway.watchdog, gateway.settings.telemetry, ready)

    # Meanwhile

    def start_jobs(self) -> None:
        """Begin the rounds of the periodic jobs."""
        self._job_thread.start()

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

    def _due_at_start(self) -> tuple[Job, ...]:
        """Return what is made up for before the first call is answered."""
        gateway = self._gateway
        return (
            ("abandoned", self._sweep),
            ("reviews", gateway.casework.reviews.expire),
            ("retention", gateway.retention.watchdog.round),
            ("publishing", gateway.directory.publication.round),
            ("alarms", self._open_alarms.round),
        )

    def _periodic_jobs(self) -> tuple[Job, ...]:
        """Return what a round runs, in this order."""
        gateway = self._gateway
        agreements = gateway.active_agreements
        return (
            ("own_keys", self._readiness.look_at_keys),
            ("abandoned", self._sweep),
            ("reviews", gateway.casework.reviews.expire),
            ("proposals", gateway.admin.approvals.expire),
            ("retention", gateway.retention.watchdog.round),
            ("publishing", gateway.directory.publication.round),
            ("tiles", self._tile_worker.look),
            ("readiness", self._show_readiness),
            ("listeners", self._look_at_listeners),
            ("admin_address", self._admin.round),
            ("agreements", agreements.round),
            ("calibrations", gateway.calibrations.round),
            ("rotation", gateway.keys.rotation.round),
            ("resealing", gateway.keys.reencryption.round),
            ("expiry", gateway.expiry_alerts.round),
            ("witnesses", gateway.evidence.witnesses.round),
            ("quotas", self._quota_alerts.round),
            ("misread_samples", self._misread_alerts.round),
            ("partners", PartnerFiles(gateway.directory.partners, self._alarms).round),
            ("refusals", self._refused.flush),
            ("alarms", self._open_alarms.round),  # the last: it says what the others found
        )

    def _sweep(self) -> None:
        """Record as ABANDONED what a crash left, and what nobody works on any more."""
        gateway = self._gateway
        running = self.pipeline.running
        lost = abandonment.sweep(gateway.database, gateway.sequencer, gateway.clock(), running)
        if lost:
            _log.warning("abandoned", count=lost)

    def _look_at_listeners(self) -> bool:
        return self._identity.look(self._addresses, self._takes_calls.is_open)

    def _show_readiness(self) -> None:
        """Tell the orchestrator whether we still serve."""
        why = FAULT
        try:
            self._readiness.demand()
            why = ""
        except Refusal as refusal:
            why = refusal.reason
        finally:
            self._show_state(why)

    def _show_state(self, why: str) -> None:
        self.monitoring.show_state(why)

    def report_stuck(self, names: list[str]) -> None:
        """Say which thread makes no progress and where: to the log, to the orchestrator, and to the ledger if it can take it."""
        for name in names:
            _log.error("watchdog", state=name, stage=self._gateway.watchdog.where(name))
        self._show_state(WATCHDOG)
        reason = names[0].upper().replace("-", "_") + "_SILENT"
        process.in_parallel(ALARM_SECONDS, {"alarm": lambda: self._alarms.begin(WATCHDOG, reason)})

    # Stop

    def stop(self) -> None:
        """Drain: refuse new calls, finish those that are worked on, record the end. Waits for no caller."""
        self._show_state(Draining.reason)
        self._takes_calls.close()
        self._job_thread.ask_to_end()
        parts = {
            "images": self.engines.images.close,  # whoever waits for a record is told now, within the grace
            "exchange": lambda: self.exchange.stop(process.GRACE),
            "admin": lambda: self._admin.stop(process.GRACE),
            "health": self.monitoring.stop_health,
            "metrics": self.monitoring.stop_metrics,
            "outgoing": self._gateway.outbound.worker.stop,
            "publisher": self._tile_worker.stop,
            "stamper": self._timestamp_worker.stop,
            "rounds": self._job_thread.stop,
        }
        late = process.in_parallel(process.GRACE + STOPPING, parts)
        for name in late:
            _log.error("thread_left_behind", state=name)
        self.engines.close()
        self._guard.stop()
        self._refused.flush()
        self._gateway.record(EntryType.STOP)
        self._tile_worker.finish()
        if not late:  # what was left behind may still be at a job, whose lease ends by itself
            self._gateway.leases.release()
        _log.info("stopped", entries=self._gateway.sequencer.size)


def build_pipeline(
    gateway: Gateway,
    engines: Engines,
    refused: RefusalCounter,
    gate: Gate,
    misread: MisreadNotes,
) -> Pipeline:
    """Return the pipeline, with every operation that partners may ask."""
    database, data_key, clock = gateway.database, gateway.keys.data_key, gateway.clock
    agreements, exchange = gateway.active_agreements.in_force, gateway.settings.exchange
    people, random = gateway.subjects.people, gateway.random
    context = ExchangeContext(engines, people, database, data_key, clock, random, misread)
    follow_up = correction.CorrectionContext(database, data_key, clock)
    services = PipelineServices(
        party=gateway.party,
        keyset=gateway.keys.active.in_force,
        directory=gateway.directory.partners,
        agreements=agreements,
        database=database,
        sequencer=gateway.sequencer,
        limits=gateway.settings.limits,
        clock=clock,
        own=gateway.own,
        refused=refused,
        gate=gate,
        copies=Copies(exchange.copies_per_second, exchange.copies_burst, clock),
    )
    return Pipeline(
        services,
        {
            Operation.GET_CAPABILITIES: GetCapabilities(
                agreements,
                gateway.own,
                clock,
                gateway.settings.limits.max_message_bytes,
                engines.formats(),
            ),
            Operation.SUBMIT_QUERY: SubmitQuery(context),
            Operation.GET_QUERY_STATE: GetQueryState(context),
            Operation.REDELIVER_RESULT: RedeliverResult(context),
            Operation.SUBMIT_CORRECTION: correction.SubmitCorrection(follow_up),
            Operation.ACK_CORRECTION: correction.AckCorrection(follow_up),
            Operation.REQUEST_HIT_DETAILS: RequestHitDetails(context),
            Operation.GET_QUOTA: GetQuota(agreements, database, clock),
        },
    )


def build_readiness(
    gateway: Gateway, takes_calls: Readiness, engines: Engines
) -> ExchangeReadiness:
    """Return what ends the answers to partners."""
    return ExchangeReadiness(
        takes_calls,
        gateway.keys.active.in_force,
        gateway.directory.publication,
        gateway.retention.watchdog,
        gateway.evidence.deadline,
        engines,
        gateway.clock,
    )


def build_admin_listener(
    gateway: Gateway,
    takes_calls: Readiness,
    guard: Guard,
    holder: PassphraseHolder | None = None,
) -> AdminListener:
    """Return the listener of our own people, which can be started with or without the exchange."""
    return AdminListener(
        gateway.home,
        gateway.settings,
        gateway.admin,
        gateway.keys.active.in_force,
        gateway.watchdog,
        takes_calls,
        guard,
        holder,
    )


def build_tile_worker(gateway: Gateway) -> TileWorker:
    """Return what publishes the ledger's tiles as files."""
    own = gateway.own
    publisher = Publisher(gateway.settings.evidence.tiles, gateway.database, lambda: own.log)
    return TileWorker(
        *(publisher, gateway.evidence.deadline, gateway.clock),
        *(gateway.watchdog, gateway.leases),
    )
