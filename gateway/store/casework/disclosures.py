"""Hit references and what was disclosed by them: who may still ask, and where each datum went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from gateway.domain.person import Field, FieldCode
from gateway.errors import HitReferenceSpent, TransactionReused
from gateway.store.effects import LEAF, Effect, says
from gateway.store.schema import disclosures, hit_references
from gateway.store.times import milliseconds

_BETWEEN = ","  # field numbers in a row


@dataclass(frozen=True, slots=True)
class LiveHit:
    """A hit reference that its partner may still use.

    used_for   the fields that it was first used for; None while nothing was disclosed by it
    """

    reference: bytes
    subject: int
    used_for: frozenset[FieldCode] | None

    def allows(self, fields: Sequence[FieldCode]) -> bool:
        """Return whether fields are not more or other than those of its first use."""
        return self.used_for is None or self.used_for.issuperset(fields)


def find_hit(
    connection: Connection, partner: str, number: str, reference: bytes, now: datetime
) -> LiveHit | None:
    """Return a partner's own reference, of that query, before its end; else None, whatever it lacks."""
    wanted = select(hit_references).where(
        hit_references.c.reference == reference,
        hit_references.c.partner == partner,
        hit_references.c.transaction_number == number,
        hit_references.c.expires_ms > milliseconds(now),
    )
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    used = None if row.fields is None else frozenset(_codes(row.fields))
    return LiveHit(reference, row.subject_id, used)


def disclosed(
    *,
    partner: str,
    number: str,
    details_number: str,
    reference: bytes,
    subject: int,
    fields: Sequence[Field],
    record_version: int,
    now: datetime,
) -> tuple[Effect, ...]:
    """Return one row for each datum that leaves; the RESPONSE leaf comes last in the commit.

    number           the query's
    details_number   that of the request for details; the query's own where the agreement has one step
    """
    return tuple(
        Effect(
            insert(disclosures).values(
                partner=partner,
                details_number=details_number,
                field=int(field.code),
                number=number,
                hit_reference=reference,
                subject_id=subject,
                authority=field.authority,
                record_version=record_version,
                disclose_ms=milliseconds(now),
                response_index=LEAF,
            ),
            rows=1,
            leaf=-1,
            refusal=says(TransactionReused),
        )
        for field in fields
    )


def use(hit: LiveHit, fields: Sequence[FieldCode], now: datetime) -> tuple[Effect, ...]:
    """Return what binds a reference to the fields of its first use; later uses bind nothing more.

    The commit raises HitReferenceSpent where another use, or the withdrawal of the match, came between.
    """
    spelt = _BETWEEN.join(str(int(code)) for code in sorted(hit.used_for or fields))
    unused = hit_references.c.fields.is_(None) | (hit_references.c.fields == spelt)
    living = hit_references.c.expires_ms > milliseconds(now)
    row = (
        update(hit_references)
        .where(hit_references.c.reference == hit.reference, unused, living)
        .values(fields=spelt)
    )
    return (Effect(row, rows=1, refusal=says(HitReferenceSpent)),)


def withdrawn(partner: str, number: str, now: datetime) -> Effect:
    """Return what ends the references of a query whose match was a mistake; who holds one learns nothing more.

    The rows stay for their own erasure, which knows of holds.
    """
    ended = milliseconds(now)
    row = (
        update(hit_references)
        .where(
            hit_references.c.partner == partner,
            hit_references.c.transaction_number == number,
            hit_references.c.expires_ms > ended,
        )
        .values(expires_ms=ended)
    )
    return Effect(row)


def _codes(spelt: str) -> list[FieldCode]:
    return [FieldCode(int(code)) for code in spelt.split(_BETWEEN)]
