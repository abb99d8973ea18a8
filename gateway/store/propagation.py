"""Where what we disclosed of a person went: the hit, and each datum, by partner and query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from gateway.casework import FieldCode
from gateway.store.casebook import disclosures
from gateway.store.schema import hit_references, transactions
from gateway.terms import Outcome


@dataclass(frozen=True, slots=True)
class Sent:
    """One datum that left: under which paragraph, of which version of the record, when, by which request."""

    authority: str
    version: int
    disclose_ms: int
    details_number: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """A partner and its query: that it was a hit, and each datum that followed; the newest of each.

    subject   whom the hit was about; None where only the outcome is left
    """

    partner: str
    number: str
    subject: int | None
    fields: Mapping[FieldCode, Sent] = field(default_factory=dict)


def of_subject(connection: Connection, subject: int) -> tuple[Recipient, ...]:
    """Return everyone who learned something of a person: by a hit that still can be used, or by data."""
    hits = select(
        hit_references.c.partner, hit_references.c.transaction_number.label("number")
    ).where(hit_references.c.subject_id == subject)
    found = {(row.partner, row.number) for row in connection.execute(hits)}
    return _recipients(connection, disclosures.c.subject_id == subject, found, subject)


def of_query(connection: Connection, number: str, partner: str = "") -> tuple[Recipient, ...]:
    """Return who learned something by a query of that number; several where partners chose the same."""
    matched = select(transactions.c.partner, transactions.c.number).where(
        transactions.c.number == number, transactions.c.outcome == int(Outcome.MATCH)
    )
    told = disclosures.c.number == number
    if partner:
        matched = matched.where(transactions.c.partner == partner)
        told &= disclosures.c.partner == partner
    found = {(row.partner, row.number) for row in connection.execute(matched)}
    return _recipients(connection, told, found, None)


def _recipients(
    connection: Connection,
    told: ColumnElement[bool],
    hits: Iterable[tuple[str, str]],
    subject: int | None,
) -> tuple[Recipient, ...]:
    data: dict[tuple[str, str], dict[FieldCode, Sent]] = {each: {} for each in hits}
    people: dict[tuple[str, str], int] = {}
    rows: Iterable[Any] = connection.execute(
        select(disclosures).where(told).order_by(disclosures.c.disclose_ms)
    )
    for row in rows:
        key = row.partner, row.number
        people[key] = row.subject_id
        data.setdefault(key, {})[FieldCode(row.field)] = Sent(
            row.authority, row.record_version, row.disclose_ms, row.details_number
        )
    return tuple(
        Recipient(
            partner,
            number,
            people.get((partner, number), subject) or _hit_subject(connection, partner, number),
            data[partner, number],
        )
        for partner, number in sorted(data)
    )


def _hit_subject(connection: Connection, partner: str, number: str) -> int | None:
    wanted = select(hit_references.c.subject_id).where(
        hit_references.c.partner == partner, hit_references.c.transaction_number == number
    )
    return connection.execute(wanted.limit(1)).scalar()
