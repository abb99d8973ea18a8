"""A plausible year of a gateway in one off-line bundle: for what auditors ask, and how long it takes to answer.

Leaves, sealed details, signatures and tree are real, and the bundle verifies; their contents are invented by
`gateway.exercises.bench.synthetic_events`. One detail in a hundred, of exchanges at the year's beginning, was shredded by a RETENTION.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

from gateway.exercises.bench.synthetic_events import BEGINS, Life
from gateway.keymanagement.bundle_renewal import bundle_of
from gateway.law.agreement_library import packaged
from gateway.ledger import events
from gateway.ledger.archive import Held, Manifest
from gateway.ledger.archive_writer import Writer
from gateway.ledger.crypto_shredding import CLASS_OF, Erased
from gateway.ledger.entry import EntryType, Leaf, encode, seal_detail
from gateway.ledger.entry_types import EXCHANGE_DETAIL
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.signed_note import Checkpoint, sign_checkpoint
from keys.envelope import SealingKey
from keys.keyset import Keyset
from keys.signatures import LogKey

ORIGIN: Final = "gateway.can.example/exchange-log"
SPARED: Final = (
    1024  # entries of one checkpoint; a gateway signs every 64, and its bundles keep one in so many
)
SHREDDED: Final = 100  # of the exchanges' details one in so many is gone, the oldest

Progress = Callable[[int], None]


@dataclass(slots=True)
class _EntryMaker:
    """Writes entries as the sequencer would, into memory of its caller; remembers the tree and what it signs."""

    sealing: SealingKey
    log: LogKey
    shredded: int  # details of exchanges before this index have no key any more
    tree: Frontier = field(default_factory=Frontier)
    notes: list[bytes] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    time: datetime = BEGINS

    def entry(self, said: Leaf) -> Held:
        """Return one entry, sealed, at the next index."""
        index, frame = self.tree.size, said.frame
        self.time = max(self.time, frame.time)
        frame = replace(frame, time=self.time)
        sealed = None
        if said.detail is not None:
            sealed = seal_detail(frame, said.detail, self.sealing)
        leaf = encode(frame, sealed.commitment if sealed else None)
        self.tree = self.tree.append(leaf_hash(leaf))
        if sealed is None:
            return Held(index, leaf)
        if index < self.shredded and CLASS_OF[frame.type] == EXCHANGE_DETAIL:
            self.gone.append(index)
            return Held(index, leaf, sealed.ciphertext)
        return Held(index, leaf, sealed.ciphertext, sealed.sealed_dek)

    def sign(self) -> None:
        """Sign the tree as it is."""
        checkpoint = Checkpoint(ORIGIN, self.tree.size, self.tree.root())
        self.notes.append(sign_checkpoint(checkpoint, self.log, self.time))


def write(
    path: Path, entries: int, gateway: Keyset, *, seed: int = 6, progress: Progress | None = None
) -> Manifest:
    """Write a year of about `entries` entries into a bundle; the same seed gives the same events.

    gateway      whose keys sign, and name the auditor's
    progress   is called with how many entries are written
    """
    maker = _EntryMaker(gateway.audit_public, gateway.log(), entries // SHREDDED)
    life = Life(Random(seed), entries - 2)  # noqa: S311 - invented events, no secret
    party = bundle_of(
        gateway,
        party="CAN",
        legal_name="An invented gateway",
        endpoints=("gateway.can.example:8443",),
        origin=ORIGIN,
        version=1,
        now=BEGINS,
    )
    with Writer(path) as writer:
        writer.document("party.json", party.to_bytes())
        for name, content in packaged().items():
            writer.document(f"agreements/{name}", content)
        writer.frontier(Frontier())
        writer.entries(_entries(life, maker), progress)
        writer.checkpoints(maker.notes)
        writer.cosignatures(())
        writer.tokens(())
        manifest = Manifest(
            party="CAN",
            origin=ORIGIN,
            first=0,
            size=maker.tree.size,
            made=maker.time.isoformat(timespec="seconds"),
            reason="invented",
            software="passerelle",
        )
        writer.finish(manifest)
    return manifest


def _entries(life: Life, maker: _EntryMaker) -> Iterator[Held]:
    signed = 0
    for group in life.groups():
        yield from map(maker.entry, group)
        if maker.tree.size - signed >= SPARED:
            maker.sign()
            signed = maker.tree.size
    if maker.gone:
        yield maker.entry(_retention(maker))
    yield maker.entry(events.service(EntryType.STOP, "1.0", "ab" * 32))
    maker.sign()


def _retention(maker: _EntryMaker) -> Leaf:
    gone = maker.gone
    told = Erased(EXCHANGE_DETAIL, len(gone), gone[0], gone[-1])
    return events.erasure(told, "IRPR 315.43", BEGINS, maker.time, {"actor": "caretaker"})
