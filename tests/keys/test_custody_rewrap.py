"""All seeds under a new key: old or new, whenever it stops, and it opens with the passphrase that was named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from keys import atomic_file, custody_rewrap, keyset_file
from keys.custody import Argon2Cost, Custody, FileCustody, open_custody
from keys.errors import CustodyFault, DamagedFile, WrongPassphrase
from keys.keyset import KeyKind, Keyset, KeyState
from tests.patience import PATIENCE

OLD, NEW = b"the old passphrase", b"the new passphrase"
URI = "file:kek.json"
BESIDE = custody_rewrap.Plan(URI, beside=True)

CRASHES = Path(__file__).with_name("rewrap_crashes.py")
LEAST_POINTS = 200  # issue 5


@pytest.fixture
def home(tmp_path: Path, gateway: Keyset, cheap: Argon2Cost) -> Path:
    custody = FileCustody.create(tmp_path / "kek.json", OLD, cheap)
    gateway.rewrapped(custody).save(tmp_path / "keyset.json")
    return tmp_path


def opened(home: Path, passphrase: bytes) -> Keyset:
    """Open as a gateway does: by what the journal says is in force."""
    uri = custody_rewrap.in_force(home / "keyset.json", URI, lambda place: home / place)
    return Keyset.load(home / "keyset.json", open_custody(uri, lambda: passphrase))


def successor(home: Path, cheap: Argon2Cost) -> Custody:
    return FileCustody.create(custody_rewrap.next_of(home / "kek.json"), NEW, cheap)


def test_every_seed_is_under_the_new_key_and_nothing_else_changed(
    home: Path, cheap: Argon2Cost
) -> None:
    before = opened(home, OLD)
    file = home / "keyset.json"

    new = custody_rewrap.prepare(file, before, successor(home, cheap), BESIDE)
    custody_rewrap.commit(file)
    custody_rewrap.settle(file, home / "kek.json")
    custody_rewrap.clear(file)

    after = opened(home, NEW)
    assert [r.standing() for r in after.records] == [r.standing() for r in before.records]
    assert [r.standing() for r in new.records] == [r.standing() for r in before.records]
    assert {r.wrapped for r in after.records if r.wrapped}.isdisjoint(
        r.wrapped for r in before.records
    )
    assert sorted(path.name for path in home.iterdir()) == [
        "kek.json",
        "keyset.json",
        "keyset.json.last",
    ]
    with pytest.raises(WrongPassphrase):
        opened(home, OLD)


def test_the_last_good_version_is_not_left_under_the_old_key(home: Path, cheap: Argon2Cost) -> None:
    """Who has the old passphrase and the old copy would otherwise still have every seed."""
    file = home / "keyset.json"
    custody_rewrap.prepare(file, opened(home, OLD), successor(home, cheap), BESIDE)
    custody_rewrap.commit(file)
    custody_rewrap.settle(file, home / "kek.json")

    assert keyset_file.last_of(file).read_bytes() == file.read_bytes()


def test_until_the_rename_the_old_key_is_in_force_and_a_new_run_begins_again(
    home: Path, cheap: Argon2Cost
) -> None:
    file, before = home / "keyset.json", (home / "keyset.json").read_bytes()
    custody_rewrap.prepare(file, opened(home, OLD), successor(home, cheap), BESIDE)

    assert file.read_bytes() == before
    opened(home, OLD)
    found = custody_rewrap.pending(file)
    assert found == custody_rewrap.Pending(BESIDE, done=False)

    custody_rewrap.clear(file)
    custody_rewrap.next_of(home / "kek.json").unlink()
    custody_rewrap.prepare(file, opened(home, OLD), successor(home, cheap), BESIDE)
    custody_rewrap.commit(file)
    opened(home, NEW)


def test_after_the_rename_the_journal_says_so_without_a_passphrase(
    home: Path, cheap: Argon2Cost
) -> None:
    file = home / "keyset.json"
    custody_rewrap.prepare(file, opened(home, OLD), successor(home, cheap), BESIDE)
    custody_rewrap.commit(file)

    assert custody_rewrap.pending(file) == custody_rewrap.Pending(BESIDE, done=True)
    assert custody_rewrap.in_force(file, URI, lambda place: home / place).endswith("kek.json.next")
    custody_rewrap.settle(file, home / "kek.json")
    assert custody_rewrap.in_force(file, URI, lambda place: home / place).endswith("kek.json")
    custody_rewrap.settle(file, home / "kek.json")  # twice changes nothing
    opened(home, NEW)


def test_a_key_that_does_not_keep_what_it_wraps_stops_it_before_the_switch(
    home: Path, cheap: Argon2Cost
) -> None:
    """Everything is unwrapped again and compared before the switch (keys.md 5, step 3)."""
    good, file = successor(home, cheap), home / "keyset.json"
    before = file.read_bytes()

    class Forgetful:
        def __init__(self, spoil: Callable[[bytes], bytes]) -> None:
            self.wrapped = 0
            self.spoil = spoil

        def wrap(self, secret: bytes, aad: bytes) -> bytes:
            self.wrapped += 1
            return good.wrap(self.spoil(secret) if self.wrapped == 3 else secret, aad)

        def unwrap(self, blob: bytes, aad: bytes) -> bytes:
            return good.unwrap(blob, aad)

        def describe(self) -> str:
            return "a token that spoils"

    for spoil in (lambda secret: bytes(len(secret)), lambda secret: secret[:-1]):
        with pytest.raises((DamagedFile, CustodyFault)):
            custody_rewrap.prepare(file, opened(home, OLD), Forgetful(spoil), BESIDE)
    assert file.read_bytes() == before
    assert custody_rewrap.pending(file) is None
    opened(home, OLD)


def test_a_full_disk_at_any_write_leaves_the_old_state(
    home: Path, cheap: Argon2Cost, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, writes, allowed = home / "keyset.json", 0, 0
    custody, keyset = successor(home, cheap), opened(home, OLD)
    before, write = file.read_bytes(), os.write

    def full(descriptor: int, content: bytes) -> int:
        nonlocal writes
        writes += 1
        if writes > allowed:
            raise OSError(28, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", full)
    while allowed < 2:
        writes = 0
        with pytest.raises(OSError, match="No space"):
            custody_rewrap.prepare(file, keyset, custody, BESIDE)
        assert file.read_bytes() == before
        opened(home, OLD)
        assert not [path for path in home.iterdir() if path.name.startswith(".")]
        allowed += 1


def test_a_damaged_journal_is_told_and_not_guessed_at(home: Path, cheap: Argon2Cost) -> None:
    file = home / "keyset.json"
    custody_rewrap.prepare(file, opened(home, OLD), successor(home, cheap), BESIDE)
    journal = home / custody_rewrap.JOURNAL
    content = journal.read_bytes()

    for at in range(len(content)):
        journal.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DamagedFile):
            custody_rewrap.pending(file)


@pytest.mark.slow
def test_a_kill_at_every_write_flush_and_rename_leaves_the_old_or_the_new_keyset(
    tmp_path: Path,
) -> None:
    """kill -9, really: a child that kills itself at the n-th step, for every n, and inside every write.

    Each of them is then opened by the one passphrase that should, resumed, and opened by the new one.
    """
    run = subprocess.run(
        [sys.executable, str(CRASHES), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert run.returncode == 0, run.stderr[-2000:]
    told = json.loads(run.stdout)
    assert told["killed"] >= LEAST_POINTS
    assert told["old"] > 0
    assert told["new"] > 0
    assert told["old"] + told["new"] == told["killed"]
    assert told["neither"] == told["both"] == told["not_resumed"] == 0


def test_moving_a_key_keeps_the_copy_in_step_so_that_a_destroyed_seed_is_in_neither(
    home: Path, now: datetime
) -> None:
    keyset, file = opened(home, OLD), home / "keyset.json"
    keyset, made = keyset.generate(KeyKind.SIGNING, now, reason="test", actor="a")
    keyset.save(file)
    seed = keyset.record(made.kid).wrapped
    destroyed, _ = keyset.transition(made.kid, KeyState.DESTROYED, now, "test", "a")
    destroyed.save(file)

    encoded = atomic_file.text_of(seed).encode()
    for path in (file, keyset_file.last_of(file)):
        assert encoded not in path.read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_a_damaged_keyset_names_the_last_good_version_and_is_not_replaced_by_it(
    home: Path, damage: str
) -> None:
    file, keyset = home / "keyset.json", opened(home, OLD)
    content = file.read_bytes()
    file.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "flipped": content[:100] + bytes([content[100] ^ 4]) + content[101:],
            "emptied": b"",
        }[damage]
    )

    newest = max(record.members()["changed"] for record in keyset.records)  # type: ignore[type-var]
    with pytest.raises(
        DamagedFile, match=r"keyset\.json\.last, of .*passerelle keys recover"
    ) as told:
        opened(home, OLD)
    assert str(newest) in str(told.value)


def test_where_both_copies_are_damaged_the_remedy_is_the_backup(home: Path) -> None:
    file = home / "keyset.json"
    for path in (file, keyset_file.last_of(file)):
        path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(DamagedFile, match="restore it from backup") as told:
        opened(home, OLD)
    assert ".last" not in str(told.value)
