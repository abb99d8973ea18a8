"""The composition root: one folder becomes one gateway, with its keys, its ledger and its admin operations.

Opening takes the writer lock, which one process at a time can hold; it verifies the tail of the
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

from gateway import config, telemetry, user_files
from gateway.admin.approvals import Approvals
from gateway.admin.operation import Answer, NotAllowed, Officer, OperationRegistry
from gateway.admin.staff import Staff
from gateway.agreements.active import ActiveAgreements
from gateway.backup import restored as restoring
from gateway.backup.operations import BackupOperations
from gateway.casework.answer_use import AnswerUse
from gateway.casework.correction_settlement import Files
from gateway.casework.correction_trace import CorrectionTrace
from gateway.casework.corrections import CorrectionOperations
from gateway.casework.outbound_queries import OutboundQueryOperations
from gateway.casework.review_disclosure import reveals
from gateway.casework.reviews import Reviews
from gateway.casework.withholdings import WithholdingOperations
from gateway.config import Settings
from gateway.directory.operations import DirectoryOperations
from gateway.directory.publication import DirectoryPublication
from gateway.keymanagement import adoption, bundle_renewal
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.keymanagement.auditor_key import AuditorKeyOperations
from gateway.keymanagement.blocklist import Blocklist
from gateway.keymanagement.compromise import CompromiseOperations
from gateway.keymanagement.custody import CustodyOperations
from gateway.keymanagement.operations import KeyOperations
from gateway.keymanagement.reencryption import Reencryption
from gateway.keymanagement.rotation import KeyRotation
from gateway.law.agreement import Agreements
from gateway.law.query_policy import Decided
from gateway.law.retention_policy import schedule_of
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger_ops.audit_access import AuditAccess
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.ledger_ops.timestamps import Timestamps, authority_of
from gateway.ledger_ops.witnesses import Witnesses, policy_of
from gateway.matching.engine import Batch, Change
from gateway.monitoring import expiry
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.failures import SendFailures
from gateway.retention.erasure import Retention
from gateway.retention.holds import HoldOperations
from gateway.retention.operations import RetentionOperations
from gateway.retention.watchdog import RetentionWatchdog
from gateway.server.outbound_permissions import OutboundPermissions
from gateway.server.partner_connections import PartnerConnections, Sender
from gateway.server.workers import timestamps
from gateway.server.workers.outbound import OutboundWorker
from gateway.server.workers.watchdog import Watchdog
from gateway.store.casework import withholdings as decisions
from gateway.store.exchange import transactions
from gateway.store.keys import kek_custody
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.people import subjects
from gateway.store.people.person_records import StoredPeople
from gateway.store.sqlite import Database, open_store
from gateway.subjects.enrolment import Registry
from gateway.subjects.records import SubjectRecords
from gateway.trust.configured import directory_of
from gateway.trust.partners import Directory, own_bundle
from keys import selftest
from keys.custody import open_custody
from keys.data_encryption import DataRing
from keys.keyset import Keyset
from keys.keyset_upgrade import completed
from keys.officer_keys import CHALLENGE_BYTES

_NEW_KIND = "first of a kind that the keyset lacked"
EXIT_LEDGER = 74  # sysexits.h EX_IOERR: the ledger could not be written, and nothing is retried


def utc_now() -> datetime:
    """Return the time in whole milliseconds; the only clock of the gateway."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def leave_at_once(error: BaseException) -> None:
    """Exit without clean-up: after a failed flush, what was written is unknown (ledger.md section 9)."""
    telemetry.logger("gateway").error("ledger_failed", kind=type(error).__name__)
    if user_files.is_full(error):
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


class Gateway:
    """Everything one party's folder holds, opened. Use as a context manager."""

    def __init__(
        self,
        *,
        home: Path,
        settings: Settings,
        active_keyset: ActiveKeyset,
        blocklist: Blocklist,
        directory: Directory,
        active_agreements: ActiveAgreements,
        database: Database,
        sequencer: Sequencer,
        watchdog: Watchdog,
        clock: Callable[[], datetime],
        closing: ExitStack,
    ) -> None:
        self.home = home
        self.settings = settings
        self.party = settings.gateway.party
        self.active_keyset = active_keyset
        self.blocklist = blocklist
        self.directory = directory
        self.active_agreements = active_agreements
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
        self.records = SubjectRecords(database, sequencer, self.data_key, self.clock, self._follow)
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
        self.retention_watchdog = RetentionWatchdog(database, sequencer, self.retention, self.clock)
        self.evidence_deadline = EvidenceDeadline(
            database,
            LatchedAlarms(database, sequencer, self.clock),
            timedelta(hours=settings.evidence.overdue_h),
        )
        self.witnesses = Witnesses(
            database,
            sequencer,
            directory,
            log=lambda: own_bundle(home).log,
            clock=self.clock,
            deadline=self.evidence_deadline,
            policy=policy_of(settings.evidence.policy, own_bundle(home).log),
            wanted=timedelta(seconds=settings.evidence.cosigned_s),
        )
        self.cancellation = timestamps.Cancellation()  # of questions to the time stamp authority
        evidence = settings.evidence
        self.timestamps = Timestamps(
            database,
            sequencer,
            self.evidence_deadline,
            self.clock,
            authority=authority_of(
                evidence.authority, evidence.authority_roots, evidence.stamped_s
            ),
            post=partial(timestamps.post, cancellation=self.cancellation),
        )
        self.expiry_alerts = ExpiryAlerts(database, sequencer, self.clock)
        self.expiry_alerts.add(lambda _: expiry.of_keyset(self.keyset))
        self.expiry_alerts.add(lambda _: expiry.of_kek(self.keyset, self._kek_since()))
        self.expiry_alerts.add(lambda now: expiry.of_staff(self.staff.members(), now))
        self.expiry_alerts.add(lambda now: expiry.of_agreements(self.agreements, now))
        self.expiry_alerts.add_partners(directory.parties, expiry.of_partner)
        self.reencryption = Reencryption(database, sequencer, self.data_key, lambda: self.keyset)
        self.publication = DirectoryPublication(
            home,
            self.party,
            lambda: self.keyset,
            directory,
            lambda: self.agreements,
            self.clock,
        )
        self.key_rotation = KeyRotation(
            active_keyset, directory, database, sequencer, self.clock, self.publication.naming
        )
        self.expiry_alerts.add(lambda _: self.publication.expiring())
        active_keyset.carry(self.publication.carry)
        active_keyset.guard(self.publication.demand_pairs)
        active_keyset.leaps(self.publication.leap)
        self.publication.round()
        self.permissions = OutboundPermissions(
            self.party, database, self.data_key, active_agreements, self.clock
        )
        connections = PartnerConnections(
            Sender(self.party, home, active_keyset, directory, settings.exchange.proxy, self.clock),
            self.witnesses,
        )
        self.outbound_worker = OutboundWorker(
            database=database,
            directory=directory,
            connections=connections,
            post=SenderContext(
                connections,
                database,
                sequencer,
                self.data_key,
                self.clock,
                self.permissions.timers,
                SendFailures(self.clock, LatchedAlarms(database, sequencer, self.clock)),
            ),
            permissions=self.permissions,
            files=self.files,
            watchdog=watchdog,
            random=self.random,
        )
        self.approvals = Approvals(
            self.party,
            lambda: self.operations,
            self.staff,
            database,
            sequencer,
            self.own_version,
            self.clock,
            self.random,
        )
        self.shown_certificates: dict[
            str, dict[bytes, bytes]
        ] = {}  # by partner and pin: leaves that its callers showed
        self.operations = self._operations()
        self.approvals.recover()
        self._closing = closing

    @classmethod
    def open(
        cls,
        home: Path,
        passphrase: Callable[[], bytes],
        *,
        on_fatal: Callable[[BaseException], None] = leave_at_once,
        clock: Callable[[], datetime] | None = None,
    ) -> Gateway:
        """Open the folder `home`; raises UserError, InternalError or KeysError saying what is wrong with it.

        clock   of the whole gateway, in whole milliseconds; drills set it forward on a copy of a folder
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

            def keys() -> Keyset:  # the sequencer needs the keys in force, whose changes it records
                return active_keyset.current

            watchdog = Watchdog(settings.limits.watchdog_s)
            sequencer = Sequencer(
                database,
                lambda: keys().log_keys(),
                bundle_renewal.log_of(keyset, own.log.origin, every=True),
                lambda: keys().audit_public,
                clock,
                on_fatal=on_fatal,
                on_commit=lambda _, seconds: telemetry.observe_commit(seconds),
                progress=watchdog.beat,
            )
            watchdog.also("sequencer", lambda: sequencer.busy)
            sequencer.start()
            stack.callback(sequencer.close)
            active_keyset = ActiveKeyset(
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
            active_keyset.settle()
            active_agreements = ActiveAgreements(
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
                agreements=[
                    each for versions in active_agreements.current.values() for each in versions
                ],
                entries=[adoption.entry(own)],
                now=clock(),
            )
            active_keyset.change(
                lambda known, now: completed(known, now, reason=_NEW_KIND, actor=""), actor=""
            )
            active_agreements.begin()
            register = adoption.PartnerRegister(database, sequencer, own.party, clock)
            blocklist = Blocklist(database, sequencer)
            directory = directory_of(settings, register, blocklist.of)
            gateway = cls(
                home=home,
                settings=settings,
                active_keyset=active_keyset,
                blocklist=blocklist,
                directory=directory,
                active_agreements=active_agreements,
                database=database,
                sequencer=sequencer,
                watchdog=watchdog,
                clock=clock,
                closing=stack.pop_all(),
            )
        if restored is not None:
            try:
                restoring.finish(home, lambda by: active_keyset.publish(actor="restore", leap=by))
            except BaseException:
                gateway.close()
                raise
        return gateway

    def _operations(self) -> OperationRegistry:
        """Return the table of all operations of our own people; each service adds a line."""
        return OperationRegistry(
            [
                *self.staff.acts(),
                *self.approvals.acts(),
                *self.active_agreements.acts(),
                *KeyOperations(self.key_rotation).acts(),
                *AuditorKeyOperations(self.key_rotation).acts(),
                *CustodyOperations(self.home, self.active_keyset).acts(),
                *BackupOperations(self.database, self.sequencer, self.clock).acts(),
                *AuditAccess(self.database, self.sequencer).acts(),
                *self.witnesses.acts(),
                *self.timestamps.acts(),
                *self.reviews.acts(),
                *self.records.acts(),
                *CorrectionOperations(
                    self.files,
                    self.people.record,
                    self.permissions.may_correct,
                    self.permissions.timers,
                ).acts(),
                *CorrectionTrace(self.files).acts(),
                *RetentionOperations(self.retention, self.retention_watchdog).acts(),
                *HoldOperations(self.database, self.sequencer, self.clock, self.random).acts(),
                *WithholdingOperations(
                    self.database, self.sequencer, self.clock, self.random
                ).acts(),
                *OutboundQueryOperations(
                    self.files, self.outbound_worker, self.people.record
                ).acts(),
                *AnswerUse(self.files, self.outbound_worker).acts(),
                *DirectoryOperations(self.publication, self.active_keyset).acts(),
                *CompromiseOperations(
                    self.active_keyset,
                    self.directory,
                    self.blocklist,
                    database=self.database,
                    sequencer=self.sequencer,
                    clock=self.clock,
                    shown=lambda partner: tuple(self.shown_certificates.get(partner, {}).values()),
                ).acts(),
            ]
        )

    @property
    def keyset(self) -> Keyset:
        """Our keys, now."""
        return self.active_keyset.current

    @property
    def agreements(self) -> Agreements:
        """What is agreed, now."""
        return self.active_agreements.current

    def close(self) -> None:
        """Give back the writer lock and files; idempotent."""
        self.outbound_worker.stop()
        self._closing.close()

    def __enter__(self) -> Self:
        """Return the gateway itself."""
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
            return self.operations.perform(officer, act, values)
        except NotAllowed:
            self.staff.denied(officer, act)
            raise

    def admit(self, certificate: bytes, shows: Callable[[bytes], bytes]) -> Officer:
        """Return who bears a certificate and its key, as `Staff.present`; the challenge is drawn here."""
        return self.staff.present(certificate, shows, self.random(CHALLENGE_BYTES))

    def attend(self, officer: Officer, act: str, values: Mapping[str, object]) -> Answer:
        """Do one operation for an identified officer; that it was asked is recorded first, whatever the result."""
        if act in self.operations.acts:
            self.staff.asked(officer, act)
        return self.perform(officer, act, values)

    def record(self, kind: EntryType) -> None:
        """Record that the gateway starts or stops serving, with which software and settings."""
        frame = Frame(type=kind, entry_class=EntryClass.OTHER)
        facts = {"software": version("passerelle"), "settings_digest": self.settings.digest()}
        self.sequencer.commit((Leaf(frame, facts),))

    def _kek_since(self) -> datetime | None:
        with self.database.reader() as reader:
            return kek_custody.since(reader)

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
