"""The composition root: one folder becomes one house, with its keys, its ledger and its desks.

Opening takes the pen, which one process at a time can hold; it verifies the tail of the
ledger, and records what changed since the last time: keys, agreements, the directory. Whoever enrols, checks
or serves begins here.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway import config, files, telemetry
from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.config import Settings
from gateway.directory import Directory, own_bundle
from gateway.engine.port import Batch, Change
from gateway.law.agreement import Agreements
from gateway.law.policy import Decided
from gateway.law.retention import schedule_of
from gateway.office import adoption, expiry, renewal, restoring
from gateway.office.acts import Answer, NotAllowed, Officer
from gateway.office.barring import Barring
from gateway.office.ceremony import Ceremony
from gateway.office.duties import Files
from gateway.office.keyroom import KeyRoom
from gateway.office.lookout import Lookout
from gateway.office.overdue import Overdue
from gateway.office.people import RecordRoom
from gateway.office.publishing import Publishing
from gateway.office.registry import Registry
from gateway.office.resealing import Resealing
from gateway.office.retention import Retention
from gateway.office.revealing import reveals
from gateway.office.review import Reviews
from gateway.office.staff import Staff
from gateway.office.stamping import Stamping, authority_of
from gateway.office.standing import StandingAlarms
from gateway.office.statutes import Statutes
from gateway.office.turning import Turning
from gateway.office.watch import Watch
from gateway.office.witnesses import Witnesses, policy_of
from gateway.server import stamper
from gateway.server.acts import desk_of
from gateway.server.postman import Postman
from gateway.server.watchdog import Watchdog
from gateway.store import decisions, kek, subjects, transactions
from gateway.store.database import Database, open_store
from gateway.store.people import StoredPeople
from gateway.store.sequencer import Leaf, Sequencer
from keys import selftest
from keys.custody import open_custody
from keys.data_encryption import DataRing
from keys.keyset import Keyset
from keys.keyset_upgrade import completed
from keys.officer_keys import CHALLENGE_BYTES

_NEW_KIND = "first of a kind that the keyset lacked"
EXIT_LEDGER = 74  # sysexits.h EX_IOERR: the ledger could not be written, and nothing is retried


def utc_now() -> datetime:
    """Return the time in whole milliseconds; the only clock of the house."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def leave_at_once(error: BaseException) -> None:
    """Exit without clean-up: after a failed flush, what was written is unknown (ledger.md section 9)."""
    telemetry.logger("house").error("ledger_failed", kind=type(error).__name__)
    if files.is_full(error):
        sys.stderr.write(
            "passerelle: no space was left for the ledger: make room, then start again; what was under way does not count\n"
        )
        sys.stderr.flush()
    os._exit(EXIT_LEDGER)


class Gallery:
    """The Source that engines load from: records opened one batch at a time."""

    def __init__(self, database: Database, data_key: DataRing) -> None:
        self._database = database
        self._data_key = data_key

    def batches(self, shard: int, of: int) -> Iterator[Batch]:
        """Yield the people of one shard, with their records opened."""
        for people in subjects.iter_records(self._database, self._data_key, shard, of):
            yield [
                (one.subject, [(sample.position, sample.data) for sample in one.samples])
                for one in people
            ]


class House:
    """Everything one party's folder holds, opened. Use as a context manager."""

    def __init__(
        self,
        *,
        home: Path,
        settings: Settings,
        keyroom: KeyRoom,
        barring: Barring,
        directory: Directory,
        statutes: Statutes,
        database: Database,
        sequencer: Sequencer,
        watchdog: Watchdog,
        clock: Callable[[], datetime],
        closing: ExitStack,
    ) -> None:
        self.home = home
        self.settings = settings
        self.party = settings.house.party
        self.keyroom = keyroom
        self.barring = barring
        self.directory = directory
        self.statutes = statutes
        self.database = database
        self.sequencer = sequencer
        self.watchdog = watchdog
        self.data_key = DataRing(lambda: self.keyset)
        self.registry = Registry(database, sequencer, self.data_key, clock)
        self.gallery = Gallery(database, self.data_key)
        self.people = StoredPeople(database, self.data_key)
        self.clock = clock
        self.random = secrets.token_bytes
        self.staff = Staff(database, sequencer, lambda: self.keyset, self.clock)
        self.reviews = Reviews(
            database,
            sequencer,
            self.data_key,
            self.clock,
            self.random,
            reveals(self),
        )
        self.engines: list[Callable[[Change], None]] = []  # galleries in service, which follow
        self.records = RecordRoom(database, sequencer, self.data_key, self.clock, self._follow)
        self.files = Files(database, sequencer, self.data_key, self.clock, self.random)
        self.retention = Retention(
            database,
            sequencer,
            self._found,
            lambda: schedule_of(self.agreements),
            self.clock,
            take=watchdog.hold,
            alive=watchdog.beat,
        )
        self.watch = Watch(database, sequencer, self.retention, self.clock)
        self.overdue = Overdue(
            database,
            StandingAlarms(database, sequencer, self.clock),
            timedelta(hours=settings.evidence.overdue_h),
        )
        self.witnesses = Witnesses(
            database,
            sequencer,
            directory,
            log=lambda: own_bundle(home).log,
            clock=self.clock,
            overdue=self.overdue,
            policy=policy_of(settings.evidence.policy, own_bundle(home).log),
            wanted=timedelta(seconds=settings.evidence.cosigned_s),
        )
        self.cutter = stamper.Cutter()  # of questions to the time stamp authority
        evidence = settings.evidence
        self.stamping = Stamping(
            database,
            sequencer,
            self.overdue,
            self.clock,
            authority=authority_of(
                evidence.authority, evidence.authority_roots, evidence.stamped_s
            ),
            post=partial(stamper.post, cutter=self.cutter),
        )
        self.lookout = Lookout(database, sequencer, self.clock)
        self.lookout.add(lambda _: expiry.of_keyset(self.keyset))
        self.lookout.add(lambda _: expiry.of_kek(self.keyset, self._kek_since()))
        self.lookout.add(lambda now: expiry.of_staff(self.staff.members(), now))
        self.lookout.add(lambda now: expiry.of_agreements(self.agreements, now))
        self.lookout.add_partners(directory.parties, expiry.of_partner)
        self.resealing = Resealing(database, sequencer, self.data_key, lambda: self.keyset)
        self.publishing = Publishing(
            home,
            self.party,
            lambda: self.keyset,
            directory,
            lambda: self.agreements,
            self.clock,
        )
        self.turning = Turning(
            keyroom, directory, database, sequencer, self.clock, self.publishing.naming
        )
        self.lookout.add(lambda _: self.publishing.expiring())
        keyroom.carry(self.publishing.carry)
        keyroom.guard(self.publishing.demand_pairs)
        keyroom.leaps(self.publishing.leap)
        self.publishing.round()
        self.postman = Postman(self)
        self.ceremony = Ceremony(
            self.party,
            lambda: self.desk,
            self.staff,
            database,
            sequencer,
            self.own_version,
            self.clock,
            self.random,
        )
        self.shown: dict[
            str, dict[bytes, bytes]
        ] = {}  # by partner and pin: leaves that its callers showed
        self.desk = desk_of(self)
        self.ceremony.recover()
        self._closing = closing

    @classmethod
    def open(
        cls,
        home: Path,
        passphrase: Callable[[], bytes],
        *,
        on_fatal: Callable[[BaseException], None] = leave_at_once,
        clock: Callable[[], datetime] | None = None,
    ) -> House:
        """Open the folder `home`; raises Remedy, Fault or KeysError saying what is wrong with it.

        clock   of the whole house, in whole milliseconds; drills set it forward on a copy of a folder
        """
        clock = utc_now if clock is None else clock
        settings = config.load(home)
        with ExitStack() as stack:
            selftest.run_once()
            custody = open_custody(settings.keys.custody, passphrase)
            keyset = Keyset.load(settings.keys.keyset, custody)
            selftest.rehearse_present(keyset)
            own = own_bundle(home)
            database = open_store(settings.store.path)
            stack.callback(database.close)

            def keys() -> Keyset:  # the pen needs the keys in force, whose changes it records
                return keyroom.current

            watchdog = Watchdog(settings.limits.watchdog_s)
            sequencer = Sequencer(
                database,
                lambda: keys().log_keys(),
                renewal.log_of(keyset, own.log.origin, every=True),
                lambda: keys().audit_public,
                clock,
                on_fatal=on_fatal,
                on_commit=lambda _, seconds: telemetry.observe_commit(seconds),
                progress=watchdog.beat,
            )
            watchdog.also("sequencer", lambda: sequencer.busy)
            sequencer.start()
            stack.callback(sequencer.close)
            keyroom = KeyRoom(
                home,
                settings.keys.keyset,
                keyset,
                database,
                sequencer,
                clock,
                take=watchdog.hold,
            )
            restored = restoring.marked(home)
            if restored is not None:
                restoring.record(restored, sequencer)
            keyroom.settle()
            statutes = Statutes(
                settings.agreements.folder,
                database,
                sequencer,
                keys,
                lambda kid, at: own_bundle(home).signing_key(kid, at),
                clock,
                own.party,
            )
            adoption.adopt(
                database,
                sequencer,
                keyset=keyset,
                agreements=[each for versions in statutes.current.values() for each in versions],
                entries=[adoption.entry(own)],
                now=clock(),
            )
            keyroom.change(
                lambda known, now: completed(known, now, reason=_NEW_KIND, actor=""), actor=""
            )
            statutes.begin()
            register = adoption.Register(database, sequencer, own.party, clock)
            barring = Barring(database, sequencer)
            directory = Directory.of(settings, register, barring.of)
            house = cls(
                home=home,
                settings=settings,
                keyroom=keyroom,
                barring=barring,
                directory=directory,
                statutes=statutes,
                database=database,
                sequencer=sequencer,
                watchdog=watchdog,
                clock=clock,
                closing=stack.pop_all(),
            )
        if restored is not None:
            try:
                restoring.finish(home, lambda by: keyroom.publish(actor="restore", leap=by))
            except BaseException:
                house.close()
                raise
        return house

    @property
    def keyset(self) -> Keyset:
        """Our keys, now."""
        return self.keyroom.current

    @property
    def agreements(self) -> Agreements:
        """What is agreed, now."""
        return self.statutes.current

    def close(self) -> None:
        """Give back pen and files; idempotent."""
        self.postman.stop()
        self._closing.close()

    def __enter__(self) -> Self:
        """Return the house itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def perform(self, officer: Officer, act: str, values: Mapping[str, object]) -> Answer:
        """Do one act for an officer; what the roles do not allow is recorded before it is refused."""
        try:
            return self.desk.perform(officer, act, values)
        except NotAllowed:
            self.staff.denied(officer, act)
            raise

    def admit(self, certificate: bytes, shows: Callable[[bytes], bytes]) -> Officer:
        """Return who bears a certificate and its key, as `Staff.present`; the challenge is drawn here."""
        return self.staff.present(certificate, shows, self.random(CHALLENGE_BYTES))

    def attend(self, officer: Officer, act: str, values: Mapping[str, object]) -> Answer:
        """Do one act for whoever came to the desk; that it was asked is recorded first, whatever comes of it."""
        if act in self.desk.acts:
            self.staff.asked(officer, act)
        return self.perform(officer, act, values)

    def record(self, kind: EntryType) -> None:
        """Record that the house starts or stops serving, with which software and settings."""
        frame = Frame(type=kind, entry_class=EntryClass.OTHER)
        facts = {"software": version("passerelle"), "settings_digest": self.settings.digest()}
        self.sequencer.commit((Leaf(frame, facts),))

    def _kek_since(self) -> datetime | None:
        with self.database.reader() as reader:
            return kek.since(reader)

    def _follow(self, change: Change) -> None:
        for apply in self.engines:
            apply(change)

    def _found(self, partner: str, number: str, sealed: bytes) -> int | None:
        """Return whom a query found, by what is sealed in its row."""
        return transactions.open_finding(self.data_key, partner, number, sealed).subject

    def decisions(self, subject: int, partner: str) -> Sequence[Decided]:
        """Return what officials decided to refuse a partner of a person, and did not lift."""
        with self.database.reader() as reader:
            return decisions.active(reader, subject, partner)

    def own_version(self) -> int:
        """Return the version of our own public entry."""
        return own_bundle(self.home).version
