"""The postman: does what partners are owed, and carries what we ask them; walks by himself while the house serves.

He stands in a closed house too: a question that a caseworker asks from inside is carried at once, and what is
not answered then waits for the house to serve.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway import telemetry
from gateway.casework import Details
from gateway.client.errors import SplitView
from gateway.errands import Asking, Errand, Seeking
from gateway.errors import PasserelleError
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


class Postman:
    """Walks until he is stopped; a walk that fails is logged, and the next one comes all the same."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._pool: Pool | None = None
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
        """End after the letter under way, and close every channel; idempotent."""
        self._stop.set()
        threads, self._threads = self._threads, ()
        for thread in threads:
            thread.join()
        with self._walking:
            if self._pool is not None:
                self._pool.close()

    def walk(self) -> None:
        """Do what is due now."""
        with self._walking:
            duties.settle_due(self._house.files)
            self._notices.walk()
            self._outbound.walk()

    def keep_up(self) -> None:
        """Read the directory of each partner that has one; what cannot be read or believed is logged."""
        for bundle in self._house.directory.parties():
            if bundle.root is None or self._stop.is_set():
                continue
            with self._walking:
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

    def _read(self) -> None:
        while not self._stop.wait(READING):
            try:
                self.keep_up()
            except Exception as error:  # noqa: BLE001 - the next reading comes all the same
                self._log.error("reading_failed", kind=type(error).__name__)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.walk()
            except Exception as error:  # noqa: BLE001 - a walk that fails is not the end of the house
                self._log.error("walk_failed", kind=type(error).__name__)

    def _courier(self, party: str) -> Courier:
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
