"""How much may be asked: limits for a UTC day and a year, in all and per purpose, and what is left of them.

Pure: what was used is counted elsewhere, and says nothing of who asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from gateway.domain.messages import Purpose
from gateway.errors import QuotaExceeded

WARN_PERCENT = 80  # share of a limit from which on people are told (law.md section 7, 7)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many queries, per UTC day and year."""

    day: int
    year: int


# What the five countries agreed for each partner and year, one after the other (law.md section 5). A day has four
# times the average of the year, for campaigns; a stolen key needs three months to use the year up.
PRESETS: Mapping[str, Quota] = MappingProxyType(
    {
        "hvdsp-3000": Quota(33, 3_000),
        "hvdsp-30000": Quota(329, 30_000),
        "hvdsp-400000": Quota(4_384, 400_000),
    }
)


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits of one direction; a purpose that has none of its own is bound by the overall one alone."""

    overall: Quota
    purposes: Mapping[Purpose, Quota] = field(default_factory=lambda: MappingProxyType({}))
    warn_percent: int = WARN_PERCENT


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used this UTC day and year, in all and for each purpose."""

    day: int = 0
    year: int = 0
    purposes: Mapping[Purpose, Quota] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Counter:
    """The state of one limit; purpose NONE counts all together."""

    purpose: Purpose
    yearly: bool
    used: int
    limit: int
    resets: datetime

    def reaches(self, percent: int) -> bool:
        """Return whether at least that share of the limit is used."""
        return self.used * 100 >= self.limit * percent


def renewals(now: datetime) -> tuple[datetime, datetime]:
    """Return when the counters of the UTC day and of the year of `now` start again."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1), today.replace(year=today.year + 1, month=1, day=1)


def counters(quotas: Quotas, usage: Usage, now: datetime) -> tuple[Counter, ...]:
    """Return every limit and its state, the overall ones first."""
    return tuple(_counters(quotas, usage, now))


def demand_left(quotas: Quotas, usage: Usage, purpose: Purpose, now: datetime) -> None:
    """Raise `QuotaExceeded` where no query for the purpose is left, saying when the last of the limits renews."""
    spent = [
        counter.resets
        for counter in counters(quotas, usage, now)
        if counter.purpose in {Purpose.NONE, purpose} and counter.used >= counter.limit
    ]
    if spent:
        raise QuotaExceeded(max(spent))


def poor_allowance(day_limit: int) -> int:
    """Return how many queries a day, too poor to search, give their quota back: a tenth of the day's quota, or ten.

    Each is three entries that the quota does not count, so without an end one finger lifted too early, sent again
    and again, fills the disk. Ten taken again for a hundred that are good is more than a bad scanner has.
    """
    return max(10, day_limit // 10)


def _counters(quotas: Quotas, usage: Usage, now: datetime) -> Iterator[Counter]:
    day, year = renewals(now)
    limits = {Purpose.NONE: quotas.overall, **quotas.purposes}
    for purpose, limit in limits.items():
        used = usage.purposes.get(purpose, Quota(0, 0))
        if purpose is Purpose.NONE:
            used = Quota(usage.day, usage.year)
        yield Counter(purpose, False, used.day, limit.day, day)
        yield Counter(purpose, True, used.year, limit.year, year)
