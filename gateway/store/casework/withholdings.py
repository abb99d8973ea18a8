"""Officials' decisions to refuse a partner all or part of what is held of a person (IRPR 315.25(4), 315.41(3)).

A decision is lifted, not changed: another scope or ground is another decision. It goes with its person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from gateway.domain.person import FieldCode, Ground, Scope
from gateway.law.disclosure_policy import Decided
from gateway.store.dated_rulings import Rulings, RulingState
from gateway.store.effects import Effect
from gateway.store.schema import decisions
from gateway.store.times import milliseconds, moment

EVERYBODY = ""  # the partner of a decision that concerns all of them
_BETWEEN = ","  # field numbers in a row


_RULINGS = Rulings(
    *(decisions, decisions.c.decide_ms, decisions.c.lift_ms, decisions.c.lifted_by),
    what="a decision",
    gone="no such decision is active; `passerelle decisions list` names those that are",
)


# Made once: building a statement takes longer than SQLite takes to execute it.
_ACTIVE = _RULINGS.standing_where(
    decisions.c.subject_id == bindparam("whom"),
    decisions.c.partner.in_([bindparam("partner_or"), EVERYBODY]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision.

    fields   those that are refused where its scope is PART, none where it is ALL
    terms    on which it may be had all the same, where the agreement knows terms (IRPR 315.25(4))
    """

    id: str
    subject: int
    partner: str
    scope: Scope
    fields: frozenset[FieldCode]
    ground: Ground
    terms: str
    reason: str
    decided_by: str
    decided: datetime
    lifted_by: str = ""
    lifted: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a scope that its fields contradict."""
        if (self.scope is Scope.PART) != bool(self.fields):
            raise ValueError("PART names fields, ALL names none")

    @property
    def state(self) -> RulingState:
        """Where it stands."""
        return RulingState.STANDING if self.lifted is None else RulingState.ENDED

    @property
    def law(self) -> Decided:
        """What the law needs of it."""
        return Decided(self.scope, self.fields, self.ground, self.terms)


def active(connection: Connection, subject: int, partner: str) -> tuple[Decided, ...]:
    """Return what is refused to a partner of a person now: what names it, and what is for everybody."""
    rows = connection.execute(_ACTIVE, {"whom": subject, "partner_or": partner})
    return tuple(_decision(row).law for row in rows)


def every(connection: Connection, subject: int | None = None) -> tuple[Decision, ...]:
    """Return all decisions there ever were, of one person or of all, the newest first."""
    which = () if subject is None else (decisions.c.subject_id == subject,)
    return tuple(map(_decision, _RULINGS.every(connection, *which)))


def find(connection: Connection, identifier: str) -> Decision | None:
    """Return a decision; None where there is none of this identifier."""
    row = connection.execute(select(decisions).where(decisions.c.id == identifier)).one_or_none()
    return None if row is None else _decision(row)


def refuse(one: Decision) -> tuple[Effect, ...]:
    """Return what makes a decision, together with its DECISION leaf."""
    return _RULINGS.make(
        id=one.id,
        subject_id=one.subject,
        partner=one.partner,
        scope=int(one.scope),
        fields=_BETWEEN.join(str(int(code)) for code in sorted(one.fields)),
        ground=int(one.ground),
        terms=one.terms,
        reason=one.reason,
        decided_by=one.decided_by,
        decide_ms=milliseconds(one.decided),
    )


def lift(identifier: str, person: str, now: datetime) -> tuple[Effect, ...]:
    """Return what lifts a decision, together with its DECISION leaf; the commit raises UserError where none is active."""
    return _RULINGS.end(identifier, person, now)


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        subject=row.subject_id,
        partner=row.partner,
        scope=Scope(row.scope),
        fields=frozenset(FieldCode(int(each)) for each in row.fields.split(_BETWEEN) if each),
        ground=Ground(row.ground),
        terms=row.terms,
        reason=row.reason,
        decided_by=row.decided_by,
        decided=moment(row.decide_ms),
        lifted_by=row.lifted_by or "",
        lifted=None if row.lift_ms is None else moment(row.lift_ms),
    )
