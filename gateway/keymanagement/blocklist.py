"""What we refuse of our partners: asked on every call, changed with its entry in one commit.

What holds is what the store has at that moment, whichever process over it wrote it: a stolen key that was refused in one
is refused in all at their next check. Memory holds a copy, which is used only while the change feed has nothing newer.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime

from gateway.ledger.entry import Leaf
from gateway.store import change_feed
from gateway.store.engine import StorageEngine
from gateway.store.keys import blocklist
from gateway.store.keys.blocklist import AlreadyBlocked, BlockedKey
from gateway.store.ledger.sequencer import Sequencer

Refused = Mapping[str, frozenset[bytes]]  # by party: key ids, pins of leaves and of authorities


class Blocklist:
    """The refused keys of our partners. Refusing counts from the next check on, before the ledger has it.

    A refusal that could not be recorded still holds in this process: the operator gets an error, and orders it
    again; the other way round a stolen key would be believed for as long as the disk is full.
    """

    def __init__(self, database: StorageEngine, sequencer: Sequencer) -> None:
        self._database, self._sequencer = database, sequencer
        self._copy: tuple[int, Refused] = (-1, {})  # as of which change; replaced whole, so no lock
        self._lock = threading.Lock()  # of who changes what is refused
        self._unrecorded: frozenset[tuple[str, bytes]] = frozenset()

    def of(self, party: str) -> frozenset[bytes]:
        """Return what is refused of a party, as `by_party` has it."""
        return self.by_party().get(party, frozenset())

    def by_party(self) -> Refused:
        """Return what is refused now, by party: key ids, pins of leaves and of authorities.

        Raises what the store raises where it cannot be read: who cannot look believes no key.
        """
        unrecorded = self._unrecorded  # first: what leaves it meanwhile is in the store already
        refused = dict(self._held())
        for party, kid in unrecorded:
            refused[party] = refused.get(party, frozenset()) | {kid}
        return refused

    def refuse(self, party: str, kid: bytes, leaf: Leaf, *, now: datetime, actor: str) -> bool:
        """Refuse a key from now on; return whether that is new. Raises what the ledger raises."""
        with self._lock:
            self._unrecorded |= {(party, kid)}
            new = True
            try:
                self._sequencer.commit((leaf,), blocklist.block(BlockedKey(party, kid, now, actor)))
            except AlreadyBlocked:
                new = False
            self._unrecorded -= {(party, kid)}
            return new

    def believe(self, party: str, kid: bytes, leaf: Leaf) -> None:
        """Refuse a key no longer; raises UserError where it is not refused."""
        with self._lock:
            self._sequencer.commit((leaf,), blocklist.unblock(party, kid))
            self._unrecorded -= {(party, kid)}

    def _held(self) -> Refused:
        """Return what the store has, read again where the feed moved; number and keys are of one snapshot."""
        with self._database.reader() as reader:
            newest = change_feed.newest(reader)
            at, refused = self._copy
            if newest == at:
                return refused
            refused = blocklist.blocked_by_party(reader)
        self._copy = newest, refused
        return refused
