"""Power cuts and failing disks under the real sequencer: whatever was acknowledged stays (ledger.md 12)."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

apsw = pytest.importorskip("apsw", reason="the drill needs apsw: pip install passerelle[auditor]")

from gateway.cli.main import app  # noqa: E402 - after the skip
from gateway.errors import AuditUnavailable  # noqa: E402
from gateway.exercises.crashtest import powercut  # noqa: E402
from gateway.exercises.crashtest.driver import Connection  # noqa: E402
from gateway.exercises.crashtest.powercut import STORE, PowerCuts, Seen  # noqa: E402
from gateway.exercises.crashtest.vfs import SECTOR, Cut, Disk, Stored  # noqa: E402
from gateway.store.sqlite import SqliteEngine  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_no_acknowledged_entry_is_lost_when_the_power_fails(folder: Path) -> None:
    cuts = PowerCuts(folder)
    for seed in range(1, 21):
        cuts.run(seed)

    assert cuts.figures.ok, cuts.figures
    assert cuts.figures.acknowledged > 50
    assert cuts.figures.cut > 5


@pytest.mark.parametrize("fault", [{"weak": True}, {"honest": False}])
def test_a_store_that_does_not_flush_loses_and_is_found_out(
    folder: Path, fault: dict[str, bool]
) -> None:
    """The test of the test: synchronous=NORMAL, and a disk that acknowledges flushes it does not do."""
    cuts = PowerCuts(folder, **fault)
    for seed in range(1, 11):
        cuts.run(seed)

    assert cuts.figures.lost
    assert not cuts.figures.ok
    assert "gone" in cuts.figures.first


@pytest.mark.parametrize("fault", [apsw.IOError, apsw.FullError])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, 13, 21, 40])
def test_whichever_write_or_flush_fails_nothing_more_is_answered_and_nothing_is_lost(
    folder: Path, fault: type[Exception], at: int
) -> None:
    """EIO and ENOSPC at the n-th change or flush: SQLite may not see every failure, but no caller is told a lie."""
    cuts = PowerCuts(folder)
    disk = Disk(f"failing-{at}-{fault.__name__}")
    disk.files[STORE] = Stored(bytearray(cuts._empty), bytearray(cuts._empty))
    fatal: list[BaseException] = []
    database = SqliteEngine(
        folder / "passerelle.db",
        lambda *_, **__: Connection(STORE, disk.vfs, checkpoint=8),  # type: ignore[arg-type]
    )
    sequencer = cuts._sequencer(database)
    sequencer._observer.failed = fatal.append  # type: ignore[method-assign]
    sequencer.start()
    seen = Seen()
    disk.fault = fault  # type: ignore[assignment]
    disk.fail_at = disk.done + at

    for number in range(40):
        powercut._commit(sequencer, seen, number)

    if not sequencer.healthy:
        assert len(fatal) == 1
        with pytest.raises(AuditUnavailable):
            sequencer.commit([powercut._leaf(99)])
        assert len(seen.leaves) < 40
    disk.freeze()
    images = [disk.images(cut, random.Random(at)) for cut in Cut]
    database.close()
    disk.unmount()
    for image in images:
        cuts._find(image, seen, "failing")
    assert (cuts.figures.lost, cuts.figures.broken) == (0, 0), cuts.figures.first


def test_a_flush_that_fails_stops_the_sequencer(folder: Path) -> None:
    """After a failed fsync the kernel may have dropped the pages: a second one would say that all is well."""
    cuts = PowerCuts(folder)
    disk = Disk("one-flush")
    disk.files[STORE] = Stored(bytearray(cuts._empty), bytearray(cuts._empty))
    database = SqliteEngine(
        folder / "passerelle.db",
        lambda *_, **__: Connection(STORE, disk.vfs),  # type: ignore[arg-type]
    )
    sequencer = cuts._sequencer(database)
    sequencer.start()
    seen = Seen()
    powercut._commit(sequencer, seen, 0)
    flushes = disk.flushes
    disk.fail_flush = True

    powercut._commit(sequencer, seen, 1)
    powercut._commit(sequencer, seen, 2)

    assert flushes
    assert list(seen.leaves) == [0]
    assert not sequencer.healthy
    database.close()
    disk.unmount()


def test_a_disk_keeps_what_was_flushed_and_tears_at_sectors_only() -> None:
    stored = Stored()
    stored.change(0, b"a" * 2048)
    stored.flush()
    stored.change(0, b"b" * 2048)
    chance = random.Random(1)

    assert stored.image(Cut.DURABLE, chance) == b"a" * 2048
    some = {stored.image(Cut.SOME, chance) for _ in range(50)}
    assert some == {b"a" * 2048, b"b" * 2048}
    for _ in range(50):
        torn = stored.image(Cut.TORN, chance)
        sectors = [torn[at : at + SECTOR] for at in range(0, 2048, SECTOR)]
        assert all(sector in {b"a" * SECTOR, b"b" * SECTOR} for sector in sectors)


def test_a_truncation_that_was_not_flushed_may_not_have_happened() -> None:
    stored = Stored()
    stored.change(0, b"a" * 100)
    stored.flush()
    stored.change(10, None)

    assert len(stored.seen) == 10
    assert {len(stored.image(Cut.SOME, random.Random(n))) for n in range(20)} == {10, 100}


def test_the_drill_says_what_it_did(tmp_path: Path) -> None:
    words = ("drill", "powercut", "--trials", "5", "--workdir", str(tmp_path / "d"), "--json")
    done = CliRunner().invoke(app, words, prog_name="passerelle")

    said: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == 0, said
    assert (said["ok"], said["trials"], said["lost"]) == (True, 5, 0)
    assert said["acknowledged"]
    assert said["weakened_lost"]
    assert not (tmp_path / "d").exists()
