"""Officials' decisions to refuse a partner all or part of what is held of a person (IRPR 315.25(4), 315.41(3)).

A decision is lifted, not changed: another scope or ground is another decision. It goes with its person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from gateway.domain.person import FieldCode, Ground, Scope
from gateway.errors import InternalError, UserError
from gateway.law.disclosure_policy import Decided
from gateway.store.effects import Effect, says
from gateway.store.schema_casework import decisions
from gateway.store.times import milliseconds, moment

EVERYBODY = ""  # the partner of a decision that concerns all of them
_BETWEEN = ","  # field numbers in a row


class DecisionState(Enum):
    """The state of a decision."""

    ABSENT = auto()
    ACTIVE = auto()
    LIFTED = auto()


class DecisionAct(Enum):
    """What happens to a decision."""

    REFUSE = auto()
    LIFT = auto()


LIFE_CYCLE: dict[tuple[DecisionState, DecisionAct], DecisionState] = {
    (DecisionState.ABSENT, DecisionAct.REFUSE): DecisionState.ACTIVE,
    (DecisionState.ACTIVE, DecisionAct.LIFT): DecisionState.LIFTED,
}


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
    def state(self) -> DecisionState:
        """Its state."""
        return DecisionState.ACTIVE if self.lifted is None else DecisionState.LIFTED

    @property
    def law(self) -> Decided:
        """What the law needs of it."""
        return Decided(self.scope, self.fields, self.ground, self.terms)


def step(state: DecisionState, act: DecisionAct) -> DecisionState:
    """Return the state after `act`; raises InternalError for an edge that is not drawn."""
    try:
        return LIFE_CYCLE[state, act]
    except KeyError:
        raise InternalError(f"a decision that is {state.name} cannot {act.name}") from None


def active(connection: Connection, subject: int, partner: str) -> tuple[Decided, ...]:
    """Return what is refused to a partner of a person now: what names it, and what is for everybody."""
    wanted = select(decisions).where(
        decisions.c.subject_id == subject,
        decisions.c.partner.in_([partner, EVERYBODY]),
        decisions.c.lift_ms.is_(None),
    )
    rows = connection.execute(wanted.order_by(decisions.c.id))
    return tuple(_decision(row).law for row in rows)


def every(connection: Connection, subject: int | None = None) -> tuple[Decision, ...]:
    """Return all decisions there ever were, of one person or of all, the newest first."""
    wanted = select(decisions).order_by(decisions.c.decide_ms.desc(), decisions.c.id)
    if subject is not None:
        wanted = wanted.where(decisions.c.subject_id == subject)
    return tuple(_decision(row) for row in connection.execute(wanted))


def find(connection: Connection, identifier: str) -> Decision | None:
    """Return a decision; None where there is none of this identifier."""
    row = connection.execute(select(decisions).where(decisions.c.id == identifier)).one_or_none()
    return None if row is None else _decision(row)


def refuse(one: Decision) -> tuple[Effect, ...]:
    """Return what makes a decision, together with its DECISION leaf."""
    row = insert(decisions).values(
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
    return (
        Effect(row, rows=1, refusal=says(InternalError, "a decision of this identifier is there")),
    )


def lift(identifier: str, person: str, now: datetime) -> tuple[Effect, ...]:
    """Return what lifts a decision, together with its DECISION leaf; the commit raises UserError where none is active."""
    row = (
        update(decisions)
        .where(decisions.c.id == identifier, decisions.c.lift_ms.is_(None))
        .values(lifted_by=person, lift_ms=milliseconds(now))
    )
    gone = says(
        UserError, "no such decision is active; `passerelle decisions list` names those that are"
    )
    return (Effect(row, rows=1, refusal=gone),)


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
