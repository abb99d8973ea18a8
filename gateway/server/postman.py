"""The postman: one thread of a serving house that does what partners are owed, and carries what we ask them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gateway import telemetry
from gateway.exchange.notices import Notices, Post
from gateway.office import duties
from gateway.server.couriers import Pool

if TYPE_CHECKING:
    from gateway.server.house import House

EVERY = 2.0  # seconds between walks; each looks at what is open alone


class Postman:
    """Walks until he is stopped; a walk that fails is logged, and the next one comes all the same."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.couriers = Pool(house.party, house.home, house.keyset, house.directory, house.clock)
        self._notices = Notices(
            Post(self.couriers, house.database, house.sequencer, house.data_key, house.clock)
        )
        self._stop = threading.Event()
        self._walking = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)
        self._log = telemetry.logger("postman")

    def start(self) -> None:
        """Begin to walk."""
        self._thread.start()

    def stop(self) -> None:
        """End after the letter under way; idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.couriers.close()

    def walk(self) -> None:
        """Do what is due now."""
        with self._walking:
            duties.settle_due(self._house.files)
            self._notices.walk()

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.walk()
            except Exception as error:  # noqa: BLE001 - a walk that fails is not the end of the house
                self._log.error("walk_failed", kind=type(error).__name__)
