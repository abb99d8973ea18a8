"""What a partner may ask in a day and a year: per purpose and in all, told on demand, warned of in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.client.errors import Refused
from gateway.domain.messages import Purpose
from gateway.errors import QuotaExceeded
from gateway.law.quota_policy import PRESETS, Quota, Quotas, Usage, counters, demand_left, renewals
from gateway.ledger.entry import EntryType, decode
from gateway.store.ledger import stored_ledger

LIMITS = "day = 5\nyear = 100\n[answer.quota.purposes.CITIZENSHIP]\nday = 1\nyear = 50\n\n[x]\n"


@pytest.fixture
def thrifty(homes: Any, agree: Any) -> Any:
    """Return the homes, with five queries a day, of which one for citizenship."""
    text = (homes[0] / "agreements" / "au.toml").read_text().replace("version = 1", "version = 2")
    text = text.replace('preset = "hvdsp-400000"\nwarn_percent = 80\n', LIMITS, 1).replace(
        "[x]", ""
    )
    agree(homes[0], "au-2.toml", text)
    return homes


def warnings(gateway: Any) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    return [
        f.partner_id for f in frames if f.type is EntryType.ALARM and f.subject_reference == "QUOTA"
    ]


def test_a_purpose_has_a_quota_of_its_own_and_the_partner_can_read_both(
    thrifty: Any, people: Any, serve: Any
) -> None:
    def asking(purpose: Purpose) -> Any:
        return {**people.matter(agreement=("au", 2)), "purpose": purpose}

    with serve(*thrifty) as pair:
        partner = pair.partner()
        partner.query(people.samples(1), **asking(Purpose.CITIZENSHIP))
        with pytest.raises(Refused) as refused:
            partner.query(people.samples(1), **asking(Purpose.CITIZENSHIP))
        assert refused.value.reason == "QUOTA_EXCEEDED"
        assert "reset_time" in refused.value.metadata
        partner.query(people.samples(1), **asking(Purpose.TRAVEL_ENTER_REMAIN))

        told = {(each.purpose, each.yearly): each for each in partner.quota()}

        assert (told[0, False].used, told[0, False].limit) == (2, 5)
        assert (told[0, True].used, told[0, True].limit) == (2, 100)
        own = told[int(Purpose.CITIZENSHIP), False]
        assert (own.used, own.limit) == (1, 1)
        assert {each.agreement_id for each in told.values()} == {"au"}
        assert all(each.resets > pair.gateway.clock() for each in told.values())


def test_a_quota_nearly_used_is_told_once_a_period_across_a_restart(
    thrifty: Any, people: Any, serve: Any
) -> None:
    with serve(*thrifty) as pair:
        pair.serving.run_jobs()
        assert warnings(pair.gateway) == []
        query = {**people.matter(agreement=("au", 2)), "purpose": Purpose.TRAVEL_ENTER_REMAIN}
        for _ in range(4):  # 80 % of five
            pair.partner().query(people.samples(1), **query)
        pair.serving.run_jobs()
        pair.serving.run_jobs()
        assert warnings(pair.gateway) == ["AUS"]

    with serve(*thrifty) as pair:
        pair.serving.run_jobs()
        assert warnings(pair.gateway) == ["AUS"]
        alerts = pair.serving._quota_alerts
        clock, alerts._clock = alerts._clock, lambda: clock() + timedelta(days=1)
        alerts.round()
        assert warnings(pair.gateway) == ["AUS"]  # a new day begins unused
        alerts._clock = clock
        alerts.round()
        assert warnings(pair.gateway) == ["AUS", "AUS"]


def test_the_presets_are_the_volumes_that_were_agreed() -> None:
    assert [quota.year for quota in PRESETS.values()] == [3_000, 30_000, 400_000]
    for quota in PRESETS.values():
        assert quota.day == -(-quota.year * 4 // 365)  # four times the average day, rounded up


def test_a_spent_quota_of_ours_says_when_the_last_of_them_renews(pair: Any) -> None:
    now = pair.gateway.clock()
    day, year = renewals(now)
    own = {Purpose.VISA_PERMIT_BENEFIT: Quota(1, 9)}
    limits = Quotas(Quota(3, 4), own)

    demand_left(limits, Usage(2, 3, {}), Purpose.VISA_PERMIT_BENEFIT, now)
    for usage, renews in (
        (Usage(3, 3), day),
        (Usage(1, 4), year),
        (Usage(3, 4), year),
        (Usage(1, 1, {Purpose.VISA_PERMIT_BENEFIT: Quota(1, 1)}), day),
    ):
        with pytest.raises(QuotaExceeded) as refused:
            demand_left(limits, usage, Purpose.VISA_PERMIT_BENEFIT, now)
        assert refused.value.renews == renews
    assert len(counters(limits, Usage(), now)) == 4
