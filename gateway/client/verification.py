"""Whether an answer may be believed; every check has a number, and each failure is one typed error.

(1) the envelope is strict: three parts, nothing unknown
(2) the header is strict, a response to the operation asked, from the peer, to us, sealed to our reply key
(3) it answers this very request: `in_reply_to` is the transcript hash of the request we signed
(4) both halves of its signature verify under a key of the peer's bundle, in the context of responses
(5) its receipt names our message and this very response, and says of them what we know, dated since we
    asked; under both log signatures, included in the tree
(6) the ledger only grew since what we saw last                                        → gateway.client.checkpoint_memory
(7) the seal opens with our reply key; commitment and padding are right

Nothing is opened before all else holds. The payload's own form is the caller's next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.client.errors import AnswerRejected, ReceiptMissing
from gateway.domain.messages import Header, MessageType, Operation, Receipt, SignedEnvelope
from gateway.errors import Refusal
from gateway.ledger import proof
from gateway.ledger.errors import AuditFault
from gateway.ledger.proof import VerifiedReceipt
from gateway.ledger.signed_note import Checkpoint
from gateway.trust.bundle import PartyBundle
from gateway.v1 import exchange_pb2
from gateway.wire import signed_envelope
from keys import envelope, signatures
from keys.errors import OpenRefused, SignatureRefused

Response = (
    exchange_pb2.GetCapabilitiesResponse
    | exchange_pb2.SubmitQueryResponse
    | exchange_pb2.GetQueryStateResponse
    | exchange_pb2.RedeliverResultResponse
    | exchange_pb2.RequestHitDetailsResponse
    | exchange_pb2.SubmitCorrectionResponse
    | exchange_pb2.AckCorrectionResponse
    | exchange_pb2.GetQuotaResponse
)

SKEW = timedelta(seconds=120)  # how far two honest clocks may differ (protocol 4, step 5)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What we remember of a request until its answer is believed.

    header      of the request
    transcript  transcript hash of the request, 32 bytes
    floor       size of the peer's tree that we kept when we sent it
    """

    header: Header
    transcript: bytes
    reply_key: envelope.OpeningKey = field(repr=False)
    floor: int

    @property
    def operation(self) -> Operation:
        """What was asked for."""
        return self.header.operation

    @property
    def message_id(self) -> bytes:
        """The 16 bytes under which it was asked."""
        return self.header.message_id

    @property
    def number(self) -> str:
        """The transaction that it is about: its own, else the one referred to; may be empty."""
        return self.header.transaction_number or self.header.transaction_reference


@dataclass(frozen=True, slots=True)
class Believed:
    """An answer that passed every check, opened.

    index  of its leaf in the peer's ledger
    size   bytes of its envelope: header, sealed, signature
    """

    payload: bytes = field(repr=False)
    receipt: Receipt
    index: int
    checkpoint: Checkpoint
    size: int


Progress = Callable[[bytes, Checkpoint, int], None]


@dataclass(frozen=True, slots=True)
class AnswerVerifier:
    """Judges one peer's answers to us; `clock` tells aware UTC."""

    party: str
    peer: PartyBundle
    clock: Callable[[], datetime]

    def judge(self, question: Question, response: Response, progress: Progress) -> Believed:
        """Return the answer opened, or raise the `PartnerError` of the first check that fails.

        progress  does step 6: told the signed checkpoint, what it says, and the question's floor
        """
        signed = self._envelope(question, response)  # (1)
        header = self._header(question, signed)  # (2), (3)
        self._signature(question, signed, header)  # (4)
        receipt = self._present(question, response)
        verified = self._receipt(question, signed, header, receipt)  # (5)
        note = proof.parse_proof(receipt.tlog_proof).checkpoint
        progress(note, verified.checkpoint, question.floor)  # (6)
        payload = self._open(question, signed, header)  # (7)
        size = len(signed.header) + len(signed.sealed) + len(signed.signature)
        return Believed(payload, receipt, verified.index, verified.checkpoint, size)

    def _envelope(self, question: Question, response: Response) -> SignedEnvelope:
        """(1)."""
        try:
            return signed_envelope.envelope_from(signed_envelope.envelope_in(response))
        except Refusal:
            raise self._no(
                question, "envelope", "its parts are not what the format allows"
            ) from None

    def _header(self, question: Question, signed: SignedEnvelope) -> Header:
        """(2) and (3)."""
        try:
            header = signed_envelope.parse_header(signed.header)
        except Refusal as fault:
            element = fault.metadata.get("element", "header")
            raise self._no(question, "header", f"{element} breaks its rule") from None
        wanted = (
            ("message_type", header.message_type, MessageType.RESPONSE),
            ("operation", header.operation, question.operation),
            ("sender_id", header.sender, self.peer.party),
            ("recipient_id", header.recipient, self.party),
            ("recipient_kem_key_id", header.kem_key_id, question.reply_key.key_id),
        )
        for name, found, expected in wanted:
            if found != expected:
                raise self._no(question, "header", f"{name} is not ours or theirs to expect")
        if header.create_time > self.clock() + SKEW:
            raise self._no(question, "header", "create_time is in the future; compare clocks")
        if header.in_reply_to != question.transcript:
            raise self._no(question, "in_reply_to", "it answers another request")
        return header

    def _signature(self, question: Question, signed: SignedEnvelope, header: Header) -> None:
        """(4): a key of the bundle, valid when the answer says that it was made."""
        key = self.peer.signing_key(header.signing_key_id, header.create_time)
        if key is None:
            raise self._no(
                question, "signature", "the signing key is not in the peer's bundle; is it current?"
            )
        text = envelope.transcript(signed.header, signed.sealed)
        try:
            key.verify(signed.signature, text, signatures.RESPONSE)
        except SignatureRefused:
            raise self._no(question, "signature", "it does not verify") from None

    def _present(self, question: Question, response: Response) -> Receipt:
        if not response.HasField("receipt"):
            raise ReceiptMissing(
                "receipt",
                "there is none: no receipt, no answer",
                transaction_number=question.number,
            )
        try:
            return signed_envelope.receipt_of(response.receipt)
        except Refusal:
            raise self._no(
                question, "receipt", "its parts are not what the format allows"
            ) from None

    def _receipt(
        self, question: Question, signed: SignedEnvelope, header: Header, receipt: Receipt
    ) -> VerifiedReceipt:
        """(5), offline; the place of its checkpoint in the ledger's history is (6)."""
        asked = question.header
        expected = proof.Expected(
            partner_id=self.party,
            message_id=asked.message_id,
            transcript=envelope.transcript_hash(signed.header, signed.sealed),
            operation=asked.operation.name,
            transaction_number=asked.transaction_number,
            agreement_id=asked.agreement_id,
            agreement_version=asked.agreement_version,
            signing_key_id=header.signing_key_id,
            kem_key_id=header.kem_key_id,
            directory_version=header.directory_version,
            earliest=asked.create_time - SKEW,
            latest=self.clock() + SKEW,
        )
        try:
            return proof.verify_receipt(receipt, log=self.peer.log, expected=expected)
        except AuditFault as fault:
            raise self._no(question, "receipt", str(fault)) from None

    def _open(self, question: Question, signed: SignedEnvelope, header: Header) -> bytes:
        """(7)."""
        try:
            return envelope.open_sealed(
                signed.sealed, signed.header, header.payload_commitment, question.reply_key
            )
        except OpenRefused:
            raise self._no(question, "seal", "it does not open with our reply key") from None

    def _no(self, question: Question, step: str, why: str) -> AnswerRejected:
        return AnswerRejected(step, why, transaction_number=question.number)
