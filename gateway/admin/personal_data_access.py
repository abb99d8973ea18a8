"""The entry that one of our own people is shown what is held of somebody: committed before it is shown.

That an act was asked for is an ADMIN entry already; this one says of whom. Person, case and query are in the
sealed detail, so that the frame does not say whose data was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.admin.operation import Officer
from gateway.domain.messages import Direction
from gateway.ledger import events
from gateway.ledger.entry import Leaf

ROWS = (
    20  # of a list named by one entry; a detail holds 4,096 bytes, a row takes at most 160 of them
)


@dataclass(frozen=True, slots=True)
class About:
    """What a row is about: a person by number, the case, the query; what is not known is left out."""

    subject: int | None = None
    case: str = ""
    number: str = ""


def seen(
    officer: Officer,
    source: str,
    rows: Sequence[About],
    *,
    partner: str = "",
    number: str = "",
    direction: Direction | None = None,
) -> tuple[Leaf, ...]:
    """Return the entries of a reading, one for each `ROWS` rows; one also where nothing was found.

    source      what is looked at: the name of the act, or of the part of an answer
    partner, number, direction   of the exchange, where all rows are of one
    """
    parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)] or [()]
    return tuple(
        events.reading(
            officer.person,
            source=source,
            exchange=(partner, number, direction),
            subject=dict.fromkeys(row.subject for row in part if row.subject is not None),
            case=dict.fromkeys(row.case for row in part if row.case),
            transaction_reference=dict.fromkeys(row.number for row in part if row.number),
        )
        for part in parts
    )
