"""The life of a correction, both ways, as a table; and a correction as its row has it.

Outbound we told a partner; inbound a partner told us.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, auto

from gateway.domain.correction import CorrectionKind, CorrectionOutcome
from gateway.domain.messages import Direction
from gateway.errors import Fault


class Standing(IntEnum):
    """Where a correction stands; the first two numbers are those that partners are told."""

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
LIFE_CYCLE: dict[Direction, dict[tuple[Standing, Act], Standing]] = {
    Direction.OUTBOUND: {
        (Standing.OPEN, Act.SEND): Standing.SENT,
        (Standing.OPEN, Act.ALARM): Standing.UNSENT,
        (Standing.OPEN, Act.REFUSE): Standing.REFUSED,
        (Standing.UNSENT, Act.SEND): Standing.SENT,
        (Standing.UNSENT, Act.REFUSE): Standing.REFUSED,
        (Standing.SENT, Act.ALARM): Standing.LATE,
        (Standing.SENT, Act.REFUSE): Standing.REFUSED,
        (Standing.LATE, Act.REFUSE): Standing.REFUSED,
        (Standing.REFUSED, Act.RETRY): Standing.OPEN,
        **{
            (state, Act.ACKNOWLEDGE): Standing.ACKNOWLEDGED
            for state in (
                Standing.OPEN,
                Standing.UNSENT,
                Standing.SENT,
                Standing.LATE,
                Standing.REFUSED,
            )
        },
    },
    Direction.INBOUND: {
        (Standing.OPEN, Act.ALARM): Standing.LATE,
        (Standing.OPEN, Act.SETTLE): Standing.SETTLED,
        (Standing.LATE, Act.SETTLE): Standing.SETTLED,
        (Standing.SETTLED, Act.ALARM): Standing.UNSENT,
        (Standing.SETTLED, Act.SEND): Standing.ACKNOWLEDGED,
        (Standing.SETTLED, Act.REFUSE): Standing.REFUSED,
        (Standing.UNSENT, Act.SEND): Standing.ACKNOWLEDGED,
        (Standing.UNSENT, Act.REFUSE): Standing.REFUSED,
        (Standing.REFUSED, Act.RETRY): Standing.SETTLED,
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
    state: Standing
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


def step(direction: Direction, state: Standing, act: Act) -> Standing:
    """Return the state after `act`; raises Fault for an edge that is not drawn."""
    try:
        return LIFE_CYCLE[direction][state, act]
    except KeyError:
        raise Fault(f"a correction that is {state.name} cannot {act.name}") from None
