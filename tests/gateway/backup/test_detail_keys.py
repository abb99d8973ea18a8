"""What was shredded is gone: from the database, its journal, backups, bundles; and the tree still verifies.

A detail is ciphertext and the one key to it. So two things are searched for in every byte of every file: the sealed
key, whose loss is the shredding, and a marked fact, which must not have been anywhere in clear before either.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from gateway.backup import archive
from gateway.backup import detail_keys as backup_keys
from gateway.errors import UserError
from gateway.law.agreement import AgreementsInForce
from gateway.law.retention_policy import RetentionClass
from gateway.ledger.archive import Archive
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.crypto_shredding import read_left_behind
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf, commitment_of, decode
from gateway.ledger.verify import Severity
from gateway.ledger_ops.tile_publisher import Publisher
from gateway.retention.erasure import Retention
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.restore import restore
from gateway.store.address import open_store
from gateway.store.ledger import detail_keys as stored_keys
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.detail_periods import open_stored_key
from gateway.store.schema import detail_keys, details
from gateway.trust.partners import own_bundle
from gateway.watchdog import Watchdog
from keys import recovery
from keys.envelope import OpeningKey, SealingKey
from tests.gateway import ledger_reading

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-4c8f1d"
RECOVERY = OpeningKey.from_seed(bytes(range(32)))
EntryOf = tuple[int, bytes, bytes]


def mark(gateway: Gateway) -> EntryOf:
    """Write an exchange entry that says the canary; return index, ciphertext and sealed key."""
    frame = Frame(type=EntryType.REFUSAL_SUMMARY, entry_class=EntryClass.OTHER, partner_id="AUS")
    index = gateway.sequencer.commit([Leaf(frame, {"reason": CANARY})]).indices[0]
    with gateway.database.reader() as reader:
        ciphertext = reader.execute(select(details.c.ciphertext).where(details.c.idx == index))
        sealed = reader.execute(select(detail_keys.c.sealed_dek).where(detail_keys.c.idx == index))
        return index, ciphertext.scalar_one(), sealed.scalar_one()


def holding(folder: Path, *octets: bytes) -> list[str]:
    """Return the files below a folder that hold any of these bytes."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(each in path.read_bytes() for each in octets)
    ]


def bind(gateway: Gateway, path: Path) -> None:
    """Export the ledger."""
    with ledger_reading.read(gateway.home) as stored:
        stored.export(path, since=None, reason="a test", now=gateway.clock())


def pieces(sealed: bytes) -> tuple[bytes, ...]:
    """Return parts of a sealed key, each too long to be there by chance: a half-erased key is no erased key."""
    return tuple(sealed[at : at + 24] for at in range(0, len(sealed) - 24, 24))


def unsealed(file: Path, folder: Path) -> Path:
    """Open a backup as its root key holder can; return the folder."""
    folder.mkdir()
    with file.open("rb") as source:
        archive.read(recovery.unseal(source, RECOVERY), folder)
    return folder


@pytest.fixture
def ready(key_operations: Any, gateway: Gateway) -> Any:
    key_operations.do("backup.recipient", key_operations.two, public=RECOVERY.public.hex())
    return key_operations


@pytest.fixture
def take(ready: Any, gateway: Gateway) -> Callable[[Path], Path]:
    def take(target: Path) -> Path:
        told = gateway.admin.perform(ready.one, "backup.begin", {})
        archive.write(gateway.settings, SealingKey(RECOVERY.public), str(told["made"]), target)
        return target

    return take


def shred(gateway: Gateway) -> None:
    """Have everything erased that a gateway erases, as the periodic jobs does it, thirty years on."""
    later = timedelta(days=365 * 30)
    key_operations = Retention(
        gateway.database,
        gateway.sequencer,
        gateway.keys.data_key,
        AgreementsInForce({}),
        lambda: gateway.clock() + later,
        Watchdog(60.0),
    )
    done = key_operations.run(
        batches=3
    )  # what an erasure writes is itself old by this clock, so there is no end
    assert done.tidy
    assert done.erased[RetentionClass.EXCHANGE_DETAIL]


def test_the_key_to_a_detail_is_found_where_it_is_while_it_lives(gateway: Gateway) -> None:
    """The test of the tests below: what they search for is there before, and can be found."""
    _, _, sealed = mark(gateway)

    assert [name for name in holding(gateway.home, *pieces(sealed)) if "passerelle.db" in name]


def test_what_is_sealed_is_in_clear_nowhere(gateway: Gateway) -> None:
    mark(gateway)

    assert holding(gateway.home, CANARY.encode()) == []


def test_a_shredded_detail_is_gone_from_database_and_journal_while_the_gateway_serves(
    gateway: Gateway,
) -> None:
    index, ciphertext, sealed = mark(gateway)
    neighbours = [mark(gateway)[0] for _ in range(40)]

    shred(gateway)

    assert holding(gateway.home, *pieces(sealed)) == []
    report = self_check.verify_ledger(gateway.home)
    assert report.ok, report.findings
    assert not [each for each in report.findings if each.severity is Severity.FAULT]
    assert neighbours[0] > index
    assert commitment_of(ciphertext)  # the ciphertext may stay; nothing opens it


def test_it_is_gone_when_the_gateway_has_closed_and_opened_again(
    gateway: Gateway, secret: Any
) -> None:
    _, _, sealed = mark(gateway)
    shred(gateway)
    gateway.close()

    assert holding(gateway.home, *pieces(sealed)) == []
    with Gateway.open(gateway.home, secret) as again:
        assert holding(again.home, *pieces(sealed)) == []


def test_a_backup_has_no_key_to_a_detail_even_while_the_detail_lives(
    take: Callable[[Path], Path], gateway: Gateway, tmp_path: Path
) -> None:
    """A backup that is kept for years is opened by its root key holder: no detail opens by it, shredded or not."""
    _, ciphertext, sealed = mark(gateway)

    opened = unsealed(take(tmp_path / "can.backup"), tmp_path / "opened")

    assert holding(opened, ciphertext[:64])  # the ledger is in it, ciphertexts too
    assert holding(opened, *pieces(sealed)) == []
    assert not list(gateway.settings.store.path.parent.glob(".copy-*"))


def test_all_keys_come_back_however_many_are_held_at_a_time(
    take: Callable[[Path], Path],
    gateway: Gateway,
    tmp_path: Path,
    secret: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark(gateway)
    wanted = select(detail_keys.c.idx).order_by(detail_keys.c.idx)
    file = take(tmp_path / "can.backup")
    with gateway.database.reader() as reader:
        kept = reader.execute(wanted).scalars().all()
    monkeypatch.setattr(stored_keys, "SLICE", 2)

    restore(file, tmp_path / "again", RECOVERY, secret)

    with Gateway.open(tmp_path / "again", secret) as again, again.database.reader() as reader:
        assert reader.execute(wanted).scalars().all()[: len(kept)] == kept
    assert len(kept) > 2 * 2


def test_a_shredded_detail_stays_shredded_when_an_old_backup_is_restored(
    take: Callable[[Path], Path], gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    index, _, sealed = mark(gateway)
    file = take(tmp_path / "can.backup")
    shred(gateway)
    backup_keys.beside(file).unlink()  # the policy: destroyed with the next backup

    with pytest.raises(UserError, match="--without-detail-keys"):
        restore(file, tmp_path / "again", RECOVERY, secret)
    assert not (tmp_path / "again").exists()
    done = restore(file, tmp_path / "again", RECOVERY, secret, without_keys=True)

    assert holding(tmp_path / "again", *pieces(sealed)) == []
    with Gateway.open(tmp_path / "again", secret) as again:
        mark(again)
        frame = decode(next(stored_ledger.iter_leaves(again.database, done.entries)))
    assert read_left_behind(frame) == done.entries > index
    report = self_check.verify_ledger(tmp_path / "again")
    assert report.ok, report.findings
    assert "left behind" in " ".join(finding.text for finding in report.findings)


def test_with_its_keys_a_backup_brings_details_back(
    take: Callable[[Path], Path], gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    _, _, sealed = mark(gateway)
    file = take(tmp_path / "can.backup")

    restore(file, tmp_path / "again", RECOVERY, secret)

    assert holding(tmp_path / "again", sealed)
    assert self_check.verify_ledger(tmp_path / "again").ok


def test_the_keys_of_another_backup_are_refused(
    take: Callable[[Path], Path], gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    mark(gateway)
    one, two = take(tmp_path / "one"), take(tmp_path / "two")
    backup_keys.beside(two).replace(backup_keys.beside(one))

    with pytest.raises(UserError, match="another backup"):
        restore(one, tmp_path / "again", RECOVERY, secret)


@pytest.mark.parametrize("cut", [1, 200, 1500])
def test_damaged_keys_are_refused(
    take: Callable[[Path], Path], gateway: Gateway, tmp_path: Path, secret: Any, cut: int
) -> None:
    mark(gateway)
    file = take(tmp_path / "one")
    keys = backup_keys.beside(file)
    keys.write_bytes(keys.read_bytes()[:-cut])

    with pytest.raises(UserError, match=r"altered, cut off|damaged"):
        restore(file, tmp_path / "again", RECOVERY, secret)
    assert not (tmp_path / "again").exists()


def test_a_bundle_made_after_the_shredding_has_no_key(gateway: Gateway, tmp_path: Path) -> None:
    index, _, stored = mark(gateway)
    sealed = open_stored_key(index, stored, ledger_reading.periods_of(gateway.home))
    bind(gateway, tmp_path / "before")
    shred(gateway)
    bind(gateway, tmp_path / "after")

    assert holding(tmp_path, *pieces(sealed)) == ["before"]


def test_a_bundle_made_while_details_are_shredded_is_whole(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and the entries that account for them are of one moment, or an honest gateway would be accused."""
    indices = [mark(gateway)[0] for _ in range(6)]
    within = stored_ledger.held_within

    def during(*where: Any) -> Any:
        rows = within(*where)
        yield next(rows)
        later = timedelta(days=365 * 30)
        clock = lambda: gateway.clock() + later  # noqa: E731
        key_operations = Retention(
            gateway.database,
            gateway.sequencer,
            gateway.keys.data_key,
            AgreementsInForce({}),
            clock,
            Watchdog(60.0),
        )
        assert key_operations.run(batches=1).erased[RetentionClass.EXCHANGE_DETAIL]
        yield from rows

    monkeypatch.setattr(stored_ledger, "PAGE", 2)
    monkeypatch.setattr(stored_ledger, "held_within", during)
    bind(gateway, tmp_path / "bundle")

    with Archive.open(tmp_path / "bundle") as ledger_archive:
        assert verify_archive(ledger_archive, own_bundle(gateway.home).log).ok
        held = {each.index: each.sealed_dek for each in ledger_archive.held()}
    assert all(held[index] for index in indices)
    with gateway.database.reader() as reader:
        assert not reader.execute(select(detail_keys).where(detail_keys.c.idx == indices[-1])).all()


def test_published_tiles_hold_neither_key_nor_ciphertext(gateway: Gateway) -> None:
    """Tiles are leaves and hashes: there is nothing in them to shred."""
    _, ciphertext, sealed = mark(gateway)
    tiles = gateway.settings.evidence.tiles

    Publisher(tiles, gateway.database, lambda: own_bundle(gateway.home).log).publish(whole=True)

    assert list(tiles.rglob("*"))
    assert holding(tiles, ciphertext[:64], *pieces(sealed), CANARY.encode()) == []
    shred(gateway)
    assert self_check.verify_ledger(gateway.home).ok


def test_a_backup_has_no_tiles_that_could_be_newer_than_its_rows(
    take: Callable[[Path], Path], gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    """They are published while the backup is made; restored, they would say that the ledger was set back."""
    mark(gateway)
    Publisher(
        gateway.settings.evidence.tiles, gateway.database, lambda: own_bundle(gateway.home).log
    ).publish()
    file = take(tmp_path / "can.backup")

    opened = unsealed(file, tmp_path / "opened")
    assert not (opened / gateway.settings.evidence.tiles.name).exists()
    restore(file, tmp_path / "again", RECOVERY, secret)
    assert self_check.verify_ledger(tmp_path / "again").ok


def test_copies_that_a_killed_backup_left_behind_are_removed(gateway: Gateway) -> None:
    """A copy beside the store holds keys; its maker was killed, and its lock with it."""
    _, _, sealed = mark(gateway)
    folder = gateway.settings.store.path.parent
    for suffix in ("", "-wal", "-journal"):
        (folder / f".copy-dead.db{suffix}").write_bytes(sealed)

    shred(gateway)

    assert holding(gateway.home, *pieces(sealed)) == []


def test_a_copy_that_is_being_made_is_left_alone(gateway: Gateway) -> None:
    mark(gateway)

    with (
        gateway.database.copy() as copy,
        closing(open_store(gateway.settings.store.path)) as beside,
    ):
        assert beside.sweep_copies() == 0
        assert copy.database.is_file()
        assert copy.keys.stat().st_size
