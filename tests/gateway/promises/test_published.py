"""A gateway that serves publishes; a disk for files that is full stops no answer for four hours, then all of them.

And a clock that is set back stops the answers at once, until it is right.
"""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from typer.testing import CliRunner

from gateway.admin.operation import Officer
from gateway.backup import archive
from gateway.cli.main import app
from gateway.client import Refused
from gateway.domain.messages import Outcome
from gateway.errors import InternalError
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.tiles import Tiles
from gateway.ledger_ops.tile_publisher import AnotherPublishes, files_in
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.restore import restore
from gateway.server.workers import tiles
from gateway.store.ledger import stored_ledger
from gateway.store.times import utc_now
from gateway.trust.partners import own_bundle
from keys.envelope import OpeningKey, SealingKey


def alarms(pair: Any) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database)]
    return [frame.subject_reference for frame in frames if frame.type is EntryType.ALARM]


def health(pair: Any) -> int:
    request = health_pb2.HealthCheckRequest(service="gateway.v1.ExchangeService")
    return int(pair.serving.monitoring.servicer.Check(request, None).status)


def answered(pair: Any, people: Any) -> bool:
    result = pair.partner().query(people.samples(1), **people.matter())
    return bool(result.outcome is Outcome.MATCH)


def test_what_a_serving_gateway_published_is_verified_from_files_alone(
    pair: Any, people: Any
) -> None:
    assert answered(pair, people)
    folder = pair.gateway.settings.evidence.tiles
    pair.serving._tile_worker.stop()

    pair.serving._tile_worker.step()

    checkpoint = own_bundle(pair.home).log.open((folder / "checkpoint").read_bytes())
    assert checkpoint.size == pair.gateway.sequencer.size
    Tiles(files_in(folder), checkpoint.size).check_root(checkpoint)
    assert self_check.verify_ledger(pair.home).ok
    spoiled = folder / "tile" / "0" / f"000.p/{checkpoint.size}"
    spoiled.write_bytes(bytes(32) + spoiled.read_bytes()[32:])
    report = self_check.verify_ledger(pair.home)
    assert not report.ok
    assert [(finding.index, "tile/0/000.p/" in finding.text) for finding in report.findings] == [
        (0, True)
    ]


def test_files_that_cannot_be_written_are_alarmed_counted_down_and_then_shut_the_doors(
    pair: Any, people: Any, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ledger.md 10: serve, alarm, count down 4 h, then EVIDENCE_OVERDUE."""
    serving, gateway = pair.serving, pair.gateway
    serving._tile_worker.stop()

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(serving._tile_worker._publisher, "publish", full)
    serving._tile_worker.step()
    serving.run_jobs()

    assert alarms(pair) == ["RAISE/EVIDENCE_TILES"]
    assert answered(pair, people)
    left = gateway.evidence.deadline.left("TILES", gateway.clock())
    assert timedelta(hours=3, minutes=58) < left <= timedelta(hours=4)

    checked = {one.name: one for one in self_check.check(pair.home, secret, gateway.clock())}
    assert not checked["evidence"].ok
    assert "TILES since" in checked["evidence"].detail

    monkeypatch.setattr(gateway.evidence.deadline, "_limit", timedelta())
    with pytest.raises(Refused) as refused:
        answered(pair, people)
    assert (refused.value.code, refused.value.reason) == ("FAILED_PRECONDITION", "EVIDENCE_OVERDUE")

    monkeypatch.undo()
    serving._tile_worker.step()
    assert answered(pair, people)
    assert alarms(pair) == ["RAISE/EVIDENCE_TILES", "CLEAR/EVIDENCE_TILES"]


def test_a_command_that_publishes_meanwhile_is_no_failure(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.serving._tile_worker.stop()

    def busy(*_: object, **__: object) -> int:
        raise AnotherPublishes("let it finish")

    monkeypatch.setattr(pair.serving._tile_worker._publisher, "publish", busy)
    pair.serving._tile_worker.step()

    assert alarms(pair) == []


def test_a_publisher_that_hangs_without_a_word_is_noticed_by_the_rounds(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.serving._tile_worker.stop()
    monkeypatch.setattr(
        pair.serving._tile_worker, "_fine", pair.serving._tile_worker._fine - tiles.BEHIND - 1
    )

    pair.serving.run_jobs()

    assert alarms(pair) == ["RAISE/EVIDENCE_TILES"]
    pair.serving._tile_worker.step()


def test_the_last_entry_of_a_gateway_that_stopped_is_published(pair: Any) -> None:
    folder = pair.gateway.settings.evidence.tiles

    pair.serving.stop()

    published = own_bundle(pair.home).log.open((folder / "checkpoint").read_bytes())
    assert published.size == pair.gateway.sequencer.size
    with pair.gateway.database.reader() as reader:
        assert decode(stored_ledger.leaf(reader, published.size - 1)).type is EntryType.STOP


def test_the_command_repairs_what_was_lost(pair: Any) -> None:
    pair.serving._tile_worker.stop()
    folder, run = pair.gateway.settings.evidence.tiles, CliRunner()
    pair.serving._tile_worker.finish()
    (lost,) = (folder / "tile" / "0").rglob("*.p/*")
    lost.unlink()
    assert not self_check.verify_ledger(pair.home).ok

    done = run.invoke(app, ["ledger", "publish", str(pair.home), "--json"])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["size"] == pair.gateway.sequencer.size
    assert self_check.verify_ledger(pair.home).ok


def test_attack_a_ledger_restored_from_yesterday_cannot_be_published_over_today(
    homes: Any, secret: Any
) -> None:
    home, run = homes[0], CliRunner()
    with Gateway.open(home, secret) as gateway:
        store = gateway.settings.store.path
    yesterday = store.read_bytes()
    with Gateway.open(home, secret) as gateway:
        gateway.record(EntryType.START)
        folder = gateway.settings.evidence.tiles
    assert run.invoke(app, ["ledger", "publish", str(home)]).exit_code == 0
    today = (folder / "checkpoint").read_bytes()
    store.write_bytes(yesterday)

    done = run.invoke(app, ["ledger", "publish", str(home)])

    assert done.exit_code == 2
    assert "set back" in done.output
    assert (folder / "checkpoint").read_bytes() == today
    report = self_check.verify_ledger(home)
    assert not report.ok
    assert any("set back" in finding.text for finding in report.findings)


def test_a_backup_is_restored_beside_files_that_were_published_after_it(
    homes: Any, secret: Any, tmp_path: Path
) -> None:
    """They lie outside the folder, on a disk of their own: they stop no restore, and are not written over."""
    home, folder = homes[0], tmp_path / "published"
    with (home / "passerelle.toml").open("a") as settings:
        settings.write(f'\n[evidence]\ntiles = "{folder}"\n')
    two = Officer("P-1", frozenset({Role.OPERATOR}), second="P-2")
    recovery = OpeningKey.from_seed(bytes(range(32)))
    with Gateway.open(home, secret) as gateway:
        gateway.admin.perform(
            two, "backup.recipient", {"public": recovery.public.hex(), "reason": "a test"}
        )
        made = str(gateway.admin.perform(two, "backup.begin", {})["made"])
        archive.write(gateway.settings, SealingKey(recovery.public), made, tmp_path / "can.backup")
        for _ in range(5):
            gateway.record(EntryType.START)
    tiles.publish(home, lambda _: None)
    today = (folder / "checkpoint").read_bytes()

    restore(tmp_path / "can.backup", tmp_path / "again", recovery, secret, accept_loss="burnt")

    assert not self_check.verify_ledger(tmp_path / "again").ok
    with pytest.raises(InternalError, match="set back"):
        tiles.publish(tmp_path / "again", lambda _: None)
    assert (folder / "checkpoint").read_bytes() == today
    folder.rename(tmp_path / "kept")
    tiles.publish(tmp_path / "again", lambda _: None)
    assert self_check.verify_ledger(tmp_path / "again").ok


def test_a_clock_that_is_set_back_stops_the_answers_until_it_is_right(
    pair: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ledger.md 10."""
    gateway, serving = pair.gateway, pair.serving
    gateway.outbound.worker.stop()
    serving._tile_worker.stop()
    set_back = timedelta()

    def clock() -> datetime:
        return utc_now() - set_back

    monkeypatch.setattr(gateway.sequencer, "_clock", clock)
    monkeypatch.setattr(serving._clock_monitor, "_clock", clock)
    set_back = timedelta(hours=1)

    serving.run_jobs()

    assert health(pair) == health_pb2.HealthCheckResponse.NOT_SERVING
    with pytest.raises(Refused) as refused:
        answered(pair, people)
    assert refused.value.reason == "AUDIT_UNAVAILABLE"

    set_back = timedelta()
    serving.run_jobs()

    assert health(pair) == health_pb2.HealthCheckResponse.SERVING
    assert answered(pair, people)
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    steps = [f.subject_reference for f in frames if f.type is EntryType.CLOCK]
    assert steps == ["BACKWARD", "FORWARD"]
    assert self_check.verify_ledger(pair.home).ok
