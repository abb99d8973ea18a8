"""Question 15: hit and false-hit rates by sex, age band and region, with intervals.

    people     enrolled people of a group, as the file of groups has them
    found      people of it who were found at least once
    hit_share  found of people, with a 95 % interval (Wilson)
    examined   candidates of it at whom an examiner looked
    false      candidates of it of whom an examiner said that they are somebody else
    false_share  false of examined, with its interval

Of a query that finds nobody nobody knows the sex: it brings prints and no person. So a rate is per enrolled person,
not per query; the rate per query is among the totals, over all.

Counts from 1 to 9 are withheld, and with them as many others, the smallest first, as it takes that none can be
computed from a total (`auditor.cells`); where that is not enough all of the column is. What was withheld is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final, TypeAlias

from gateway.auditor.demographic_groups import DIMENSIONS, Groups
from gateway.auditor.index import Index
from gateway.auditor.result_table import Period, Table
from gateway.auditor.small_cells import LEAST, withheld
from gateway.language import Message, say

Z: Final = 1.959964  # of the normal distribution, for 95 %
UNKNOWN: Final = say("not stated")
MEASURES: Final = (
    *("people", "found", "hit_share", "hit_low", "hit_high"),
    *("examined", "false", "false_share", "false_low", "false_high"),
)
_COUNTED: Final = ("people", "found", "examined", "false")

Group: TypeAlias = tuple[str, ...]
Counts: TypeAlias = dict[str, dict[Group, int | None]]


@dataclass(slots=True)
class _Tally:
    found: dict[Group, set[str]] = field(default_factory=dict)
    examined: Counter[Group] = field(default_factory=Counter)
    false: Counter[Group] = field(default_factory=Counter)


def rates(index: Index, period: Period, by: Sequence[str], groups: Groups | None) -> Table:
    """Return hit and false-hit rates of each group of people; `by` are names of DIMENSIONS.

    groups   None where the auditor was given no file: then all are in one group, and a finding says so
    """
    places = [DIMENSIONS.index(each) for each in by]
    tally = _tally(index, period, places, groups or {})
    people = Counter(_group(each, places) for each in (groups or {}).values())
    every = sorted({*people, *tally.found, *tally.examined})
    counts: Counts = {
        "people": {each: people[each] for each in every},
        "found": {each: len(tally.found.get(each, ())) for each in every},
        "examined": {each: tally.examined[each] for each in every},
        "false": {each: tally.false[each] for each in every},
    }
    told = withheld([each or 0 for each in counts["found"].values()]) is not None
    hidden = sum(suppress(counts[name]) for name in _COUNTED)
    rows = tuple((*each, *_measures(counts, each)) for each in every)
    return Table(
        (*by, *MEASURES),
        rows,
        {
            **_over_all(index, period, told=told),
            "suppressed_counts": hidden,
        },
        _findings(index, by, groups),
    )


def _tally(index: Index, period: Period, places: Sequence[int], groups: Groups) -> _Tally:
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT subject, true_outcome, verdict FROM exchanges WHERE direction = 1 AND subject IS NOT NULL"
        f" AND operation = 'SUBMIT_QUERY' AND {said}"
    )
    tally = _Tally()
    for subject, outcome, verdict in index.each(wanted, values):
        stated = groups.get(str(subject))
        group = _group(stated, places) if stated else (UNKNOWN,) * len(places)
        if outcome == "MATCH":
            tally.found.setdefault(group, set()).add(str(subject))
        if verdict is not None:
            tally.examined[group] += 1
            tally.false[group] += verdict == "DIFFERENT"
    return tally


def _group(stated: Sequence[str], places: Sequence[int]) -> Group:
    return tuple(stated[place] for place in places)


def suppress(column: dict[Group, int | None]) -> int:
    """Put None for each count that could point at somebody, and for what would give it away; return how many."""
    groups = list(column)
    hidden = withheld([column[each] or 0 for each in groups])
    if hidden is None:  # a 0 gives nothing away
        hidden = frozenset(at for at, each in enumerate(groups) if column[each])
    for at in hidden:
        column[groups[at]] = None
    return len(hidden)


def _measures(counts: Counts, group: Group) -> tuple[object, ...]:
    people, found, examined, false = (counts[name][group] for name in _COUNTED)
    if not people:
        found_share: tuple[float | None, ...] = (None, None, None)
    else:
        found_share = wilson(found, people)
    return people, found, *found_share, examined, false, *wilson(false, examined)


def wilson(count: int | None, of: int | None) -> tuple[float | None, float | None, float | None]:
    """Return a share and its 95 % interval after Wilson (1927); Nones where either is not known or there is none."""
    if count is None or not of or count > of:
        return None, None, None
    share = count / of
    middle = share + Z * Z / (2 * of)
    reach = Z * sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    scale = 1 + Z * Z / of
    low, high = (middle - reach) / scale, (middle + reach) / scale
    return round(share, 6), round(max(0.0, low), 6), round(min(1.0, high), 6)


def _over_all(index: Index, period: Period, *, told: bool) -> dict[str, object]:
    """Return searches and hits; hits are withheld where they are few, or where not `told`: they would give groups away."""
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT count(*), coalesce(sum(true_outcome = 'MATCH'), 0), coalesce(sum(true_outcome IS NULL), 0)"
        " FROM exchanges WHERE direction = 1 AND operation = 'SUBMIT_QUERY' AND closing = 'ANSWERED'"
        f" AND {said}"
    )
    searches, hits, sealed = index.rows(wanted, values)[0]
    if 0 < hits < LEAST or not told:
        hits = None
    share, low, high = wilson(hits, searches - sealed)
    return {
        "searches": searches,
        "sealed_or_shredded": sealed,
        "hits": hits,
        "hit_share_of_searches": share,
        "hit_share_low": low,
        "hit_share_high": high,
    }


def _findings(index: Index, by: Sequence[str], groups: Groups | None) -> tuple[Message, ...]:
    if not index.opened:
        return (say("who was found is sealed: give the auditor's key (--key)"),)
    if groups is None:
        names = ", ".join(by)
        return (
            say(
                "{names}: not in the ledger, so that nobody learns it from there; ask the registrar for a file of"
                " groups (--groups FILE)",
                names=names,
            ),
        )
    return ()
