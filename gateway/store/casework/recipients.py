"""Where what we disclosed of a person went: the hit, and each datum, by partner and query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from gateway.domain.messages import Outcome
from gateway.domain.person import FieldCode
from gateway.store.exchange.transactions import open_finding
from gateway.store.schema import disclosures, hit_references, transactions
from keys.data_encryption import DataRing


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


def of_subject(connection: Connection, data_key: DataRing, subject: int) -> tuple[Recipient, ...]:
    """Return everyone who learned something of a person: that there is a match, or data.

    A hit reference names its person for a month; after that, whom a query found is sealed in its row, so every
    match that is remembered is opened. A mistake is rare enough for that.
    """
    referred = select(
        hit_references.c.partner, hit_references.c.transaction_number.label("number")
    ).where(hit_references.c.subject_id == subject)
    hits: dict[tuple[str, str], int | None] = {
        (row.partner, row.number): subject for row in connection.execute(referred)
    }
    matched = select(transactions).where(
        transactions.c.outcome == int(Outcome.MATCH), transactions.c.subject.is_not(None)
    )
    hits |= {
        (row.partner, row.number): subject
        for row in connection.execute(matched)
        if open_finding(data_key, row.partner, row.number, row.subject).subject == subject
    }
    return _recipients(connection, disclosures.c.subject_id == subject, hits)


def of_query(
    connection: Connection, data_key: DataRing, number: str, partner: str = ""
) -> tuple[Recipient, ...]:
    """Return who learned something by a query of that number; several where partners chose the same."""
    matched = select(transactions).where(
        transactions.c.number == number, transactions.c.outcome == int(Outcome.MATCH)
    )
    told = disclosures.c.number == number
    if partner:
        matched = matched.where(transactions.c.partner == partner)
        told &= disclosures.c.partner == partner
    hits = {
        (row.partner, row.number): _found(connection, data_key, row)
        for row in connection.execute(matched).all()
    }
    return _recipients(connection, told, hits)


def _found(connection: Connection, data_key: DataRing, row: Row[Any]) -> int | None:
    """Return whom a query found, as its row or its hit reference says."""
    if row.subject is not None:
        return open_finding(data_key, row.partner, row.number, row.subject).subject
    referred = select(hit_references.c.subject_id).where(
        hit_references.c.partner == row.partner,
        hit_references.c.transaction_number == row.number,
    )
    return connection.execute(referred.limit(1)).scalar()


def _recipients(
    connection: Connection,
    told: ColumnElement[bool],
    hits: Mapping[tuple[str, str], int | None],
) -> tuple[Recipient, ...]:
    people = dict(hits)
    data: dict[tuple[str, str], dict[FieldCode, Sent]] = {each: {} for each in hits}
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
        Recipient(partner, number, people[partner, number], data[partner, number])
        for partner, number in sorted(data)
    )
