"""An envelope kept as bytes is the same envelope after a restart: the same bytes leave, and its answer opens."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary

from gateway.client import Refused, signed_request
from gateway.domain.messages import About, Operation
from gateway.errors import InternalError
from gateway.outbound.transport import Fate
from gateway.server.partner_transport import _fate
from gateway.wire import query_payload


def test_a_packed_letter_is_the_same_letter(shared_pair: Any) -> None:
    partner = shared_pair.partner()
    seed = secrets.token_bytes(signed_request.SEED)
    outgoing = partner.write(
        Operation.GET_CAPABILITIES,
        lambda key: query_payload.reply_key_bytes(key, Operation.GET_CAPABILITIES),
        About(),
        seed=seed,
    )

    again = signed_request.unpack(signed_request.pack(outgoing, seed))

    assert again.envelope == outgoing.envelope
    assert again.question.transcript == outgoing.question.transcript
    assert again.question.reply_key.public == outgoing.question.reply_key.public
    assert again.question.header == outgoing.question.header
    assert partner.carry(again).payload  # and its answer is believed and opened


@given(binary(max_size=300))
def test_what_we_did_not_pack_is_a_fault(octets: bytes) -> None:
    with pytest.raises(InternalError):
        signed_request.unpack(octets)


@pytest.mark.parametrize(
    ("code", "reason", "fate"),
    [
        ("UNAVAILABLE", "DRAINING", Fate.AWAY),
        ("RESOURCE_EXHAUSTED", "RATE_LIMITED", Fate.AWAY),
        ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Fate.REFUSED),
        ("FAILED_PRECONDITION", "KEY_STALE", Fate.STALE),
        ("FAILED_PRECONDITION", "RETENTION_OVERDUE", Fate.AWAY),
        ("INVALID_ARGUMENT", "OUTSIDE_TIME_WINDOW", Fate.STALE),
        ("NOT_FOUND", "CORRECTION_UNKNOWN", Fate.REFUSED),
        ("PERMISSION_DENIED", "PURPOSE_NOT_PERMITTED", Fate.REFUSED),
        ("PERMISSION_DENIED", "OPERATION_NOT_AUTHORISED", Fate.AWAY),
        ("INTERNAL", "INTERNAL", Fate.AWAY),
    ],
)
def test_each_refusal_has_one_fate(code: str, reason: str, fate: Fate) -> None:
    assert _fate(Refused(code, reason, f"{datetime.now(UTC)}")) is fate
