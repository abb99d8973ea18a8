"""One partner to ask: seal, sign, send, and return nothing that did not prove itself.

A question goes through four hands: written by `compose`, carried by `channel`, judged by `verdict`,
remembered by `witness`. Everything is synchronous and may be called from several threads at once.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from gateway.aftercare import CorrectionAck, CorrectionNotice, CorrectionStanding, QuotaState
from gateway.audit import note
from gateway.audit.errors import NoteRefused
from gateway.audit.note import Checkpoint
from gateway.bundle import PartyBundle
from gateway.casework import FieldCode
from gateway.client.answer import Answer, Told, read
from gateway.client.channel import Courier, Method, open_channel
from gateway.client.compose import Author, Matter, Outgoing
from gateway.client.errors import AnswerRejected, NothingToRedeliver, PartnerError, Refused
from gateway.client.folder import read_folder
from gateway.client.follow import DetailsMatter, Disclosed, compose_details
from gateway.client.verdict import Believed, Judge, Question, Response
from gateway.client.witness import CannotProve, Witness
from gateway.terms import (
    About,
    Capabilities,
    Operation,
    PriorTransaction,
    QueryState,
    Sample,
)
from gateway.v1 import exchange_pb2, exchange_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from gateway.wire import answers, corrections, letters, payloads, quotas
from gateway.wire import details as wire_details
from keys.keyset import Keyset

DEADLINE = 10.0  # seconds; the default of protocol 12, whose longest is 60
PENDING = 1024  # questions kept for redelivery; a reply key is about 4 KB

_UNPROVABLE = frozenset({"INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "FAILED_PRECONDITION"})

_requests = {
    Operation.GET_CAPABILITIES: exchange_pb2.GetCapabilitiesRequest,
    Operation.SUBMIT_QUERY: exchange_pb2.SubmitQueryRequest,
    Operation.GET_QUERY_STATE: exchange_pb2.GetQueryStateRequest,
    Operation.REDELIVER_RESULT: exchange_pb2.RedeliverResultRequest,
    Operation.REQUEST_HIT_DETAILS: exchange_pb2.RequestHitDetailsRequest,
    Operation.SUBMIT_CORRECTION: exchange_pb2.SubmitCorrectionRequest,
    Operation.ACK_CORRECTION: exchange_pb2.AckCorrectionRequest,
    Operation.GET_QUOTA: exchange_pb2.GetQuotaRequest,
}


class Partner:
    """One peer as we see it: its bundle, a channel to it, and the memory of its ledger."""

    def __init__(
        self,
        *,
        party: str,
        keyset: Keyset,
        peer: PartyBundle,
        channel: grpc.Channel,
        witness: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts.

        witness  file of the last checkpoint; None keeps it in memory, so that a restart forgets it
        """
        self.party = party
        self.peer = peer
        self._channel = channel
        self._author = Author(keyset, party, peer, clock)
        self._judge = Judge(party, peer, clock)
        self._witness = Witness(peer.log, witness)
        self._courier = Courier()
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel)
        self._methods: dict[Operation, Method[Any, Response]] = {
            Operation.GET_CAPABILITIES: exchange.GetCapabilities,
            Operation.SUBMIT_QUERY: exchange.SubmitQuery,
            Operation.GET_QUERY_STATE: exchange.GetQueryState,
            Operation.REDELIVER_RESULT: exchange.RedeliverResult,
            Operation.REQUEST_HIT_DETAILS: exchange.RequestHitDetails,
            Operation.SUBMIT_CORRECTION: exchange.SubmitCorrection,
            Operation.ACK_CORRECTION: exchange.AckCorrection,
            Operation.GET_QUOTA: exchange.GetQuota,
        }
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        self._pending: OrderedDict[str, Question] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, home: Path, peer: str, passphrase: Callable[[], bytes]) -> Self:
        """Return a partner from a home folder: settings, keyset, parties/<peer>.json, witness/."""
        folder = read_folder(home, peer, passphrase)
        return cls.connect(folder.party, folder.keyset, folder.peer, witness=folder.witness)

    @classmethod
    def connect(
        cls,
        party: str,
        keyset: Keyset,
        peer: PartyBundle,
        *,
        address: str | None = None,
        witness: Path | None = None,
    ) -> Self:
        """Return a partner over a new mTLS channel to `address`, else to the bundle's first endpoint."""
        private_key, chain = keyset.tls()
        channel = open_channel(
            address or peer.endpoints[0],
            roots=peer.tls_ca_pem,
            private_key=private_key,
            chain=chain,
        )
        return cls(party=party, keyset=keyset, peer=peer, channel=channel, witness=witness)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel and forget every reply key."""
        self._channel.close()
        with self._lock:
            self._pending.clear()

    # Asking

    def query(
        self,
        samples: Sequence[Sample] | PriorTransaction,
        *,
        deadline: float = DEADLINE,
        **matter: Unpack[Matter],
    ) -> Answer:
        """Ask whether the peer knows a person, by samples or by the number of its own earlier query.

        matter    purpose, agreement, case, unit, person and what else `Matter` lists
        deadline  seconds, for everything including repeats

        Raises a `PartnerError`; after `DeadlineExceeded` ask for `state(number)`.
        """
        started = time.monotonic()
        outgoing = self.compose(samples, **matter)
        answer = self.send(outgoing, deadline=deadline - (time.monotonic() - started))
        return replace(answer, seconds=time.monotonic() - started)

    def compose(
        self, samples: Sequence[Sample] | PriorTransaction, **matter: Unpack[Matter]
    ) -> Outgoing:
        """Write a query without sending it; `send` may be called with it more than once."""
        return self._author.query(samples, matter, floor=self._witness.size)

    def send(self, outgoing: Outgoing, *, deadline: float = DEADLINE) -> Answer:
        """Send a composed query; the peer answers the same bytes with the same answer."""
        started = time.monotonic()
        self._remember(outgoing.question)
        told = self._ask(outgoing, outgoing.question, deadline)
        return self._answer(outgoing, told, started)

    def state(self, number: str, *, deadline: float = DEADLINE) -> QueryState:
        """Return where an earlier query of ours stands, with its recorded result once decided."""
        outgoing = self._bare(Operation.GET_QUERY_STATE, number)
        told = self._ask(outgoing, outgoing.question, deadline)
        return read(answers.read_state, told.believed, number)

    def redeliver(self, number: str, *, deadline: float = DEADLINE) -> Answer:
        """Return the stored answer of an earlier query of this process, the bytes first sent.

        Raises `NothingToRedeliver` where its reply key is gone; `state(number)` then says the outcome.
        """
        started = time.monotonic()
        with self._lock:
            first = self._pending.get(number)
        if first is None:
            raise NothingToRedeliver(
                "this process holds no reply key of that transaction; ask for its state",
                transaction_number=number,
            )
        outgoing = self._bare(Operation.REDELIVER_RESULT, number)
        # An answer of earlier lies in a smaller tree; that it is the beginning of ours is still proved.
        told = self._ask(outgoing, replace(first, floor=0), deadline)
        return self._answer(outgoing, told, started)

    def details(
        self,
        number: str,
        hit_reference: bytes,
        fields: Collection[FieldCode],
        *,
        deadline: float = DEADLINE,
        **matter: Unpack[DetailsMatter],
    ) -> Disclosed:
        """Ask for fields of the person whom our query `number` matched; the answer is as proved as any.

        fields   those that the case needs; a reference that was used gives the same ones again, never more

        Raises `Refused` for a field or a purpose that the agreement does not name. Whatever else is in the
        way, details are UNAVAILABLE and the peer does not say why.
        """
        outgoing = compose_details(
            self._author, number, hit_reference, fields, matter, floor=self._witness.size
        )
        believed = self._ask(outgoing, outgoing.question, deadline).believed
        return Disclosed(
            details=read(wire_details.read_details, believed, outgoing.question.number),
            transaction_number=outgoing.question.number,
            receipt=believed.receipt,
            receipt_index=believed.index,
            checkpoint_size=believed.checkpoint.size,
            envelope_size=believed.size,
        )

    def capabilities(self, *, deadline: float = DEADLINE) -> Capabilities:
        """Return what the peer accepts from us today."""
        outgoing = self._bare(Operation.GET_CAPABILITIES, "")
        told = self._ask(outgoing, outgoing.question, deadline)
        return read(answers.read_capabilities, told.believed, "")

    def quota(self, *, deadline: float = DEADLINE) -> tuple[QuotaState, ...]:
        """Return how much of each quota that binds us with the peer is used, and when it begins again."""
        outgoing = self._bare(Operation.GET_QUOTA, "")
        told = self._ask(outgoing, outgoing.question, deadline)
        return read(quotas.read_quotas, told.believed, "")

    def checkpoint(self, *, deadline: float = DEADLINE) -> Checkpoint:
        """Return the peer's newest checkpoint, after it proved to continue the one we keep."""
        until = time.monotonic() + deadline
        floor = self._witness.size
        request = ledger_pb2.GetCheckpointRequest()
        response, _ = self._courier.carry(self._ledger.GetCheckpoint, request, until)
        try:
            checkpoint = note.open_checkpoint(response.checkpoint, *self.peer.log.vkeys)
        except NoteRefused as fault:
            raise AnswerRejected("checkpoint", str(fault)) from None
        prove = self._proving(until, "")
        self._witness.accept(response.checkpoint, checkpoint, floor, prove, until=until)
        return checkpoint

    # Following up

    def correct(
        self, number: str, notice: CorrectionNotice, *, deadline: float = DEADLINE
    ) -> CorrectionStanding:
        """Tell the peer that what we disclosed to it under its query `number` is inaccurate."""
        return self._follow(
            Operation.SUBMIT_CORRECTION,
            lambda key: corrections.notice_bytes(replace(notice, reply_key=key)),
            About(number=notice.id.hex(), reference=number),
            deadline,
        )

    def acknowledge(
        self, number: str, ack: CorrectionAck, *, deadline: float = DEADLINE
    ) -> CorrectionStanding:
        """Tell the peer what we did about its correction of what our query `number` brought."""
        return self._follow(
            Operation.ACK_CORRECTION,
            lambda key: corrections.ack_bytes(replace(ack, reply_key=key)),
            About(number=ack.id.hex(), reference=number),
            deadline,
        )

    def _follow(
        self,
        operation: Operation,
        payload: Callable[[bytes], bytes],
        about: About,
        deadline: float,
    ) -> CorrectionStanding:
        outgoing = self.write(operation, payload, about)
        believed = self.carry(outgoing, deadline=deadline)
        return read(corrections.read_standing, believed, about.reference)

    def write(
        self,
        operation: Operation,
        payload: Callable[[bytes], bytes],
        about: About,
        *,
        at_least: int = 0,
        seed: bytes | None = None,
    ) -> Outgoing:
        """Write any letter; `parcel.pack` makes bytes of it that can be carried after a restart."""
        return self._author.compose(
            operation, payload, about, floor=self._witness.size, at_least=at_least, seed=seed
        )

    def carry(self, outgoing: Outgoing, *, deadline: float = DEADLINE) -> Believed:
        """Carry a letter and return its answer, opened and not yet read."""
        return self._ask(outgoing, outgoing.question, deadline).believed

    # What every call does

    def _bare(self, operation: Operation, reference: str) -> Outgoing:
        """Write a question that holds nothing but its reply key."""
        return self._author.compose(
            operation,
            lambda reply_key: payloads.reply_key_bytes(reply_key, operation),
            About(reference=reference),
            floor=self._witness.size,
        )

    def _ask(self, outgoing: Outgoing, question: Question, deadline: float) -> Told:
        """Send a letter and judge what comes back as the answer to `question`."""
        until = time.monotonic() + deadline
        operation, number = outgoing.question.operation, outgoing.question.number
        request = _requests[operation](envelope=letters.envelope_of(outgoing.letter))
        response, attempts = self._courier.carry(
            self._methods[operation], request, until, number=number
        )
        witnessing = 0.0

        def progress(signed: bytes, checkpoint: Checkpoint, floor: int) -> None:
            nonlocal witnessing
            began = time.perf_counter()
            prove = self._proving(until, number)
            try:
                self._witness.accept(signed, checkpoint, floor, prove, until=until)
            except PartnerError as fault:
                fault.transaction_number = number
                raise
            witnessing = time.perf_counter() - began

        began = time.perf_counter()
        believed = self._judge.judge(question, response, progress)
        return Told(believed, attempts, time.perf_counter() - began - witnessing)

    def _answer(self, outgoing: Outgoing, told: Told, started: float) -> Answer:
        believed, number = told.believed, outgoing.question.number
        result = read(answers.read_result, believed, number)
        return Answer(
            outcome=result.outcome,
            result=result,
            transaction_number=number,
            receipt=believed.receipt,
            receipt_index=believed.index,
            checkpoint_size=believed.checkpoint.size,
            envelope_size=believed.size,
            attempts=told.attempts,
            seconds=time.monotonic() - started,
            crypto_seconds=outgoing.seconds + told.crypto_seconds,
        )

    def _proving(self, until: float, number: str) -> Callable[[int, int], Sequence[bytes]]:
        """Return what fetches consistency proofs until then."""

        def prove(old: int, new: int) -> Sequence[bytes]:
            request = ledger_pb2.GetConsistencyProofRequest(old_size=old, new_size=new)
            method = self._ledger.GetConsistencyProof
            try:
                response, _ = self._courier.carry(
                    method, request, until, number=number, patient=True
                )
            except Refused as refused:
                if refused.code in _UNPROVABLE:
                    raise CannotProve from refused
                raise
            return tuple(response.hashes)

        return prove

    def _remember(self, question: Question) -> None:
        """Keep the reply key, so that a lost answer can be delivered again while we live."""
        with self._lock:
            self._pending[question.number] = question
            while len(self._pending) > PENDING:
                self._pending.popitem(last=False)
