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
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway import config, telemetry, user_files
from gateway.admin.administration import Administration
from gateway.agreements.active import ActiveAgreements
from gateway.backup import restored as restoring
from gateway.calibrations.adopted import AdoptedCalibrations
from gateway.config import Settings
from gateway.keymanagement import adoption, bundle_renewal
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.law.agreement import Agreements
from gateway.ledger import events
from gateway.ledger.entry import EntryType
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.server import services
from gateway.server.maintenance_pipe import EXIT_LEDGER
from gateway.server.services import (
    CaseworkServices,
    Core,
    DirectoryServices,
    EvidenceServices,
    KeyServices,
    OutboundServices,
    RetentionServices,
    SubjectServices,
)
from gateway.store.address import open_store
from gateway.store.leases import Leases
from gateway.store.ledger.detail_periods import DetailPeriods
from gateway.store.ledger.sequencer import Observer, Sequencer
from gateway.store.times import utc_now
from gateway.trust.partners import OwnEntry
from gateway.watchdog import Watchdog
from keys import selftest
from keys.custody import open_custody
from keys.data_encryption import DataRing
from keys.keyset import Keyset, KeysetInForce
from keys.keyset_upgrade import completed

_NEW_KIND = "first of a kind that the keyset lacked"


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
class Gateway(Core):
    """One party's services, from an opened home directory. A context manager: leaving it closes them."""

    settings: Settings
    keys: KeyServices
    active_agreements: ActiveAgreements
    calibrations: AdoptedCalibrations
    directory: DirectoryServices
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
        settings = config.load(home)
        with ExitStack() as closing:
            keyset = KeysetInForce(_load_keyset(settings, passphrase))
            core = _open_ledger(home, settings, keyset, closing, clock or utc_now, on_fatal)
            database, sequencer, watchdog = core.database, core.sequencer, core.watchdog
            active = ActiveKeyset(
                home, settings.keys.keyset, keyset, database, sequencer, core.clock, watchdog
            )
            restored = _record_restoration(core)
            active.settle()  # a change of custody that a crash interrupted
            agreements = _adopt(core, settings, active)
            calibrations = AdoptedCalibrations(core.database, core.sequencer, core.clock)
            calibrations.begin()
            gateway = _build(core, settings, active, agreements, calibrations)
            closing.callback(gateway.outbound.worker.stop)
            gateway.directory.publication.round()  # what a crash left unpublished
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
        leaf = events.service(kind, version("passerelle"), self.settings.digest())
        self.sequencer.commit((leaf,))


@dataclass(frozen=True, slots=True)
class _LedgerObserver(Observer):
    """Measures batches, and ends the process where nothing is recorded any more."""

    on_fatal: Callable[[BaseException], None]

    def failed(self, error: BaseException) -> None:
        """End the process."""
        self.on_fatal(error)

    def committed(self, leaves: int, seconds: float) -> None:
        """Measure a batch."""
        del leaves
        telemetry.observe_commit(seconds)


def _load_keyset(settings: Settings, passphrase: Callable[[], bytes]) -> Keyset:
    """Return our keys, unwrapped, after each primitive gave its known answers, and the keys theirs."""
    selftest.run_once()
    custody = open_custody(settings.keys.custody, passphrase)
    keyset = Keyset.load(settings.keys.keyset, custody)
    selftest.rehearse_present(keyset)
    return keyset


def _open_ledger(  # noqa: PLR0917 - the ledger is opened with these
    home: Path,
    settings: Settings,
    keyset: KeysetInForce,
    closing: ExitStack,
    clock: services.Clock,
    on_fatal: Callable[[BaseException], None],
) -> Core:
    """Take the writer lock, verify the ledger's tail with our own keys, and start the one writer."""
    own, watchdog = OwnEntry(home), Watchdog(settings.limits.watchdog_s)
    log = bundle_renewal.log_of(keyset.current, own.log.origin, every=True)
    database = open_store(settings.store.path)
    closing.callback(database.close)
    sequencer = Sequencer(
        database,
        keyset,
        log,
        clock,
        observer=_LedgerObserver(on_fatal),
        watchdog=watchdog,
        periods=DetailPeriods(DataRing(keyset)),
    )
    watchdog.also("sequencer", lambda: sequencer.busy)
    sequencer.start()
    closing.callback(sequencer.close)
    leases = Leases(database, sequencer, clock, owner=secrets.token_hex(16))
    return Core(home, own, database, sequencer, clock, secrets.token_bytes, watchdog, leases)


def _record_restoration(core: Core) -> bool:
    """Record that this home directory came from a backup, where it did and was not recorded; return whether."""
    restored = restoring.marked(core.home)
    if restored is not None:
        restoring.record(restored, core.sequencer)
    return restored is not None


def _adopt(core: Core, settings: Settings, active: ActiveKeyset) -> ActiveAgreements:
    """Record what of our keys, our entry and the agreements is new since the last time; return the agreements."""
    agreements = ActiveAgreements(
        *(settings.agreements.folder, core.database, core.sequencer),
        *(active.in_force, core.own, core.clock),
    )
    adoption.adopt(
        core.database,
        core.sequencer,
        keyset=active.current,
        agreements=[each for versions in agreements.current.values() for each in versions],
        entries=[adoption.entry(core.own.bundle)],
        now=core.clock(),
    )
    active.change(lambda known, now: completed(known, now, reason=_NEW_KIND, actor=""), actor="")
    agreements.begin()
    return agreements


def _build(
    core: Core,
    settings: Settings,
    active: ActiveKeyset,
    active_agreements: ActiveAgreements,
    calibrations: AdoptedCalibrations,
) -> Gateway:
    """Build the services, those first that others use. Nothing is recorded here."""
    keyset, agreements = active.in_force, active_agreements.in_force
    directory = services.build_directory(core, settings, keyset, agreements)
    keys = services.build_keys(core, active, directory)
    subjects = services.build_subjects(core, keys.data_key, calibrations.in_force)
    retention = services.build_retention(core, keys, agreements)
    evidence = services.build_evidence(core, directory.partners, settings.evidence)
    casework = services.build_casework(core, keys.data_key, agreements, subjects.people)
    outbound = services.build_outbound(
        core, settings, keys, directory.partners, agreements, evidence.witnesses, casework.files
    )
    operations = services.list_operations(
        *(core, keys, active_agreements, calibrations, directory, subjects),
        *(retention, evidence, casework, outbound),
    )
    return Gateway(
        home=core.home,
        own=core.own,
        database=core.database,
        sequencer=core.sequencer,
        clock=core.clock,
        random=core.random,
        watchdog=core.watchdog,
        leases=core.leases,
        settings=settings,
        keys=keys,
        active_agreements=active_agreements,
        calibrations=calibrations,
        directory=directory,
        subjects=subjects,
        retention=retention,
        evidence=evidence,
        casework=casework,
        outbound=outbound,
        expiry_alerts=services.build_expiry_alerts(core, keyset, agreements, directory),
        admin=services.build_admin(core, settings.gateway.party, keyset, operations),
        closing=ExitStack(),
    )
