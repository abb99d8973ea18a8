"""Question 10: quota use by partner, purpose and day, both ways, and of the year so far, beside what was agreed.

What counts is what the gateway counts. Of us: a question with prints or a number that was accepted for a search, less
what brought none: one given up, and so many a day whose prints could not be used. Of partners: every question of ours
that left, whatever they answered. ALL is all purposes together, against the limit that binds them all; a purpose
has a limit of its own where the agreement says so. Without the auditor's key purposes are sealed, and ALL alone is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.result_table import DAY_MS, WAYS, Period, Table
from gateway.domain.messages import Direction, Purpose
from gateway.language import Message, say
from gateway.law.quota_policy import Quota, Quotas, poor_allowance

COLUMNS = (
    *("day", "partner", "direction", "purpose", "used", "agreed_per_day"),
    *("used_in_year", "agreed_per_year"),
)
ALL: Final = "ALL"  # all purposes together

Limits = Mapping[
    tuple[str, int, int], Quotas
]  # agreement, its version, direction → what it permits
LEFT: Final = "message_id <> x''"  # of our own questions: what our law stopped has no identifier
# The gateway gives back what brought no search (protocol 15): a query given up, and prints that could not be used; not
# what an examiner could not decide, whose outcome reads the same.
COUNTED: Final = (
    f"(direction = 2 AND {LEFT} OR direction = 1 AND closing <> 'REFUSED' AND closing <> 'ABANDONED'"
    " AND (reviewed_ms IS NOT NULL OR coalesce(true_outcome, '') <> 'QUALITY_INSUFFICIENT'))"
)
_ASKED: Final = "(operation = 'SUBMIT_QUERY' OR direction = 2 AND operation = '')"


@dataclass(frozen=True, slots=True)
class Use:
    """What was used of one limit on one day, and in its year up to the end of that day; `agreed` None: no limit known."""

    day: str
    partner: str
    direction: int
    purpose: str | None
    used: int
    year: int
    agreed: Quota | None


@dataclass(slots=True)
class _Day:
    """The queries of a partner in one direction on one day, by purpose, and the limits of the versions in force."""

    purposes: Counter[str | None] = field(default_factory=Counter)
    limits: list[Quotas] = field(default_factory=list)

    def agreed(self, purpose: str | None) -> Quota | None:
        """Return what was agreed; a day may see a new version come, and then the more generous holds."""
        found = [
            quotas.overall if purpose == ALL else quotas.purposes.get(_purpose(purpose))
            for quotas in self.limits
        ]
        known = [each for each in found if each is not None]
        if not known:
            return None
        return Quota(max(each.day for each in known), max(each.year for each in known))


def uses(index: Index, period: Period, limits: Limits) -> Iterator[Use]:
    """Yield the use of each day of a period, purposes before their sum; the year is counted from its first day."""
    year: Counter[tuple[str, str, int, str | None]] = Counter()
    first = _name(period.since)
    for (day, partner, direction), used in sorted(_days(index, period, limits).items()):
        rows = [*sorted(used.purposes.items(), key=lambda pair: str(pair[0]))]
        if set(used.purposes) == {None}:
            rows = []  # all are sealed
        rows.append((ALL, used.purposes.total()))
        for purpose, count in rows:
            key = day[:4], partner, direction, purpose
            year[key] += count
            if day >= first:
                yield Use(day, partner, direction, purpose, count, year[key], used.agreed(purpose))


def _days(index: Index, period: Period, limits: Limits) -> dict[tuple[str, str, int], _Day]:
    whole = Period(_new_year(period.since), period.until, period.partner)
    said, values = whole.where("asked_ms")
    named = "strftime('%Y-%m-%d', asked_ms / 1000, 'unixepoch'), partner, direction, purpose, agreement, version"
    wanted = (
        f"SELECT {named}, count(*) FROM exchanges WHERE {_ASKED} AND {COUNTED} AND {said}"
        " GROUP BY 1, 2, 3, 4, 5, 6"
    )
    days: dict[tuple[str, str, int], _Day] = {}
    for day, partner, direction, purpose, agreement, version, count in index.each(wanted, values):
        found = days.setdefault((day, partner, direction), _Day())
        found.purposes[purpose] += count
        known = limits.get((agreement, version, direction))
        found.limits += [] if known is None else [known]
    # Prints that could not be used: beyond an allowance a day the gateway gives nothing back.
    poor = (
        f"SELECT {named}, row_number() OVER (PARTITION BY partner, closed_ms / {DAY_MS} ORDER BY closed_idx)"
        " FROM exchanges WHERE direction = 1 AND operation = 'SUBMIT_QUERY' AND closing = 'ANSWERED'"
        f" AND reviewed_ms IS NULL AND true_outcome = 'QUALITY_INSUFFICIENT' AND {said}"
    )
    for day, partner, direction, purpose, agreement, version, nth in index.each(poor, values):
        known = limits.get((agreement, version, direction))
        if known is not None and nth > poor_allowance(known.overall.day):
            found = days.setdefault((day, partner, direction), _Day())
            found.purposes[purpose] += 1
            found.limits.append(known)
    return days


def quota(index: Index, period: Period, limits: Limits) -> Table:
    """Return the use of each day, and of the year so far; a finding where more was used than was agreed."""
    rows: list[tuple[object, ...]] = []
    findings: list[Message] = []
    said: set[tuple[object, ...]] = set()
    total = 0
    for each in uses(index, period, limits):
        agreed = each.agreed
        way = WAYS[each.direction]
        per_day, per_year = (None, None) if agreed is None else (agreed.day, agreed.year)
        rows.append(
            (each.day, each.partner, way, each.purpose, each.used, per_day, each.year, per_year)
        )
        total += each.used if each.purpose == ALL else 0
        if agreed is None:
            continue
        if each.used > agreed.day:
            findings.append(_over(each.day, each, each.used, agreed.day))
        year = each.day[:4], each.partner, each.direction, each.purpose
        if each.year > agreed.year and year not in said:
            said.add(year)
            findings.append(_over(each.day[:4], each, each.year, agreed.year))
    totals: dict[str, object] = {"queries": total}
    begins = index.rows("SELECT time_ms FROM entries ORDER BY idx LIMIT 1")
    if index.first and begins and begins[0][0] > _new_year(period.since):
        totals["year_counted_from"] = _name(begins[0][0])  # what lies before is not here
    return Table(COLUMNS, tuple(rows), totals, tuple(findings))


def _over(when: str, each: Use, used: int, agreed: int) -> Message:
    said = {"when": when, "partner": each.partner, "used": used, "agreed": agreed}
    if each.direction == Direction.INBOUND and each.purpose == ALL:
        return say(
            "{when}: {partner} asked {used} times for all purposes together; {agreed} were agreed",
            **said,
        )
    if each.direction == Direction.INBOUND:
        return say(
            "{when}: {partner} asked {used} times for {purpose}; {agreed} were agreed",
            purpose=each.purpose,
            **said,
        )
    if each.purpose == ALL:
        return say(
            "{when}: we asked {partner} {used} times for all purposes together; {agreed} were agreed",
            **said,
        )
    return say(
        "{when}: we asked {partner} {used} times for {purpose}; {agreed} were agreed",
        purpose=each.purpose,
        **said,
    )


def _purpose(name: str | None) -> Purpose:
    return Purpose.__members__.get(name or "", Purpose.NONE)


def _new_year(milliseconds: int) -> int:
    year = datetime.fromtimestamp(milliseconds / 1000, UTC).year
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000


def _name(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d}"
