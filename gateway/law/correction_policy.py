"""What must be done when something disclosed is found to be inaccurate, and until when (IRPR 315.27, 315.35, 315.42).

Pure: the record of use and a moment go in, the duty comes out. Table 3.4 of law.md binds in Divisions 1 and 2;
that Division 3 follows it too is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from gateway.domain.correction import CorrectionOutcome

BACKOFF = timedelta(seconds=30)  # after the first time that nobody answered; it doubles
LONGEST_BACKOFF = timedelta(
    hours=1
)  # a partner that is reachable again after days gets it within the hour
REMIND_BEFORE = timedelta(hours=24)  # before it is due: one working day to act on
REMIND_EVERY = timedelta(hours=24)  # once it is late


class Use(Enum):
    """Whether information was used for an administrative purpose (Privacy Act s. 3)."""

    NONE = auto()
    RECORDED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Timers:
    """How soon "as soon as feasible" is, from the moment that we knew (law.md section 10).

    send         until the partner's gateway has the notice
    acknowledge  until the duty is done and acknowledged
    """

    send: timedelta = timedelta(hours=24)
    acknowledge: timedelta = timedelta(hours=72)


STANDARD = Timers()


def outcome(use: Use, *, replaced: bool) -> CorrectionOutcome | None:
    """Return what is done about inaccurate information that we received; None = nobody can say yet.

    replaced   right values came with the notice and stand where the inaccurate ones stood

    What was used is kept, with a note to file (315.27(3)); what was not is destroyed with everything derived
    of it (315.27(2)). Unknown counts as not answered: no acknowledgement, an alarm in the end.
    """
    if use is Use.RECORDED:
        return CorrectionOutcome.USED_NOTE_TO_FILE
    if use is Use.UNKNOWN:
        return None
    return CorrectionOutcome.CORRECTED if replaced else CorrectionOutcome.DESTROYED


def due(stated: datetime, now: datetime, timers: Timers = STANDARD) -> datetime:
    """Return until when we must have done our part: the partner's date, but never later than our own rule."""
    return max(now, min(stated, now + timers.acknowledge))


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts in a row that nobody answered."""
    return min(LONGEST_BACKOFF, BACKOFF * (1 << min(max(attempts - 1, 0), 10)))


def reminder(now: datetime, due: datetime) -> datetime:
    """Return when to speak of it again: a day before it is due, then when it is, then every day."""
    for moment in (due - REMIND_BEFORE, due):
        if now < moment:
            return moment
    return now + REMIND_EVERY
