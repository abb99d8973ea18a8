"""Cheap refusals are counted, not recorded one by one: a flood cannot fill the ledger (ledger.md section 2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.errors import RateLimited
from gateway.exchange.rate_limits import REMEMBERED, STANDING, STANDING_DAY, Allowance, Copies
from gateway.exchange.refusal_counter import RECORDED, RECORDED_DAY, RefusalCounter
from gateway.ledger.entry import EntryType, decode
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.store.times import utc_now


def summaries(gateway: Gateway) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    return [f.partner_id for f in frames if f.type is EntryType.REFUSAL_SUMMARY]


def test_a_flood_is_one_entry_for_each_partner_reason_and_minute(homes: Any, secret: Any) -> None:
    moment = utc_now()
    with Gateway.open(homes[0], secret) as gateway:
        counter = RefusalCounter(gateway.sequencer, lambda: moment)
        for _ in range(500):
            counter.count("AUS", "RATE_LIMITED")
            counter.count("", "CERTIFICATE_NOT_PINNED")
        assert summaries(gateway) == []

        counter.flush()

        assert sorted(summaries(gateway)) == ["", "AUS"]


def test_counting_waits_for_no_disk_and_each_minute_is_told_apart(homes: Any, secret: Any) -> None:
    """The threads that receive calls are few: a disk that stands still must not hold them."""
    moment = utc_now()
    with Gateway.open(homes[0], secret) as gateway:
        counter = RefusalCounter(gateway.sequencer, lambda: moment)
        counter.count("AUS", "RATE_LIMITED")
        moment += timedelta(minutes=1)

        counter.count("AUS", "RATE_LIMITED")

        assert summaries(gateway) == []
        counter.flush()
        assert summaries(gateway) == ["AUS", "AUS"]


@pytest.mark.parametrize("most", [(RECORDED, RECORDED_DAY), (STANDING, STANDING_DAY)])
def test_a_day_has_an_end_for_what_no_quota_counts(most: tuple[int, int]) -> None:
    """However fast a partner calls, all day long; and the next day and the next partner begin anew."""
    start = datetime(2026, 12, 31, tzinfo=UTC)
    now = [start]
    allowance = Allowance(*most, lambda: now[0])
    taken = 0
    for minute in range(24 * 60):
        now[0] = start + timedelta(minutes=minute)
        this = sum(allowance.take("AUS") for _ in range(most[0] + 5))
        assert this <= most[0]
        taken += this

    assert taken == most[1]
    assert allowance.take("NZL")
    now[0] = start + timedelta(days=1)
    assert allowance.take("AUS")


def test_copies_have_a_share_of_their_own_for_each_partner() -> None:
    now = [datetime(2026, 12, 31, tzinfo=UTC)]
    copies = Copies(2.0, 3, lambda: now[0])
    for _ in range(3):
        copies.take("AUS")
    with pytest.raises(RateLimited):
        copies.take("AUS")
    copies.take("NZL")

    now[0] += timedelta(seconds=1)

    copies.take("AUS")


def test_a_copy_is_known_by_its_bytes_and_only_the_last_messages_are_remembered() -> None:
    copies = Copies(2.0, 3, lambda: datetime(2026, 12, 31, tzinfo=UTC))
    for number in range(REMEMBERED + 1):
        copies.remember("AUS", number.to_bytes(16, "big"), b"transcript")
    first, last = bytes(16), REMEMBERED.to_bytes(16, "big")

    assert copies.knows("AUS", last, b"transcript")
    assert not copies.knows("AUS", last, b"another")
    assert not copies.knows("NZL", last, b"transcript")
    assert not copies.knows("AUS", first, b"transcript")


def test_nothing_counted_writes_nothing(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        RefusalCounter(gateway.sequencer, utc_now).flush()

        assert summaries(gateway) == []
