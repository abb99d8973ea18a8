"""Numbers that are given instead of prints: of queries that we sent or received, about whom, and whether a match is established.

A number alone discloses only where the query that bore it established a match and nobody took that back since
(IRPR 315.23(2)(c), 315.25(1)(c); 315.38 with 315.39). What was erased we no longer know to have been a match.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, exists, select

from gateway.domain.correction import CorrectionKind
from gateway.domain.messages import Outcome, State
from gateway.domain.outbound_query import OutboundState
from gateway.store.exchange import transactions
from gateway.store.schema import asked, corrections
from keys.data_encryption import DataRing

_ANSWERED = (int(OutboundState.ANSWERED), int(OutboundState.SHOWN), int(OutboundState.USED))


@dataclass(frozen=True, slots=True)
class Issued:
    """A number that is given instead of prints.

    subject   whom it is about; None where it is nobody of ours
    matched   whether the query of that number established a match, and it is valid today
    """

    subject: int | None
    matched: bool


def find_issued(connection: Connection, partner: str, number: str) -> Issued | None:
    """Return whom a number is about that we issued to this very partner, else None.

    None too for a number of another partner's: the asker cannot distinguish the two (IRPR 315.38).
    """
    wanted = select(asked.c.subject_id, asked.c.outcome, asked.c.state).where(
        asked.c.partner == partner,
        asked.c.number == number,
        asked.c.state != int(OutboundState.STOPPED),  # no partner has that number from us
    )
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    answered = row.outcome == int(Outcome.MATCH) and row.state in _ANSWERED
    taken = taken_back(connection, partner, number)
    return Issued(row.subject_id, answered and not taken)


def find_received(
    connection: Connection, data_key: DataRing, partner: str, number: str
) -> Issued | None:
    """Return whom the number is about of a query that this very partner sent us, else None.

    A review that is not decided, or never was, established nothing, whoever it may be; nor did a query of whose match
    the partner did not get, for asking back by its own number would reveal it.
    """
    earlier = transactions.transaction(connection, partner, number)
    if earlier is None or earlier.finding is None:
        return None
    found = transactions.open_finding(data_key, partner, number, earlier.finding).subject
    matched = earlier.state is State.DECIDED and earlier.outcome is Outcome.MATCH
    taken = taken_back(connection, partner, number)
    return Issued(found, matched and found is not None and not taken)


def shown_match(
    connection: Connection, data_key: DataRing, partner: str, number: str
) -> Issued | None:
    """Return whom a query is about that this very partner sent us and was answered with a match still valid.

    The only numbers that may replace prints when we ask: any other would reveal to a partner another's query, or that
    we know somebody of whom we answered that we do not (IRPR 315.38).
    """
    earlier = transactions.transaction(connection, partner, number)
    if earlier is None or earlier.outcome is not Outcome.MATCH:
        return None
    found = find_received(connection, data_key, partner, number)
    return found if found is not None and found.matched else None


def taken_back(connection: Connection, partner: str, number: str) -> bool:
    """Return whether a query or its answer was withdrawn since, or said to be of another person, by either side."""
    notice = exists().where(
        corrections.c.partner == partner,
        corrections.c.number == number,
        corrections.c.kind != int(CorrectionKind.WRONG_VALUE),
    )
    return bool(connection.execute(select(notice)).scalar())
