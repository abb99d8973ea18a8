"""Cheap refusals are counted, not recorded one by one: a flood cannot fill the ledger (ledger.md section 2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gateway.audit.entry import EntryType, decode
from gateway.exchange.refused import RefusalCounter
from gateway.server.house import House, utc_now
from gateway.store import ledger


def summaries(house: House) -> list[str]:
    frames = [decode(leaf) for leaf in ledger.iter_leaves(house.database)]
    return [f.partner_id for f in frames if f.type is EntryType.REFUSAL_SUMMARY]


def test_a_flood_is_one_entry_for_each_partner_reason_and_minute(homes: Any, secret: Any) -> None:
    moment = utc_now()
    with House.open(homes[0], secret) as house:
        counter = RefusalCounter(house.sequencer, lambda: moment)
        for _ in range(500):
            counter.count("AUS", "RATE_LIMITED")
            counter.count("", "CERTIFICATE_NOT_PINNED")
        assert summaries(house) == []

        counter.flush()

        assert sorted(summaries(house)) == ["", "AUS"]


def test_a_new_minute_writes_the_old_one(homes: Any, secret: Any) -> None:
    moment = utc_now()
    with House.open(homes[0], secret) as house:
        counter = RefusalCounter(house.sequencer, lambda: moment)
        counter.count("AUS", "RATE_LIMITED")
        moment += timedelta(minutes=1)

        counter.count("AUS", "RATE_LIMITED")

        assert summaries(house) == ["AUS"]
        counter.flush()
        assert summaries(house) == ["AUS", "AUS"]


def test_nothing_counted_writes_nothing(homes: Any, secret: Any) -> None:
    with House.open(homes[0], secret) as house:
        RefusalCounter(house.sequencer, utc_now).flush()

        assert summaries(house) == []
