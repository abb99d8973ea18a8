"""A house that serves: gallery loaded, corridor built, listeners open, the caretaker on his rounds.

Start: engine loaded → floor of the quantum measured → START entry → listeners → SERVING.
Stop:  NOT_SERVING → listeners drain → counts flushed → STOP entry. The house itself is closed by its owner.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

from gateway import telemetry
from gateway.audit.entry import EntryType
from gateway.directory import own_bundle
from gateway.engine.inprocess import InProcessEngine
from gateway.errors import AuditUnavailable, Draining, EngineUnavailable, Refusal, Remedy
from gateway.exchange import correction
from gateway.exchange.desk import Desk
from gateway.exchange.details import RequestHitDetails
from gateway.exchange.quantum import Quantum, floor_of
from gateway.exchange.query import SubmitQuery
from gateway.exchange.refused import Copies, RefusalCounter
from gateway.exchange.shares import Gate, heavy_at_once
from gateway.exchange.standing import GetCapabilities, GetQuota
from gateway.exchange.state import GetQueryState, RedeliverResult
from gateway.exchange.transaction import Corridor, Rooms
from gateway.office import rounds
from gateway.office.clockwatch import ClockWatch
from gateway.office.standing import StandingAlarms
from gateway.office.thrift import Thrift
from gateway.office.tiling import Publisher
from gateway.server import admin, admission, directory, intercept, listeners, services, signals
from gateway.server.identity import Wardrobe
from gateway.server.inspection import demand_current, stopped
from gateway.server.probe_tls import demand_tls_1_3
from gateway.server.secrecy import forbid_core
from gateway.server.stamper import Stamper
from gateway.server.tiler import Tiler
from gateway.terms import Operation
from keys.certificates import pin

if TYPE_CHECKING:
    from gateway.server.house import House

GRACE = 30.0  # seconds that calls under way get when the house closes; the longest honest search is shorter
ROUND = 30.0  # seconds between the caretaker's rounds
FLOOR_SEARCHES = (
    50  # searches that measure the quantum's floor; their largest stands for the 99th percentile
)
NAMES = (
    "gateway.v1.ExchangeService",
    "gateway.v1.LedgerService",
    "gateway.v1.DirectoryService",
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the house listens; ports as bound."""

    exchange: int
    health: int
    metrics: int
    admin: int


class Serving:
    """The doors of one open house. `observe` is told of each step as it ends (tests stop there).

    at_once   pieces of heavy work at the same time; None = as this machine has processors for
    """

    def __init__(
        self,
        house: House,
        *,
        observe: Callable[[str], None] | None = None,
        at_once: int | None = None,
    ) -> None:
        self._house = house
        self._observe = observe
        self._gate = Gate(at_once or heavy_at_once())
        self.engine = InProcessEngine()
        self._open = threading.Event()
        self._ended = False
        self._refused = RefusalCounter(house.sequencer, house.clock)
        self.corridor = self._built()
        self._admin = admin.Desks(house, self._admin_ready)
        self._identity = Wardrobe(StandingAlarms(house.database, house.sequencer, house.clock))
        self._tiler = Tiler(
            Publisher(
                house.settings.evidence.tiles, house.database, lambda: own_bundle(house.home).log
            ),
            house.overdue,
            house.clock,
        )
        self._stamper = Stamper(house.stamping)
        self._clockwatch = ClockWatch(house.sequencer, house.clock)
        self._thrift = Thrift(
            house.database, house.sequencer, lambda: house.agreements, house.clock
        )
        self._log = telemetry.logger("serving")

    def start(self) -> Addresses:
        """Load, record the start, open the doors; raises Remedy when a port is taken."""
        house, settings = self._house, self._house.settings
        demand_current(house.keyset, house.clock())
        rounds.sweep(house.database, house.sequencer, house.clock())
        house.reviews.expire()
        house.watch.round()
        house.publishing.round()
        self.engine.load(house.gallery)
        house.engines.append(self.engine.apply)
        self._quantum = self._measured_quantum()
        self._identity.begin(house.keyset)
        house.keyroom.follow(self._identity.follow)
        self._door = intercept.Door(
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
        )
        self._server, port = listeners.guarded(
            settings.exchange.listen,
            self._identity,
            self._authorities,
            interceptor=self._door,
            threads=settings.exchange.worker_threads,
            max_message=settings.limits.max_message_bytes,
        )
        services.install(
            self._server, self.corridor.handle, self._stages, house.sequencer, house.witnesses
        )
        directory.install(self._server, house.publishing.files)
        self._health, self._servicer, health_port = listeners.health_check(
            settings.health.listen, self._identity
        )
        metrics, self._metrics_thread = start_http_server(
            settings.health.metrics_port, "127.0.0.1", registry=telemetry.REGISTRY
        )
        self._metrics = metrics
        self._server.start()
        demand_tls_1_3(listeners.near(settings.exchange.listen), port)
        house.record(EntryType.START)
        self._open.set()
        admin_port = self._admin.start(self._identity)
        self._health.start()
        house.postman.start()
        self._tiler.start()
        self._stamper.start()
        listeners.set_serving(self._servicer, NAMES, serving=True)
        self._log.info("started", size=self.engine.size, entries=house.sequencer.size)
        near = listeners.near
        self._doors = {
            "exchange": (near(settings.exchange.listen), port),
            "health": (near(settings.health.listen), health_port),
            "admin": (near(settings.admin.listen), admin_port),
        }
        self._identity.look(self._doors)
        return Addresses(port, health_port, int(metrics.server_port), admin_port)

    def run(self, ready: Callable[[Addresses], None]) -> None:
        """Serve until SIGTERM or SIGINT; `ready` is told the addresses once the doors are open."""
        forbid_core()
        with signals.heard() as asked_to_end:
            ready(self.start())
            while not asked_to_end(ROUND):
                try:
                    self.walk_rounds()
                except Exception as error:  # noqa: BLE001 - a round that fails is not the end of the house
                    self._log.error("round_failed", kind=type(error).__name__)
            self.stop()

    def walk_rounds(self) -> None:
        """Give up requests whose message can come no more, erase what is due, write the counts.

        The orchestrator learns here whether we still serve.
        """
        house = self._house
        self._clockwatch.round()
        if not house.sequencer.healthy:
            # The clock fell behind the last entry. Whatever the rounds would record ends the process; who waits
            # until the clock is right goes on, and says then that it was set.
            listeners.set_serving(self._servicer, NAMES, serving=False)
            return
        try:
            demand_current(house.keyset, house.clock())
            self._ended = False
        except Remedy as ended:
            self._ended = True
            self._log.error("keys_ended", reason=str(ended))
        lost = rounds.sweep(house.database, house.sequencer, house.clock(), self.corridor.running)
        if lost:
            self._log.warning("abandoned", count=lost)
        house.reviews.expire()
        house.ceremony.expire()
        try:
            house.watch.round()
        except Exception as error:  # noqa: BLE001 - the dead man's switch counts how long this lasts
            self._log.error("retention_failed", kind=type(error).__name__)
        house.publishing.round()
        self._tiler.look()
        try:
            self._ready()
            serving = True
        except Refusal:
            serving = False
        listeners.set_serving(self._servicer, NAMES, serving=serving)
        self._identity.look(self._doors)
        house.statutes.round()
        house.turning.round()
        house.resealing.round()
        house.lookout.round()
        house.witnesses.round()
        self._thrift.round()
        for fault in house.directory.faults:
            self._log.warning("bundle_unreadable", file=fault.file)
        self._refused.flush()

    def stop(self) -> None:
        """Drain: refuse new calls, finish those under way, record the end."""
        listeners.set_serving(self._servicer, NAMES, serving=False)
        self._open.clear()
        unmeasured = threading.Thread(target=self._metrics.shutdown)  # looks up twice a second
        unmeasured.start()
        self._house.postman.stop()
        self._tiler.stop()
        self._stamper.stop()
        self._admin.stop(GRACE)
        self._door.close(self._server, GRACE)
        self._health.stop(None).wait()
        unmeasured.join()
        self._metrics.server_close()
        self._metrics_thread.join()
        self._refused.flush()
        self._house.record(EntryType.STOP)
        self._tiler.finish()
        self._log.info("stopped", entries=self._house.sequencer.size)

    def _built(self) -> Corridor:
        house = self._house
        desk = Desk(
            engine=self.engine,
            people=house.people,
            decisions=house.decisions,
            database=house.database,
            data_key=house.data_key,
            clock=house.clock,
            random=house.random,
        )
        follow_up = correction.Desk(house.database, house.data_key, house.clock)
        rooms = Rooms(
            party=house.party,
            keyset=lambda: house.keyset,
            directory=house.directory,
            agreements=lambda: house.agreements,
            database=house.database,
            sequencer=house.sequencer,
            limits=house.settings.limits,
            clock=house.clock,
            own_version=house.own_version,
            refused=self._refused,
            gate=self._gate,
            copies=Copies(
                house.settings.exchange.copies_per_second,
                house.settings.exchange.copies_burst,
                house.clock,
            ),
        )
        return Corridor(
            rooms,
            {
                Operation.GET_CAPABILITIES: GetCapabilities(
                    rooms.agreements, house.own_version, house.clock
                ),
                Operation.SUBMIT_QUERY: SubmitQuery(desk),
                Operation.GET_QUERY_STATE: GetQueryState(desk),
                Operation.REDELIVER_RESULT: RedeliverResult(desk),
                Operation.SUBMIT_CORRECTION: correction.SubmitCorrection(follow_up),
                Operation.ACK_CORRECTION: correction.AckCorrection(follow_up),
                Operation.REQUEST_HIT_DETAILS: RequestHitDetails(desk),
                Operation.GET_QUOTA: GetQuota(rooms.agreements, house.database, house.clock),
            },
        )

    def _measured_quantum(self) -> Quantum:
        step = self._house.settings.exchange.quantum_step_ms / 1000
        floor = self._house.settings.exchange.quantum_floor_ms / 1000
        if floor == 0:
            taken = sorted(self.engine.rehearse(FLOOR_SEARCHES))
            floor = floor_of(taken[int(0.99 * (len(taken) - 1))], step)
        return Quantum(floor, step)

    def _leaves(self, name: str, started: float, now: float) -> float:
        return self._quantum.leaves(started, now) if name in _HELD else now

    def _ready(self) -> None:
        if not self._open.is_set():
            raise Draining
        if not self._house.sequencer.healthy:
            raise AuditUnavailable
        self._house.publishing.demand()
        if self._ended or stopped(self._house.keyset):
            raise Draining  # a key without which nothing is answered is past its end, or stopped
        self._house.watch.demand()
        self._house.overdue.demand(self._house.clock())
        if not self.engine.loaded:
            raise EngineUnavailable

    def _admin_ready(self) -> None:
        """What is overdue or ended is set right through the admin door, so only these two shut it."""
        if not self._open.is_set():
            raise Draining
        if not self._house.sequencer.healthy:
            raise AuditUnavailable

    def _authorities(self) -> bytes:
        # With no partner yet, nobody may come in; TLS asks for some authority all the same, and our own
        # has signed no leaf that the directory pins.
        return self._house.directory.authorities() or self._house.keyset.tls_ca_pem

    def _identify(self, certificate: bytes) -> str | None:
        bundle = self._house.directory.partner_by_pin(pin(certificate))
        return None if bundle is None else bundle.party

    def _stages(self) -> telemetry.Stages:
        return telemetry.Stages(observe=self._observe)


_HELD = frozenset(
    {"GetCapabilities", "SubmitQuery", "GetQueryState", "RedeliverResult", "RequestHitDetails"}
)
