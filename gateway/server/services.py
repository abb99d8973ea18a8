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
from gateway.admin.operation import Handler, OperationRegistry
from gateway.admin.staff import Staff
from gateway.agreements.active import ActiveAgreements
from gateway.backup.operations import BackupOperations
from gateway.calibrations.adopted import AdoptedCalibrations
from gateway.casework.answer_use import AnswerUse
from gateway.casework.correction_settlement import Files
from gateway.casework.correction_trace import CorrectionTrace
from gateway.casework.corrections import CorrectionOperations
from gateway.casework.outbound_queries import OutboundQueryOperations
from gateway.casework.review_disclosure import ReviewDisclosure
from gateway.casework.reviews import Reviews
from gateway.casework.withholdings import WithholdingOperations
from gateway.config import Evidence as EvidenceSettings
from gateway.config import Settings
from gateway.directory.operations import DirectoryOperations
from gateway.directory.publication import DirectoryPublication
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.keymanagement.adoption import PartnerRegister
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
from gateway.matching.calibrations import CalibrationsInForce
from gateway.matching.served_galleries import ServedGalleries
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.monitoring.expiry_sources import AgreementEnds, KekEnd, KeysetEnds, StaffEnds
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.failures import SendFailures
from gateway.outbound.permissions import OutboundPermissions
from gateway.outbound.transport import Sender
from gateway.retention.copies import Copies
from gateway.retention.erasure import Retention
from gateway.retention.holds import HoldOperations
from gateway.retention.operations import RetentionOperations
from gateway.retention.watchdog import RetentionWatchdog
from gateway.server.partner_connections import PartnerConnections
from gateway.server.workers import timestamps as timestamp_client
from gateway.server.workers.outbound import OutboundWorker
from gateway.store.engine import StorageEngine
from gateway.store.leases import Leases
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people.person_records import StoredPeople
from gateway.subjects.enrolment import Registry
from gateway.subjects.gallery_source import Gallery
from gateway.subjects.records import SubjectRecords
from gateway.trust.configured import directory_of
from gateway.trust.partners import Directory, OwnEntry
from gateway.watchdog import Watchdog
from keys.data_encryption import DataRing
from keys.keyset import KeysetInForce

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Core:
    """What every service is built on: the home directory, the database and its one writer, and the edges of the process.

    own        our public entry, as the home directory has it now
    clock      whole milliseconds, UTC; random(n): n octets nobody can guess
    watchdog   hears from each thread that it goes on
    leases     say which of the periodic jobs are this process's
    """

    home: Path
    own: OwnEntry
    database: StorageEngine
    sequencer: Sequencer
    clock: Clock
    random: Random
    watchdog: Watchdog
    leases: Leases


@dataclass(frozen=True, slots=True)
class DirectoryServices:
    """The partners whom we know, the keys of theirs that we refuse, and the directory in which they read of us."""

    partners: Directory
    blocklist: Blocklist
    publication: DirectoryPublication


@dataclass(frozen=True, slots=True)
class KeyServices:
    """Our keys: those in force, what they seal of ours, their rotation; and what partners showed of theirs."""

    active: ActiveKeyset
    data_key: DataRing
    rotation: KeyRotation
    reencryption: Reencryption
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
    """What erases what is due, what is still readable of it in copies, and what notices that it was not erased."""

    erasure: Retention
    copies: Copies
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


def build_directory(
    core: Core,
    settings: Settings,
    keyset: KeysetInForce,
    agreements: AgreementsInForce,
) -> DirectoryServices:
    """Return what is believed of partners, and what they are told of us; no partner's entry is read yet."""
    party = settings.gateway.party
    blocklist = Blocklist(core.database, core.sequencer)
    register = PartnerRegister(core.database, core.sequencer, party, core.clock)
    partners = directory_of(settings, register, blocklist.by_party)
    publication = DirectoryPublication(core.home, party, keyset, partners, agreements, core.clock)
    return DirectoryServices(partners, blocklist, publication)


def build_keys(core: Core, active: ActiveKeyset, directory: DirectoryServices) -> KeyServices:
    """Return what manages our keys; from here on the directory that we publish follows them."""
    database, sequencer, publication = core.database, core.sequencer, directory.publication
    data_key = DataRing(active.in_force)
    reencryption = Reencryption(database, sequencer, data_key, active.in_force, core.clock)
    rotation = KeyRotation(
        *(active, directory.partners, database, sequencer, core.clock),
        *(publication, reencryption),
    )
    active.publish_in(publication)
    return KeyServices(active, data_key, rotation, reencryption, ShownCertificates())


def build_subjects(
    core: Core, data_key: DataRing, calibrations: CalibrationsInForce
) -> SubjectServices:
    """Return what keeps people's records; no gallery is in service yet."""
    database, sequencer, clock = core.database, core.sequencer, core.clock
    galleries = ServedGalleries()
    return SubjectServices(
        Registry(database, sequencer, data_key, clock, calibrations),
        Gallery(database, data_key),
        StoredPeople(database, data_key),
        SubjectRecords(database, sequencer, data_key, clock, galleries),
        galleries,
    )


def build_retention(
    core: Core, keys: KeyServices, agreements: AgreementsInForce
) -> RetentionServices:
    """Return what erases; the periods are those of the agreements in force."""
    database, sequencer, clock = core.database, core.sequencer, core.clock
    erasure = Retention(database, sequencer, keys.data_key, agreements, clock, core.watchdog)
    copies = Copies(database, keys.active.in_force, clock)
    watchdog = RetentionWatchdog(database, sequencer, erasure, clock, copies)
    return RetentionServices(erasure, copies, watchdog)


def build_evidence(core: Core, partners: Directory, settings: EvidenceSettings) -> EvidenceServices:
    """Return what gathers evidence of our ledger from others, as the settings want it."""
    database, sequencer, clock = core.database, core.sequencer, core.clock
    alarms = LatchedAlarms(database, sequencer, clock)
    deadline = EvidenceDeadline(database, alarms, timedelta(hours=settings.overdue_h))
    witnesses = Witnesses(
        database,
        sequencer,
        partners,
        own=core.own,
        clock=clock,
        deadline=deadline,
        policy=policy_of(settings.policy, core.own.log),
        wanted=timedelta(seconds=settings.cosigned_s),
    )
    cancellation = timestamp_client.Cancellation()
    authority = authority_of(settings.authority, settings.authority_roots, settings.stamped_s)
    post = partial(timestamp_client.post, cancellation=cancellation)
    stamps = Timestamps(database, sequencer, deadline, clock, authority=authority, post=post)
    return EvidenceServices(deadline, witnesses, stamps, cancellation)


def build_casework(
    core: Core,
    data_key: DataRing,
    agreements: AgreementsInForce,
    people: StoredPeople,
) -> CaseworkServices:
    """Return where officials decide what a machine must not."""
    database, sequencer, clock = core.database, core.sequencer, core.clock
    disclosure = ReviewDisclosure(agreements, people, database, clock)
    return CaseworkServices(
        Reviews(database, sequencer, data_key, clock, core.random, disclosure),
        Files(database, sequencer, data_key, clock, core.random),
    )


def build_outbound(  # noqa: PLR0917 - whatever leaves passes all of these
    core: Core,
    settings: Settings,
    keys: KeyServices,
    partners: Directory,
    agreements: AgreementsInForce,
    witnesses: Witnesses,
    files: Files,
) -> OutboundServices:
    """Return what sends; no connection is opened before the first message leaves."""
    database, sequencer, clock = core.database, core.sequencer, core.clock
    party, data_key = settings.gateway.party, keys.data_key
    permissions = OutboundPermissions(party, database, data_key, agreements, clock)
    sender = Sender(
        party, core.home, keys.active.in_force, partners, settings.exchange.proxy, clock
    )
    connections = PartnerConnections(sender, witnesses)
    failures = SendFailures(clock, LatchedAlarms(database, sequencer, clock))
    worker = OutboundWorker(
        database=database,
        directory=partners,
        connections=connections,
        context=SenderContext(
            connections, database, sequencer, data_key, clock, permissions, failures
        ),
        files=files,
        watchdog=core.watchdog,
        leases=core.leases,
        random=core.random,
    )
    return OutboundServices(permissions, worker)


def build_expiry_alerts(
    core: Core,
    keyset: KeysetInForce,
    agreements: AgreementsInForce,
    directory: DirectoryServices,
) -> ExpiryAlerts:
    """Return what looks ahead at everything that ends, ours and partners'."""
    sources = (
        KeysetEnds(keyset),
        KekEnd(keyset, core.database),
        StaffEnds(core.database),
        AgreementEnds(agreements),
        directory.publication,
    )
    return ExpiryAlerts(core.database, core.sequencer, core.clock, sources, directory.partners)


def build_admin(
    core: Core,
    party: str,
    keyset: KeysetInForce,
    handlers: Iterable[Handler[Any]],
) -> Administration:
    """Return what our people may order: what they do to the list of themselves, approvals, and the `handlers` of the services."""
    database, sequencer, clock = core.database, core.sequencer, core.clock
    staff = Staff(database, sequencer, keyset, clock)
    operations = OperationRegistry(handlers)
    approvals = Approvals(
        party, operations, staff, database, sequencer, core.own, clock, core.random
    )
    operations.add((*staff.handlers(), *approvals.handlers()))
    return Administration(staff, approvals, operations)


def list_operations(  # noqa: PLR0917 - one line of the table for each
    core: Core,
    keys: KeyServices,
    agreements: ActiveAgreements,
    calibrations: AdoptedCalibrations,
    directory: DirectoryServices,
    subjects: SubjectServices,
    retention: RetentionServices,
    evidence: EvidenceServices,
    casework: CaseworkServices,
    outbound: OutboundServices,
) -> tuple[Handler[Any], ...]:
    """Return the operations of all services but staff and approvals, which govern the others."""
    edges = core.database, core.sequencer, core.clock
    files, people, worker = casework.files, subjects.people, outbound.worker
    suspected = CompromiseOperations(
        *(keys.active, directory.partners, directory.blocklist, keys.shown), *edges
    )
    return (
        *agreements.handlers(),
        *calibrations.handlers(),
        *KeyOperations(keys.rotation).handlers(),
        *AuditorKeyOperations(keys.rotation).handlers(),
        *CustodyOperations(core.home, keys.active).handlers(),
        *BackupOperations(*edges).handlers(),
        *AuditAccess(core.database, core.sequencer, keys.data_key).handlers(),
        *evidence.witnesses.handlers(),
        *evidence.timestamps.handlers(),
        *casework.reviews.handlers(),
        *subjects.records.handlers(),
        *CorrectionOperations(files, people, outbound.permissions).handlers(),
        *CorrectionTrace(files).handlers(),
        *RetentionOperations(retention.erasure, retention.watchdog, retention.copies).handlers(),
        *HoldOperations(*edges, core.random).handlers(),
        *WithholdingOperations(*edges, core.random).handlers(),
        *OutboundQueryOperations(files, worker, people).handlers(),
        *AnswerUse(files, worker).handlers(),
        *DirectoryOperations(directory.publication, keys.active).handlers(),
        *suspected.handlers(),
    )
