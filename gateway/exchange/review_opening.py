"""A query that needs an examiner: what is kept of it, sealed, and for how long (protocol 4, "Review")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.domain.messages import Header
from gateway.law.review_policy import PATIENCE
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf
from gateway.ledger.exchange_events import Message
from gateway.store.casework import reviews
from gateway.store.casework.reviews import Case, CaseState, Evidence
from gateway.store.ledger.sequencer import Effect
from keys.data_encryption import SEED_BYTES, DataRing

NAME_BYTES = 8  # of a case's name; a person types it


def opened(
    header: Header,
    evidence: Evidence,
    persons: int,
    now: datetime,
    *,
    data_key: DataRing,
    random: Callable[[int], bytes],
) -> tuple[Leaf, Effect]:
    """Return the REVIEW entry, which replaces the DESTRUCTION, and the case that it opens.

    From here on the prints exist only sealed under a key of this case alone.
    """
    name = f"R-{random(NAME_BYTES).hex()}"
    sealed, sealed_key = reviews.seal(data_key, name, random(SEED_BYTES), evidence)
    due = now + PATIENCE[header.service_level]
    case = Case(
        case=name,
        partner=header.sender,
        number=header.transaction_number,
        message_id=header.message_id,
        state=CaseState.OPEN,
        persons=persons,
        opened=now,
        due=due,
        sealed=sealed,
        sealed_key=sealed_key,
    )
    message = Message(header.sender, header.message_id, header.transaction_number)
    return exchange_events.review(message, name, due, persons), reviews.begin(case)
