"""Since when what was erased is unreadable in copies: pure, from the data keys that exist and their schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.law.retention_policy import RULES, RetentionClass
from gateway.retention.copies import CopyErasure, copy_erasure
from keys.data_encryption import DataKey
from keys.key_record import KeyRecord, newborn
from keys.lifecycle import DATA_WINDOW, KeyKind, KeyState
from keys.rotation_schedule import CryptoPeriod

BORN = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
WEEKLY = CryptoPeriod(on=True, every=WEEK)
GRACE = RULES[RetentionClass.DATA_KEY].grace
S = KeyState


def key(state: KeyState, made: datetime, changed: datetime | None = None) -> KeyRecord:
    record = newborn(DataKey.generate(), KeyKind.DATA, state, changed or made, "t")
    return replace(record, created=made)


def look(
    *records: KeyRecord, now: datetime, crypto_period: CryptoPeriod = WEEKLY, since: datetime = BORN
) -> CopyErasure:
    return copy_erasure(records, crypto_period, now, since)


def test_the_oldest_key_that_opens_says_since_when() -> None:
    old, new = key(S.DEACTIVATED, BORN, BORN + WEEK), key(S.ACTIVE, BORN + WEEK)
    found = look(new, old, now=BORN + WEEK)

    assert (found.final_before, found.key) == (BORN, old.kid)
    gone = key(S.DESTROYED, BORN, BORN + WEEK)
    coming = key(S.PREACTIVE, BORN)
    assert look(new, gone, coming, now=BORN + WEEK).final_before == BORN + WEEK


@pytest.mark.parametrize("state", [S.SUSPENDED, S.COMPROMISED, S.DEACTIVATED])
def test_a_key_that_somebody_stopped_opens_copies_all_the_same(state: KeyState) -> None:
    old, new = key(state, BORN, BORN + DAY), key(S.ACTIVE, BORN + DAY)

    assert look(new, old, now=BORN + WEEK).final_before == BORN


def test_what_is_erased_now_is_final_when_the_key_in_use_has_ended() -> None:
    found = look(key(S.ACTIVE, BORN), now=BORN + DAY)

    assert found.final_by == BORN + WEEK + DATA_WINDOW
    assert (
        look(
            key(S.ACTIVE, BORN), now=BORN + DAY, crypto_period=CryptoPeriod(on=False, every=WEEK)
        ).final_by
        is None
    )


@pytest.mark.parametrize(("state", "end"), [(S.ACTIVE, BORN + WEEK), (S.DEACTIVATED, BORN)])
def test_a_key_past_its_period_and_the_grace_is_late_where_the_schedule_is_on(
    state: KeyState, end: datetime
) -> None:
    record = key(state, BORN)
    last = end + DATA_WINDOW + GRACE
    beyond = last + timedelta(seconds=1)
    off = CryptoPeriod(on=False, every=WEEK)

    assert look(record, now=last).late == 0
    assert look(record, now=beyond).late == 1
    assert look(record, now=beyond, crypto_period=off).late == 0


def test_a_gateway_that_stood_still_or_has_a_new_schedule_has_the_grace_from_then() -> None:
    record, back = key(S.ACTIVE, BORN), BORN + 100 * DAY

    assert look(record, now=back + DAY, since=back).late == 0
    assert look(record, now=back + GRACE + DAY, since=back).late == 1


@pytest.mark.parametrize("state", [S.SUSPENDED, S.COMPROMISED])
def test_a_key_that_somebody_stopped_is_never_late_and_leaves_the_end_of_copies_unknown(
    state: KeyState,
) -> None:
    """Who stops a data key must not stop the gateway a week later; and nothing is promised that no schedule does."""
    old, new = key(state, BORN, BORN + DAY), key(S.ACTIVE, BORN + 99 * DAY)
    found = look(new, old, now=BORN + 100 * DAY)

    assert (found.late, found.final_by, found.kept) == (0, None, (old.kid,))
    off = look(new, old, now=BORN + 100 * DAY, crypto_period=CryptoPeriod(on=False, every=WEEK))
    assert (off.final_by, off.kept) == (None, ())


def test_a_key_past_its_end_that_is_still_here_leaves_the_end_of_copies_unknown() -> None:
    """Something damaged may keep it: nobody knows for how long."""
    old, new = key(S.DEACTIVATED, BORN, BORN + WEEK), key(S.ACTIVE, BORN + WEEK)
    end = BORN + WEEK + DATA_WINDOW

    before = look(new, old, now=end - timedelta(seconds=1))
    assert (before.final_by, before.kept) == (end + WEEK, ())
    assert (look(new, old, now=end).final_by, look(new, old, now=end).kept) == (None, (old.kid,))
