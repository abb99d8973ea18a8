"""What earlier data keys sealed goes to the one in use; only then can an earlier key be destroyed."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.domain.messages import Modality
from gateway.errors import InternalError, UserError
from gateway.exercises.drill.rotation import ONE, TWO
from gateway.keymanagement import reencryption as office
from gateway.ledger.entry import EntryType, decode
from gateway.server.application import Gateway
from gateway.store.effects import Effect
from gateway.store.keys import reencryption
from gateway.store.keys.reencryption import SEALED_COLUMNS, Pass
from gateway.store.ledger import stored_ledger
from gateway.store.schema import samples
from gateway.store.times import utc_now
from keys.data_encryption import tag_of
from keys.errors import OpenRefused
from keys.keyset import KeyKind, KeyState


def turned(gateway: Any) -> tuple[bytes, bytes]:
    """Rotate the data key; return the ids of the older and of the newer."""
    old = gateway.keyset.primary(KeyKind.DATA).kid
    gateway.admin.perform(ONE, "keys.rotate", {"kind": "DATA", "reason": "t"})
    new = gateway.keyset.primary(KeyKind.DATA).kid
    assert new != old
    return old, new


def left(gateway: Any, kid: bytes) -> int:
    with gateway.database.reader() as reader:
        return reencryption.otherwise(reader, tag_of(kid))


def everyone(gateway: Any) -> list[Any]:
    return [
        one for batch in gateway.subjects.gallery.batches(Modality.FINGER, 0, 1) for one in batch
    ]


def test_everything_sealed_goes_to_the_new_key_and_stays_what_it_was(
    homes: Any, serve: Any, people: Any, secret: Any
) -> None:
    home = homes[0]
    with serve(*homes) as pair:
        partner = pair.partner()
        answer = partner.query(people.samples(1), **people.matter())
        before = everyone(pair.gateway)
        old, new = turned(pair.gateway)
        assert left(pair.gateway, new) > len(before)
        blobs = _blobs(pair.gateway)

        pair.serving.run_jobs()

        assert left(pair.gateway, new) == 0
        assert everyone(pair.gateway) == before
        assert partner.state(answer.transaction_number).result == answer.result
        told = [
            frame
            for frame in map(decode, stored_ledger.iter_leaves(pair.gateway.database))
            if frame.type is EntryType.CUSTODY
        ]
        assert [frame.subject_reference for frame in told] == [f"RESEALED/{new.hex()[:16]}"]

    ahead = timedelta(hours=2)
    with Gateway.open(home, secret, clock=lambda: utc_now() + ahead) as gateway:
        assert gateway.keyset.record(old).state is KeyState.DEACTIVATED
        for job in (gateway.keys.rotation, gateway.keys.reencryption, gateway.keys.rotation):
            job.round()
    with Gateway.open(home, secret, clock=lambda: utc_now() + ahead) as gateway:
        assert gateway.keyset.record(old).state is KeyState.DESTROYED
        assert everyone(gateway) == before
        assert gateway.keyset.record(old).wrapped == b""
        for blob, bound in blobs:
            with pytest.raises(OpenRefused):
                gateway.keys.data_key.open(blob, bound)


def _blobs(gateway: Any) -> list[tuple[bytes, bytes]]:
    """Return prints as they are sealed now, with what they are bound to."""
    prints = SEALED_COLUMNS[0]
    with gateway.database.reader() as reader:
        rows = reader.execute(select(samples)).all()
    return [(row.sealed, prints.bound(row)) for row in rows]


def test_a_data_key_is_not_destroyed_while_records_need_it(homes: Any, secret: Any) -> None:
    """Two persons decided it and the wait is over: the people would be lost all the same."""
    with Gateway.open(homes[0], secret) as gateway:
        old, _ = turned(gateway)
        count = len(everyone(gateway))
    ahead = timedelta(days=8)
    with Gateway.open(homes[0], secret, clock=lambda: utc_now() + ahead) as gateway:
        with pytest.raises(UserError, match="would be lost"):
            gateway.keys.active.change(
                lambda keyset, now: _one(
                    keyset.transition(old, KeyState.DESTROYED, now, "t", "O-1")
                ),
                actor="O-1",
            )
        assert gateway.keyset.record(old).state is KeyState.DEACTIVATED
        assert len(everyone(gateway)) == count


def _one(moved: Any) -> Any:
    return moved[0], (moved[1],)


def test_a_crash_between_two_batches_loses_nothing(
    homes: Any, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, "BATCH", 3)
    with Gateway.open(homes[0], secret) as gateway:
        before = everyone(gateway)
        _, new = turned(gateway)
        all_of_it = left(gateway, new)
        assert gateway.keys.reencryption.step() == 3
        assert left(gateway, new) == all_of_it - 3
        assert everyone(gateway) == before
    with Gateway.open(homes[0], secret) as gateway:  # as after a crash: nothing was remembered
        gateway.keys.reencryption.round()
        assert left(gateway, new) == 0
        assert everyone(gateway) == before


def test_what_a_compromised_key_sealed_is_moved_away_from_it(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        before = everyone(gateway)
        old, new = turned(gateway)
        gateway.admin.perform(TWO, "keys.revoke", {"key": old.hex(), "reason": "t"})

        gateway.keys.reencryption.round()

        assert left(gateway, new) == 0
        assert everyone(gateway) == before


def test_a_gateway_with_one_data_key_looks_for_nothing(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        size = gateway.sequencer.size

        assert gateway.keys.reencryption.step() == 0
        assert gateway.sequencer.size == size


def test_a_record_that_no_key_opens_is_named_and_keeps_its_key(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        gateway.sequencer.commit((), (Effect(update(samples).values(sealed=b"x" * 99)),))
        turned(gateway)

        for _ in range(8):
            try:
                moved = gateway.keys.reencryption.step()
            except InternalError as fault:
                told = fault
                break
            assert moved > 0  # what is sound has the new key; what is not keeps none back

        assert "samples" in str(told)


def test_a_print_erased_meanwhile_stays_erased(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        _, new = turned(gateway)
        with gateway.database.reader() as reader:
            effects = Pass(gateway.keys.data_key, tag_of(new)).batch(reader, 500)
            assert effects
        gateway.sequencer.commit((), (Effect(samples.delete()),))

        gateway.sequencer.commit((), effects)

        assert everyone(gateway) == []


def test_every_table_that_is_sealed_with_a_data_key_is_sealed_anew() -> None:
    """A new one has to be added to the sealed columns, or what it sealed would be lost with the key."""
    sealing = {
        path.stem
        for path in (Path(__file__).parents[3] / "gateway" / "store").rglob("*.py")
        if re.search(r"data_key\.seal\(", path.read_text())
    }
    bound = {sealed.bound.__code__.co_names[0] for sealed in SEALED_COLUMNS}

    assert sealing == bound
    assert {sealed.table.name for sealed in SEALED_COLUMNS} == {
        *("samples", "subjects", "transactions", "reviews", "asked"),
        *("correction_papers", "filed_notices", "detail_periods"),
    }
