"""The state of a partner's quotas ⇄ values; strict both ways."""

from __future__ import annotations

from gateway.domain.correction import QuotaState
from gateway.domain.messages import Purpose
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire.decoding import LIST, Fields, decode, timestamp
from gateway.wire.signed_envelope import AGREEMENT

MAX_QUOTAS = 4_092  # bytes; the smallest size class
MAX_STATES = 64  # counters of one partner: a handful of agreements, six purposes, two periods
MAX_COUNT = 2**63 - 1


def read_quotas(octets: bytes) -> tuple[QuotaState, ...]:
    """Return the counters that `octets` encode."""
    message = decode(exchange_pb2.QuotaStates, octets, limit=MAX_QUOTAS, element="payload")
    if len(message.quotas) > MAX_STATES:
        raise Fields(message).wrong("quotas", LIST)
    return tuple(_state(each, f"quotas[{index}]") for index, each in enumerate(message.quotas))


def quotas_bytes(states: tuple[QuotaState, ...]) -> bytes:
    """Return the payload with the state of quotas."""
    return exchange_pb2.QuotaStates(
        quotas=[
            exchange_pb2.QuotaState(
                agreement_id=each.agreement_id,
                purpose=types_pb2.Purpose.ValueType(each.purpose),
                yearly=each.yearly,
                used=each.used,
                limit=each.limit,
                reset_time=timestamp(each.resets),
            )
            for each in states
        ]
    ).SerializeToString(deterministic=True)


def _state(message: exchange_pb2.QuotaState, path: str) -> QuotaState:
    fields = Fields(message, path)
    return QuotaState(
        agreement_id=fields.text("agreement_id", AGREEMENT),
        purpose=fields.choice("purpose", Purpose) if message.purpose else Purpose.NONE,
        yearly=message.yearly,
        used=fields.number("used", 0, MAX_COUNT),
        limit=fields.number("limit", 1, MAX_COUNT),
        resets=fields.time("reset_time"),
    )
