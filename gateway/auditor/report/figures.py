"""What the report counts: questions to an index, and answers that may be shown.

All questions received are one partition, by what became of them: two classifications of the same questions side by
side would let one be subtracted from the other. Refusals by paragraph and masked answers by rule are shown only
where the number that they add up to is.

Our own failings (a destruction that is missing, a correction that is late) are counted exactly, however few: they
point at us and at nobody else.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.questions.corrections import corrections
from gateway.auditor.questions.destruction import (
    AFTER,
    LATE_REVIEW,
    LIVES,
    REVIEWED,
    SEARCHED,
    end_of,
    kept_after_review,
)
from gateway.auditor.questions.quota import ALL, LEFT, Limits, uses
from gateway.auditor.report.timeline import Event, events
from gateway.auditor.result_table import DAY_MS, Period
from gateway.auditor.small_cells import LEAST, Cells, cells
from gateway.domain.messages import Direction
from gateway.ledger.exchange_history import Cite

DAYS_APART: Final = 62  # with no more days than these a chart has a bar a day, else one a month
HOUR_MS: Final = 3_600_000  # a single day has a bar an hour
LONGEST: Final = 10 * 366  # days of one report: longer than anything is kept
BECAME: Final = (
    *("match", "masked", "no_match", "pending", "unusable", "answered", "refused"),
    *("abandoned", "open"),
)
_INBOUND: Final = int(Direction.INBOUND)
_QUERIES: Final = "operation IN ('SUBMIT_QUERY', '')"


@dataclass(frozen=True, slots=True)
class Use:
    """How a partner used what was agreed for a purpose; shares in per cent of what was agreed a day, up to the next 5."""

    partner: str
    purpose: str
    agreed: int
    busiest: int | None
    warned: int
    over: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How long answers took, in milliseconds; None where too few were given."""

    bucket: str
    half: int | None
    most: int | None  # 95 of 100 were not slower


@dataclass(frozen=True, slots=True)
class Duty:
    """Whether what had to be done was done in time; `done` and `waiting` are None where they are withheld."""

    done: int | None
    failed: int
    waiting: int | None = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the report shows of a period."""

    period: Period
    opened: bool
    received: Cells
    sent: Cells
    from_partners: Cells
    to_partners: Cells
    became: Cells
    refused: Cells
    masked: Cells
    quota: tuple[Use, ...]
    pace: tuple[Pace, ...]
    destruction: Duty
    corrections: Duty
    events: tuple[Event, ...]
    events_omitted: int = 0
    findings: tuple[tuple[str, int], ...] = field(default=())  # key of the words, how many


def figures(index: Index, period: Period, limits: Limits, cite: Cite) -> Figures:
    """Count a period; `until` of the period MUST be given."""
    volumes = _Volumes(index, period)
    became = cells([(name, volumes.became[name]) for name in BECAME])
    received = volumes.over_time(_INBOUND)
    destruction, late = _destruction(index, period, became), _corrections(index, period)
    happened, omitted = events(index, period)
    use = tuple(_quota(index, period, limits))
    over = sum(each.over for each in use)
    found = (
        ("finding.destruction", destruction.failed),
        ("finding.corrections", late.failed),
        ("finding.quota", over),
        ("finding.open", 0 if volumes.became["open"] == 0 else 1),
    )
    return Figures(
        period,
        index.opened,
        received,
        volumes.over_time(int(Direction.OUTBOUND)),
        volumes.by_partner(_INBOUND),
        volumes.by_partner(int(Direction.OUTBOUND)),
        became,
        _under(became, "refused", _refused(index, period, cite)),
        _under(became, "masked", _masked(index, period, cite)),
        use,
        tuple(_pace(index, period, received)),
        destruction,
        late,
        happened,
        omitted,
        tuple(each for each in found if each[1]),
    )


def buckets(period: Period) -> list[str]:
    """Return the names of the bars of a chart over a period: hours of a single day, days, or months of many."""
    if _single(period):
        return [f"{hour:02}:00" for hour in range(24)]
    first, last = _day(period.since), _day((period.until or period.since + 1) - 1)
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    return list(dict.fromkeys(_bucket(day, len(days)) for day in days))


def bucket_of(milliseconds: int, period: Period) -> str:
    """Return the bar in which a moment of a period falls."""
    if _single(period):
        return f"{milliseconds % DAY_MS // HOUR_MS:02}:00"
    days = -(-((period.until or 0) - period.since) // DAY_MS)
    return _bucket(_day(milliseconds), days)


def _single(period: Period) -> bool:
    """Return whether a period is one whole day, UTC, or a part of it."""
    return period.since // DAY_MS == ((period.until or period.since + 1) - 1) // DAY_MS


def _step(period: Period) -> int:
    """Return how finely times are distinguished, in milliseconds: no more finely than the bars are."""
    return HOUR_MS if _single(period) else DAY_MS


class _Volumes:
    """The questions of a period, counted in one reading of the table."""

    def __init__(self, index: Index, period: Period) -> None:
        self._period = period
        self._time: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
        self._partner: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
        self.became: Counter[str] = Counter()
        said, values = period.where("asked_ms")
        step = _step(period)
        wanted = (
            f"SELECT asked_ms / {step}, partner, direction, closing, true_outcome, disclosed_outcome, count(*)"
            f" FROM exchanges WHERE {_QUERIES} AND (direction = 1 OR {LEFT}) AND {said} GROUP BY 1, 2, 3, 4, 5, 6"
        )
        for at, partner, direction, closing, true, shown, count in index.each(wanted, values):
            self._time[direction][bucket_of(at * step, period)] += count
            self._partner[direction][partner] += count
            if direction == _INBOUND:
                self.became[_became(closing, true, shown)] += count

    def over_time(self, direction: int) -> Cells:
        return cells([(name, self._time[direction][name]) for name in buckets(self._period)])

    def by_partner(self, direction: int) -> Cells:
        return cells(sorted(self._partner[direction].items()))


def _became(closing: str, true: str | None, shown: str | None) -> str:
    if closing != "ANSWERED":
        return closing.lower()
    if true is not None and shown is not None and true != shown:
        return "masked"
    named = {"MATCH": "match", "NO_MATCH": "no_match", "REVIEW_PENDING": "pending"}
    return named.get(true or "", "unusable" if true == "QUALITY_INSUFFICIENT" else "answered")


def _under(parent: Cells, name: str, counted: Counter[str]) -> Cells:
    """Return what one cell consists of; withheld where the cell is."""
    if parent.of(name) is None:
        return Cells(tuple(counted) or (name,), (), None)
    return cells(counted.most_common())


def _refused(index: Index, period: Period, cite: Cite) -> Counter[str]:
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT coalesce(reason, ''), coalesce(why, ''), coalesce(paragraph, ''), count(*) FROM exchanges"
        f" WHERE {_QUERIES} AND direction = 1 AND closing = 'REFUSED' AND {said} GROUP BY 1, 2, 3"
    )
    found: Counter[str] = Counter()
    for reason, why, paragraph, count in index.each(wanted, values):
        found[" · ".join(filter(None, (cite(why) or paragraph, reason))) or "sealed"] += count
    return found


def _masked(index: Index, period: Period, cite: Cite) -> Counter[str]:
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT coalesce(why, ''), count(*) FROM exchanges WHERE direction = 1 AND closing = 'ANSWERED'"
        f" AND {_QUERIES} AND true_outcome <> disclosed_outcome AND {said} GROUP BY 1"
    )
    found: Counter[str] = Counter()
    for why, count in index.each(wanted, values):
        found[cite(why) or why.rpartition(":")[2] or "sealed"] += count
    return found


def _quota(index: Index, period: Period, limits: Limits) -> list[Use]:
    """Return how partners used what was agreed: for all purposes together, and for each that has a limit of its own."""
    days: dict[tuple[str, str], list[tuple[int, int]]] = {}  # queries, and agreed, of each day
    for each in uses(index, period, limits):
        if each.direction == _INBOUND and each.agreed is not None:
            pair = each.used, each.agreed.day
            days.setdefault((each.partner, str(each.purpose)), []).append(pair)
    # Where a purpose is few, all together would say how few.
    small = {
        partner
        for (partner, purpose), used in days.items()
        if purpose != ALL and max(count for count, _ in used) < LEAST
    }
    found = []
    for (partner, purpose), used in sorted(days.items()):
        peak, agreed = max(used, key=lambda pair: pair[0] / pair[1])
        told = peak >= LEAST and not (purpose == ALL and partner in small)
        busiest = 5 * math.ceil(20 * peak / agreed) if told else None
        warned = sum(most >= count >= 0.8 * most for count, most in used)
        over = sum(count > most for count, most in used)
        found.append(Use(partner, purpose, agreed, busiest, warned, over))
    return found


def _pace(index: Index, period: Period, received: Cells) -> list[Pace]:
    """Return how long answers took; not where the number of questions is withheld, of which a time would say more."""
    said, values = period.where("asked_ms")
    step = _step(period)
    wanted = (  # to 10 ms: fewer rows, and nobody's own time
        f"SELECT asked_ms / {step}, (closed_ms - asked_ms + 5) / 10 * 10, count(*) FROM exchanges"
        f" WHERE direction = 1 AND closing = 'ANSWERED' AND reviewed_ms IS NULL AND {_QUERIES} AND {said}"
        " GROUP BY 1, 2"
    )
    times: dict[str, Counter[int]] = {name: Counter() for name in buckets(period)}
    for at, took, count in index.each(wanted, values):
        times[bucket_of(at * step, period)][took] += count
    hidden = {name for name in times if received.of(name) is None}
    return [
        Pace(name, None, None)
        if name in hidden
        else Pace(name, _centile(each, 50), _centile(each, 95))
        for name, each in times.items()
    ]


def _centile(times: Counter[int], of_hundred: int) -> int | None:
    """Return the time that so many of a hundred did not exceed; None of too few."""
    count = times.total()
    if count < 2 * LEAST:
        return None
    left = -(-count * of_hundred // 100)
    for took in sorted(times):
        left -= times[took]
        if left <= 0:
            return took
    return None


def _destruction(index: Index, period: Period, became: Cells) -> Duty:
    said, values = period.where("asked_ms")
    where = f"{SEARCHED} AND {said}"
    kept = kept_after_review(end_of(index))
    wanted = f"SELECT total(destroyed_ms IS NOT NULL), total({LIVES} OR {AFTER}), total({AFTER}) FROM exchanges"
    gone, wrong, after = (int(each) for each in index.rows(f"{wanted} WHERE {where}", values)[0])
    reviewed = (
        f"SELECT total(destroyed_ms IS NULL), total({kept}), total({LATE_REVIEW}) FROM exchanges"
    )
    open_, forgotten, late = (
        int(each) for each in index.rows(f"{reviewed} WHERE {REVIEWED} AND {where}", values)[0]
    )
    failed, waiting = wrong + forgotten + late, open_ - forgotten
    if became.withheld or None in became.counts:
        # What was searched is what was received less what was refused: it would give away what is withheld there.
        return Duty(None, failed, _large(waiting))
    return Duty(_large(gone - after - late), failed, _large(waiting))


def _corrections(index: Index, period: Period) -> Duty:
    table = corrections(index, period)
    acknowledged = table.columns.index("acknowledged")
    late = table.columns.index("late")
    waiting = sum(row[acknowledged] is None and not row[late] for row in table.rows)
    failed = sum(bool(row[late]) for row in table.rows)
    return Duty(_large(len(table.rows) - failed - waiting), failed, _large(waiting))


def _large(count: int) -> int | None:
    return count if count >= LEAST or not count else None


def _day(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // DAY_MS * 86_400, UTC)


def _bucket(day: datetime, days: int) -> str:
    return f"{day:%Y-%m-%d}" if days <= DAYS_APART else f"{day:%Y-%m}"
