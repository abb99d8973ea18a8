"""The gateway's keys while it is open: one keyset, changed in one place, by one person at a time.

    (1) somebody decides: the keyset as it is now gives the keyset as it will be, and what moved
    (2) the file, replaced at once; a crash from here on is recorded by the next opening
    (3) the ledger: an entry for each key that was made or moved, with who did it
    (4) in force: everyone who asks for the keyset gets the new one; followers are called

Publishing is a step of its own: our public entry one version higher, in the ledger, then to whoever carries it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from gateway.errors import AuditUnavailable, UserError
from gateway.home_layout import OWN_ENTRY
from gateway.keymanagement import adoption, bundle_renewal, custody_setting
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.store.engine import StorageEngine
from gateway.store.keys import kek_custody, reencryption, rotations
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.trust.bundle import PartyBundle
from gateway.trust.directory_files import FOLDER, DirectoryFiles
from gateway.trust.partners import own_bundle
from gateway.watchdog import Watchdog
from keys import atomic_file
from keys import custody_rewrap as rewrap
from keys.custody import SCHEME_FILE, Custody, FileCustody
from keys.data_encryption import tag_of
from keys.errors import KeyNotUsable
from keys.key_record import KeyEvent
from keys.keyset import KeyKind, Keyset, KeysetInForce, KeyState
from keys.rotation_schedule import TICK

Facts = Mapping[str, str]
Decide = Callable[[Keyset, datetime], tuple[Keyset, tuple[KeyEvent, ...]]]


class PublishedDirectory(Protocol):
    """Our directory, where we publish one: it must go on naming our pairs, and learn what our entry says."""

    def naming(self) -> Mapping[bytes, int] | None:
        """Return our pairs that the directory names, with the version of what names each; None without one."""
        ...

    def demand_pairs(self, keyset: Keyset) -> None:
        """Raise UserError where a keyset puts away a pair that the directory still asks for."""
        ...

    def carry(self, bundle: PartyBundle) -> None:
        """Publish our entry. Raises UserError where it cannot be written."""
        ...

    def leap(self, by: int) -> None:
        """Publish under versions that grow by more: a restored folder may have forgotten some."""
        ...


class ActiveKeyset:
    """Our keys, alive. `current` is a value and never changes under its reader."""

    def __init__(  # noqa: PLR0917 - a gateway is made of these
        self,
        home: Path,
        file: Path,
        in_force: KeysetInForce,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        watchdog: Watchdog,
    ) -> None:
        self._home = home
        self._file = file
        self.in_force = in_force
        self._database = database
        self._sequencer = sequencer
        self._clock = clock
        self._lock, self._watchdog = threading.RLock(), watchdog
        self._torn = False
        self._followers: list[Callable[[Keyset], None]] = []
        self._directory: PublishedDirectory | None = None

    @property
    def current(self) -> Keyset:
        """The keyset in force."""
        return self.in_force.current

    @property
    def home(self) -> Path:
        """The home directory."""
        return self._home

    @property
    def file(self) -> Path:
        """The keyset's file."""
        return self._file

    def follow(self, follower: Callable[[Keyset], None]) -> None:
        """Call `follower` with each keyset that comes into force; it must not raise."""
        self._followers.append(follower)

    def publish_in(self, directory: PublishedDirectory) -> None:
        """Keep a directory true from now on; it refuses a keyset that it could not name."""
        self._directory = directory

    def change(
        self,
        decide: Decide,
        *,
        actor: str,
        facts: Facts = MappingProxyType({}),
        effects: Callable[[tuple[KeyEvent, ...]], Iterable[Effect]] = lambda _: (),
    ) -> tuple[KeyEvent, ...]:
        """Decide, keep, record, put in force; steps 1 to 4 above. Return what moved.

        facts     what the entries say beside the actor: who approved it, what evidence there was
        effects   what becomes true with the entries; it must apply whatever anybody else did

        Raises what `decide` raises, with nothing done; a fault of the disk, with the old keyset in force and on
        disk; UserError where an earlier change was kept and could not be recorded, until the gateway is opened anew,
        and where the clock is behind the last change; AuditUnavailable where the ledger would take no entry.
        """
        with self._turn():
            self._demand_whole()
            now = self._moment()
            keyset, events = decide(self.current, now)  # (1)
            if not events:
                return ()
            _demand_recorder(keyset)
            if self._directory is not None:
                self._directory.demand_pairs(keyset)
            self._demand_unused(keyset, events)
            keyset.save(self._file)  # (2)
            self._torn = True
            self._adopt(keyset, (), actor, now, facts, effects(events))  # (3)
            self._torn = False
            self.in_force.current = keyset  # (4)
            for follower in self._followers:
                follower(keyset)
            return events

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one change be made at a time."""
        self._watchdog.hold(self._lock)  # another change may wait long for a slow token
        try:
            yield
        finally:
            self._lock.release()

    def _demand_unused(self, keyset: Keyset, events: tuple[KeyEvent, ...]) -> None:
        """Refuse to destroy a data key with which something of ours is sealed."""
        gone = [e for e in events if (e.kind, e.state) == (KeyKind.DATA, KeyState.DESTROYED)]
        if not gone or all(event.previous is KeyState.PREACTIVE for event in gone):
            return
        with self._database.reader() as reader:
            left = reencryption.otherwise(reader, tag_of(keyset.primary(KeyKind.DATA).kid))
        if left:
            raise UserError(
                f"{left} records are not sealed with the data key in use yet, and would be lost: a serving"
                " gateway moves them in its rounds; destroy the old key when none is left"
            )

    @property
    def is_published(self) -> bool:
        """Whether our entry says all that the keyset holds, and which version first did is kept.

        After a crash between the two the entry is right, and evidence could never be complete.
        """
        own = own_bundle(self._home)
        says = bundle_renewal.says(own, self.current, self._clock())
        return says and not bundle_renewal.names(own, self.current) - self._named()

    def publish(
        self, *, actor: str, facts: Facts = MappingProxyType({}), leap: int = 0
    ) -> PartyBundle:
        """Say in our public entry what the keyset holds, where it does not say so yet; return the entry.

        With it is kept which version first named each key.

        leap   by how much the version grows in any case: a restored folder has forgotten some
        """
        with self._turn():
            now, own = self._clock(), own_bundle(self._home)
            root = DirectoryFiles(self._home / FOLDER).anchor()
            if leap or own.root != root or not bundle_renewal.says(own, self.current, now):
                version = own.version + (leap or 1)
                own = replace(own, root=root)
                own = bundle_renewal.successor(own, self.current, now, version=version)
                atomic_file.replace(self._home / OWN_ENTRY, own.to_bytes())
            new = bundle_renewal.names(own, self.current) - self._named()
            marks = [rotations.name(kid, own.version) for kid in sorted(new)]
            self._adopt(self.current, (adoption.entry(own),), actor, now, facts, marks)
            if self._directory is not None:
                if leap:
                    self._directory.leap(leap)
                self._directory.carry(own)
            return own

    def rewrap(self, custody: Custody, plan: rewrap.Plan, *, facts: Facts) -> None:
        """Bring all seeds under another custody; the keys stay what they are (keys.custody_rewrap, 1 to 6).

        Raises what the new custody or the disk raises, with the old one in force; UserError where a change waits to
        be recorded; AuditUnavailable where the ledger would take no entry.
        """
        with self._turn():
            self._demand_whole()
            if not self._sequencer.healthy:
                raise AuditUnavailable
            keyset = rewrap.prepare(self._file, self.current, custody, plan)
            self.note(events.custody_change(plan.to, "BEGUN", facts))
            self._torn = True  # whatever stops us from here on, the next opening finishes it
            rewrap.commit(self._file)
            self.in_force.current = keyset
            self.settle(facts)
            self._torn = False
            for follower in self._followers:
                follower(keyset)

    def settle(self, facts: Facts = MappingProxyType({})) -> None:
        """Finish a change of custody whose switch was made; put away what one before it left."""
        found = rewrap.pending(self._file)
        if found is None:
            rewrap.sweep(self._file)
            return
        scheme, _, name = found.plan.to.partition(":")
        place = self._home / name if scheme == SCHEME_FILE else None
        if found.done:
            rewrap.settle(self._file, place)
            custody_setting.name_custody(self._home, found.plan.to)
            custody = self.current.custody
            if place is not None and isinstance(custody, FileCustody):
                custody.moved(place)
            leaf = events.custody_change(found.plan.to, "DONE", facts)
            self.note(leaf, kek_custody.changed(self._clock()))
        elif place is not None:
            atomic_file.remove(rewrap.next_of(place))
        rewrap.clear(self._file)
        rewrap.sweep(self._file)

    def note(self, leaf: Leaf, effects: Sequence[Effect] = ()) -> None:
        """Record what was done above the keys."""
        self._sequencer.commit((leaf,), effects)

    def _demand_whole(self) -> None:
        if self._torn:
            raise UserError(
                "a change of keys waits to be recorded: restart the gateway, then go on"
            )

    def _moment(self) -> datetime:
        """Return now, later than every change that the keyset remembers: two in one millisecond are two."""
        now = self._clock()
        last = max((record.changed for record in self.current.records), default=now - TICK)
        if now < last:
            raise UserError(
                f"the clock is behind the keyset's last change ({last:%Y-%m-%d %H:%M:%S} UTC):"
                " set the clock, then try again"
            )
        if not self._sequencer.healthy:
            raise AuditUnavailable
        return max(now, last + TICK)

    def _named(self) -> set[bytes]:
        with self._database.reader() as reader:
            return set(rotations.named(reader))

    def _adopt(  # noqa: PLR0917 - all that an entry says
        self,
        keyset: Keyset,
        entries: tuple[adoption.Entry, ...],
        actor: str,
        now: datetime,
        facts: Facts,
        effects: Iterable[Effect],
    ) -> None:
        adoption.adopt(
            self._database,
            self._sequencer,
            keyset=keyset,
            agreements=(),
            entries=entries,
            now=now,
            actor=actor,
            facts=facts,
            effects=effects,
        )


def _demand_recorder(keyset: Keyset) -> None:
    """Refuse a keyset with which the ledger could record nothing, not even its own repair."""
    if not keyset.log_keys():
        raise UserError("no LOG pair would be left to sign the ledger: generate another first")
    try:
        keyset.primary(KeyKind.AUDIT)
    except KeyNotUsable:
        raise UserError(
            "no AUDIT key would be left to seal details to: adopt another auditor's first"
        ) from None
