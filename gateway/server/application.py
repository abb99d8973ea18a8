"""The composition root: one home directory becomes one gateway, with its keys, its ledger and its services.

Opening takes the writer lock, which one process at a time can hold; it verifies the tail of the
ledger, and records what changed since the last time: keys, agreements, the directory. Whoever enrols, checks
or serves begins here. Only the life cycle takes the whole; everybody else is handed the services that they use.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway import config, telemetry, user_files
from gateway.admin.administration import Administration
from gateway.agreements.active import ActiveAgreements
from gateway.backup import restored as restoring
from gateway.config import Settings
from gateway.directory.publication import DirectoryPublication
from gateway.keymanagement import adoption, bundle_renewal
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.keymanagement.blocklist import Blocklist
from gateway.law.agreement import Agreements
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.outbound.transport import Sender
from gateway.server import services
from gateway.server.services import (
    CaseworkServices,
    EvidenceServices,
    KeyServices,
    Ledger,
    OutboundServices,
    RetentionServices,
    SubjectServices,
)
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.sqlite import Database, open_store
from gateway.trust.configured import directory_of
from gateway.trust.partners import Directory, OwnEntry
from gateway.watchdog import Watchdog
from keys import selftest
from keys.custody import open_custody
from keys.data_encryption import DataRing
from keys.keyset import Keyset, KeysetInForce
from keys.keyset_upgrade import completed

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One party's services, from an opened home directory. A context manager: leaving it closes them.

    own         our public entry, as the home directory has it now
    directory   the partners whom we know; publication: the directory in which they read of us
    """

    home: Path
    settings: Settings
    own: OwnEntry
    clock: services.Clock
    random: services.Random
    watchdog: Watchdog
    database: Database
    sequencer: Sequencer
    keys: KeyServices
    active_agreements: ActiveAgreements
    directory: Directory
    publication: DirectoryPublication
    subjects: SubjectServices
    retention: RetentionServices
    evidence: EvidenceServices
    casework: CaseworkServices
    outbound: OutboundServices
    expiry_alerts: ExpiryAlerts
    admin: Administration
    closing: ExitStack

    @classmethod
    def open(
        cls,
        home: Path,
        passphrase: Callable[[], bytes],
        *,
        on_fatal: Callable[[BaseException], None] = leave_at_once,
        clock: Callable[[], datetime] | None = None,
    ) -> Gateway:
        """Open the home directory `home`; raises UserError, InternalError or KeysError saying what is wrong with it.

        clock   of the whole gateway, in whole milliseconds; drills set it forward on a copy of a home directory
        """
        settings, own = config.load(home), OwnEntry(home)
        with ExitStack() as closing:
            in_force = KeysetInForce(_load_keyset(settings, passphrase))
            watchdog = Watchdog(settings.limits.watchdog_s)
            ledger = _open_ledger(
                settings, own, in_force, watchdog, closing, clock or utc_now, on_fatal
            )
            active = ActiveKeyset(
                home,
                settings.keys.keyset,
                in_force,
                ledger.database,
                ledger.sequencer,
                ledger.clock,
                watchdog,
            )
            restored = _record_restoration(home, ledger)
            active.settle()  # a change of custody that a crash interrupted
            agreements = _adopt(settings, own, active, ledger)
            gateway = _build(home, settings, own, watchdog, ledger, active, agreements)
            closing.callback(gateway.outbound.worker.stop)
            gateway.publication.round()  # what a crash left unpublished
            gateway.admin.approvals.recover()  # what was approved, and not done when the gateway stopped
            if restored:
                restoring.finish(home, lambda by: active.publish(actor="restore", leap=by))
            return replace(gateway, closing=closing.pop_all())

    @property
    def party(self) -> str:
        """Our identifier."""
        return self.settings.gateway.party

    @property
    def keyset(self) -> Keyset:
        """Our keys, now."""
        return self.keys.active.current

    @property
    def agreements(self) -> Agreements:
        """What is agreed, now."""
        return self.active_agreements.current

    def close(self) -> None:
        """Give back the writer lock and files; idempotent."""
        self.closing.close()

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

    def record(self, kind: EntryType) -> None:
        """Record that the gateway starts or stops serving, with which software and settings."""
        frame = Frame(type=kind, entry_class=EntryClass.OTHER)
        facts = {"software": version("passerelle"), "settings_digest": self.settings.digest()}
        self.sequencer.commit((Leaf(frame, facts),))


def _load_keyset(settings: Settings, passphrase: Callable[[], bytes]) -> Keyset:
    """Return our keys, unwrapped, after each primitive gave its known answers, and the keys theirs."""
    selftest.run_once()
    custody = open_custody(settings.keys.custody, passphrase)
    keyset = Keyset.load(settings.keys.keyset, custody)
    selftest.rehearse_present(keyset)
    return keyset


def _open_ledger(  # noqa: PLR0917 - the ledger is opened with these
    settings: Settings,
    own: OwnEntry,
    in_force: KeysetInForce,
    watchdog: Watchdog,
    closing: ExitStack,
    clock: services.Clock,
    on_fatal: Callable[[BaseException], None],
) -> Ledger:
    """Take the writer lock, verify the ledger's tail with our own keys, and start the one writer."""
    log = bundle_renewal.log_of(in_force.current, own.log.origin, every=True)
    database = open_store(settings.store.path)
    closing.callback(database.close)
    sequencer = Sequencer(
        database,
        in_force.log_keys,
        log,
        in_force.audit_public,
        clock,
        on_fatal=on_fatal,
        on_commit=lambda _, seconds: telemetry.observe_commit(seconds),
        progress=watchdog.beat,
    )
    watchdog.also("sequencer", lambda: sequencer.busy)
    sequencer.start()
    closing.callback(sequencer.close)
    return Ledger(database, sequencer, clock)


def _record_restoration(home: Path, ledger: Ledger) -> bool:
    """Record that this home directory came from a backup, where it did and was not recorded; return whether."""
    restored = restoring.marked(home)
    if restored is not None:
        restoring.record(restored, ledger.sequencer)
    return restored is not None


def _adopt(
    settings: Settings, own: OwnEntry, active: ActiveKeyset, ledger: Ledger
) -> ActiveAgreements:
    """Record what of our keys, our entry and the agreements is new since the last time; return the agreements."""
    agreements = ActiveAgreements(
        *(settings.agreements.folder, ledger.database, ledger.sequencer),
        *(active.in_force, own, ledger.clock),
    )
    adoption.adopt(
        ledger.database,
        ledger.sequencer,
        keyset=active.current,
        agreements=[each for versions in agreements.current.values() for each in versions],
        entries=[adoption.entry(own.bundle)],
        now=ledger.clock(),
    )
    active.change(lambda known, now: completed(known, now, reason=_NEW_KIND, actor=""), actor="")
    agreements.begin()
    return agreements


def _build(  # noqa: PLR0917 - what a gateway is made of
    home: Path,
    settings: Settings,
    own: OwnEntry,
    watchdog: Watchdog,
    ledger: Ledger,
    active: ActiveKeyset,
    active_agreements: ActiveAgreements,
) -> Gateway:
    """Build the services, those first that others use. Nothing is recorded here."""
    party, agreements = settings.gateway.party, active_agreements.in_force
    data_key, random = DataRing(active.in_force), secrets.token_bytes
    blocklist = Blocklist(ledger.database, ledger.sequencer)
    register = adoption.PartnerRegister(ledger.database, ledger.sequencer, party, ledger.clock)
    directory = directory_of(settings, register, blocklist.of)
    publication = DirectoryPublication(
        home, party, active.in_force, directory, agreements, ledger.clock
    )
    proxy = settings.exchange.proxy
    sender = Sender(party, home, active.in_force, directory, proxy, ledger.clock)
    keys = services.build_keys(
        ledger, active, data_key, blocklist, directory=directory, publication=publication
    )
    subjects = services.build_subjects(ledger, data_key)
    retention = services.build_retention(ledger, data_key, agreements, watchdog)
    evidence = services.build_evidence(ledger, own, directory, settings.evidence)
    casework = services.build_casework(ledger, data_key, agreements, subjects.people, random)
    outbound = services.build_outbound(
        *(ledger, data_key, sender, agreements),
        *(evidence.witnesses, casework.files, watchdog, random),
    )
    acts = services.list_acts(
        *(home, ledger, keys, active_agreements, directory, publication, subjects),
        *(retention, evidence, casework, outbound, random),
    )
    return Gateway(
        home=home,
        settings=settings,
        own=own,
        clock=ledger.clock,
        random=random,
        watchdog=watchdog,
        database=ledger.database,
        sequencer=ledger.sequencer,
        keys=keys,
        active_agreements=active_agreements,
        directory=directory,
        publication=publication,
        subjects=subjects,
        retention=retention,
        evidence=evidence,
        casework=casework,
        outbound=outbound,
        expiry_alerts=services.build_expiry_alerts(
            ledger, active, agreements, publication, directory
        ),
        admin=services.build_admin(ledger, active, own, party=party, random=random, acts=acts),
        closing=ExitStack(),
    )
