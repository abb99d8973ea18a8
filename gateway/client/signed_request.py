"""An envelope of ours as bytes, with all that carrying it again and believing its answer needs.

    parcel = seed 32 ‖ u64be floor ‖ u32be len ‖ header ‖ u32be len ‖ sealed ‖ u32be len ‖ signature

The seed makes the private half of the reply key: whoever keeps a parcel keeps it sealed, and no longer than
the answer is awaited.
"""

from __future__ import annotations

from gateway.client.request_builder import Outgoing
from gateway.client.verification import Question
from gateway.domain.messages import SignedEnvelope
from gateway.errors import InternalError, Refusal
from gateway.wire import signed_envelope
from keys import envelope

SEED = 32  # bytes of an X-Wing seed
_FLOOR = 8
_LENGTH = 4


def pack(outgoing: Outgoing, seed: bytes) -> bytes:
    """Return the parcel of a question whose reply key was made of `seed`."""
    signed = outgoing.envelope
    parts = (signed.header, signed.sealed, signed.signature)
    framed = b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)
    return seed + outgoing.question.floor.to_bytes(_FLOOR, "big") + framed


def unpack(octets: bytes) -> Outgoing:
    """Return the question of a parcel; raises InternalError for bytes that `pack` did not make."""
    start = SEED + _FLOOR
    parts: list[bytes] = []
    while start < len(octets):
        end = start + _LENGTH + int.from_bytes(octets[start : start + _LENGTH], "big")
        parts.append(octets[start + _LENGTH : end])
        start = end
    if len(parts) != 3 or start != len(octets):
        raise InternalError("a stored signed request is not one that we packed")
    signed = SignedEnvelope(*parts)
    try:
        header = signed_envelope.parse_header(signed.header)
    except Refusal:
        raise InternalError(
            "a stored signed request has a header that we would not have written"
        ) from None
    question = Question(
        header=header,
        transcript=envelope.transcript_hash(signed.header, signed.sealed),
        reply_key=envelope.OpeningKey.from_seed(octets[:SEED]),
        floor=int.from_bytes(octets[SEED : SEED + _FLOOR], "big"),
    )
    return Outgoing(question, signed, 0.0)
