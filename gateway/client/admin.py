"""The admin listener from outside: one act after the other over mutual TLS, as one officer.

An act is sent once. Where no answer comes it may have been done or not, so nothing is repeated by itself;
whoever asked looks at what is there, and asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import grpc

from gateway.client.channel import explain, open_channel
from gateway.v1 import admin_pb2, admin_pb2_grpc
from gateway.wire import json_values
from keys.certificates import authorities_in

DEADLINE = 55.0  # seconds; the gateway lets an act take sixty


class AdminClient:
    """A connection to the admin listener. Use as a context manager."""

    def __init__(self, address: str, authorities: bytes, *, chain: bytes, key_pem: bytes) -> None:
        """Connect; all but the address is PEM: whom to trust, and what the officer shows."""
        roots = b"".join(dict.fromkeys(authorities_in(authorities)))
        largest = json_values.LARGEST_MESSAGE
        self._channel = open_channel(
            address, roots=roots, private_key=key_pem, chain=chain, largest=largest
        )
        self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)

    def perform(self, act: str, values: Mapping[str, object]) -> dict[str, object]:
        """Have one act done; raises a PartnerError, `Refused` where the gateway says no."""
        request = admin_pb2.PerformRequest(act=act, arguments=json_values.write(values))
        try:
            answer = self._stub.Perform(request, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise explain(error, "") from None
        return json_values.read(answer.answer)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._channel.close()
