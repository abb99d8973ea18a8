"""The life of a correction, both ways, as a table; and a correction as its row has it.

Outbound: we sent it to a partner; inbound: a partner sent it to us.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, auto

from gateway.domain.correction import CorrectionKind, CorrectionOutcome
from gateway.domain.messages import Direction
from gateway.errors import InternalError


class CorrectionPhase(IntEnum):
    """The state of a correction; the first two numbers are those on the wire."""

    OPEN = 1  # outbound: to be sent; inbound: the duty is not done
    ACKNOWLEDGED = 2  # done and acknowledged: the end
    SENT = 3  # the partner has it, by its receipt
    UNSENT = 4  # what is to be sent is late; alarm was raised, and it is still sent
    LATE = 5  # what is to be done is late; alarm was raised, and the duty remains
    SETTLED = 6  # inbound: the duty is done; the acknowledgement is to be sent
    REFUSED = 7  # the partner's gateway refuses what we send; a person must look


class Act(Enum):
    """What happens to a correction."""

    SEND = auto()
    ALARM = auto()
    SETTLE = auto()
    ACKNOWLEDGE = auto()
    REFUSE = auto()
    RETRY = auto()


# What is not drawn does not exist. An acknowledgement may come before we know that the notice arrived: its
# receipt was lost, or a reminder was refused by a partner that has erased what it was about.
LIFE_CYCLE: dict[Direction, dict[tuple[CorrectionPhase, Act], CorrectionPhase]] = {
    Direction.OUTBOUND: {
        (CorrectionPhase.OPEN, Act.SEND): CorrectionPhase.SENT,
        (CorrectionPhase.OPEN, Act.ALARM): CorrectionPhase.UNSENT,
        (CorrectionPhase.OPEN, Act.REFUSE): CorrectionPhase.REFUSED,
        (CorrectionPhase.UNSENT, Act.SEND): CorrectionPhase.SENT,
        (CorrectionPhase.UNSENT, Act.REFUSE): CorrectionPhase.REFUSED,
        (CorrectionPhase.SENT, Act.ALARM): CorrectionPhase.LATE,
        (CorrectionPhase.SENT, Act.REFUSE): CorrectionPhase.REFUSED,
        (CorrectionPhase.LATE, Act.REFUSE): CorrectionPhase.REFUSED,
        (CorrectionPhase.REFUSED, Act.RETRY): CorrectionPhase.OPEN,
        **{
            (state, Act.ACKNOWLEDGE): CorrectionPhase.ACKNOWLEDGED
            for state in (
                CorrectionPhase.OPEN,
                CorrectionPhase.UNSENT,
                CorrectionPhase.SENT,
                CorrectionPhase.LATE,
                CorrectionPhase.REFUSED,
            )
        },
    },
    Direction.INBOUND: {
        (CorrectionPhase.OPEN, Act.ALARM): CorrectionPhase.LATE,
        (CorrectionPhase.OPEN, Act.SETTLE): CorrectionPhase.SETTLED,
        (CorrectionPhase.LATE, Act.SETTLE): CorrectionPhase.SETTLED,
        (CorrectionPhase.SETTLED, Act.ALARM): CorrectionPhase.UNSENT,
        (CorrectionPhase.SETTLED, Act.SEND): CorrectionPhase.ACKNOWLEDGED,
        (CorrectionPhase.SETTLED, Act.REFUSE): CorrectionPhase.REFUSED,
        (CorrectionPhase.UNSENT, Act.SEND): CorrectionPhase.ACKNOWLEDGED,
        (CorrectionPhase.UNSENT, Act.REFUSE): CorrectionPhase.REFUSED,
        (CorrectionPhase.REFUSED, Act.RETRY): CorrectionPhase.SETTLED,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A correction as its row has it; what it says lies apart (`gateway.store.casework.corrections.papers_of`).

    number   the query that it is about: the partner's outbound, ours inbound
    send     outbound: when the partner had it; inbound: when the duty was done
    next     when it is looked at again
    """

    id: bytes
    partner: str
    direction: Direction
    number: str
    kind: CorrectionKind
    state: CorrectionPhase
    opened_by: str
    open: datetime
    due: datetime
    send: datetime | None = None
    next: datetime | None = None
    attempts: int = 0
    ack: datetime | None = None
    outcome: CorrectionOutcome | None = None
    note: str = ""
    open_index: int = -1


def step(direction: Direction, state: CorrectionPhase, act: Act) -> CorrectionPhase:
    """Return the state after `act`; raises InternalError for an edge that is not drawn."""
    try:
        return LIFE_CYCLE[direction][state, act]
    except KeyError:
        raise InternalError(f"a correction that is {state.name} cannot {act.name}") from None
