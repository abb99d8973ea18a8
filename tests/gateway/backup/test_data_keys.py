"""A backup holds every data key that what is in it needs, whatever turns meanwhile; one that does not is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.backup import archive
from gateway.domain.messages import Modality
from gateway.errors import UserError
from gateway.exercises.drill.rotation import ONE, TWO
from gateway.server.application import Gateway
from gateway.server.restore import restore
from gateway.store.effects import Effect
from gateway.store.keys.reencryption import SEALED_COLUMNS
from gateway.store.schema import samples
from gateway.store.times import utc_now
from keys.data_encryption import DataKey, tag_of
from keys.envelope import OpeningKey, SealingKey
from keys.lifecycle import KeyKind, KeyState

RECOVERY = OpeningKey.from_seed(bytes(range(32)))
SAMPLE = SEALED_COLUMNS[0]


@dataclass
class Clock:
    """The time of a whole gateway, and of what is restored of it, which a test sets forward."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("gateway.server.application.utc_now", found)
    return found


@pytest.fixture
def gateway(homes: Any, secret: Any, clock: Clock) -> Any:
    """Return a gateway with a recovery key."""
    with Gateway.open(homes[0], secret, clock=clock) as found:
        values = {"public": RECOVERY.public.hex(), "reason": "t"}
        found.admin.perform(TWO, "backup.recipient", values)
        yield found


def take(gateway: Gateway, target: Path) -> Path:
    made = str(gateway.admin.perform(ONE, "backup.begin", {})["made"])
    archive.write(gateway.settings, SealingKey(RECOVERY.public), made, target)
    return target


def everyone(gateway: Gateway) -> int:
    return sum(len(batch) for batch in gateway.subjects.gallery.batches(Modality.FINGER, 0, 1))


def alter_sample(gateway: Gateway, seal: Callable[[bytes, bytes], bytes]) -> None:
    """Seal one sample otherwise; `seal` is given what is in it, and what it is bound to."""
    with gateway.database.reader() as reader:
        row = reader.execute(select(samples)).first()
    assert row is not None
    bound = SAMPLE.bound(row)
    sealed = seal(gateway.keys.data_key.open(row.sealed, bound), bound)
    same = [column == getattr(row, column.name) for column in SAMPLE.key.columns]
    gateway.sequencer.commit((), (Effect(update(samples).where(*same).values(sealed=sealed)),))


@pytest.mark.parametrize("step", ["_places", "_content"])
def test_a_backup_that_a_turn_of_the_data_key_overtakes_opens_all_the_same(
    gateway: Gateway,
    clock: Clock,
    tmp_path: Path,
    secret: Any,
    *,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The old key is destroyed after the database was copied, before the keyset is read or while all is sealed."""
    keys, real, tried = gateway.keys, getattr(archive, step), 0
    count = everyone(gateway)
    clock.ahead += timedelta(days=7)
    keys.rotation.round()

    def overtaken(*words: Any) -> Any:
        nonlocal tried
        tried += 1
        if tried == 1:
            clock.ahead += timedelta(hours=2)
            for job in (keys.rotation, keys.reencryption, keys.rotation):
                job.round()
        return real(*words)

    monkeypatch.setattr(archive, step, overtaken)
    file = take(gateway, tmp_path / "can.backup")
    states = [each.state for each in gateway.keyset.records if each.kind is KeyKind.DATA]
    assert states == [KeyState.DESTROYED, KeyState.ACTIVE]
    assert tried == 2

    restore(file, tmp_path / "again", RECOVERY, secret)
    with Gateway.open(tmp_path / "again", secret, clock=clock) as again:
        assert everyone(again) == count


def test_a_backup_that_lacks_a_data_key_is_refused_by_its_table(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    lost = DataKey.generate()
    alter_sample(gateway, lambda plain, bound: tag_of(lost.key_id) + lost.seal(plain, bound))
    file = take(gateway, tmp_path / "can.backup")

    with pytest.raises(UserError, match=r"lacks a DATA key.* samples .*another backup"):
        restore(file, tmp_path / "again", RECOVERY, secret)
    assert not (tmp_path / "again").exists()


def test_what_was_sealed_before_keys_had_tags_keeps_no_backup_back(
    gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    alter_sample(gateway, gateway.keyset.data().seal)
    file = take(gateway, tmp_path / "can.backup")

    assert restore(file, tmp_path / "again", RECOVERY, secret).entries
