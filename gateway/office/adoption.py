"""What the house finds changed when it opens, written down: keys, agreements, directory entries.

Each change is an entry in the commit that adopts it. What went backwards is refused: a keyset older than
the ledger would revive a destroyed key, an agreement that changed under its own version would make past
decisions unexplainable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.directory import PartyBundle
from gateway.errors import Remedy
from gateway.law.agreement import Agreement
from gateway.store import governance
from gateway.store.database import Database
from gateway.store.governance import Adopted, Subject
from gateway.store.sequencer import Effect, Leaf, Sequencer
from keys.keyset import Keyset
from keys.record import KeyEvent, KeyRecord


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry as read: whose, which version, SHA-256 of its bytes in hexadecimal."""

    party: str
    version: int
    digest: str


def entry(bundle: PartyBundle) -> Entry:
    """Return what is recorded of a bundle."""
    return Entry(bundle.party, bundle.version, sha256(bundle.to_bytes()).hexdigest())


def adopt(
    database: Database,
    sequencer: Sequencer,
    *,
    keyset: Keyset,
    agreements: Iterable[Agreement],
    entries: Iterable[Entry],
    now: datetime,
) -> int:
    """Record what changed since the house was last open; return the number of entries written.

    Raises Remedy for a keyset, agreement or directory entry that went backwards.
    """
    leaves: list[Leaf] = []
    effects: list[Effect] = []
    with database.reader() as reader:
        standing = governance.key_states(reader)
        laws = governance.adopted(reader, Subject.AGREEMENT)
        directory = governance.adopted(reader, Subject.DIRECTORY)
    for record in keyset.records:
        held = standing.get(record.kid)
        if held is None:
            event = _first_event(record)
            leaves.append(_key_leaf(event))
            effects += governance.record_key(event, None)
        elif held.state is not record.state:
            raise Remedy(
                f"the keyset says a {record.kind.value} key is {record.state.value}, the ledger "
                f"{held.state.value}: put back the newest keyset file"
            )
    missing = set(standing) - {record.kid for record in keyset.records}
    if missing:
        raise Remedy("the keyset lacks keys that the ledger knows: put back the newest keyset file")
    for agreement in agreements:
        new = Adopted(agreement.version, agreement.digest, now)
        if _changed("agreement", agreement.name, laws.get(agreement.name), new):
            leaves.append(_agreement_leaf(agreement))
            effects += governance.adopt(Subject.AGREEMENT, agreement.name, new, None)
    for entry in entries:
        new = Adopted(entry.version, entry.digest, now)
        before = directory.get(entry.party)
        if _changed("directory entry", entry.party, before, new):
            leaves.append(_directory_leaf(entry))
            effects += governance.adopt(Subject.DIRECTORY, entry.party, new, before)
    if leaves:
        sequencer.commit(leaves, effects)
    return len(leaves)


def _changed(kind: str, name: str, held: Adopted | None, new: Adopted) -> bool:
    """Return whether `new` is to be adopted; raises Remedy for other bytes under a version that was seen."""
    if held is None:
        return True
    if held.version > new.version or (held.version == new.version and held.digest != new.digest):
        raise Remedy(
            f"{kind} {name}: version {held.version} is in the ledger with other content; "
            "give changed content a higher version"
        )
    return held.version < new.version


def _first_event(record: KeyRecord) -> KeyEvent:
    return KeyEvent(
        record.changed, record.kid, record.kind, None, record.state, record.reason, actor=""
    )


def _key_leaf(event: KeyEvent) -> Leaf:
    frame = Frame(
        type=EntryType.KEY,
        entry_class=EntryClass.OTHER,
        signing_key_id=b"",
        subject_reference=event.kid.hex(),
    )
    facts = {"key_kind": event.kind.value, "state_after": event.state.value, "reason": event.reason}
    return Leaf(frame, facts)


def _agreement_leaf(agreement: Agreement) -> Leaf:
    frame = Frame(
        type=EntryType.AGREEMENT,
        entry_class=EntryClass.OTHER,
        partner_id=agreement.partner,
        agreement_id=agreement.id,
        agreement_version=agreement.version,
    )
    return Leaf(frame, {"agreement_digest": agreement.digest})


def _directory_leaf(entry: Entry) -> Leaf:
    frame = Frame(
        type=EntryType.DIRECTORY,
        entry_class=EntryClass.OTHER,
        partner_id=entry.party,
        directory_version=entry.version,
    )
    return Leaf(frame, {"partner_version": str(entry.version), "source": entry.digest})
