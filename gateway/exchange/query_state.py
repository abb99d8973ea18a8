"""GetQueryState and RedeliverResult: what became of an earlier query, as it was recorded or as it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain import messages
from gateway.domain.messages import State
from gateway.errors import TransactionUnknown
from gateway.exchange.context import ExchangeContext
from gateway.exchange.operation import Admitted, Conclusion, Request
from gateway.exchange.rate_limits import Turn
from gateway.ledger.exchange_facts import reference_facts, state_facts
from gateway.store.exchange import replay, transactions
from gateway.telemetry import Stages
from gateway.wire import query_payload


@dataclass(frozen=True, slots=True)
class _Stored:
    """A reply that was sent, and the leaf of its receipt."""

    reply: messages.Reply
    response_index: int


class GetQueryState:
    """What became of an earlier query: the recorded outcome, never recomputed."""

    def __init__(self, context: ExchangeContext) -> None:
        self._context = context

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:  # noqa: ARG002 - the port's shape
        """Find the caller's own transaction; another partner's is as unknown as none."""
        row = _own_transaction(self._context, request)
        reply_key = query_payload.read_reply_key(payload, request.header.operation)
        return Admitted(request, reply_key, reference_facts(request.header), row)

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Repeat what is recorded."""
        row = admitted.work
        if not isinstance(row, transactions.TransactionRow):
            raise TypeError
        header = admitted.request.header
        result = None
        if row.state is State.DECIDED and row.result is not None:
            opened = transactions.open_result(
                self._context.data_key, header.sender, row.number, row.result
            )
            result = query_payload.read_result(opened)
        payload = query_payload.state_bytes(messages.QueryState(row.state, result))
        stages.mark("state")
        return Conclusion(payload, state_facts(row.state))


class RedeliverResult:
    """The stored response of an earlier query, byte for byte, for a day."""

    def __init__(self, context: ExchangeContext) -> None:
        self._context = context

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Find the caller's own stored response."""
        row = _own_transaction(self._context, request)
        reply_key = query_payload.read_reply_key(payload, request.header.operation)
        with self._context.database.reader() as reader:
            reply = replay.stored_reply(reader, request.header.sender, row.number, now)
        if reply is None or row.response_index is None:
            raise TransactionUnknown
        work = _Stored(reply, row.response_index)
        return Admitted(request, reply_key, reference_facts(request.header), work)

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Send what was sent."""
        if not isinstance(admitted.work, _Stored):
            raise TypeError
        stages.mark("redeliver")
        return Conclusion(
            admitted.work.reply,
            reference_facts(admitted.request.header),
            response_index=admitted.work.response_index,
        )


def _own_transaction(context: ExchangeContext, request: Request) -> transactions.TransactionRow:
    with context.database.reader() as reader:
        row = transactions.transaction(
            reader, request.header.sender, request.header.transaction_reference
        )
    if row is None:
        raise TransactionUnknown
    return row
