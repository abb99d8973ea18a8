"""The services of one party's gateway: each built by a function of its own, from the values that it uses.

Nothing is recorded here and no file is written: `gateway.server.application` opens a gateway step by step, and says
in which order. What changes while the gateway is open is handed over as `KeysetInForce` or `AgreementsInForce`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from gateway.admin.administration import Administration
from gateway.admin.approvals import Approvals
from gateway.admin.operation import Act, Handler, OperationRegistry
from gateway.admin.staff import Staff
from gateway.agreements.active import ActiveAgreements
from gateway.backup.operations import BackupOperations
from gateway.casework.answer_use import AnswerUse
from gateway.casework.correction_settlement import Files
from gateway.casework.correction_trace import CorrectionTrace
from gateway.casework.corrections import CorrectionOperations
from gateway.casework.outbound_queries import OutboundQueryOperations
from gateway.casework.review_disclosure import ReviewDisclosure
from gateway.casework.reviews import Reviews
from gateway.casework.withholdings import WithholdingOperations
from gateway.config import Evidence as EvidenceSettings
from gateway.directory.operations import DirectoryOperations
from gateway.directory.publication import DirectoryPublication
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.keymanagement.auditor_key import AuditorKeyOperations
from gateway.keymanagement.blocklist import Blocklist
from gateway.keymanagement.compromise import CompromiseOperations, ShownCertificates
from gateway.keymanagement.custody import CustodyOperations
from gateway.keymanagement.operations import KeyOperations
from gateway.keymanagement.reencryption import Reencryption
from gateway.keymanagement.rotation import KeyRotation
from gateway.law.agreement import AgreementsInForce
from gateway.ledger_ops.audit_access import AuditAccess
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.ledger_ops.timestamps import Timestamps, authority_of
from gateway.ledger_ops.witnesses import Witnesses, policy_of
from gateway.matching.served_galleries import ServedGalleries
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.monitoring.expiry_sources import AgreementEnds, KekEnd, KeysetEnds, StaffEnds
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.failures import SendFailures
from gateway.outbound.permissions import OutboundPermissions
from gateway.outbound.transport import Sender
from gateway.retention.erasure import Retention
from gateway.retention.holds import HoldOperations
from gateway.retention.operations import RetentionOperations
from gateway.retention.watchdog import RetentionWatchdog
from gateway.server.partner_connections import PartnerConnections
from gateway.server.workers import timestamps as timestamp_client
from gateway.server.workers.outbound import OutboundWorker
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people.person_records import StoredPeople
from gateway.store.sqlite import Database
from gateway.subjects.enrolment import Registry
from gateway.subjects.gallery_source import Gallery
from gateway.subjects.records import SubjectRecords
from gateway.trust.partners import Directory, OwnEntry
from gateway.watchdog import Watchdog
from keys.data_encryption import DataRing

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The database, the one writer of it, and the clock that both go by: what nearly every service is built on."""

    database: Database
    sequencer: Sequencer
    clock: Clock


@dataclass(frozen=True, slots=True)
class KeyServices:
    """Our keys: those in force, what they seal of ours, their rotation; and keys of partners that we refuse."""

    active: ActiveKeyset
    data_key: DataRing
    rotation: KeyRotation
    reencryption: Reencryption
    blocklist: Blocklist
    shown: ShownCertificates


@dataclass(frozen=True, slots=True)
class SubjectServices:
    """The people whom we hold records of: enrolment, records, and the galleries made of them."""

    registry: Registry
    gallery: Gallery
    people: StoredPeople
    records: SubjectRecords
    galleries: ServedGalleries


@dataclass(frozen=True, slots=True)
class RetentionServices:
    """What erases what is due, and what notices that it was not."""

    erasure: Retention
    watchdog: RetentionWatchdog


@dataclass(frozen=True, slots=True)
class EvidenceServices:
    """What others state of our ledger: witnesses, a time stamp authority; and how long we answer without."""

    deadline: EvidenceDeadline
    witnesses: Witnesses
    timestamps: Timestamps
    cancellation: (
        timestamp_client.Cancellation
    )  # of the question to the authority that is under way


@dataclass(frozen=True, slots=True)
class CaseworkServices:
    """Reviews of what a search could not decide, and the files on corrections and outbound queries."""

    reviews: Reviews
    files: Files


@dataclass(frozen=True, slots=True)
class OutboundServices:
    """What leaves for partners: whether our law permits it, and the worker that sends."""

    permissions: OutboundPermissions
    worker: OutboundWorker


def build_keys(
    ledger: Ledger,
    active: ActiveKeyset,
    data_key: DataRing,
    blocklist: Blocklist,
    *,
    directory: Directory,
    publication: DirectoryPublication,
) -> KeyServices:
    """Return what manages our keys; from here on the directory that we publish follows them."""
    database, sequencer = ledger.database, ledger.sequencer
    active.publish_in(publication)
    return KeyServices(
        active,
        data_key,
        KeyRotation(active, directory, database, sequencer, ledger.clock, publication),
        Reencryption(database, sequencer, data_key, active.in_force),
        blocklist,
        ShownCertificates(),
    )


def build_subjects(ledger: Ledger, data_key: DataRing) -> SubjectServices:
    """Return what keeps people's records; no gallery is in service yet."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    galleries = ServedGalleries()
    return SubjectServices(
        Registry(database, sequencer, data_key, clock),
        Gallery(database, data_key),
        StoredPeople(database, data_key),
        SubjectRecords(database, sequencer, data_key, clock, galleries),
        galleries,
    )


def build_retention(
    ledger: Ledger, data_key: DataRing, agreements: AgreementsInForce, watchdog: Watchdog
) -> RetentionServices:
    """Return what erases; the periods are those of the agreements in force."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    erasure = Retention(database, sequencer, data_key, agreements, clock, watchdog)
    return RetentionServices(erasure, RetentionWatchdog(database, sequencer, erasure, clock))


def build_evidence(
    ledger: Ledger, own: OwnEntry, directory: Directory, settings: EvidenceSettings
) -> EvidenceServices:
    """Return what gathers evidence of our ledger from others, as the settings want it."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    alarms = LatchedAlarms(database, sequencer, clock)
    deadline = EvidenceDeadline(database, alarms, timedelta(hours=settings.overdue_h))
    witnesses = Witnesses(
        database,
        sequencer,
        directory,
        own=own,
        clock=clock,
        deadline=deadline,
        policy=policy_of(settings.policy, own.log),
        wanted=timedelta(seconds=settings.cosigned_s),
    )
    cancellation = timestamp_client.Cancellation()
    authority = authority_of(settings.authority, settings.authority_roots, settings.stamped_s)
    post = partial(timestamp_client.post, cancellation=cancellation)
    stamps = Timestamps(database, sequencer, deadline, clock, authority=authority, post=post)
    return EvidenceServices(deadline, witnesses, stamps, cancellation)


def build_casework(
    ledger: Ledger,
    data_key: DataRing,
    agreements: AgreementsInForce,
    people: StoredPeople,
    random: Random,
) -> CaseworkServices:
    """Return where officials decide what a machine must not."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    disclosure = ReviewDisclosure(agreements, people, database, clock)
    return CaseworkServices(
        Reviews(database, sequencer, data_key, clock, random, disclosure),
        Files(database, sequencer, data_key, clock, random),
    )


def build_outbound(  # noqa: PLR0917 - whatever leaves passes all of these
    ledger: Ledger,
    data_key: DataRing,
    sender: Sender,
    agreements: AgreementsInForce,
    witnesses: Witnesses,
    files: Files,
    watchdog: Watchdog,
    random: Random,
) -> OutboundServices:
    """Return what sends; no connection is opened before the first message leaves."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    permissions = OutboundPermissions(sender.party, database, data_key, agreements, clock)
    connections = PartnerConnections(sender, witnesses)
    failures = SendFailures(clock, LatchedAlarms(database, sequencer, clock))
    worker = OutboundWorker(
        database=database,
        directory=sender.directory,
        connections=connections,
        post=SenderContext(
            connections, database, sequencer, data_key, clock, permissions, failures
        ),
        files=files,
        watchdog=watchdog,
        random=random,
    )
    return OutboundServices(permissions, worker)


def build_expiry_alerts(
    ledger: Ledger,
    active: ActiveKeyset,
    agreements: AgreementsInForce,
    publication: DirectoryPublication,
    directory: Directory,
) -> ExpiryAlerts:
    """Return what looks ahead at everything that ends, ours and partners'."""
    sources = (
        KeysetEnds(active.in_force),
        KekEnd(active.in_force, ledger.database),
        StaffEnds(ledger.database),
        AgreementEnds(agreements),
        publication,
    )
    return ExpiryAlerts(ledger.database, ledger.sequencer, ledger.clock, sources, directory)


def build_admin(
    ledger: Ledger,
    active: ActiveKeyset,
    own: OwnEntry,
    *,
    party: str,
    random: Random,
    acts: Iterable[Handler[Any] | Act],
) -> Administration:
    """Return what our people may order: what they do to the list of themselves, approvals, and `acts` of the services."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    staff = Staff(database, sequencer, active.in_force, clock)
    operations = OperationRegistry(acts)
    approvals = Approvals(party, operations, staff, database, sequencer, own, clock, random)
    operations.add((*staff.acts(), *approvals.acts()))
    return Administration(staff, approvals, operations, random)


def list_acts(  # noqa: PLR0917 - one line of the table for each
    home: Path,
    ledger: Ledger,
    keys: KeyServices,
    agreements: ActiveAgreements,
    directory: Directory,
    publication: DirectoryPublication,
    subjects: SubjectServices,
    retention: RetentionServices,
    evidence: EvidenceServices,
    casework: CaseworkServices,
    outbound: OutboundServices,
    random: Random,
) -> tuple[Handler[Any] | Act, ...]:
    """Return the operations of all services but staff and approvals, which govern the others."""
    database, sequencer, clock = ledger.database, ledger.sequencer, ledger.clock
    files, people, worker = casework.files, subjects.people, outbound.worker
    suspected = CompromiseOperations(
        *(keys.active, directory, keys.blocklist),
        database=database,
        sequencer=sequencer,
        clock=clock,
        shown=keys.shown,
    )
    return (
        *agreements.acts(),
        *KeyOperations(keys.rotation).acts(),
        *AuditorKeyOperations(keys.rotation).acts(),
        *CustodyOperations(home, keys.active).acts(),
        *BackupOperations(database, sequencer, clock).acts(),
        *AuditAccess(database, sequencer).acts(),
        *evidence.witnesses.acts(),
        *evidence.timestamps.acts(),
        *casework.reviews.acts(),
        *subjects.records.acts(),
        *CorrectionOperations(files, people, outbound.permissions).acts(),
        *CorrectionTrace(files).acts(),
        *RetentionOperations(retention.erasure, retention.watchdog).acts(),
        *HoldOperations(database, sequencer, clock, random).acts(),
        *WithholdingOperations(database, sequencer, clock, random).acts(),
        *OutboundQueryOperations(files, worker, people).acts(),
        *AnswerUse(files, worker).acts(),
        *DirectoryOperations(publication, keys.active).acts(),
        *suspected.acts(),
    )
