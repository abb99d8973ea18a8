"""What was erased opens in no copy of the database once the data keys of before have ended; what lives opens on.

A copy stands for whatever keeps rows that the store has deleted: an archive of the write-ahead log, a replica, a dead
tuple, a file somebody took. It is read with the keyset of today, as whoever has the gateway and its passphrase could.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, select, update

from gateway import telemetry
from gateway.admin.operation import Officer
from gateway.domain.messages import Modality
from gateway.errors import InternalError, RetentionOverdue, UserError
from gateway.exercises.drill.rotation import ONE, TWO
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.store.effects import Effect
from gateway.store.keys.reencryption import SEALED_COLUMNS
from gateway.store.ledger.detail_periods import open_periods, open_stored_key, touch
from gateway.store.schema import detail_keys, samples
from gateway.store.times import utc_now
from keys.errors import OpenRefused
from keys.lifecycle import KeyKind, KeyState

REGISTRAR = Officer("R-1", frozenset({Role.REGISTRAR}))
WEEK, HOURS = timedelta(days=7), timedelta(hours=2)


@dataclass
class Clock:
    """The time of a whole gateway, which a test sets forward."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


def archive(gateway: Gateway, target: Path) -> Path:
    """Copy the database, byte for byte as its pages are, with everything in it."""
    with (
        closing(sqlite3.connect(gateway.settings.store.path)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    return target


def opening(gateway: Gateway, copy: Path) -> Counter[tuple[str, bool]]:
    """Return how many sealed things of a copy open with the keys of today, and how many do not, by column."""
    engine = create_engine(f"sqlite:///{copy}")
    try:
        with engine.connect() as connection:
            return counted(gateway, connection)
    finally:
        engine.dispose()


def living(gateway: Gateway) -> Counter[tuple[str, bool]]:
    with gateway.database.reader() as reader:
        return counted(gateway, reader)


def counted(gateway: Gateway, connection: Connection) -> Counter[tuple[str, bool]]:
    found: Counter[tuple[str, bool]] = Counter()
    for sealed in SEALED_COLUMNS:
        for row in connection.execute(select(sealed.table).where(sealed.column.is_not(None))):
            try:
                gateway.keys.data_key.open(getattr(row, sealed.name), sealed.bound(row))
                opened = True
            except OpenRefused:
                opened = False
            found[f"{sealed.table.name}.{sealed.name}", opened] += 1
    return found


def held(gateway: Gateway) -> set[int]:
    """Return the entries whose detail has a key today."""
    with gateway.database.reader() as reader:
        return set(reader.execute(select(detail_keys.c.idx)).scalars())


def detailed(gateway: Gateway, copy: Path) -> set[int]:
    """Return the entries of a copy whose detail the auditor could open, with all that today's keys open in both."""
    found = set()
    engine = create_engine(f"sqlite:///{copy}")
    try:
        with engine.connect() as connection, gateway.database.reader() as reader:
            ring = gateway.keys.data_key
            known = {
                **open_periods(reader, ring),
                **{k: v for k, v in open_periods(connection, ring).items() if v},
            }
            for row in connection.execute(select(detail_keys)):
                if open_stored_key(row.idx, row.sealed_dek, known) is not None:
                    found.add(row.idx)
    finally:
        engine.dispose()
    return found


def turn(gateway: Gateway, clock: Clock) -> None:
    """Let the data key's period pass, and the rounds do what is due."""
    keys = gateway.keys
    for ahead in (WEEK, HOURS):
        clock.ahead += ahead
        for job in (keys.rotation, keys.reencryption, keys.rotation):
            job.round()


def everyone(gateway: Gateway) -> int:
    return sum(len(batch) for batch in gateway.subjects.gallery.batches(Modality.FINGER, 0, 1))


def states(gateway: Gateway) -> list[KeyState]:
    return [each.state for each in gateway.keyset.records if each.kind is KeyKind.DATA]


def person(gateway: Gateway) -> str:
    with gateway.database.reader() as reader:
        rows = reader.exec_driver_sql("SELECT reference FROM subjects ORDER BY id").scalars()
        return str(rows.first())


@pytest.fixture
def home(homes: Any, serve: Any, people: Any) -> Path:
    """Have a partner ask for someone who is here; return our home directory."""
    with serve(*homes) as pair:
        pair.partner().query(people.samples(1), **people.matter())
    found: Path = homes[0]
    return found


def test_what_was_erased_opens_in_no_copy_when_the_data_keys_period_is_over(
    home: Path, secret: Any, clock: Clock, tmp_path: Path
) -> None:
    with Gateway.open(home, secret, clock=clock) as gateway:
        copy = archive(gateway, tmp_path / "archive.db")
        before = opening(gateway, copy)
        assert {opened for _, opened in before} == {True}
        columns = {name for name, _ in before}
        assert columns >= {"samples.sealed", "subjects.record", "transactions.result"}
        count = everyone(gateway)
        details = detailed(gateway, copy)
        gateway.admin.perform(
            REGISTRAR, "registry.remove", {"reference": person(gateway), "reason": "t"}
        )
        clock.ahead += timedelta(days=731)
        gateway.retention.erasure.run(batches=50)
        assert opening(gateway, copy) == before  # erased here, and in the copy as readable as ever
        assert detailed(gateway, copy) == details
        erased = clock()
        kept = details & held(gateway)
        assert kept
        assert details - kept

        turn(gateway, clock)

        after = opening(gateway, copy)
        assert sum(after.values()) == sum(before.values())
        assert {opened for _, opened in after} == {False}
        assert {opened for _, opened in living(gateway)} == {True}
        assert detailed(gateway, copy) & (details - kept) == set()
        assert detailed(gateway, gateway.settings.store.path) == held(gateway) >= kept
        assert everyone(gateway) == count - 1
        assert states(gateway) == [KeyState.DESTROYED, KeyState.ACTIVE]
        told: Any = gateway.admin.perform(ONE, "retention.status", {})
        assert datetime.fromisoformat(told["copies"]["final_before"]) > erased
        assert told["copies"]["scheduled"]
    with Gateway.open(home, secret, clock=clock) as gateway:
        assert opening(gateway, copy) == after
        assert everyone(gateway) == count - 1


def test_a_crash_between_any_two_steps_of_a_turn_is_gone_on_from(
    homes: Any, secret: Any, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is done by a gateway of its own, which remembers nothing of the one before."""
    monkeypatch.setattr("gateway.keymanagement.reencryption.BATCH", 2)
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        copy = archive(gateway, tmp_path / "archive.db")
        count = everyone(gateway)
    clock.ahead += WEEK
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        gateway.keys.rotation.round()
    for _ in range(3):
        with Gateway.open(homes[0], secret, clock=clock) as gateway:
            assert gateway.keys.reencryption.step()
            gateway.keys.rotation.round()
            assert KeyState.DESTROYED not in states(gateway)
            assert everyone(gateway) == count
    clock.ahead += HOURS
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        gateway.keys.rotation.round()
        assert KeyState.DESTROYED not in states(gateway)
        while gateway.keys.reencryption.step():
            gateway.keys.rotation.round()
            assert (KeyState.DESTROYED in states(gateway)) is False
        gateway.keys.rotation.round()

        assert states(gateway) == [KeyState.DESTROYED, KeyState.ACTIVE]
        assert {opened for _, opened in opening(gateway, copy)} == {False}
        assert {opened for _, opened in living(gateway)} == {True}
        assert everyone(gateway) == count


def test_what_a_call_sealed_before_the_turn_and_committed_after_it_is_brought_over(
    homes: Any, secret: Any, clock: Clock
) -> None:
    """The first pass has gone by when it comes; the one that counts begins when no such call is left."""
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        with gateway.database.reader() as reader:
            late = reader.execute(select(samples)).first()
        assert late is not None
        clock.ahead += WEEK
        gateway.keys.rotation.round()
        gateway.keys.reencryption.round()
        same = [column == getattr(late, column.name) for column in samples.primary_key.columns]
        gateway.sequencer.commit(
            (), (Effect(update(samples).where(*same).values(sealed=late.sealed), rows=1),)
        )
        count = everyone(gateway)

        clock.ahead += HOURS
        gateway.keys.rotation.round()
        assert KeyState.DESTROYED not in states(gateway)
        gateway.keys.reencryption.round()
        gateway.keys.rotation.round()

        assert states(gateway) == [KeyState.DESTROYED, KeyState.ACTIVE]
        assert everyone(gateway) == count


def test_what_comes_after_the_last_pass_is_found_before_a_key_is_destroyed_and_brought_over(
    homes: Any, secret: Any, clock: Clock
) -> None:
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        with gateway.database.reader() as reader:
            late = reader.execute(select(samples)).first()
        assert late is not None
        for ahead in (WEEK, HOURS):
            clock.ahead += ahead
            gateway.keys.rotation.round()
            gateway.keys.reencryption.round()
        same = [column == getattr(late, column.name) for column in samples.primary_key.columns]
        gateway.sequencer.commit(
            (), (Effect(update(samples).where(*same).values(sealed=late.sealed), rows=1),)
        )
        count = everyone(gateway)

        gateway.keys.rotation.round()
        assert KeyState.DESTROYED not in states(gateway)
        gateway.keys.reencryption.round()
        gateway.keys.rotation.round()

        assert states(gateway) == [KeyState.DESTROYED, KeyState.ACTIVE]
        assert everyone(gateway) == count


def test_a_record_that_no_key_opens_keeps_the_old_key_and_is_named_and_after_the_grace_overdue(
    homes: Any, secret: Any, clock: Clock
) -> None:
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        broken = select(samples.c.subject_id).order_by(samples.c.subject_id).limit(1)
        mine = samples.c.subject_id == broken.scalar_subquery()
        gateway.sequencer.commit(
            (), (Effect(update(samples).where(mine).values(sealed=b"x" * 99)),)
        )
        for ahead in (WEEK, HOURS, timedelta(minutes=1)):
            clock.ahead += ahead
            gateway.keys.rotation.round()
            with pytest.raises(InternalError, match="table samples"):
                gateway.keys.reencryption.round()
        gateway.keys.rotation.round()

        assert states(gateway) == [KeyState.DEACTIVATED, KeyState.ACTIVE]
        assert gateway.retention.copies.late() == {}
        clock.ahead += timedelta(days=7)
        assert list(gateway.retention.copies.late().values()) == [1]
        told: Any = gateway.admin.perform(ONE, "retention.status", {})
        assert "DATA_KEY" in told["overdue"]


def test_a_gateway_without_the_schedule_keeps_its_keys_and_says_what_copies_show(
    homes: Any, secret: Any, clock: Clock, tmp_path: Path
) -> None:
    order = {"kind": "DATA", "on": False, "reason": "t"}
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        gateway.admin.perform(TWO, "keys.schedule", order)
        born = gateway.keyset.primary(KeyKind.DATA).created
        copy = archive(gateway, tmp_path / "archive.db")
        before = opening(gateway, copy)
        for _ in range(3):
            turn(gateway, clock)
        clock.ahead += timedelta(days=60)

        assert states(gateway) == [KeyState.ACTIVE]
        assert opening(gateway, copy) == before
        told: Any = gateway.admin.perform(ONE, "retention.status", {})
        assert told["copies"]["final_before"] == born.isoformat()
        assert (told["copies"]["scheduled"], told["copies"]["final_by"]) == (False, None)
        assert "DATA_KEY" not in told["overdue"]


def days_of_rounds(gateway: Gateway, clock: Clock, days: int) -> None:
    """Let so many days pass, with the rounds of a serving gateway twice in each."""
    keys = gateway.keys
    for _ in range(2 * days):
        clock.ahead += timedelta(hours=12)
        for job in (gateway.retention.watchdog, keys.rotation, keys.reencryption, keys.rotation):
            job.round()


def test_where_data_keys_end_by_schedule_nobody_decides_another_end_or_takes_one_back(
    homes: Any, secret: Any, clock: Clock
) -> None:
    """Attack on the people: one person takes back what two put ahead, and the key ends in the next round.

    A destruction that was decided while the schedule was off is carried out by the schedule once it is on, in its own name.
    """
    order = {"kind": "DATA", "on": False, "reason": "t"}
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        admin, old = gateway.admin, gateway.keyset.primary(KeyKind.DATA).kid
        mine = {"key": old.hex(), "reason": "t"}
        admin.perform(ONE, "keys.rotate", {"kind": "DATA", "reason": "t"})
        with pytest.raises(UserError, match="two persons end the schedule first"):
            admin.perform(TWO, "keys.destroy", {**mine, "days": 14})
        admin.perform(TWO, "keys.schedule", order)
        admin.perform(TWO, "keys.destroy", {**mine, "days": 14})
        days_of_rounds(gateway, clock, 1)
        assert gateway.keyset.record(old).state is KeyState.DEACTIVATED
        admin.perform(TWO, "keys.schedule", {**order, "on": True})
        with pytest.raises(UserError, match="keys schedule DIR DATA off"):
            admin.perform(ONE, "keys.cancel", mine)
        bound = admin.operations.handler(ONE, "keys.cancel").bind(ONE, mine)
        assert [line.partition(":")[0] for line in bound.plan] == ["Refused"]
        assert gateway.keyset.record(old).state is KeyState.DEACTIVATED

        gateway.keys.rotation.round()

        record = gateway.keyset.record(old)
        assert (record.state, record.reason) == (
            KeyState.DESTROYED,
            "nothing is sealed with it any more",
        )
        assert gateway.keys.rotation.scheduled_destructions() == {}


def test_a_destruction_that_is_taken_back_while_the_schedule_is_off_does_not_take_place(
    homes: Any, secret: Any, clock: Clock
) -> None:
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        old = gateway.keyset.primary(KeyKind.DATA).kid
        mine = {"key": old.hex(), "reason": "t"}
        gateway.admin.perform(ONE, "keys.rotate", {"kind": "DATA", "reason": "t"})
        gateway.admin.perform(TWO, "keys.schedule", {"kind": "DATA", "on": False, "reason": "t"})
        gateway.admin.perform(TWO, "keys.destroy", mine)
        gateway.admin.perform(ONE, "keys.cancel", mine)
        days_of_rounds(gateway, clock, 9)

        assert gateway.keyset.record(old).state is KeyState.DEACTIVATED
        listed: Any = gateway.admin.perform(ONE, "keys.list", {})
        words = {row["kid"]: row["next"] for row in listed["keys"]}
        assert words[old.hex()] == "opens until two persons destroy it"


@pytest.mark.parametrize("act", ["keys.suspend", "keys.revoke"])
def test_who_stops_a_data_key_stops_no_gateway_and_the_status_promises_no_end_of_copies(
    homes: Any, secret: Any, clock: Clock, act: str
) -> None:
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        old = gateway.keyset.primary(KeyKind.DATA)
        gateway.admin.perform(ONE, "keys.rotate", {"kind": "DATA", "reason": "t"})
        by = ONE if act == "keys.suspend" else TWO
        gateway.admin.perform(by, act, {"key": old.kid.hex(), "reason": "t"})
        days_of_rounds(gateway, clock, 16)

        gateway.retention.watchdog.demand()
        told: Any = gateway.admin.perform(ONE, "retention.status", {})
        assert told["overdue"] == []
        assert told["copies"]["final_before"] == old.created.isoformat()
        assert (told["copies"]["final_by"], told["copies"]["kept"]) == (None, [old.kid.hex()])


@pytest.mark.parametrize("before", [{"on": False}, {"on": True, "days": 300}])
def test_a_gateway_that_has_run_for_long_is_not_late_by_a_schedule_of_a_moment_ago(
    homes: Any, secret: Any, clock: Clock, before: dict[str, Any]
) -> None:
    """No false alarm, and no call refused, in the round after two persons turned it on or made it shorter."""
    order = {"kind": "DATA", "reason": "t"}
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        gateway.admin.perform(TWO, "keys.schedule", {**order, **before})
        gateway.retention.watchdog.round()
        clock.ahead += timedelta(days=60)
        gateway.retention.watchdog.round()
        gateway.admin.perform(TWO, "keys.schedule", {**order, "on": True, "days": 7})

        gateway.retention.watchdog.round()

        assert gateway.retention.watchdog.late == {}
        gateway.retention.watchdog.demand()
        clock.ahead += timedelta(days=7, seconds=1)
        assert list(gateway.retention.copies.late().values()) == [1]  # and then it is


def test_the_key_to_a_detail_that_nothing_opens_is_named_with_the_way_out_and_that_is_one(
    homes: Any, secret: Any, clock: Clock
) -> None:
    with Gateway.open(homes[0], secret, clock=clock) as gateway:
        first, second = sorted(held(gateway))[:2]
        gone, broken = detail_keys.c.idx == first, detail_keys.c.idx == second
        with gateway.database.reader() as reader:
            stored = reader.execute(select(detail_keys.c.sealed_dek).where(broken)).scalar_one()
        damaged = stored[:8] + b"x" * (len(stored) - 8)
        gateway.sequencer.commit(
            (),
            (
                touch(gone),
                Effect(delete(detail_keys).where(gone), rows=1),
                Effect(update(detail_keys).where(broken).values(sealed_dek=damaged), rows=1),
            ),
        )
        for ahead in (WEEK, HOURS, WEEK):
            clock.ahead += ahead
            gateway.retention.watchdog.round()
            gateway.keys.rotation.round()
        with pytest.raises(InternalError) as fault:
            gateway.keys.reencryption.round()
        assert f"of entry {second} in the table detail_keys" in str(fault.value)
        assert "`passerelle keys schedule DIR DATA off`" in str(fault.value)
        assert len(str(fault.value)) <= telemetry.MAX_TEXT  # else the log drops it
        clock.ahead += WEEK
        gateway.retention.watchdog.round()
        with pytest.raises(RetentionOverdue):
            gateway.retention.watchdog.demand()

        gateway.admin.perform(TWO, "keys.schedule", {"kind": "DATA", "on": False, "reason": "t"})
        gateway.retention.watchdog.round()
        gateway.retention.watchdog.demand()
