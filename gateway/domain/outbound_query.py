"""The nouns of what we ask partners: the state of an outbound query, and what is stored of its answer.

Standard library only, all frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, auto

from gateway.domain.messages import Biometrics, Outcome, PriorTransaction, Purpose, ServiceLevel
from gateway.domain.person import FieldCode, Status


class OutboundState(IntEnum):
    """The state of something that we asked a partner."""

    ASKED = 1  # recorded and to be sent, or sent and not answered
    PENDING = 2  # the partner has it and has not decided; its state is asked for
    ANSWERED = 3  # the answer is recorded, and nobody has seen it
    SHOWN = 4  # somebody of ours has seen it; whether it was used is not known
    USED = 5  # used for an administrative purpose: kept, whatever comes
    REFUSED = 6  # the partner refused to answer
    EXPIRED = 7  # never answered
    DESTROYED = 8  # inaccurate and unused: destroyed with everything derived from it
    STOPPED = 9  # our own law stopped it: it was never sent


class OutboundAct(Enum):
    """What happens to it."""

    PEND = auto()
    ANSWER = auto()
    SHOW = auto()
    USE = auto()
    REFUSE = auto()
    EXPIRE = auto()
    DESTROY = auto()


_open = (OutboundState.ASKED, OutboundState.PENDING)

# What is not drawn does not exist. Nothing is used that was never shown; what was used is never destroyed
# for being inaccurate (IRPR 315.27(3)).
LIFE_CYCLE: dict[tuple[OutboundState, OutboundAct], OutboundState] = {
    **{(state, OutboundAct.PEND): OutboundState.PENDING for state in _open},
    **{(state, OutboundAct.ANSWER): OutboundState.ANSWERED for state in _open},
    **{(state, OutboundAct.REFUSE): OutboundState.REFUSED for state in _open},
    **{(state, OutboundAct.EXPIRE): OutboundState.EXPIRED for state in _open},
    (OutboundState.ANSWERED, OutboundAct.SHOW): OutboundState.SHOWN,
    (OutboundState.SHOWN, OutboundAct.SHOW): OutboundState.SHOWN,
    (OutboundState.SHOWN, OutboundAct.USE): OutboundState.USED,
    (OutboundState.USED, OutboundAct.SHOW): OutboundState.USED,
    (OutboundState.USED, OutboundAct.USE): OutboundState.USED,
    (OutboundState.ANSWERED, OutboundAct.DESTROY): OutboundState.DESTROYED,
    (OutboundState.SHOWN, OutboundAct.DESTROY): OutboundState.DESTROYED,
}


# Over, and no answer ever came.
UNANSWERED = (OutboundState.REFUSED, OutboundState.EXPIRED, OutboundState.STOPPED)
UNREAD = b""  # in the place of a stored answer that was not read; nothing sealed is empty


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundQuery:
    """One query of ours as its row has it; `sealed` is its stored answer: None where it was erased, UNREAD in a list.

    subject    our own client whom it is about, where the officer named one
    received   the fields that the partner may have disclosed under it: those that came, and those that we asked for
               without hearing back; None where the row is older than that record
    """

    partner: str
    number: str
    message_id: bytes
    purpose: Purpose
    agreement: tuple[str, int]
    case: str
    state: OutboundState
    outcome: Outcome | None
    subject: int | None
    ask: datetime
    answer: datetime | None
    used: datetime | None
    used_in: str
    asked_index: int
    answered_index: int | None
    sealed: bytes | None = field(repr=False)
    received: frozenset[FieldCode] | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What is kept of a query of ours: the signed envelope until it is answered, then what was answered, or why it was not.

    envelope    what a transport made of it; empty once it was answered
    until       when that envelope's life ends, milliseconds
    answer      payload of the answer
    receipt     leaf and proof of the partner's ledger, which prove the answer
    details     payloads of details that were disclosed to us later
    corrected   payloads of notices that correct them, where they were used and are kept; those that came since
                revision 0005 of the store lie apart
    reason, element   why no answer came, as the ledger has it, and for what in the question
    """

    envelope: bytes = field(default=b"", repr=False)
    until: int = 0
    answer: bytes = field(default=b"", repr=False)
    receipt: tuple[bytes, bytes] = field(default=(b"", b""), repr=False)
    details: tuple[bytes, ...] = field(default=(), repr=False)
    corrected: tuple[bytes, ...] = field(default=(), repr=False)
    reason: str = ""
    element: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """What an officer wants to ask a partner, as the case system states it.

    person      who is responsible: the officer's pseudonym
    status      of the person asked about: kind, nationalities, alleged persecutors
    claimant    whether the person has claimed refuge here
    subject     our own client, where the officer named one
    service_level   how soon an answer is needed: until when an examiner of the partner may look
    """

    partner: str
    agreement: tuple[str, int]
    purpose: Purpose
    case: str
    unit: str
    person: str
    status: Status
    probe: Biometrics | PriorTransaction = field(repr=False)
    claimant: bool = False
    subject: int | None = None
    service_level: ServiceLevel = ServiceLevel.REAL_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeking:
    """Which fields of an earlier match an officer asks for, and for which case."""

    fields: tuple[FieldCode, ...]
    case: str
    unit: str
    person: str
