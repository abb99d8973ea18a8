"""What is due to be erased, whom it is about, and the effects that erase it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, tuple_, union_all, update

from gateway.errors import PasserelleError
from gateway.law.retention_policy import RULES, RetentionClass, Schedule
from gateway.ledger.entry import decode
from gateway.store.effects import Effect, says
from gateway.store.exchange.replay import ReplayState
from gateway.store.exchange.transactions import open_finding
from gateway.store.ledger.detail_periods import touch
from gateway.store.retention.data_classes import DATA_CLASSES
from gateway.store.retention.holds import Named, unmoved
from gateway.store.schema import (
    detail_keys,
    disclosures,
    hit_references,
    leaves,
    replay,
    reviews,
    transactions,
)
from gateway.store.times import milliseconds, moment
from keys.data_encryption import DataRing

Key = tuple[Any, ...]


class Moved(PasserelleError):
    """What was to be erased, or the holds, changed meanwhile; look again."""

    def __init__(self) -> None:
        super().__init__("what was due changed meanwhile; run it again")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is due, since when it counts, and whom it is about."""

    key: Key
    since: datetime
    named: Named


def cutoffs(
    connection: Connection, kept: RetentionClass, schedule: Schedule, now: datetime
) -> dict[str, int]:
    """Return until which measure of its data class things are due, by partner; "" for all others."""
    partners = ("", *schedule.partners(kept))
    until = {each: milliseconds(now - schedule.period(kept, each)) for each in partners}
    if DATA_CLASSES[kept].measure is None:
        return until
    last = {moment: last_leaf(connection, moment) for moment in set(until.values())}
    return {each: last[moment] for each, moment in until.items()}


def last_leaf(connection: Connection, before: int) -> int:
    """Return the index of the last leaf written until a moment in milliseconds; -1 where there is none.

    The time of leaves never falls, so that two dozen looks find it among millions.
    """
    low, high = -1, connection.execute(select(func.max(leaves.c.idx))).scalar()
    if high is None:
        return -1
    while low < high:
        middle = (low + high + 1) // 2
        time = connection.execute(select(leaves.c.time_ms).where(leaves.c.idx == middle)).scalar()
        if time is not None and time <= before:
            low = middle
        else:
            high = middle - 1
    return low


def due(
    connection: Connection,
    kept: RetentionClass,
    until: Mapping[str, int],
    *,
    after: Key | None = None,
    most: int,
) -> list[Item]:
    """Return what is due of a class, in the order of keys, beyond `after`; at most so many."""
    data_class = DATA_CLASSES[kept]
    wanted = data_class.rows(until).order_by(*data_class.key).limit(most)
    if after is not None:
        wanted = wanted.where(tuple_(*data_class.key) > tuple_(*after))
    return [_item(row, len(data_class.key)) for row in connection.execute(wanted)]


def tally(connection: Connection, kept: RetentionClass) -> int:
    """Return how many things of a class are kept."""
    data_class = DATA_CLASSES[kept]
    ripe = select(func.count()).select_from(data_class.table).where(data_class.ripe)
    return connection.execute(ripe).scalar() or 0


def erase(
    kept: RetentionClass, items: Sequence[Item], until: Mapping[str, int], serial: int
) -> tuple[Effect, ...]:
    """Return what erases things, if all are still due and no hold was placed or released since.

    The commit raises Moved, and nothing of it was done, where that is no longer so.
    """
    data_class = DATA_CLASSES[kept]
    here = (data_class.among(one.key for one in items), data_class.due(until), unmoved(serial))
    if data_class.emptied is None:
        gone = Effect(delete(data_class.table).where(*here), rows=len(items), refusal=says(Moved))
        return (touch(here[0]), gone) if data_class.table is detail_keys else (gone,)
    emptied = update(data_class.table).where(*here).values(dict(data_class.emptied))
    effects = [Effect(emptied, rows=len(items), refusal=says(Moved))]
    if data_class.along is not None:
        same = tuple_(*(data_class.along.c[str(column.key)] for column in data_class.key))
        effects.append(Effect(delete(data_class.along).where(same.in_([one.key for one in items]))))
    return tuple(effects)


def widened(connection: Connection, data_key: DataRing, items: Sequence[Item]) -> list[Item]:
    """Return items with all numbers they go under and all people they speak of, as far as rows say.

    A request for details has its own number; whom a query found is sealed in its row, with `data_key`.
    """
    pairs = {(one.named.partner, each) for one in items for each in one.named.numbers if each}
    queries: dict[tuple[str, str], set[str]] = {}
    people: dict[tuple[str, str], set[int]] = {}
    told = disclosures.c
    for column in (told.details_number, told.number):
        for row in connection.execute(
            select(column.label("mine"), told.partner, told.number, told.subject_id).where(
                tuple_(told.partner, column).in_(pairs)
            )
        ):
            queries.setdefault((row.partner, row.mine), set()).add(row.number)
            people.setdefault((row.partner, row.mine), set()).add(row.subject_id)
    asked = transactions.c
    rows = select(asked.partner, asked.number, asked.subject).where(
        tuple_(asked.partner, asked.number).in_(pairs), asked.subject.is_not(None)
    )
    for partner, number, sealed in connection.execute(rows):
        found = open_finding(data_key, partner, number, sealed).subject
        if found is not None:
            people.setdefault((partner, number), set()).add(found)
    hits = hit_references.c
    mine = tuple_(hits.partner, hits.transaction_number).in_(pairs)
    named = select(hits.partner, hits.transaction_number, hits.subject_id).where(mine)
    for partner, number, subject in connection.execute(named):
        people.setdefault((partner, number), set()).add(subject)
    return [_wider(one, queries, people) for one in items]


def late_probes(connection: Connection, now: datetime) -> int:
    """Return how many prints of queries are there past their end: in a review, or under a search that hangs."""
    before = milliseconds(now - RULES[RetentionClass.PROBE].grace)
    waiting = select(reviews.c.case_id).where(
        reviews.c.sealed.is_not(None), reviews.c.due_ms <= before
    )
    hanging = select(replay.c.transaction_number).where(
        replay.c.state == int(ReplayState.RUNNING), replay.c.expires_ms <= before
    )
    both = union_all(waiting, hanging).subquery()
    return connection.execute(select(func.count()).select_from(both)).scalar() or 0


def _item(row: Row[Any], width: int) -> Item:
    people = {row.of_subject} - {None}
    if row.of_leaf is not None:
        told = decode(row.of_leaf).subject_reference
        if told.startswith("S-") and told[2:].isdigit():
            people.add(int(told[2:]))
    named = Named(row.of_partner or "", frozenset({row.of_number or ""}), frozenset(people))
    return Item(tuple(row[:width]), moment(row.since), named)


def _wider(
    one: Item,
    queries: Mapping[tuple[str, str], set[str]],
    people: Mapping[tuple[str, str], set[int]],
) -> Item:
    pairs = [(one.named.partner, each) for each in one.named.numbers]
    numbers = one.named.numbers.union(*(queries.get(each, ()) for each in pairs))
    subjects = one.named.subjects.union(*(people.get(each, ()) for each in pairs))
    return replace(one, named=Named(one.named.partner, numbers, subjects))
