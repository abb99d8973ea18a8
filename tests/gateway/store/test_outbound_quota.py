"""What we ask is counted apart from what we answer, for each purpose and in all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain.messages import Direction, Purpose
from gateway.errors import QuotaExceeded
from gateway.law.quota_policy import Quota
from gateway.store.exchange import quotas
from gateway.store.exchange.quotas import Claims

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VISA, TRAVEL = Purpose.VISA_PERMIT_BENEFIT, Purpose.TRAVEL_ENTER_REMAIN


def test_each_direction_has_its_own_count(store: Any) -> None:
    database = store.database()
    sequencer = store.sequencer(database)

    def ask(purpose: Purpose, most: int = 3) -> None:
        claims = Claims(purpose=purpose, day_limit=most, year_limit=10)
        sequencer.commit((), quotas.reserve("AUS", claims, NOW, Direction.OUTBOUND))

    ask(VISA)
    ask(VISA)
    ask(TRAVEL)

    with database.reader() as reader:
        out = quotas.used(reader, "AUS", Direction.OUTBOUND, NOW)
        inward = quotas.used(reader, "AUS", Direction.INBOUND, NOW)
    assert (out.day, out.year) == (3, 3)
    assert out.purposes == {VISA: Quota(2, 2), TRAVEL: Quota(1, 1)}
    assert (inward.day, inward.year) == (0, 0)
    with pytest.raises(QuotaExceeded):
        ask(VISA)
