"""The line to a partner: one channel to its bundle as we hold it, and who writes and judges by it.

When the bundle changes, a new line takes over for what begins from then on. What is under way ends on the line
on which it began, whose channel is closed when the last of it has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import grpc

from gateway.client.channel import Method, Transport, dial
from gateway.client.directory_client import Absent
from gateway.client.errors import Refused
from gateway.client.request_builder import Author
from gateway.client.verification import AnswerVerifier, Response
from gateway.domain.messages import Operation
from gateway.trust.bundle import PartyBundle, witness_name
from gateway.v1 import (
    directory_pb2,
    directory_pb2_grpc,
    exchange_pb2,
    exchange_pb2_grpc,
    ledger_pb2_grpc,
)
from keys.keyset import Keyset
from keys.signatures import WitnessKey

REQUESTS: dict[Operation, Callable[..., Any]] = {
    Operation.GET_CAPABILITIES: exchange_pb2.GetCapabilitiesRequest,
    Operation.SUBMIT_QUERY: exchange_pb2.SubmitQueryRequest,
    Operation.GET_QUERY_STATE: exchange_pb2.GetQueryStateRequest,
    Operation.REDELIVER_RESULT: exchange_pb2.RedeliverResultRequest,
    Operation.REQUEST_HIT_DETAILS: exchange_pb2.RequestHitDetailsRequest,
    Operation.SUBMIT_CORRECTION: exchange_pb2.SubmitCorrectionRequest,
    Operation.ACK_CORRECTION: exchange_pb2.AckCorrectionRequest,
    Operation.GET_QUOTA: exchange_pb2.GetQuotaRequest,
}


class Connection:
    """One channel, and all that goes over it."""

    def __init__(
        self,
        party: str,
        keyset: Keyset,
        peer: PartyBundle,
        opened: tuple[grpc.Channel, Callable[[], None]],
        clock: Callable[[], datetime],
    ) -> None:
        self.peer = peer
        channel, self.close = opened
        self.channel = channel
        self.author = Author(keyset, party, peer, clock)
        self.judge = AnswerVerifier(party, peer, clock)
        self.clock = clock
        self.witness_name = witness_name(party)
        self._log_keys = keyset.log_keys()
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel)
        self.methods: dict[Operation, Method[Any, Response]] = {
            Operation.GET_CAPABILITIES: exchange.GetCapabilities,
            Operation.SUBMIT_QUERY: exchange.SubmitQuery,
            Operation.GET_QUERY_STATE: exchange.GetQueryState,
            Operation.REDELIVER_RESULT: exchange.RedeliverResult,
            Operation.REQUEST_HIT_DETAILS: exchange.RequestHitDetails,
            Operation.SUBMIT_CORRECTION: exchange.SubmitCorrection,
            Operation.ACK_CORRECTION: exchange.AckCorrection,
            Operation.GET_QUOTA: exchange.GetQuota,
        }
        self.ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        self.directory = directory_pb2_grpc.DirectoryServiceStub(channel)
        self.users = 0
        self.retired = False

    @property
    def witness_key(self) -> WitnessKey | None:
        """What we cosign with; None where no pair of our own ledger may sign."""
        return self._log_keys[0].witness() if self._log_keys else None


class Connections:
    """The line that is current, and those that still end; for several threads."""

    def __init__(self, first: Connection, open_line: Callable[[PartyBundle], Connection]) -> None:
        self._current = first
        self._open = open_line
        self._ending: set[Connection] = set()
        self._lock = threading.Lock()

    @property
    def current(self) -> Connection:
        """The line on which the next call begins."""
        return self._current

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """Hold the current line open for the time of one call."""
        with self._lock:
            line = self._current
            line.users += 1
        try:
            yield line
        finally:
            with self._lock:
                line.users -= 1
                over = line.retired and line.users == 0
                if over:
                    self._ending.discard(line)
            if over:
                line.close()

    def follow(self, peer: PartyBundle) -> None:
        """Go on under a newer bundle."""
        line = self._open(peer)
        with self._lock:
            old, self._current = self._current, line
            old.retired = True
            over = old.users == 0 and old.channel is not line.channel
            if not over:
                self._ending.add(old)
        if over:
            old.close()

    def close(self) -> None:
        """Close every channel; calls under way end at once."""
        with self._lock:
            open_ones = {self._current, *self._ending}
        for line in open_ones:
            line.close()


class DirectorySource:
    """A partner's directory over a line; a file that is not there is `Absent`."""

    def __init__(self, line: Connection, transport: Transport, until: float) -> None:
        self._line = line
        self._transport = transport
        self._until = until

    def metadata(self, name: str) -> bytes:
        """Return a metadata file."""
        request = directory_pb2.GetMetadataRequest(name=name)
        return self._content(self._line.directory.GetMetadata, request)

    def target(self, path: str, sha256: bytes) -> bytes:
        """Return a target file."""
        request = directory_pb2.GetTargetRequest(path=path, sha256=sha256)
        return self._content(self._line.directory.GetTarget, request)

    def _content(self, method: Method[Any, Any], request: object) -> bytes:
        try:
            response, _ = self._transport.carry(method, request, self._until, patient=True)
        except Refused as refused:
            if refused.code == "NOT_FOUND":
                raise Absent from None
            raise
        return bytes(response.content)


def dialling(
    party: str,
    keyset: Keyset,
    address: str | None,
    clock: Callable[[], datetime],
    proxy: str | None = None,
) -> Callable[[PartyBundle], Connection]:
    """Return what opens a line by a bundle: to `address`, else to the bundle's first endpoint; `proxy` as `open_channel`."""

    def open_line(bundle: PartyBundle) -> Connection:
        private_key, chain = keyset.tls()
        opened = dial(
            address or bundle.endpoints[0],
            roots=bundle.tls_ca_pem,
            private_key=private_key,
            chain=chain,
            proxy=proxy,
        )
        return Connection(party, keyset, bundle, opened, clock)

    return open_line
