"""Question 13: queries without a matching case, repeats, odd hours; both ways, asked by us and of us.

no case         a query that names no case, or one that is not on the list of cases that was given
repeated        a case was asked about so many times within a day: nothing new can have been learnt
same person     one person was found, or asked about by us, so many times within a day, in different cases
odd hour        asked at an hour of the day, UTC, at which that party asks hardly ever

None of it is an offence; each is worth a question to whoever asked.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.auditor.index import Index
from gateway.auditor.result_table import DAY_MS, WAYS, Period, Table, iso
from gateway.domain.messages import Direction
from gateway.language import Message, say

COLUMNS = ("time", "partner", "direction", "transaction", "what", "detail", "case", "unit", "leaf")
NO_CASE: Final = say("no case")
REPEATS: Final = 3  # times within a day
RARE: Final = 0.01  # share of a party's queries that falls into its odd hours, all of them together
ENOUGH: Final = 500  # queries of a party before its habits say anything
_ASKED = "(operation = 'SUBMIT_QUERY' OR direction = 2 AND operation = '')"
_READ = 'asked_ms, partner, direction, number, "case", unit, idx'

HOUR_MS: Final = 3_600_000

Habits: TypeAlias = dict[tuple[str, int], Counter[int]]  # party and direction → queries by hour
Hours: TypeAlias = tuple[int, int]  # the first and the last hour of a working day, UTC


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query, as the index has it."""

    time: int
    partner: str
    direction: int
    number: str
    case: str | None
    unit: str | None
    leaf: int

    def row(self, what: Message, detail: Message) -> tuple[int, tuple[object, ...]]:
        """Return the row that says what is odd about it, after its leaf."""
        said = (
            iso(self.time),
            self.partner,
            WAYS[self.direction],
            self.number,
            what,
            detail,
            self.case,
            self.unit,
        )
        return self.leaf, (*said, self.leaf)


Rows: TypeAlias = Iterator[tuple[int, tuple[object, ...]]]


def anomalies(
    index: Index,
    period: Period,
    cases: Collection[str] | None = None,
    hours: Hours | None = None,
) -> Table:
    """Return what is odd about the queries of a period, in order of their entries.

    cases   the cases that exist at the party that asked: the partner's where the period names one, else ours
    hours   working hours; by default each party's own habits say what is odd
    """
    found = [
        *_without_case(index, period, cases),
        *_repeated(index, period),
        *_same_person(index, period),
        *_odd(index, period, hours, _habits(index, period)),
    ]
    found.sort(key=lambda pair: (pair[0], str(pair[1][4])))
    rows = tuple(row for _, row in found)
    counts = Counter(str(row[4]) for row in rows)
    words = {str(row[4]): row[4] for row in rows}
    findings = tuple(
        say("{count} queries: {what}", count=count, what=words[what])
        for what, count in sorted(counts.items())
    )
    if not index.opened:
        findings = (*findings, say("cases and people are sealed: give the auditor's key (--key)"))
    queries = {words[what]: count for what, count in counts.items()}
    return Table(COLUMNS, rows, {"queries": queries}, findings)


def _without_case(index: Index, period: Period, cases: Collection[str] | None) -> Rows:
    if not index.opened:
        return
    said, values = period.where("asked_ms")
    sealed = "purpose IS NOT NULL"  # else the detail was shredded, and nothing is known of its case
    empty = '"case" IS NULL OR "case" = \'\''
    if cases is None:
        wanted = f"{_ASKED} AND {sealed} AND closing <> 'REFUSED' AND ({empty}) AND {said}"
        for each in _query_rows(index, wanted, values):
            yield each.row(NO_CASE, say("it names none"))
        return
    direction = int(Direction.INBOUND if period.partner else Direction.OUTBOUND)
    wanted = f"{_ASKED} AND {sealed} AND direction = {direction} AND {said}"
    known = frozenset(cases)
    for each in _query_rows(index, wanted, values):
        if not each.case:
            yield each.row(NO_CASE, say("it names none"))
        elif each.case not in known:
            yield each.row(NO_CASE, say("not on the list of cases"))


def _habits(index: Index, period: Period) -> Habits:
    """Return how often each party asks at each hour; one pass over an index that holds all it needs."""
    said, values = period.where("asked_ms")
    wanted = (
        f"SELECT partner, direction, asked_ms % {DAY_MS} / {HOUR_MS} FROM exchanges"
        f" INDEXED BY exchanges_asked WHERE {_ASKED} AND {said}"
    )
    habits: Habits = {}
    for (partner, direction, hour), count in Counter(index.each(wanted, values)).items():
        habits.setdefault((partner, direction), Counter())[hour] = count
    return habits


def _repeated(index: Index, period: Period) -> Rows:
    said, values = period.where("asked_ms")
    often = (
        'SELECT "case" FROM exchanges INDEXED BY exchanges_case'
        f' WHERE "case" <> \'\' GROUP BY "case", partner HAVING count(*) >= {REPEATS}'
    )
    recent: dict[tuple[str, int, str], deque[int]] = {}
    for each in _query_rows(index, f'{_ASKED} AND "case" IN ({often}) AND {said}', values):
        times = recent.setdefault((each.partner, each.direction, each.case or ""), deque())
        times.append(each.time)
        while times[0] <= each.time - DAY_MS:
            times.popleft()
        if len(times) >= REPEATS:
            yield each.row(
                say("repeated"), say("asked {count} times within a day", count=len(times))
            )


def _same_person(index: Index, period: Period) -> Rows:
    said, values = period.where("asked_ms")
    often = (
        f"SELECT subject FROM exchanges WHERE {_ASKED} AND subject IS NOT NULL AND {said}"
        f" GROUP BY subject, direction HAVING count(*) >= {REPEATS}"
    )
    wanted = (
        f"SELECT {_READ}, subject FROM exchanges WHERE {_ASKED} AND subject IN ({often}) AND {said}"
        " ORDER BY asked_ms"
    )
    recent: dict[tuple[str, int], deque[QueryRow]] = {}
    for *read, subject in index.each(wanted, [*values, *values]):
        each = QueryRow(*read)
        asked = recent.setdefault((str(subject), each.direction), deque())
        asked.append(each)
        while asked[0].time <= each.time - DAY_MS:
            asked.popleft()
        count = len({one.case for one in asked})
        if count >= REPEATS:
            found = each.direction == Direction.INBOUND
            how = say("found in {count} cases within a day", count=count)
            if not found:
                how = say("asked about in {count} cases within a day", count=count)
            yield each.row(say("same person"), how)


def _odd(index: Index, period: Period, hours: Hours | None, habits: Habits) -> Rows:
    said, values = period.where("asked_ms")
    for (partner, direction), counts in habits.items():
        odd = _outside(hours) if hours is not None else _rare(counts)
        if not odd:
            continue
        marks = ", ".join(str(each) for each in sorted(odd))
        then = (
            f"SELECT idx FROM exchanges INDEXED BY exchanges_asked WHERE {_ASKED} AND partner = ?"
            f" AND direction = ? AND asked_ms % {DAY_MS} / {HOUR_MS} IN ({marks}) AND {said}"
        )
        for each in _query_rows(index, f"idx IN ({then})", [partner, direction, *values]):
            at = each.time % DAY_MS // HOUR_MS
            yield each.row(
                say("odd hour"),
                say(
                    "at {hour} h UTC, {count} of {total} are",
                    hour=f"{at:02}",
                    count=counts[at],
                    total=counts.total(),
                ),
            )


def _rare(counts: Counter[int]) -> frozenset[int]:
    """Return the hours of a day into which together no more than a hundredth of the queries fall."""
    total, rest = counts.total(), 0
    if total < ENOUGH:
        return frozenset()
    found = set()
    for hour in sorted(range(24), key=lambda each: counts[each]):
        rest += counts[hour]
        if rest > total * RARE:
            break
        found.add(hour)
    return frozenset(found)


def _outside(hours: Hours) -> frozenset[int]:
    first, last = hours
    inside = range(first, last + 1) if first <= last else (*range(first, 24), *range(last + 1))
    return frozenset(range(24)).difference(inside)


def _query_rows(index: Index, where: str, values: Iterable[str | int]) -> Iterator[QueryRow]:
    for row in index.each(f"SELECT {_READ} FROM exchanges WHERE {where} ORDER BY idx", values):
        yield QueryRow(*row)
