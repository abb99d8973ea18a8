"""A home directory of an earlier release opens, migrates and verifies; what partners and auditors kept of it holds.

`kept/home-7e7a644.tar.xz` was made by the code of 7e7a644 with the fixtures of its own tests, on invented people: `can`, which
answered one query with a match and one without; `aus`, which asked; a backup; and what AUS kept of the first answer.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from gateway import config
from gateway.admin.operation import TwoPersons
from gateway.domain.messages import Modality, Receipt
from gateway.exercises.drill.rotation import ONE, TWO
from gateway.ledger.entry import EntryType, Frame, decode
from gateway.ledger.proof import Expected, verify_receipt
from gateway.matching.calibrations import shipped
from gateway.server import application, self_check
from gateway.server.application import Gateway
from gateway.server.restore import restore
from gateway.store.address import open_store
from gateway.store.ledger import stored_ledger
from gateway.store.people import subjects
from gateway.trust.partners import own_bundle
from keys.envelope import OpeningKey
from keys.keyset import KeyKind, KeyState
from tests.gateway.own_calibrations import iris_file

KEPT = Path(__file__).parent / "kept" / "home-7e7a644.tar.xz"
RECOVERY = OpeningKey.from_seed(bytes(range(32)))
ENTRIES = 32  # of CAN's ledger when it was kept


def expected_of(frame: Frame, now: datetime) -> Expected:
    """Return what a leaf says of itself: its place and its log's signatures are what is looked at here."""
    own = {"operation", "earliest", "latest"}
    said = {
        each.name: getattr(frame, each.name) for each in fields(Expected) if each.name not in own
    }
    earliest = frame.time - timedelta(seconds=1)
    return Expected(operation=frame.subject_reference, earliest=earliest, latest=now, **said)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def told(kept: Path) -> Any:
    return json.loads((kept / "kept.json").read_text())


@pytest.fixture
def made(told: Any) -> datetime:
    """Return a moment soon after it was kept: certificates of then have ended since."""
    found = datetime.fromisoformat(told["made"]) + timedelta(minutes=5)
    return found.replace(microsecond=0)


def types(home: Path) -> list[EntryType]:
    database = open_store(config.load(home).store.path)
    try:
        return [decode(leaf).type for leaf in stored_ledger.iter_leaves(database)]
    finally:
        database.close()


def test_an_old_home_opens_migrates_and_verifies(kept: Path, made: datetime, secret: Any) -> None:
    home = kept / "can"

    with Gateway.open(home, secret, clock=lambda: made) as gateway:
        assert gateway.party == "CAN"
        with gateway.database.reader() as reader:
            held = subjects.counts(reader)
        keys = {record.kind for record in gateway.keyset.records if record.state is KeyState.ACTIVE}
        batches = [
            person
            for batch in gateway.subjects.gallery.batches(Modality.FINGER, 0, 1)
            for person in batch
        ]

    assert (held.subjects, held.samples, len(batches)) == (5, 10, 5)  # with their records opened
    assert keys >= {KeyKind.KEM, KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_CA, KeyKind.DATA}
    assert types(home)[:ENTRIES].count(EntryType.RESPONSE) == 2
    assert self_check.verify_ledger(home).ok


def test_an_old_home_keeps_its_data_keys_until_two_persons_say_otherwise(
    kept: Path, made: datetime, secret: Any
) -> None:
    """No release turns on what destroys keys; in a home that is made now it is on."""
    with Gateway.open(kept / "can", secret, clock=lambda: made) as gateway:
        assert not gateway.keys.rotation.outlook().crypto_periods[KeyKind.DATA].on
        before = gateway.keyset.primary(KeyKind.DATA).kid
    with Gateway.open(kept / "can", secret, clock=lambda: made + timedelta(days=60)) as gateway:
        gateway.keys.rotation.round()
        assert gateway.keyset.primary(KeyKind.DATA).kid == before
        with pytest.raises(TwoPersons):
            gateway.admin.perform(ONE, "keys.schedule", {"kind": "DATA", "on": True, "reason": "t"})
        gateway.admin.perform(TWO, "keys.schedule", {"kind": "DATA", "on": True, "reason": "t"})
        assert gateway.keys.rotation.outlook().crypto_periods[KeyKind.DATA].on


def test_a_schedule_that_one_person_turned_on_in_an_old_home_destroys_nothing(
    kept: Path, made: datetime, secret: Any
) -> None:
    """It destroyed nothing then; that it does now is for two to decide."""
    with closing(sqlite3.connect(kept / "can" / "store" / "passerelle.db")) as connection:
        connection.execute(
            'INSERT INTO "values" VALUES (?, ?)',
            ("rotation/schedule/DATA", '{"days":30,"on":true}'),
        )
        connection.commit()
    ahead = timedelta(0)

    with Gateway.open(kept / "can", secret, clock=lambda: made + ahead) as gateway:
        found = gateway.keys.rotation.outlook().crypto_periods[KeyKind.DATA]
        assert (found.on, found.every) == (False, timedelta(days=30))
        before = gateway.keyset.primary(KeyKind.DATA).kid
        ahead = timedelta(days=40)
        for job in (gateway.keys.rotation, gateway.keys.reencryption, gateway.keys.rotation):
            job.round()
        assert gateway.keyset.primary(KeyKind.DATA).kid == before


def test_an_old_home_counts_the_shipped_calibrations_until_two_persons_say_otherwise(
    kept: Path, made: datetime, secret: Any
) -> None:
    with Gateway.open(kept / "can", secret, clock=lambda: made) as gateway:
        assert gateway.calibrations.in_force.current.each()[0].id == shipped().each()[0].id
        gateway.admin.perform(TWO, "calibrations.adopt", {"text": iris_file(), "reason": "t"})
    with Gateway.open(kept / "can", secret, clock=lambda: made + timedelta(days=1)) as gateway:
        one = gateway.calibrations.in_force.current.of("masek-1")
        assert one is not None
        assert one.id.startswith("masek-1-own-")
    assert self_check.verify_ledger(kept / "can").ok


def test_samples_of_then_keep_their_seal_and_are_of_fingers(
    kept: Path, made: datetime, secret: Any
) -> None:
    home = kept / "can"

    def rows(columns: str) -> list[Any]:
        with closing(sqlite3.connect(home / "store" / "passerelle.db")) as connection:
            order = " FROM samples ORDER BY subject_id, position"
            return connection.execute(f"SELECT {columns}{order}").fetchall()

    before = rows("subject_id, position, format, extractor, impression, sealed")
    with Gateway.open(home, secret, clock=lambda: made):
        pass

    assert rows("subject_id, position, format, extractor, impression, sealed") == before
    assert set(rows("modality, label, impression_number")) == {(int(Modality.FINGER), 1, 1)}


def test_a_receipt_of_then_holds_under_the_bundle_of_then_and_of_now(
    kept: Path, told: Any, made: datetime, secret: Any
) -> None:
    receipt = Receipt(**{name: bytes.fromhex(text) for name, text in told["receipt"].items()})
    frame = decode(receipt.leaf)
    before = own_bundle(kept / "can").log
    with Gateway.open(kept / "can", secret, clock=lambda: made):
        pass

    for log in (before, own_bundle(kept / "can").log):
        found = verify_receipt(receipt, log=log, expected=expected_of(frame, made))
        assert (found.index, found.checkpoint.size) == (told["index"], told["size"])


def test_a_backup_of_then_is_restored_by_the_gateway_of_now(
    kept: Path, made: datetime, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "utc_now", lambda: made)
    done = restore(kept / "can.backup", kept / "again", RECOVERY, secret)

    assert done.party == "CAN"
    assert types(kept / "again")[: done.entries] == types(kept / "can")[: done.entries]
    assert EntryType.RESTORE in types(kept / "again")[done.entries :]
    assert self_check.verify_ledger(kept / "again").ok


def revision(home: Path) -> str:
    """Return how far a store is migrated, without opening it."""
    with closing(sqlite3.connect(home / "store" / "passerelle.db")) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found)


def test_a_migration_that_was_interrupted_goes_on(
    kept: Path, made: datetime, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a step fails, the store is as it was before all of them; the next start does them."""
    home = kept / "can"
    before, whole = revision(home), command.upgrade

    def half(configuration: Any, _: str) -> None:
        whole(configuration, "+1")
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(command, "upgrade", half)
        with pytest.raises(OSError, match="no space left"):
            Gateway.open(home, secret, clock=lambda: made)
    assert revision(home) == before
    with Gateway.open(home, secret, clock=lambda: made):
        pass

    assert revision(home) != before
    assert self_check.verify_ledger(home).ok
