"""What an attacker on the road, or a careless partner, could send: raw bytes over the partner's channel.

The bytes are those of the partner's own composing; here they are sent again, changed, or signed anew. The
channel is the partner's mutual TLS, for a caller without it does not come this far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self, cast

import grpc

from gateway.client.channel import explain, open_channel
from gateway.client.errors import PartnerError, Refused
from gateway.client.local_settings import HomeDirectory
from gateway.domain.messages import SignedEnvelope
from gateway.wire import signed_envelope
from keys import envelope, signatures

SUBMIT = "/gateway.v1.ExchangeService/SubmitQuery"
ENVELOPE_TAG = b"\x0a"  # envelope of every request of ExchangeService, field 1, length-delimited (protobuf encoding)
DEADLINE = 50.0  # seconds

Call = Callable[..., bytes]


@dataclass(frozen=True, slots=True)
class RawReply:
    """What came back: the response as it was on the wire, or the refusal's code and reason."""

    response: bytes = b""
    code: str = ""
    reason: str = ""


class Road:
    """One party's channel to a peer, below everything that a partner's client checks."""

    def __init__(self, folder: HomeDirectory) -> None:
        private_key, chain = folder.keyset.tls()
        self._channel = open_channel(
            folder.peer.endpoints[0],
            roots=folder.peer.tls_ca_pem,
            private_key=private_key,
            chain=chain,
        )
        # Without serialisers gRPC carries bytes as they are.
        self._submit = cast("Call", self._channel.unary_unary(SUBMIT))

    def __enter__(self) -> Self:
        """Return the road itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the channel."""
        self._channel.close()

    def send(self, signed: SignedEnvelope) -> RawReply:
        """Send an envelope once; raises `PartnerError` where there was neither answer nor refusal."""
        try:
            return RawReply(self._submit(request(signed), timeout=DEADLINE))
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call):
                raise PartnerError("the channel is closed") from None
            explained = explain(error, "")
            if isinstance(explained, Refused):
                return RawReply(code=explained.code, reason=explained.reason)
            raise explained from None


def request(signed: SignedEnvelope) -> bytes:
    """Return the bytes of a request that holds an envelope; all operations of the exchange encode it so."""
    octets = signed_envelope.envelope_bytes(signed)
    return ENVELOPE_TAG + _varint(len(octets)) + octets


def flipped(signed: SignedEnvelope, part: str, at: int) -> SignedEnvelope:
    """Return an envelope with the lowest bit of one byte of `sealed` or `signature` flipped."""
    octets = bytearray(signed.sealed if part == "sealed" else signed.signature)
    octets[at] ^= 1
    if part == "sealed":
        return replace(signed, sealed=bytes(octets))
    return replace(signed, signature=bytes(octets))


def signed_anew(signed: SignedEnvelope, folder: HomeDirectory) -> SignedEnvelope:
    """Return other bytes under the same message id, signed by the party itself: its life a moment shorter."""
    header = signed_envelope.parse_header(signed.header)
    header = replace(header, expire_time=header.expire_time - timedelta(milliseconds=1))
    octets = signed_envelope.header_bytes(header)
    text = envelope.transcript(octets, signed.sealed)
    return SignedEnvelope(
        octets, signed.sealed, folder.keyset.signing().sign(text, signatures.REQUEST)
    )


def _varint(number: int) -> bytes:
    """Return a length as protobuf writes it: seven bits a byte, the lowest first."""
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
