"""Sends corrections and queries to partners, by itself while the gateway serves: a queue for each partner.

Each partner has its own turn on its own thread, and its own time in it. A partner that is away, slow, or whose entry
fails in a way nobody foresaw holds up its own messages alone; its directory is read on other threads again.

It exists in a closed gateway too: a question that a caseworker asks from inside is carried at once, and what is
not answered then waits for the gateway to serve.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway import telemetry
from gateway.casework import correction_settlement
from gateway.casework.correction_settlement import Files
from gateway.client.errors import SplitView
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest, Seeking
from gateway.domain.person import Details
from gateway.errors import PasserelleError
from gateway.isolated_loop import each
from gateway.outbound.correction_sender import CorrectionSender, SenderContext
from gateway.outbound.details_sender import DetailsSender
from gateway.outbound.query_sender import QuerySender
from gateway.server.partner_connections import PartnerConnections
from gateway.server.workers.partner_threads import PartnerThreads
from gateway.store.casework import corrections, outbound_queries
from gateway.store.engine import StorageEngine
from gateway.store.leases import Leases
from gateway.trust.partners import Directory
from gateway.watchdog import Watchdog

READING = 600.0  # seconds between two readings of the partners' directories
EVERY = 2.0  # seconds between two looks at what is due
TURN: Final = (
    10.0  # seconds of one partner's turn, and the message under way; the rest is for its next one
)
SENDING: Final = 16  # threads that send: as many partners may hang at once and delay nobody else
READERS: Final = 4  # threads that read directories, which nobody waits for
FIRST_REST: Final = (
    2.0  # seconds until a partner that did not answer has its next turn; they double
)
LONGEST_REST: Final = 30.0
STOPPING: Final = 3.0  # seconds that calls under way get to end once they were cut


@dataclass(slots=True)
class _Rest:
    """A partner that did not answer: how often in a row, and the monotonic moment of its next turn."""

    times: int = 0
    until: float = 0.0


class OutboundWorker:
    """Works until it is stopped; what fails is logged, and the next turn comes all the same."""

    def __init__(
        self,
        *,
        database: StorageEngine,
        directory: Directory,
        connections: PartnerConnections,
        context: SenderContext,
        files: Files,
        watchdog: Watchdog,
        leases: Leases,
        random: Callable[[int], bytes],
    ) -> None:
        self._database, self._directory, self._files = database, directory, files
        self._connections, self._watchdog, self._leases = connections, watchdog, leases
        self._setbacks = context.setbacks
        self._notices = CorrectionSender(context)
        self._outbound = QuerySender(context, random)
        self._seeker = DetailsSender(context, random)
        self._stop = threading.Event()
        self._begun = threading.Lock()
        self._turn_of: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._rests: defaultdict[str, _Rest] = defaultdict(_Rest)
        self._threads: tuple[threading.Thread, ...] = ()
        self._turns: tuple[PartnerThreads, ...] = ()
        self._log = telemetry.logger("outbound")

    def ask(self, asking: OutboundRequest) -> OutboundQuery:
        """Ask a partner; what our own law stops is returned as STOPPED."""
        return self._outbound.ask(asking)

    def seek(self, query: OutboundQuery, seeking: Seeking) -> Details:
        """Ask for details of a match."""
        return self._seeker.seek(query, seeking)

    def start(self) -> None:
        """Begin to work."""
        self._stop.clear()
        sending = PartnerThreads("sending", self._turn, SENDING)
        reading = PartnerThreads("reading", self._read, READERS)
        self._turns = sending, reading
        self._threads = (
            threading.Thread(target=self._dispatch, args=(sending,), name="outbound", daemon=True),
            threading.Thread(
                target=self._dispatch_readings, args=(reading,), name="directories", daemon=True
            ),
        )
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Cut what is under way, close every channel, and end within some seconds; idempotent."""
        self._stop.set()
        self._connections.close()
        until = time.monotonic() + STOPPING
        threads, self._threads = self._threads, ()
        turns, self._turns = self._turns, ()
        ended = [line.stop(max(0.0, until - time.monotonic())) for line in turns]
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        if not all(ended) or any(thread.is_alive() for thread in threads):
            self._log.error(
                "turn_unended"
            )  # it waits for a file or a lock; its thread dies with us
        self._connections.close()

    def walk(self) -> None:
        """Do what is due now, partner by partner, in this thread; what serves does the same on threads of its own."""
        self._settle()
        each(self._waiting(), self._turn, "turns")

    def keep_up(self) -> None:
        """Read the directory of each partner that has one, in this thread."""
        for partner in self._followed():
            self._read(partner)

    def _turn(self, partner: str) -> None:
        """Give a partner its turn: what we send it, then what it sends us."""
        until = time.monotonic() + TURN

        def go_on() -> bool:
            return time.monotonic() < until and not self._stop.is_set()

        with self._begun:
            turn = self._turn_of[partner]
        with turn:
            away = False
            try:
                away = self._notices.walk(partner, go_on)
                self._setbacks.settled(partner, ("notices", partner))
            except Exception as fault:  # noqa: BLE001 - what it owes us is asked for all the same
                self._setbacks.failed(partner, ("notices", partner), fault)
            away = self._outbound.walk(partner, go_on, away=away)
            self._rest(partner, away=away)
            self._setbacks.review(partner)

    def _rest(self, partner: str, *, away: bool) -> None:
        """Put off the next turn of a partner that did not answer: whoever is away holds no thread."""
        rest = self._rests[partner]
        rest.times = rest.times + 1 if away else 0
        pause = min(FIRST_REST * (1 << min(rest.times - 1, 10)), LONGEST_REST) if away else 0.0
        rest.until = time.monotonic() + pause

    def _read(self, partner: str) -> None:
        """Read one partner's directory; what cannot be read or believed is logged."""
        if self._stop.is_set():
            return
        name = ("directory", partner)
        try:
            self._connections(partner).keep_up()
        except SplitView as split:
            self._connections.accuse(partner, split)
        except PasserelleError as fault:
            self._log.warning("directory_unread", partner=partner, kind=type(fault).__name__)
        except Exception as fault:  # noqa: BLE001 - one partner's trouble stops no other's reading
            self._setbacks.failed(partner, name, fault)
        else:
            self._setbacks.settled(partner, name)
            self._setbacks.review(partner)

    def _dispatch(self, sending: PartnerThreads) -> None:
        with self._watchdog.watching("outgoing"):
            while not self._watchdog.rest(self._stop, EVERY):
                try:
                    if not self._leases.holds("outbound"):
                        continue
                    self._settle()
                    now = time.monotonic()
                    for partner in self._waiting():
                        if self._rests[partner].until <= now:
                            sending.offer(partner)
                except Exception as error:  # noqa: BLE001 - a look that fails is not the end of the gateway
                    self._log.error("walk_failed", kind=type(error).__name__)

    def _dispatch_readings(self, reading: PartnerThreads) -> None:
        with self._watchdog.watching("directories"):
            while not self._watchdog.rest(self._stop, READING):
                try:
                    if not self._leases.holds("directories"):
                        continue
                    followed = self._followed()
                    for partner in followed:
                        reading.offer(partner)
                    for partner in self._setbacks.partners().difference(followed):
                        self._setbacks.settled(partner, ("directory", partner))
                except Exception as error:  # noqa: BLE001 - the next reading comes all the same
                    self._log.error("reading_failed", kind=type(error).__name__)

    def _settle(self) -> None:
        """Do our part of what partners corrected, partner by partner; what fails is tried again after a pause."""
        with self._database.reader() as reader:
            partners = corrections.partners(reader)
        for partner in self._setbacks.partners().difference(partners):
            self._setbacks.settled(partner, ("settling", partner))
        for partner in partners:
            self._watchdog.beat()
            name = ("settling", partner)
            if not self._setbacks.ready(partner, name):
                continue
            try:
                correction_settlement.settle_due(self._files, partner)
            except Exception as fault:  # noqa: BLE001 - the other partners' are settled all the same
                self._setbacks.failed(partner, name, fault)
            else:
                self._setbacks.settled(partner, name)

    def _waiting(self) -> list[str]:
        """Return the partners with whom anything is open."""
        with self._database.reader() as reader:
            waiting = {*corrections.partners(reader), *outbound_queries.waited_for(reader)}
        return sorted(waiting | self._setbacks.partners())  # the last also to clear its alarms

    def _followed(self) -> list[str]:
        return [one.party for one in self._directory.parties() if one.root is not None]
