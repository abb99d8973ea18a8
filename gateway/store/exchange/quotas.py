"""What a partner may ask in a day and in a year: counted per purpose, limited in all and per purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    String,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from gateway.domain.messages import Direction, Purpose
from gateway.errors import QuotaExceeded
from gateway.law.quota_policy import Quota, Usage, renewals
from gateway.store.effects import Effect
from gateway.store.schema import quotas, transactions

# Made once: building a statement takes longer than SQLite takes to execute it.
_HERE = and_(
    quotas.c.partner == bindparam("who"),
    quotas.c.purpose == bindparam("why"),
    quotas.c.direction == bindparam("way"),
    quotas.c.period == bindparam("time"),
)
_COUNTER = insert(quotas).from_select(
    ["partner", "purpose", "direction", "period", "used"],
    select(
        bindparam("who", type_=String),
        bindparam("why", type_=Integer),
        bindparam("way", type_=Integer),
        bindparam("time", type_=String),
        literal(0),
    ).where(~exists().where(_HERE)),
)
_all = quotas.alias()
_IN_ALL = select(func.coalesce(func.sum(_all.c.used), 0)).where(
    _all.c.partner == bindparam("who"),
    _all.c.direction == bindparam("way"),
    _all.c.period == bindparam("time"),
)
_COUNTED = (
    update(quotas)
    .where(
        _HERE,
        _IN_ALL.scalar_subquery() < bindparam("limit"),
        quotas.c.used < bindparam("most"),
    )
    .values(used=quotas.c.used + 1)
)
_POOR_COUNTED = (
    update(quotas)
    .where(_HERE, _IN_ALL.scalar_subquery() < bindparam("most"))
    .values(used=quotas.c.used + 1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a query uses up: its transaction number, and one of the partner's quota.

    day_limit, year_limit   queries answered per UTC day and year, all purposes together
    own                     the limits of the purpose itself, where it has some
    """

    purpose: Purpose
    day_limit: int
    year_limit: int
    own: Quota | None = None


def used(connection: Connection, partner: str, direction: Direction, now: datetime) -> Usage:
    """Return what was used in one direction this UTC day and year, in all and for each purpose."""
    by_purpose: dict[Purpose, dict[str, int]] = {}
    day, year = periods(now)
    wanted = select(quotas.c.purpose, quotas.c.period, quotas.c.used).where(
        quotas.c.partner == partner,
        quotas.c.direction == int(direction),
        quotas.c.period.in_([day, year]),
    )
    for row in connection.execute(wanted):
        by_purpose.setdefault(Purpose(row.purpose), {})[row.period] = row.used
    purposes = {
        purpose: Quota(counts.get(day, 0), counts.get(year, 0))
        for purpose, counts in by_purpose.items()
    }
    return Usage(
        day=sum(each.day for each in purposes.values()),
        year=sum(each.year for each in purposes.values()),
        purposes=purposes,
    )


def reserve(
    partner: str, claims: Claims, now: datetime, direction: Direction = Direction.INBOUND
) -> tuple[Effect, ...]:
    """Reserve one query; the year is asked first, since its refusal renews later."""
    day, year = periods(now)
    own = claims.own or Quota(claims.day_limit, claims.year_limit)
    effects: list[Effect] = []
    for period, limit, most in (
        (year, claims.year_limit, own.year),
        (day, claims.day_limit, own.day),
    ):
        key = _key(partner, claims.purpose, direction, period)
        limits = {**key, "limit": limit, "most": most}
        full = partial(_full, now, yearly=period == year)
        effects += [
            Effect(_COUNTER, values=key),
            Effect(_COUNTED, rows=1, refusal=full, values=limits),
        ]
    return tuple(effects)


def _full(now: datetime, _: Connection, *, yearly: bool) -> QuotaExceeded:
    """Return the refusal of a query beyond a quota, which says when that begins again."""
    tomorrow, new_year = renewals(now)
    return QuotaExceeded(new_year if yearly else tomorrow)


def release_poor(
    partner: str, number: str, message_id: bytes, most: int, now: datetime
) -> tuple[Effect, ...]:
    """Give back the quota of a query too poor to search, for `most` of them a UTC day; the next ones keep theirs used.

    The count is in the rows of the quotas, under a period of its own, and is kept with the RESPONSE.
    """
    key = _key(partner, Purpose.NONE, Direction.INBOUND, _poor(now))
    left = _used(partner, Direction.INBOUND, _poor(now)) < most
    return (
        Effect(_COUNTER, values=key),
        *release_quota(partner, number, message_id, left),
        Effect(_POOR_COUNTED, values={**key, "most": most}),
    )


def release_quota(
    partner: str, number: str, message_id: bytes, while_: ColumnElement[bool] | None = None
) -> tuple[Effect, ...]:
    """Return what gives back the day's and the year's quota of a query; twice is as good as once.

    while_   a condition under which it is given back; None = always
    """
    still = true() if while_ is None else while_
    own = and_(
        transactions.c.partner == partner,
        transactions.c.number == number,
        transactions.c.message_id == message_id,
    )
    day = select(transactions.c.quota_day).where(own).scalar_subquery()
    purpose = select(transactions.c.purpose).where(own).scalar_subquery()
    year = literal("Y") + func.substr(day, 2, 4)
    restored = (
        update(quotas)
        .where(
            still,
            quotas.c.partner == partner,
            quotas.c.direction == int(Direction.INBOUND),
            quotas.c.purpose == purpose,
            or_(quotas.c.period == day, quotas.c.period == year),
        )
        .values(used=quotas.c.used - 1)
    )
    let_go = update(transactions).where(own, still).values(quota_day=None)
    return Effect(restored), Effect(let_go)


def periods(now: datetime) -> tuple[str, str]:
    """Return the names of the UTC day and year of a moment."""
    utc = now.astimezone(UTC)
    return f"D{utc:%Y-%m-%d}", f"Y{utc:%Y}"


def _key(partner: str, purpose: Purpose, direction: Direction, period: str) -> dict[str, object]:
    return {"who": partner, "why": int(purpose), "way": int(direction), "time": period}


def _poor(now: datetime) -> str:
    """Return the name of the period that counts what was given back in a UTC day."""
    return f"P{now.astimezone(UTC):%Y-%m-%d}"


def _used(partner: str, direction: Direction, period: str) -> ScalarSelect[int]:
    counted = quotas.alias()
    return (
        select(func.coalesce(func.sum(counted.c.used), 0))
        .where(
            counted.c.partner == partner,
            counted.c.direction == int(direction),
            counted.c.period == period,
        )
        .scalar_subquery()
    )
