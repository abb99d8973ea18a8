"""The nouns of what follows a disclosure: corrections and what was done about them; and the state of quotas.

Standard library only, all frozen; numbers of the enumerations are those of `proto/gateway/v1`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from gateway.domain.person import Field, FieldCode


class CorrectionKind(IntEnum):
    """What is wrong with what was disclosed."""

    WRONG_PERSON = 1
    WRONG_VALUE = 2
    WITHDRAWN = 3


class CorrectionOutcome(IntEnum):
    """What became of inaccurate information (IRPR 315.27, 315.35, 315.42)."""

    CORRECTED = 1
    DESTROYED = 2
    USED_NOTE_TO_FILE = 3


class CorrectionState(IntEnum):
    """The state of a correction."""

    OPEN = 1
    ACKNOWLEDGED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionNotice:
    """That something disclosed earlier is inaccurate; the header's reference names the query.

    id          16 random bytes
    corrected   the right values; WRONG_VALUE only
    due         until when the duty must be done and acknowledged
    """

    id: bytes
    kind: CorrectionKind
    fields: tuple[FieldCode, ...]
    due: datetime
    corrected: tuple[Field, ...] = ()
    reply_key: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionAck:
    """What was done about a correction, and when; note = the note in the file, where there is one."""

    id: bytes
    outcome: CorrectionOutcome
    completed: datetime
    note: str = ""
    reply_key: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class CorrectionStanding:
    """The state of a correction at the party that received it."""

    id: bytes
    state: CorrectionState


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState:
    """How much of one quota is used; purpose 0 counts all together.

    resets   when the counter starts again
    """

    agreement_id: str
    purpose: int
    yearly: bool
    used: int
    limit: int
    resets: datetime
