"""The postman: does what partners are owed, and carries what we ask them; walks by himself while the house serves.

He stands in a closed house too: a question that a caseworker asks from inside is carried at once, and what is
not answered then waits for the house to serve.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING

from gateway import telemetry
from gateway.casework import Details
from gateway.client.errors import SplitView
from gateway.errands import Asking, Errand, Seeking
from gateway.errors import Draining, PasserelleError
from gateway.exchange.courier import Courier
from gateway.exchange.notices import Notices, Post
from gateway.exchange.outbound import Outbound
from gateway.exchange.seeking import Seeker
from gateway.office import duties
from gateway.server import permits

if TYPE_CHECKING:
    from gateway.server.couriers import Pool
    from gateway.server.house import House

READING = 600.0  # seconds between two readings of the partners' directories
EVERY = 2.0  # seconds between walks; each looks at what is open alone
STOPPING = 3.0  # seconds that a stop waits for both threads; what it was at is kept, and done at the next start


class Postman:
    """Walks until he is stopped; a walk that fails is logged, and the next one comes all the same."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._pool: Pool | None = None
        self._watchdog = house.watchdog
        post = Post(
            self._courier,
            house.database,
            house.sequencer,
            house.data_key,
            house.clock,
            lambda partner: permits.timers(house, partner),
        )
        self._notices = Notices(post)
        self._outbound = Outbound(
            post, lambda asking, now: permits.may_ask(house, asking, now), house.random
        )
        self._seeker = Seeker(post, house.random)
        self._stop = threading.Event()
        self._walking = threading.Lock()
        self._threads: tuple[threading.Thread, ...] = ()
        self._ending = False  # while threads are to end: no letter of theirs is begun
        self._log = telemetry.logger("postman")

    def ask(self, asking: Asking) -> Errand:
        """Ask a partner; what our own law stops is raised."""
        return self._outbound.ask(asking)

    def seek(self, errand: Errand, seeking: Seeking) -> Details:
        """Ask for details of a match."""
        return self._seeker.seek(errand, seeking)

    def start(self) -> None:
        """Begin to walk."""
        self._stop.clear()
        self._threads = tuple(
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("postman", self._run), ("directories", self._read))
        )
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close every channel, so that whatever waits for a partner ends, and end; idempotent.

        A letter that is cut is carried again at the next start, as after a break of the line.
        """
        threads, self._threads = self._threads, ()
        self._stop.set()
        self._ending = bool(threads)
        if self._pool is not None:
            self._pool.close()
        until = monotonic() + STOPPING
        for thread in threads:
            thread.join(max(0.0, until - monotonic()))
            if thread.is_alive():
                self._log.error("thread_left_behind", state=thread.name)
        self._ending = any(thread.is_alive() for thread in threads)
        if self._pool is not None:
            self._pool.close()  # what was made meanwhile

    def walk(self) -> None:
        """Do what is due now."""
        with self._alone():
            duties.settle_due(self._house.files)
            self._notices.walk()
            self._outbound.walk()

    def keep_up(self) -> None:
        """Read the directory of each partner that has one; what cannot be read or believed is logged."""
        for bundle in self._house.directory.parties():
            if bundle.root is None or self._stop.is_set():
                continue
            with self._alone():
                try:
                    self._couriers()(bundle.party).keep_up()
                except SplitView as split:
                    self._accuse(bundle.party, split)
                except PasserelleError as fault:
                    self._log.warning(
                        "directory_unread", partner=bundle.party, kind=type(fault).__name__
                    )

    def _accuse(self, party: str, split: SplitView) -> None:
        """Record that we, as a witness, saw two histories of a partner's ledger; the evidence is in our folder."""
        digest = "" if split.evidence is None else sha256(split.evidence.read_bytes()).hexdigest()
        self._log.error("split_view", partner=party)
        self._house.witnesses.accuse(party, digest)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until neither thread uses a channel, and take them."""
        self._watchdog.hold(self._walking)
        try:
            yield
        finally:
            self._walking.release()

    def _read(self) -> None:
        with self._watchdog.watching("directories"):
            while not self._watchdog.rest(self._stop, READING):
                try:
                    self.keep_up()
                except Exception as error:  # noqa: BLE001 - the next reading comes all the same
                    self._log.error("reading_failed", kind=type(error).__name__)

    def _run(self) -> None:
        with self._watchdog.watching("postman"):
            while not self._watchdog.rest(self._stop, EVERY):
                try:
                    self.walk()
                except Exception as error:  # noqa: BLE001 - a walk that fails is not the end of the house
                    self._log.error("walk_failed", kind=type(error).__name__)

    def _courier(self, party: str) -> Courier:
        self._watchdog.beat()  # before each letter
        if self._ending:
            raise Draining
        return self._couriers()(party)

    def _couriers(self) -> Pool:
        # gRPC is met when the first letter leaves; most commands send none.
        from gateway.server.couriers import Pool

        if self._pool is None:
            house = self._house
            self._pool = Pool(
                house.party,
                house.home,
                lambda: house.keyset,
                house.directory,
                house.clock,
                accuse=self._accuse,
            )
        return self._pool
