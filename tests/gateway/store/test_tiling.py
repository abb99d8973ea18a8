"""The publisher: killed at every step it leaves files that hold, and the next one finishes them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from gateway.errors import InternalError, UserError
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.tiles import Tiles
from gateway.ledger.verify import Finding, Severity
from gateway.ledger_ops import published_check, tile_publisher
from gateway.ledger_ops.tile_publisher import Publisher, files_in
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.schema import leaves
from keys.signatures import LogKey
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture

DRIVER = Path(__file__).with_name("killed_publisher.py")
SIZE = 530  # two full tiles and a partial one


class TiledLedger:
    """A ledger in a scratch folder, and its publisher."""

    def __init__(self, store: StoreFixture, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.database: StorageEngine = store.database()
        self.sequencer: Sequencer = store.sequencer(self.database)

    def grow(self, to: int) -> None:
        """Commit entries, many in one commit."""
        missing = range(self.sequencer.size, to)
        self.sequencer.commit([self.store.leaf(message=n + 1) for n in missing])

    def publisher(self, observe: Callable[[str], None] = lambda _: None) -> Publisher:
        return Publisher(self.folder, self.database, lambda: self.store.log, observe=observe)

    def files(self) -> dict[str, bytes]:
        found = (each for each in self.folder.rglob("*") if each.is_file())
        return {str(each.relative_to(self.folder)): each.read_bytes() for each in found}

    def findings(self) -> list[Finding]:
        return list(published_check.check(self.folder, self.database, self.store.log))

    def whole(self) -> int:
        """Return the size of what is published, once a reader of files alone has verified it."""
        raw = files_in(self.folder)("checkpoint")
        if raw is None:
            return 0
        checkpoint = self.store.log.open(raw)
        reader = Tiles(files_in(self.folder), checkpoint.size)
        reader.check_root(checkpoint)
        for number in range(-(-checkpoint.size // 256)):
            reader.entries(number)
        return checkpoint.size


@pytest.fixture
def gateway(store: StoreFixture, tmp_path: Path) -> TiledLedger:
    return TiledLedger(store, tmp_path / "ledger")


def test_what_is_published_is_verified_from_files_alone(gateway: TiledLedger) -> None:
    gateway.grow(SIZE)

    assert gateway.publisher().publish() == SIZE

    assert gateway.whole() == SIZE
    assert gateway.findings() == []


def test_an_empty_ledger_publishes_nothing_and_then_begins(gateway: TiledLedger) -> None:
    assert gateway.publisher().publish() == 0
    assert gateway.findings()[0].severity is Severity.NOTICE

    gateway.grow(1)

    assert gateway.publisher().publish() == 1
    assert gateway.whole() == 1


def test_full_tiles_never_change_and_partial_ones_give_way(gateway: TiledLedger) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    before = gateway.files()
    assert "tile/0/001.p/44" in before

    gateway.grow(SIZE)
    gateway.publisher().publish()

    after = gateway.files()
    assert all(
        after[name] == octets
        for name, octets in before.items()
        if name.startswith("tile/") and ".p/" not in name
    )
    assert not any(name.startswith("tile/0/001.p/") for name in after)
    assert gateway.findings() == []


def test_entries_of_everyone_are_not_readable_by_other_accounts(gateway: TiledLedger) -> None:
    gateway.grow(300)
    gateway.publisher().publish()

    assert (gateway.folder / "tile/entries").stat().st_mode & 0o077 == 0
    assert (gateway.folder / "tile/entries/000").stat().st_mode & 0o077 == 0
    assert (gateway.folder / "tile/0/000").stat().st_mode & 0o044 == 0o044


@pytest.mark.slow
def test_killed_at_every_step_what_is_announced_holds_and_the_next_one_finishes(
    gateway: TiledLedger, store: StoreFixture
) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    gateway.grow(SIZE)
    store.close()
    scratch = gateway.folder.with_name("scratch")

    done = subprocess.run(
        [sys.executable, str(DRIVER), str(store.path), str(gateway.folder), str(scratch)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stderr
    *kills, undisturbed = map(json.loads, done.stdout.splitlines())
    assert len(kills) > 20
    assert {told["code"] for told in kills} == {-signal.SIGKILL}
    assert all(told["mended"] for told in kills)
    sizes = [told["left"] for told in kills]
    assert set(sizes) == {300, SIZE}
    assert sizes == sorted(sizes)  # once announced, it stays
    assert undisturbed == {"code": 0, "left": SIZE, "mended": True}


def test_names_and_bytes_are_flushed_before_they_are_announced(
    gateway: TiledLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut may take is never what the checkpoint speaks of."""
    gateway.grow(SIZE)
    flushed: set[str] = set()
    renamed: dict[str, set[str]] = {}
    fsync, replace = os.fsync, Path.replace

    def noted(handle: int) -> None:
        flushed.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def moved(source: Path, target: Path) -> Path:
        assert str(source) in flushed
        if target.name == "checkpoint":
            for folder, names in renamed.items():
                assert folder in flushed, names
            assert str(gateway.folder) in flushed  # it names the folder of tiles
        else:
            flushed.discard(str(target.parent))  # a new name in it
            renamed.setdefault(str(target.parent), set()).add(target.name)
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", moved)

    gateway.publisher().publish()

    assert len(renamed) > 2
    assert str(gateway.folder) in flushed


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("nth", [1, 2, 5, 9])
def test_a_disk_that_fails_at_the_nth_flush_delays_and_spoils_nothing(
    gateway: TiledLedger, monkeypatch: pytest.MonkeyPatch, nth: int, code: int
) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    gateway.grow(SIZE)
    count, fsync = 0, os.fsync

    def failing(handle: int) -> None:
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match=os.strerror(code)):
        gateway.publisher().publish()
    monkeypatch.undo()

    assert gateway.whole() == 300
    assert not any(".tmp" in name for name in gateway.files())
    assert gateway.publisher().publish() == SIZE
    assert gateway.findings() == []


def test_a_stop_is_heeded_between_two_files(gateway: TiledLedger) -> None:
    gateway.grow(SIZE)

    assert gateway.publisher().publish(stopped=lambda: True) == 0
    assert files_in(gateway.folder)("checkpoint") is None
    assert gateway.publisher().publish() == SIZE


def test_two_publishers_are_kept_apart(gateway: TiledLedger) -> None:
    gateway.grow(2)
    other = gateway.publisher()

    def second(_: str) -> None:
        with pytest.raises(UserError, match="another process"):
            other.publish()

    assert gateway.publisher(second).publish() == 2


def test_attack_rows_set_back_do_not_replace_what_was_published(
    gateway: TiledLedger, store_of: Callable[[Path], StoreFixture], tmp_path: Path
) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    before = gateway.files()
    yesterday = TiledLedger(store_of(tmp_path / "yesterday"), gateway.folder)
    yesterday.grow(290)

    with pytest.raises(InternalError, match="set back"):
        yesterday.publisher().publish()

    assert gateway.files() == before
    assert "set back" in yesterday.findings()[0].text
    yesterday.store.close()


def test_attack_another_history_does_not_replace_what_was_published(
    gateway: TiledLedger, store_of: Callable[[Path], StoreFixture], tmp_path: Path
) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    before = gateway.files()
    other = TiledLedger(store_of(tmp_path / "other"), gateway.folder)
    other.store.clock.move(seconds=1)
    other.grow(301)

    with pytest.raises(InternalError, match="changed"):
        other.publisher().publish()

    assert gateway.files() == before
    assert "changed" in other.findings()[0].text
    other.store.close()


def test_attack_a_changed_row_is_not_published(gateway: TiledLedger, store: StoreFixture) -> None:
    gateway.grow(10)
    store.close()
    gateway.database = store.database()
    writer = gateway.database.take_writer()
    with writer.begin():
        writer.execute(update(leaves).where(leaves.c.idx == 7).values(leaf=bytes(512)))
    gateway.database.release_writer()

    with pytest.raises(InternalError, match="leaf 7"):
        gateway.publisher().publish()
    assert files_in(gateway.folder)("checkpoint") is None


def test_a_checkpoint_that_is_not_ours_is_replaced(gateway: TiledLedger, tmp_path: Path) -> None:
    gateway.grow(10)
    gateway.publisher().publish()
    other = LogKey.from_seed(bytes(64))
    name = gateway.store.log.origin
    assert LogIdentity.from_log_key(name, other) != gateway.store.log
    (gateway.folder / "checkpoint").write_bytes(b"rubbish\n")
    assert "does not hold" in gateway.findings()[0].text

    assert gateway.publisher().publish() == 10
    assert gateway.findings() == []


def test_every_flipped_byte_of_every_published_file_is_found_and_its_place_named(
    gateway: TiledLedger,
) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    for name, octets in gateway.files().items():
        if name == tile_publisher.LOCK:
            continue
        path = gateway.folder / name
        step = max(1, len(octets) // 12)
        for at in {*range(0, len(octets), step), len(octets) - 1}:
            spoiled = bytearray(octets)
            spoiled[at] ^= 0x20
            path.write_bytes(bytes(spoiled))

            findings = gateway.findings()

            assert findings, (name, at)
            if name != "checkpoint":
                assert name in findings[0].text
            if name.startswith("tile/entries/000"):
                assert findings[0].index == at // 514
            elif name == "tile/0/001.p/44":
                assert findings[0].index == 256 + at // 32
        path.write_bytes(octets)
    assert gateway.findings() == []


@pytest.mark.parametrize("name", ["tile/0/000", "tile/1/000.p/1", "tile/entries/001.p/44"])
@pytest.mark.parametrize("how", ["deleted", "truncated", "lengthened", "exchanged"])
def test_a_file_that_is_lost_or_of_another_length_is_found_and_repaired(
    gateway: TiledLedger, name: str, how: str
) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    path = gateway.folder / name
    octets = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(octets[:-1])
    elif how == "lengthened":
        path.write_bytes(octets + b"\0")
    else:
        path.write_bytes((gateway.folder / "tile/0/001.p/44").read_bytes())

    assert [name in finding.text for finding in gateway.findings()] == [True]

    gateway.publisher().publish(whole=True)
    assert gateway.findings() == []


def test_what_is_none_of_ours_is_found_among_the_files(gateway: TiledLedger) -> None:
    gateway.grow(300)
    gateway.publisher().publish()
    (gateway.folder / "tile/0/005").write_bytes(bytes(8192))
    (gateway.folder / "tile/0/\x1b[31mred").write_bytes(b"")

    texts = [finding.text for finding in gateway.findings()]

    assert len(texts) == 2
    assert all("none of ours" in text and "\x1b" not in text for text in texts)
