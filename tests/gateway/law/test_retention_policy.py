"""The periods: each with its ground, and what agreements say for their partners."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from gateway.law import agreement
from gateway.law.retention_policy import RULES, STAMPED, RetentionClass, Schedule, schedule_of


def kept(days: int) -> agreement.KeptPeriod:
    return agreement.KeptPeriod(timedelta(days=days), "IRPR 315.43(1)")


def test_the_agreements_of_this_release_say_what_the_rules_say(bench: Any) -> None:
    schedule = schedule_of({name: (one,) for name, one in bench.agreements.items()})

    for partner in ("AUS", "NZL", "GBR", "USA"):
        for each in RetentionClass:
            assert schedule.period(each, partner) == RULES[each].period


def test_of_several_versions_the_longest_period_holds(bench: Any) -> None:
    """What came under an older version is kept as that one said."""
    one = bench.agreements["au"]
    versions = tuple(
        replace(one, version=n, retention=MappingProxyType({"EXCHANGE_DETAIL": kept(days)}))
        for n, days in ((1, 900), (2, 400))
    )

    schedule = schedule_of({"au": versions})

    assert schedule.period(RetentionClass.EXCHANGE_DETAIL, one.partner) == timedelta(days=900)
    assert (
        schedule.period(RetentionClass.EXCHANGE_DETAIL, "GBR")
        == RULES[RetentionClass.EXCHANGE_DETAIL].period
    )
    assert schedule.partners(RetentionClass.EXCHANGE_DETAIL) == (one.partner,)


def test_what_bears_its_end_is_not_prolonged_a_second_time(bench: Any) -> None:
    schedule = schedule_of({name: (one,) for name, one in bench.agreements.items()})

    assert all(schedule.period(each, "AUS") == timedelta(0) for each in STAMPED)
    assert Schedule().partners(RetentionClass.REPLY) == ()
