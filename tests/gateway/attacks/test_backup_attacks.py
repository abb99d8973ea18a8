"""Whoever has a backup, or a hand on one, can neither read it, nor change it, nor turn the gateway back by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.backup import archive, restored
from gateway.backup.format import Manifest
from gateway.errors import UserError
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.restore import restore
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from keys import recovery
from keys.envelope import OpeningKey, SealingKey

RECOVERY = OpeningKey.from_seed(bytes(range(32)))
TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-2")
HEADER = recovery._HEADER
STEP = recovery.CHUNK + recovery.TAG_BYTES


def take(gateway: Gateway, target: Path) -> Path:
    made = gateway.admin.perform(TWO, "backup.begin", {})["made"]
    archive.write(gateway.settings, SealingKey(RECOVERY.public), str(made), target)
    return target


def checkpoint(gateway: Gateway, target: Path) -> Path:
    """Return the newest signed checkpoint as a partner keeps it."""
    *_, newest = stored_ledger.iter_checkpoints(gateway.database)
    target.write_bytes(newest)
    return target


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Any:
    with Gateway.open(homes[0], secret) as opened:
        values = {"public": RECOVERY.public.hex(), "reason": "a test"}
        opened.admin.perform(TWO, "backup.recipient", values)
        yield opened


@pytest.fixture
def file(gateway: Gateway, tmp_path: Path) -> Path:
    filler = gateway.home / "witness" / "filler"  # so that there are several chunks to exchange
    filler.write_bytes(bytes(3 * recovery.CHUNK))
    return take(gateway, tmp_path / "can.backup")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit in the header": lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:],
    "a flipped bit in the sealed key": lambda b: b[:500] + bytes([b[500] ^ 1]) + b[501:],
    "a flipped bit in the middle": lambda b: (
        b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 8]) + b[len(b) // 2 + 1 :]
    ),
    "a flipped last bit": lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    "cut within a chunk": lambda b: b[:-100],
    "cut between chunks": lambda b: b[: HEADER + 2 * STEP],
    "nothing but its header": lambda b: b[:HEADER],
    "chunks in another order": lambda b: (
        (b[:HEADER] + b[HEADER + STEP : HEADER + 2 * STEP] + b[HEADER : HEADER + STEP])
        + b[HEADER + 2 * STEP :]
    ),
    "a chunk twice": lambda b: b[: HEADER + STEP] + b[HEADER:],
    "a chunk left out": lambda b: b[: HEADER + STEP] + b[HEADER + 2 * STEP :],
    "something behind its end": lambda b: b + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_restores_nothing(
    file: Path, tmp_path: Path, secret: Any, damage: str
) -> None:
    content = file.read_bytes()
    altered = DAMAGES[damage](content)
    assert altered != content
    file.write_bytes(altered)

    with pytest.raises(UserError):
        restore(file, tmp_path / "again", RECOVERY, secret)
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_a_wrong_recovery_key_is_named_and_opens_nothing(
    file: Path, tmp_path: Path, secret: Any
) -> None:
    other = OpeningKey.generate()

    with pytest.raises(UserError, match=RECOVERY.key_id.hex()[:16]):
        restore(file, tmp_path / "again", other, secret)


def test_a_backup_whose_header_names_another_key_does_not_open_by_it(
    file: Path, tmp_path: Path, secret: Any
) -> None:
    """The name in the header is bound into the seal: renaming it does not hand the file over."""
    other = OpeningKey.generate()
    content = file.read_bytes()
    at = len(recovery.MAGIC)
    file.write_bytes(content[:at] + other.key_id + content[at + 32 :])

    with pytest.raises(UserError, match="altered or cut off"):
        restore(file, tmp_path / "again", other, secret)


def test_a_gateway_sealed_by_another_custody_has_no_keys_that_open(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    """Whoever knows the public recovery key can seal a file; what is in it must still be our gateway."""
    manifest = Manifest("CAN", "2026-03-01T12:00:00.000Z", 9, ())
    text = manifest.to_bytes()
    with (tmp_path / "forged").open("wb") as target:
        content = [len(text).to_bytes(4, "big") + text]
        recovery.seal(content, target, SealingKey(RECOVERY.public))

    with pytest.raises(UserError):
        restore(tmp_path / "forged", tmp_path / "again", RECOVERY, secret)
    assert not (tmp_path / "again").exists()


def test_an_older_backup_is_refused_where_a_witness_saw_more(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    file = take(gateway, tmp_path / "can.backup")
    before = checkpoint(gateway, tmp_path / "before")
    gateway.record(EntryType.START)
    newer = checkpoint(gateway, tmp_path / "newer")

    with pytest.raises(UserError, match="entries would be lost"):
        restore(file, tmp_path / "again", RECOVERY, secret, checkpoints=[before, newer])
    assert not (tmp_path / "again").exists()
    restore(file, tmp_path / "again", RECOVERY, secret, checkpoints=[before])


def test_an_accepted_loss_is_recorded_and_an_alarm(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    file = take(gateway, tmp_path / "can.backup")
    gateway.record(EntryType.START)
    newer = checkpoint(gateway, tmp_path / "newer")

    done = restore(
        file, tmp_path / "again", RECOVERY, secret, checkpoints=[newer], accept_loss="disk burnt"
    )

    assert "a witness saw" in done.lost
    with Gateway.open(tmp_path / "again", secret) as again:
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(again.database, done.entries)]
    assert [frame.type for frame in frames[:2]] == [EntryType.RESTORE, EntryType.ALARM]
    assert frames[1].subject_reference == "LEDGER_LOST"
    assert self_check.verify_ledger(tmp_path / "again").ok


def test_a_backup_of_another_history_is_refused(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    """Restored once with a loss, written on, backed up: the witness of the first history sees the fork."""
    file = take(gateway, tmp_path / "can.backup")
    gateway.record(EntryType.START)
    seen = checkpoint(gateway, tmp_path / "seen")
    restore(file, tmp_path / "fork", RECOVERY, secret, checkpoints=[seen], accept_loss="a fork")
    with Gateway.open(tmp_path / "fork", secret) as fork:
        for _ in range(3):
            fork.record(EntryType.STOP)
        forked = take(fork, tmp_path / "fork.backup")

    with pytest.raises(UserError, match="another tree"):
        restore(forked, tmp_path / "again", RECOVERY, secret, checkpoints=[seen])


def test_a_checkpoint_of_nobody_is_not_taken_for_a_witness(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    file = take(gateway, tmp_path / "can.backup")
    seen = checkpoint(gateway, tmp_path / "seen")
    text = seen.read_bytes()
    seen.write_bytes(text.replace(b"\n", b"\n9", 1))

    with pytest.raises(UserError, match="no checkpoint of this ledger"):
        restore(file, tmp_path / "again", RECOVERY, secret, checkpoints=[seen])


def test_versions_never_go_back_for_whoever_saw_the_newest(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    file = take(gateway, tmp_path / "can.backup")
    for _ in range(3):
        gateway.admin.perform(TWO, "keys.rotate", {"kind": "TLS_LEAF", "reason": "a test"})
    newest = own_bundle(gateway.home).version

    done = restore(file, tmp_path / "again", RECOVERY, secret)

    assert done.version == own_bundle(tmp_path / "again").version > newest


def test_a_crash_before_its_first_entry_leaves_no_gateway_that_forgot_it_was_restored(
    gateway: Gateway, tmp_path: Path, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = take(gateway, tmp_path / "can.backup")

    def crash(*_: object) -> None:
        raise OSError(5, "the machine stops")

    with monkeypatch.context() as patch:
        patch.setattr(restored, "record", crash)
        with pytest.raises(OSError, match="stops"):
            restore(file, tmp_path / "again", RECOVERY, secret)
    assert not (tmp_path / "again").exists()


def test_the_sealed_file_shows_nothing_of_the_gateway(file: Path) -> None:
    content = file.read_bytes()

    assert b"SQLite format 3" not in content
    assert b"passerelle.toml" not in content
