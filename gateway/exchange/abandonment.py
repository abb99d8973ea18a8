"""The periodic jobs' rounds: what nobody asks for and must happen all the same.

A request that a crash left unanswered, and whose message can come no more, is ABANDONED: never a NO_MATCH,
and its quota released. What is erased when its time is over is `gateway.retention.watchdog`'s to see to.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import suppress
from datetime import datetime

from gateway.errors import InProgress
from gateway.isolated_loop import each
from gateway.ledger import exchange_events
from gateway.ledger.exchange_events import Message
from gateway.store.engine import StorageEngine
from gateway.store.exchange import replay, transactions
from gateway.store.exchange.replay import Orphan
from gateway.store.ledger.sequencer import Sequencer


def sweep(
    database: StorageEngine,
    sequencer: Sequencer,
    now: datetime,
    running: Callable[[], Container[tuple[str, bytes]]] = frozenset,
) -> int:
    """Abandon what can no longer be answered; return how many that were.

    running   the messages that are being answered, by sender and message id; they are nobody's orphans
    """
    with database.reader() as reader:
        lost = replay.orphans(reader, now)
    abandoned = 0

    def abandon(orphan: Orphan) -> None:
        nonlocal abandoned
        if (orphan.sender, orphan.message_id) in running():
            return
        message = Message(orphan.sender, orphan.message_id, orphan.transaction_number)
        leaf = exchange_events.request_abandonment(message, orphan.transcript, orphan.operation)
        with suppress(InProgress):  # it was answered between our look and our commit
            sequencer.commit((leaf,), transactions.abandon(orphan, now))
            abandoned += 1

    each(lost, abandon, "abandoned")
    return abandoned
