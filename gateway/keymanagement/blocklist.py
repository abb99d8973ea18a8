"""What we refuse of our partners, alive: asked on every call, changed with its entry in one commit."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime

from gateway.ledger.entry import Leaf
from gateway.store.keys import blocklist
from gateway.store.keys.blocklist import BlockedKey
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.sqlite import Database


class Blocklist:
    """The refused keys of our partners. Refusing counts from the next call on, before the ledger has it.

    A refusal that could not be recorded still holds in this process: the operator gets an error, and orders it
    again; the other way round a stolen key would be believed for as long as the disk is full.
    """

    def __init__(self, database: Database, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._lock = threading.Lock()
        with database.reader() as reader:
            held = blocklist.barred(reader)
        self._refused: Mapping[str, frozenset[bytes]] = {
            party: frozenset(one.kid for one in held if one.party == party)
            for party in {one.party for one in held}
        }
        self._recorded = {(one.party, one.kid) for one in held}

    def of(self, party: str) -> frozenset[bytes]:
        """Return what is refused of a party: key ids, pins of leaves and of authorities."""
        return self._refused.get(party, frozenset())

    def refuse(self, party: str, kid: bytes, leaf: Leaf, *, now: datetime, actor: str) -> bool:
        """Refuse a key from now on; return whether that is new. Raises what the ledger raises."""
        with self._lock:
            self._refused = {**self._refused, party: self.of(party) | {kid}}
            if (party, kid) in self._recorded:
                return False
            self._sequencer.commit((leaf,), blocklist.bar(BlockedKey(party, kid, now, actor)))
            self._recorded.add((party, kid))
            return True

    def believe(self, party: str, kid: bytes, leaf: Leaf) -> None:
        """Refuse a key no longer; raises UserError where it is not refused."""
        with self._lock:
            self._sequencer.commit((leaf,), blocklist.lift(party, kid))
            self._refused = {**self._refused, party: self.of(party) - {kid}}
            self._recorded.discard((party, kid))
