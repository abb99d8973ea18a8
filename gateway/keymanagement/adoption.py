"""What the gateway finds changed when it opens, written down: keys, agreements, directory entries.

Each change is an entry in the commit that adopts it. What went backwards is refused: a keyset older than
the ledger would revive a destroyed key, an agreement that changed under its own version would make past
decisions unexplainable. A key may have moved forward while the gateway was closed, along edges of its table
and later than the ledger's last event: each step is recorded now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from types import MappingProxyType

from gateway.errors import UserError
from gateway.law.agreement import Agreement
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.store.engine import StorageEngine
from gateway.store.keys import adopted_versions
from gateway.store.keys.adopted_versions import Adopted, KeyStanding, Subject
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.trust.partners import PartyBundle
from keys.key_record import KeyEvent, KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState, authority


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry as read: whose, which version, SHA-256 of its bytes in hexadecimal, where it is reached."""

    party: str
    version: int
    digest: str
    endpoints: tuple[str, ...] = ()


def entry(bundle: PartyBundle) -> Entry:
    """Return what is recorded of a bundle."""
    digest = sha256(bundle.to_bytes()).hexdigest()
    return Entry(bundle.party, bundle.version, digest, bundle.endpoints)


def adopt(
    database: StorageEngine,
    sequencer: Sequencer,
    *,
    keyset: Keyset,
    agreements: Iterable[Agreement],
    entries: Iterable[Entry],
    now: datetime,
    actor: str = "",
    facts: Mapping[str, str] = MappingProxyType({}),
    effects: Iterable[Effect] = (),
) -> int:
    """Record what changed since it was last recorded; return the number of entries written.

    actor     whose doing it is, where that is known
    facts     what else is said of it: who approved it, what evidence there was
    effects   what becomes true with it

    Raises UserError for a keyset, agreement or directory entry that went backwards.
    """
    with database.reader() as reader:
        standing = adopted_versions.key_states(reader)
        laws = adopted_versions.adopted(reader, Subject.AGREEMENT)
        directory = adopted_versions.adopted(reader, Subject.DIRECTORY)
    by = {**facts, "actor": actor} if actor else dict(facts)
    leaves, moved = _keys_moved(keyset, standing, by)
    effects = [*moved, *effects]
    for agreement in agreements:
        new = Adopted(agreement.version, agreement.digest, now)
        if _changed("agreement", agreement.name, laws.get(agreement.name), new):
            leaves.append(events.agreement_adoption(agreement))
            effects += adopted_versions.adopt(Subject.AGREEMENT, agreement.name, new, None)
    for entry in entries:
        new = Adopted(entry.version, entry.digest, now)
        before = directory.get(entry.party)
        if _changed("directory entry", entry.party, before, new):
            leaves.append(_leaf(entry, by))
            effects += adopted_versions.adopt(Subject.DIRECTORY, entry.party, new, before)
    if leaves or effects:
        sequencer.commit(leaves, effects)
    return len(leaves)


class PartnerRegister:
    """The partners' entries as the ledger has them: what may come into force, and what did.

    `own` is our own entry's name, which is adopted with the keys and is no partner's.
    """

    def __init__(
        self, database: StorageEngine, sequencer: Sequencer, own: str, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._own = own
        self._clock = clock

    def objection(self, bundle: PartyBundle) -> str:
        """Return why a bundle cannot come into force, or nothing: the ledger's version never goes back."""
        held = self._adopted().get(bundle.party)
        new = _adopted_of(bundle, self._clock())
        if held is None or held.version < new.version:
            return ""
        if held.version > new.version:
            return (
                f"version {new.version} is older than {held.version}, which the ledger has adopted"
            )
        if held.digest != new.digest:
            return (
                f"version {held.version} is in the ledger with other content; it needs a higher one"
            )
        return ""

    def record(self, bundles: Iterable[PartyBundle]) -> None:
        """Record what comes into force with `bundles`, and who leaves. Raises what the ledger raises.

        A partner who leaves has an entry of directory version 0.
        """
        now = self._clock()
        adopted = self._adopted()
        leaves: list[Leaf] = []
        effects: list[Effect] = []
        present = {bundle.party: bundle for bundle in bundles}
        for party, bundle in sorted(present.items()):
            held, new = adopted.get(party), _adopted_of(bundle, now)
            if held is None or held.withdrawn or held.version < new.version:
                leaves.append(_leaf(entry(bundle)))
                effects += adopted_versions.adopt(Subject.DIRECTORY, party, new, held)
        for party, held in adopted.items():
            if party not in present and party != self._own and not held.withdrawn:
                leaves.append(events.bundle_withdrawal(party, held.version))
                effects += adopted_versions.withdraw(Subject.DIRECTORY, party, held, now)
        if leaves:
            self._sequencer.commit(leaves, effects)

    def _adopted(self) -> Mapping[str, Adopted]:
        with self._database.reader() as reader:
            return adopted_versions.adopted(reader, Subject.DIRECTORY)


def _adopted_of(bundle: PartyBundle, now: datetime) -> Adopted:
    read = entry(bundle)
    return Adopted(read.version, read.digest, now)


def demand_forward(keyset: Keyset, standing: Mapping[bytes, KeyStanding]) -> None:
    """Raise UserError for a keyset in which any key is in an earlier state than the ledger says."""
    _keys_moved(keyset, standing, {})


def _keys_moved(
    keyset: Keyset, standing: Mapping[bytes, KeyStanding], by: Mapping[str, str]
) -> tuple[list[Leaf], list[Effect]]:
    """Return the entries of keys that are new or moved forward; raises UserError for any that moved back."""
    if set(standing) - {record.kid for record in keyset.records}:
        raise UserError(
            "the keyset lacks keys that the ledger knows: put back the newest keyset file"
        )
    leaves: list[Leaf] = []
    effects: list[Effect] = []
    for record in keyset.records:
        held = standing.get(record.kid)
        steps: tuple[KeyEvent, ...]
        if held is None:
            steps = (_event(record, None, record.state),)
        elif held.state is record.state:
            steps = ()
        else:
            steps = _steps(record, held)
        for event in steps:
            leaves.append(events.key_transition(event, by))
            effects += adopted_versions.record_key(event, held)
            held = KeyStanding(event.kind, event.state, event.time)
    return leaves, effects


def _steps(record: KeyRecord, held: KeyStanding) -> tuple[KeyEvent, ...]:
    """Return the shortest way from where the ledger left a key to where the keyset has it.

    An older file may be one permitted transition ahead too (SUSPENDED may return to ACTIVE): what moved since
    the ledger's last event must also be later than it.
    """
    way = _way(record.kind, held.state, record.state) if record.changed > held.time else ()
    if not way:
        raise UserError(
            f"the keyset says a {record.kind.value} key is {record.state.value}, the ledger "
            f"{held.state.value}: put back the newest keyset file"
        )
    return tuple(_event(record, before, after) for before, after in pairwise(way))


def _way(kind: KeyKind, start: KeyState, goal: KeyState) -> tuple[KeyState, ...]:
    """Return the states from `start` to `goal` by the fewest edges of the table, or nothing."""
    ways: deque[tuple[KeyState, ...]] = deque([(start,)])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] is goal:
            return way
        following = [
            state for state in KeyState if authority(kind, way[-1], state) and state not in seen
        ]
        seen.update(following)
        ways.extend((*way, state) for state in following)
    return ()


def _changed(kind: str, name: str, held: Adopted | None, new: Adopted) -> bool:
    """Return whether `new` is to be adopted; raises UserError for other bytes under a version that was seen."""
    if held is None:
        return True
    if held.version > new.version or (held.version == new.version and held.digest != new.digest):
        raise UserError(
            f"{kind} {name}: version {held.version} is in the ledger with other content; "
            "give changed content a higher version"
        )
    return held.version < new.version


def _event(record: KeyRecord, before: KeyState | None, after: KeyState) -> KeyEvent:
    return KeyEvent(record.changed, record.kid, record.kind, before, after, record.reason, actor="")


def _leaf(entry: Entry, by: Mapping[str, str] = MappingProxyType({})) -> Leaf:
    return events.bundle_adoption(entry.party, entry.version, entry.digest, entry.endpoints, by)
