"""Queries that wait for an examiner: who looks at which, until when, and what is kept sealed meanwhile.

A case has a life cycle, as data. What an examiner needs is sealed under a key of the case's own, which the data key
wraps; the commit that ends the case erases both. Reading takes a connection, writing returns effects, and each of
them applies only where the table, the lease and the clock allow it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, auto
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update
from sqlalchemy.engine import Row

from gateway.domain.messages import Modality
from gateway.domain.person import Saying, Verdict
from gateway.errors import InternalError, UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import reviews, transactions
from gateway.store.times import milliseconds, moment
from keys import atomic_file
from keys.data_encryption import SEED_BYTES, DataKey, DataRing
from keys.errors import OpenRefused
from keys.pae import pae

_LABEL = b"passerelle/1/review"


class CaseState(IntEnum):
    """The state of a case; the last two are ends."""

    OPEN = 1
    LEASED = 2
    FIRST_VERDICT = 3
    SECOND_LEASED = 4
    CLOSED = 5
    EXPIRED = 6


class CaseAct(Enum):
    """What happens to a case."""

    LEASE = auto()
    RELEASE = auto()
    NOTE = auto()  # a first verdict of two
    CLOSE = auto()
    EXPIRE = auto()


# (state, act) → state. What is not drawn does not exist.
LIFE_CYCLE: dict[tuple[CaseState, CaseAct], CaseState] = {
    (CaseState.OPEN, CaseAct.LEASE): CaseState.LEASED,
    (
        CaseState.LEASED,
        CaseAct.LEASE,
    ): CaseState.LEASED,  # longer, or after another's lease has ended
    (CaseState.LEASED, CaseAct.RELEASE): CaseState.OPEN,
    (CaseState.LEASED, CaseAct.NOTE): CaseState.FIRST_VERDICT,
    (CaseState.LEASED, CaseAct.CLOSE): CaseState.CLOSED,
    (CaseState.FIRST_VERDICT, CaseAct.LEASE): CaseState.SECOND_LEASED,
    (CaseState.SECOND_LEASED, CaseAct.LEASE): CaseState.SECOND_LEASED,
    (CaseState.SECOND_LEASED, CaseAct.RELEASE): CaseState.FIRST_VERDICT,
    (CaseState.SECOND_LEASED, CaseAct.CLOSE): CaseState.CLOSED,
    (CaseState.OPEN, CaseAct.EXPIRE): CaseState.EXPIRED,
    (CaseState.LEASED, CaseAct.EXPIRE): CaseState.EXPIRED,
    (CaseState.FIRST_VERDICT, CaseAct.EXPIRE): CaseState.EXPIRED,
    (CaseState.SECOND_LEASED, CaseAct.EXPIRE): CaseState.EXPIRED,
}
WAITING = (CaseState.OPEN, CaseState.LEASED, CaseState.FIRST_VERDICT, CaseState.SECOND_LEASED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a case keeps sealed: the query as it was received, and whom it may be about.

    header, payload   bytes of the signed envelope; the payload holds the prints
    subject           number of the candidate
    said              what each of several modalities says of the two; empty where one was searched
    """

    header: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    subject: int
    said: Mapping[Modality, Saying] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A query that waits, or waited. `sealed` and `sealed_key` are there while it waits, no longer."""

    case: str
    partner: str
    number: str
    message_id: bytes
    state: CaseState
    persons: int
    opened: datetime
    due: datetime
    request_index: int = -1  # of the REQUEST leaf; known once the case is stored
    leased_by: str | None = None
    leased_until: datetime | None = None
    first_examiner: str | None = None
    first_verdict: Verdict | None = None
    sealed: bytes | None = field(repr=False)
    sealed_key: bytes | None = field(repr=False)

    def held_by(self, now: datetime) -> str | None:
        """Return who has the lease of the case at a moment; a lease that has ended is nobody's."""
        if self.leased_until is None or now >= self.leased_until:
            return None
        return self.leased_by


def step(state: CaseState, act: CaseAct) -> CaseState:
    """Return the state after `act`; raises InternalError for an edge that is not drawn."""
    try:
        return LIFE_CYCLE[state, act]
    except KeyError:
        raise InternalError(f"a case that is {state.name} cannot {act.name}") from None


def case(connection: Connection, name: str) -> Case | None:
    """Return one case, whether or not it still waits."""
    row = connection.execute(select(reviews).where(reviews.c.case_id == name)).one_or_none()
    return None if row is None else _case(row)


def waiting(connection: Connection) -> list[Case]:
    """Return the cases that wait, the most urgent first, without what is sealed of them."""
    columns = [column for column in reviews.c if column.name not in _ERASED]
    wanted = select(*columns).where(_in(WAITING)).order_by(reviews.c.due_ms, reviews.c.case_id)
    return [_case(row) for row in connection.execute(wanted)]


def seal(data_key: DataRing, name: str, seed: bytes, evidence: Evidence) -> tuple[bytes, bytes]:
    """Return evidence sealed under the key of `seed`, and that seed wrapped by the data key.

    Both are bound to the case. Whoever erases the second has erased the first.
    """
    if len(seed) != SEED_BYTES:
        raise InternalError("a case's key is made of 32 fresh random bytes")
    said = evidence.said
    body = {
        "header": atomic_file.text_of(evidence.header),
        "payload": atomic_file.text_of(evidence.payload),
        "subject": evidence.subject,
        **({"said": {each.name: word.name for each, word in said.items()}} if said else {}),
    }
    sealed = DataKey.from_seed(seed).seal(json.dumps(body).encode(), aad(name, b"evidence"))
    return sealed, data_key.seal(seed, aad(name, b"key"))


def unseal(data_key: DataRing, of: Case) -> Evidence:
    """Return the evidence of a case that waits; raises InternalError where it was altered, moved or erased."""
    try:
        seed = data_key.open(of.sealed_key or b"", aad(of.case, b"key"))
        octets = DataKey.from_seed(seed).open(of.sealed or b"", aad(of.case, b"evidence"))
    except (OpenRefused, ValueError):
        raise InternalError(
            "the evidence of a case does not open: erased, altered or moved"
        ) from None
    body = json.loads(octets)
    said = body.pop("said", {})  # absent where one modality was searched, as in earlier releases
    fields = atomic_file.Fields(_NOWHERE, body, _MEMBERS)
    return Evidence(
        fields.octets("header"),
        fields.octets("payload"),
        fields.number("subject"),
        {Modality[name]: Saying[word] for name, word in said.items()},
    )


def begin(of: Case) -> Effect:
    """Return what opens a case together with its REVIEW leaf; of which request, the transaction says."""
    asked = select(transactions.c.request_index).where(
        transactions.c.partner == of.partner, transactions.c.number == of.number
    )
    row = insert(reviews).values(
        case_id=of.case,
        partner=of.partner,
        number=of.number,
        message_id=of.message_id,
        state=int(CaseState.OPEN),
        persons=of.persons,
        sealed=of.sealed,
        sealed_key=of.sealed_key,
        open_ms=milliseconds(of.opened),
        due_ms=milliseconds(of.due),
        request_index=asked.scalar_subquery(),
    )
    return Effect(row, rows=1)


def lease(of: Case, examiner: str, now: datetime, until: datetime) -> Effect:
    """Return what leases a case to one person, unless another has it, or it has ended."""
    free = or_(
        reviews.c.leased_by.is_(None),
        reviews.c.leased_by == examiner,
        reviews.c.lease_ms <= milliseconds(now),
    )
    return _moved(of, CaseAct.LEASE, now, free, leased_by=examiner, lease_ms=milliseconds(until))


def release(of: Case, examiner: str, now: datetime) -> Effect:
    """Return what lays a case down again."""
    return _moved(of, CaseAct.RELEASE, now, _held(examiner, now), **_LAID_DOWN)


def note(of: Case, examiner: str, verdict: Verdict, now: datetime) -> Effect:
    """Return what keeps a first verdict of two; only who holds the case can give it."""
    kept = {"first_examiner": examiner, "first_verdict": int(verdict), **_LAID_DOWN}
    return _moved(of, CaseAct.NOTE, now, _held(examiner, now), **kept)


def close(of: Case, examiner: str, verdicts: Sequence[Verdict], now: datetime) -> Effect:
    """Return what ends a case with its last verdict, and erases what was sealed."""
    whose = {"first_examiner": examiner, "first_verdict": int(verdicts[0])}
    if of.first_examiner is not None:
        whose = {"second_examiner": examiner}
    last = {**whose, "verdict": int(verdicts[-1]), **_LAID_DOWN, **_ERASED}
    return _moved(of, CaseAct.CLOSE, now, _held(examiner, now), close_ms=milliseconds(now), **last)


def expire(of: Case, now: datetime) -> Effect:
    """Return what ends a case whose time is over, and erases what was sealed."""
    over = reviews.c.due_ms <= milliseconds(now)
    values = {"state": int(step(of.state, CaseAct.EXPIRE)), **_LAID_DOWN, **_ERASED}
    row = (
        update(reviews)
        .where(reviews.c.case_id == of.case, reviews.c.state == int(of.state), over)
        .values(close_ms=milliseconds(now), **values)
    )
    return Effect(row, rows=1, refusal=says(UserError, "this case was settled meanwhile"))


_NOWHERE = Path("review")
_MEMBERS = frozenset({"header", "payload", "subject"})
_LAID_DOWN: dict[str, Any] = {"leased_by": None, "lease_ms": None}
_ERASED: dict[str, Any] = {"sealed": None, "sealed_key": None}


def _moved(
    of: Case, act: CaseAct, now: datetime, allowed: ColumnElement[bool], **values: object
) -> Effect:
    row = (
        update(reviews)
        .where(
            reviews.c.case_id == of.case,
            reviews.c.state == int(of.state),
            reviews.c.due_ms > milliseconds(now),
            allowed,
        )
        .values(state=int(step(of.state, act)), **values)
    )
    gone = says(UserError, "somebody else has this case, or its time is over; list the cases again")
    return Effect(row, rows=1, refusal=gone)


def _held(examiner: str, now: datetime) -> ColumnElement[bool]:
    return and_(reviews.c.leased_by == examiner, reviews.c.lease_ms > milliseconds(now))


def _in(states: Sequence[CaseState]) -> ColumnElement[bool]:
    return reviews.c.state.in_([int(state) for state in states])


def _case(row: Row[Any]) -> Case:
    return Case(
        case=row.case_id,
        partner=row.partner,
        number=row.number,
        message_id=row.message_id,
        state=CaseState(row.state),
        persons=row.persons,
        opened=moment(row.open_ms),
        due=moment(row.due_ms),
        request_index=row.request_index,
        leased_by=row.leased_by,
        leased_until=None if row.lease_ms is None else moment(row.lease_ms),
        first_examiner=row.first_examiner,
        first_verdict=None if row.first_verdict is None else Verdict(row.first_verdict),
        sealed=getattr(row, "sealed", None),
        sealed_key=getattr(row, "sealed_key", None),
    )


def aad(name: str, part: bytes) -> bytes:
    """Return what a part of a case is bound to."""
    return pae(_LABEL, name.encode(), part)
