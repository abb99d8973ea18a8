"""The periods: each with its ground, and what agreements say for their partners."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.law import agreement
from gateway.law.retention_policy import (
    RULES,
    STAMPED,
    RetentionClass,
    Schedule,
    life,
    schedule_of,
)


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


WORDS = {0: "at once", 1: "1 day", 30: "30 days", 730: "two years", 3653: "ten years"}


def test_the_operators_page_says_of_every_class_what_the_code_does() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "operators.md").read_text()
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| .* \| (.*) \|$", page.partition("| Class |")[2], re.MULTILINE
    )
    said = dict(rows[: len(RetentionClass)])

    assert list(said) == list(RetentionClass.__members__)
    for kept in RetentionClass:
        assert said[kept.name].startswith(WORDS[life(kept).days]), kept
    unbound = {name for name, text in said.items() if "also under a hold" in text}
    assert unbound == {kept.name for kept, rule in RULES.items() if not rule.bound}
