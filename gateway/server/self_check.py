"""What can be said of a folder without opening its listeners: counts, the ledger's proof, what would fail.

The ledger is verified from its rows as they are, also while the gateway serves, and needs no passphrase:
everything it is checked against is public.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from gateway import config
from gateway import user_files as files
from gateway.config import Settings
from gateway.errors import InternalError, PasserelleError, UserError
from gateway.keymanagement import bundle_renewal
from gateway.keymanagement.transitions import NEEDED, stopped
from gateway.law.query_policy import in_force
from gateway.ledger import timestamp
from gateway.ledger.destruction_receipt import write
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.verify import Finding, Place, Report, Severity
from gateway.ledger_ops import evidence_deadline, published_check
from gateway.ledger_ops.witnesses import witnesses_of
from gateway.monitoring.expiry import ExpiryNotice, Level
from gateway.monitoring.open_alarms import AlarmKind
from gateway.server import (
    alarms_of_folder,
    calibrations_of_folder,
    expiry_of_folder,
    image_extraction,
    search_processes,
    settings_check,
    status,
)
from gateway.server.listener import file_descriptors
from gateway.server.process_hardening import swap_in_use
from gateway.store.address import open_store
from gateway.store.engine import StorageEngine
from gateway.store.ledger import stored_ledger, verification, witness_evidence
from gateway.store.people import subjects
from gateway.store.people.subjects import Counts
from gateway.trust.configured import directory_of
from gateway.trust.partners import own_bundle
from keys import certificates, keyset_file, rotation_schedule, selftest
from keys.custody import open_custody
from keys.errors import KeysError
from keys.keyset import Keyset
from keys.officer_keys import is_private

PROBE = 65_536  # bytes that are written and thrown away: some pages of the ledger's log
LEAST = 64 << 20  # bytes beside the ledger: a busy day's entries and their log, several times over


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked.

    ok      False for what would keep the gateway from serving, or soon will: somebody has to act now
    level   how near an end is, where that is what was checked
    """

    name: str
    ok: bool
    detail: str
    level: Level = Level.FINE


def stats(home: Path) -> Counts:
    """Return how many people and records are enrolled, by finger position."""
    with closing(open_store(config.load(home).store.path)) as database, database.reader() as reader:
        return subjects.counts(reader)


def verify_ledger(home: Path, *, keys: bool = True, files: bool = True) -> Report:
    """Verify every entry and checkpoint of the folder's ledger as of now, and what is published of it.

    keys    False for a backup, which has no keys to account for
    files   False for a draft, whose ledger is not the one that is published
    """
    settings = config.load(home)
    log = own_bundle(home).log
    with closing(open_store(settings.store.path)) as database:
        witnesses = witnesses_of(settings)
        report = verification.verify(database, log, keys=keys, witnesses=witnesses)
        stamps = _stamps(settings, database, log)
        tiles = published_check.check(settings.evidence.tiles, database, log) if files else ()
        return replace(report, findings=(*report.findings, *tiles, *stamps))


def _stamps(settings: Settings, database: StorageEngine, log: LogIdentity) -> Iterator[Finding]:
    """Yield what is wrong with the time stamps; a notice where no authority to trust was named."""
    with database.reader() as reader:
        tokens = witness_evidence.every_token(reader)
        found = {size: witness_evidence.root_of(reader, size) for size, _, _ in tokens}
        entries = witness_evidence.stamp_entries(reader)
    roots = None
    try:
        if settings.evidence.authority_roots is not None:
            roots = files.read(settings.evidence.authority_roots, timestamp.MOST_ROOTS)
    except files.FileRefused as fault:
        text = f"evidence.authority_roots cannot be read: {fault}"
        yield Finding(Severity.FAULT, 0, text, Place.LEDGER)
    notes = {size: row[1] for size, row in found.items() if row is not None}
    told = {each.digest: each.index for each in entries}
    for size, token, index in tokens:
        if told.get(sha256(token).hexdigest(), index) != index:
            text = f"the row of the stamp over {size} entries names another entry than its own"
            yield Finding(Severity.FAULT, size, text, Place.LEDGER)
    pairs = [(size, token) for size, token, _ in tokens]
    yield from timestamp.check_all(pairs, timestamp.Beside(log, notes, entries), roots)


def destruction(home: Path, identifier: str) -> bytes:
    """Return the file of a destruction receipt; raises UserError where the ledger has no such entry."""
    with closing(open_store(config.load(home).store.path)) as database, database.reader() as reader:
        found = stored_ledger.destruction(reader, identifier)
    if found is None:
        raise UserError("the ledger has no such destruction; the answer to the query names it, D-…")
    return write(identifier, found)


def check(home: Path, passphrase: Callable[[], bytes], now: datetime) -> list[Check]:
    """Return what would keep the gateway of `home` from serving, and what soon will."""
    found: list[Check] = []

    def run(name: str, work: Callable[[], str]) -> None:
        try:
            found.append(Check(name, True, work()))
        except (PasserelleError, KeysError, OSError) as error:
            found.append(Check(name, False, files.fault_text(error)))

    settings = config.load(home)
    up = status.is_up(home, settings)
    run("cryptography", lambda: f"{len(selftest.run())} known answers")
    keyset: list[
        Keyset
    ] = []  # one opening serves two checks: it takes a third of a second, or a prompt
    run("keys", lambda: _keys(settings, passphrase, now, keyset))
    run("own entry", lambda: _own(home, settings))
    run("partners", lambda: _partners(settings, now))
    run("agreements", lambda: _agreements(home, now))
    run("calibrations", lambda: _calibrations(home))
    run("store", lambda: _store(settings))
    run("disk", lambda: _disk(settings))
    run("gallery", lambda: _gallery(home))
    run("evidence", lambda: _evidence(settings, up=up))
    run("files", lambda: settings_check.try_files(settings))
    run("images", lambda: image_extraction.try_extractors(settings.extraction, up=up))
    run("search", lambda: search_processes.try_one(settings.matching.workers))
    run("time stamps", lambda: settings_check.try_authority(settings))
    run("descriptors", lambda: file_descriptors.summary(settings))
    run("health", lambda: _health(settings))
    run("officers", lambda: _officers(settings))
    run("memory", _memory)
    return [
        *found,
        *_alarms(settings, now, up=up),
        *_ends(expiry_of_folder.of_folder(home, keyset[0] if keyset else None, now), now),
    ]


def _officers(settings: Settings) -> str:
    """Raise UserError where an officer's keys lie anywhere in the home directory, as versions before requests left them."""
    found = [path for path in _kept(settings) if is_private(path)]
    if found:
        folder = found[0].parent
        raise UserError(
            f"an officer's keys lie in {folder}; their owner takes them out: passerelle staff seal {folder} FOLDER,"
            " then delete it"
        )
    return "no officer's keys in the home directory"


def _kept(settings: Settings) -> Iterator[Path]:
    """Yield the files in the home directory that people may have put there: not the store's, no tiles, none hidden."""
    ours = {settings.evidence.tiles, settings.store.path.parent} - {settings.home}
    for folder, names, inside in os.walk(settings.home):
        names[:] = sorted(
            name for name in names if name[0] != "." and Path(folder) / name not in ours
        )
        for path in (Path(folder) / name for name in sorted(inside) if name[0] != "."):
            if path.is_file() and not path.is_symlink():
                yield path


def demand_current(keyset: Keyset, now: datetime) -> None:
    """Raise UserError where a key without which nothing is answered is stopped, or past its end (keys.md section 10).

    For whoever serves; enrolling, renewing and promoting go on without such a key.
    """
    missing = ", ".join(kind.value for kind in stopped(keyset))
    if missing:
        raise UserError(
            f"no {missing} key is ACTIVE: promote a successor, or resume the one that was suspended; either takes two"
            " persons, and `passerelle keys list` shows both"
        )
    ended = [
        record for record in map(keyset.primary, NEEDED) if rotation_schedule.ends(record) <= now
    ]
    if not ended:
        return
    names = ", ".join(
        f"{record.kind.value} {rotation_schedule.ends(record):%Y-%m-%d %H:%M}" for record in ended
    )
    ways = ", ".join(f"`passerelle keys rotate DIR {record.kind.value}`" for record in ended)
    raise UserError(f"keys in use are past their end ({names}, UTC): run {ways}")


def _keys(
    settings: Settings, passphrase: Callable[[], bytes], now: datetime, opened: list[Keyset]
) -> str:
    keyset = Keyset.load(settings.keys.keyset, open_custody(settings.keys.custody, passphrase))
    opened.append(keyset)
    selftest.rehearse(keyset)
    demand_current(keyset, now)
    if not bundle_renewal.says(own_bundle(settings.home), keyset, now):
        raise UserError(
            "party.json does not say which keys are in use: run `passerelle keys publish`"
        )
    return f"{len(keyset.records)} keys open, sign and seal"


def _alarms(settings: Settings, now: datetime, *, up: bool) -> Iterator[Check]:
    """Yield a line for each open alarm; what ends soon has lines of its own, by what is so now.

    Where nothing serves, what only a serving gateway ends does not fail: it would never be started again.
    """
    try:
        keys = keyset_file.stated(settings.keys.keyset)
    except (KeysError, OSError):
        keys = None  # reported by another check
    try:
        found = alarms_of_folder.of_folder(settings, keys, now)
    except (PasserelleError, KeysError, OSError) as error:
        yield Check("alarms", False, files.fault_text(error))
        return
    said = [one for one in found if one.kind is not AlarmKind.EXPIRY]
    for one in said:
        fails = one.pages and (up or not one.ends_by_serving)
        detail = (
            f"{one.name} since {one.since:%Y-%m-%d %H:%M} UTC  → {one.remedy(str(settings.home))}"
        )
        yield Check(f"alarm: {one.kind.name}", not fails, detail)
    if not said:
        yield Check("alarms", True, "none is open")


def _ends(told: Sequence[ExpiryNotice], now: datetime) -> Iterator[Check]:
    """Yield a line for each thing that ends soon, or one that says which is the next."""
    near = [one for one in told if one.level is not Level.FINE]
    for one in near:
        detail = expiry_of_folder.expiry_line(one, now)
        yield Check(f"ends: {one.thing.kind.value}", not one.level.pages, detail, one.level)
    if not near:
        yield Check(
            "ends",
            True,
            f"nothing soon; next {expiry_of_folder.expiry_line(told[0], now)}"
            if told
            else "nothing",
        )


def _own(home: Path, settings: Settings) -> str:
    own = own_bundle(home)
    if own.party != settings.gateway.party:
        raise InternalError(
            f"party.json is of {own.party}, the settings are of {settings.gateway.party}"
        )
    return f"{own.party} version {own.version}, ledger {own.log.origin}"


def _partners(settings: Settings, now: datetime) -> str:
    directory = directory_of(settings)
    if directory.faults:
        raise InternalError("; ".join(f"{fault.file}: {fault.why}" for fault in directory.faults))
    parties = directory.parties()
    for bundle in parties:
        authorities = certificates.authorities_in(bundle.tls_ca_pem)
        ends = max(certificates.validity(each)[1] for each in authorities)
        if ends <= now:
            raise InternalError(
                f"the TLS authority of {bundle.party} ended {ends:%Y-%m-%d}; ask for another"
            )
    refused = expiry_of_folder.refused(settings)
    names = [
        bundle.party + (f" (refused keys: {len(gone)})" if (gone := refused(bundle.party)) else "")
        for bundle in parties
    ]
    return ", ".join(names) or "none yet: import one before it can ask"


def _agreements(home: Path, now: datetime) -> str:
    found = expiry_of_folder.agreements(home, now)
    if found.faults:
        raise InternalError("; ".join(map(str, found.faults)))
    versions = [each for known in found.agreements.values() for each in known]
    names = [each.name for each in versions if in_force(each, now)]
    return ", ".join(names) or "none in force: every query is refused"


def _calibrations(home: Path) -> str:
    calibrations_of_folder.demand_no_package()
    found = calibrations_of_folder.calibrations(home)
    if found.faults:
        raise InternalError("; ".join(found.faults.values()))
    return ", ".join(each.id for each in found.calibrations.each())


def _store(settings: Settings) -> str:
    with closing(open_store(settings.store.path)) as database:
        return database.describe()


def _disk(settings: Settings) -> str:
    """Raise UserError where nothing can be written beside the ledger, or little is left; leaves nothing there."""
    folder = settings.store.path.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as fault:
        if files.is_full(fault):
            raise UserError(files.no_room(folder)) from None
        raise UserError(
            f"{folder} cannot be written: {files.why(fault)}; nothing is answered that is not recorded"
        ) from None
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < LEAST:
        raise UserError(files.no_room(folder))
    return f"{free // 1_000_000:,} MB left where the ledger is"


def _evidence(settings: Settings, *, up: bool) -> str:
    """Raise InternalError where evidence is late, unless the gateway is stopped: only one that serves ends that."""
    with closing(open_store(settings.store.path)) as database:
        late = evidence_deadline.late_in(database)
        with database.reader() as reader:
            size = stored_ledger.extent(reader)[0]
    if late:
        limit = timedelta(hours=settings.evidence.overdue_h)
        told = ", ".join(
            f"{name} since {since:%Y-%m-%d %H:%M}, nothing is answered from {since + limit:%H:%M} UTC on"
            for name, since in sorted(late.items())
        )
        if not up:
            return f"{size} entries; late when it last served: {told}"
        raise InternalError(f"late: {told}; docs/operators.md says what to do")
    return f"{size} entries, nothing late"


def _gallery(home: Path) -> str:
    counts = stats(home)
    said = counts.summary
    if not counts.samples:
        return f"{said}: NOBODY HAS PRINTS, and no query is answered until somebody is: passerelle gallery enrol"
    if not counts.without_status:
        return said
    return (
        f"{said}; {counts.without_status} WITHOUT A STATUS are masked: passerelle registry import"
    )


def _health(settings: Settings) -> str:
    listen = settings.health.listen
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if host in {"localhost", "::1"} or host.startswith("127."):
        return f"{listen}, on this machine alone"
    return f"{listen}: WHOEVER REACHES IT may ask, without a certificate; health.listen on loopback unless that is meant"


def _memory() -> str:
    if swap_in_use():
        return "swap is on: keys and prints may reach it; turn it off, or encrypt it"
    return "no swap; the gateway writes no core image"
