"""The corridor: a letter goes in, a reply comes out, in numbered steps that every operation walks.

The numbers are those of the gateway protocol; the doors have done 0 to 3 before we begin.

(4)  the header is strict; its sender is the caller, its recipient is us, its operation is the RPC
(5)  it is inside its time window
(6)  the signing key is known and both halves of the signature verify
(7)  the key it is sealed to still opens; the sender's view of our entry is recent enough
(8)  the same bytes under the same message id get the stored reply, and we stop
(9)  the agreement permits the purpose that the header states
(10) the seal opens; commitment and padding are right
(11) the payload is strict, and so is each record                                   ┐ Walk.admit
(12) the transaction number is unused; a prior number is ours                       │
(13) the agreement permits the whole of it                                          ┘
(14) FIRST COMMIT: the REQUEST leaf, replay row, number and quota. Nothing is compared before it
(15–18) the operation concludes; what it used is destroyed                            Walk.perform
(19) the answer is padded, sealed to the reply key and signed
(20) SECOND COMMIT: its leaves, the stored reply, the quota. Nothing leaves before it
(21) the doors hold the answer to its quantum and send it

A refusal from step 6 on is a REFUSAL leaf before it is an error. A call found dead before step 14 is
dropped; after it, it is carried to its end and the answer waits for a retry or `GetQueryState`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.config import Limits
from gateway.directory import Directory
from gateway.errors import (
    AuditUnavailable,
    DeadlineTooShort,
    ElementInvalid,
    EnvelopeRejected,
    HeaderInvalid,
    InProgress,
    KeyStale,
    OutsideTimeWindow,
    Refusal,
    ReplayConflict,
    SenderMismatch,
)
from gateway.exchange.walk import Admitted, Call, Conclusion, Request, Unfinished, Walk
from gateway.law.agreement import Agreements
from gateway.law.policy import may_answer_header
from gateway.store import transactions
from gateway.store.database import Database
from gateway.store.sequencer import Committed, Effect, Leaf, Sequencer
from gateway.terms import Direction, Header, Letter, MessageType, Operation, Reply
from gateway.wire import letters
from keys import envelope, sign
from keys.errors import KeyNotUsable, MalformedKey, OpenRefused, SignatureRefused, UnknownKey
from keys.keyset import Keyset

LIFE = timedelta(minutes=10)  # life of an answer, the longest that a message may have (protocol 3)
MARGIN = 0.02  # seconds kept back so that an answer still reaches the caller (protocol 12)


@dataclass(frozen=True, slots=True)
class _Written:
    """A letter of ours, and the header that it holds."""

    header: Header
    letter: Letter


class _Recorded(Exception):
    """A refusal whose entry stands already."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the corridor passes through; `clock` is the edge."""

    party: str
    keyset: Keyset
    directory: Directory
    agreements: Callable[[], Agreements]
    database: Database
    sequencer: Sequencer
    limits: Limits
    clock: Callable[[], datetime]
    own_version: Callable[[], int]


class Corridor:
    """Answers letters, one operation or another, always the same way."""

    def __init__(self, rooms: Rooms, walks: Mapping[Operation, Walk]) -> None:
        self._rooms = rooms
        self._walks = walks
        self._running: dict[tuple[str, bytes], bytes] = {}
        self._lock = threading.Lock()

    def handle(self, call: Call) -> Reply:
        """Return the reply to a letter, durable in the ledger, or raise the Refusal that is its answer."""
        header = self._read(call)  # (4), (5)
        transcript = envelope.transcript_hash(call.letter.header, call.letter.sealed)
        try:
            self._authenticate(call, header)  # (6)
            with self._claimed(header, transcript):
                return self._answer(call, header, transcript)
        except _Recorded as recorded:
            raise recorded.refusal from None
        except (AuditUnavailable, DeadlineTooShort, InProgress):
            raise  # the first cannot be recorded; the others are counted at the doors
        except Refusal as refusal:
            self._record_refusal(header, transcript, refusal)
            raise

    def _answer(self, call: Call, header: Header, transcript: bytes) -> Reply:
        self._check_keys(header)  # (7)
        row = self._replayed(header, transcript)  # (8)
        call.stages.mark("replay")
        if row is not None and row.reply is not None:
            return row.reply
        request = self._open(call, header, transcript)  # (9), (10)
        walk = self._walks[call.operation]
        admitted = walk.admit(request, self._rooms.clock())  # (11)–(13)
        _demand_key(admitted.reply_key)  # (11)
        call.stages.mark("admit")
        if row is None:
            if not call.alive() or call.remaining() <= MARGIN:
                raise DeadlineTooShort
            leaf_hash = self._record_request(admitted)  # (14)
        else:  # a crash stood between 14 and 20: the same REQUEST leaf serves
            leaf_hash = self._rooms.sequencer.leaf_hash(row.request_index)
        call.stages.mark("record_request")
        try:
            conclusion = walk.perform(admitted, leaf_hash, call.stages)  # (15)–(18)
        except Unfinished as unfinished:
            self._record_unfinished(header, transcript, unfinished)
            raise _Recorded(unfinished.refusal) from None
        written = self._write(admitted, conclusion)  # (19)
        call.stages.mark("seal")
        reply = self._record_response(admitted, conclusion, written)  # (20)
        call.stages.mark("record_response")
        return reply

    def _read(self, call: Call) -> Header:
        """(4) and (5): cheap to provoke and about nobody, so their refusals are counted, not recorded."""
        header = letters.parse_header(call.letter.header)
        if header.sender != call.caller:
            raise SenderMismatch
        if header.message_type is not MessageType.REQUEST:
            raise HeaderInvalid(element="header.message_type")
        if header.recipient != self._rooms.party:
            raise HeaderInvalid(element="header.recipient_id")
        if header.operation is not call.operation:
            raise HeaderInvalid(element="header.operation")
        now, skew = self._rooms.clock(), timedelta(seconds=self._rooms.limits.clock_skew_s)
        life = header.expire_time - header.create_time
        if (
            header.create_time > now + skew
            or now > header.expire_time + skew
            or not timedelta(0) < life <= timedelta(seconds=self._rooms.limits.message_life_s)
        ):
            raise OutsideTimeWindow(server_time=now.isoformat(timespec="milliseconds"))
        call.stages.mark("header")
        return header

    def _authenticate(self, call: Call, header: Header) -> None:
        """(6): one answer for every fault; the ledger's detail names the check."""
        letter = call.letter
        try:
            key = self._rooms.directory.signing_key(
                header.sender, header.signing_key_id, header.create_time
            )
            text = envelope.transcript(letter.header, letter.sealed)
            key.verify(letter.signature, text, sign.REQUEST)
        except (UnknownKey, KeyNotUsable):
            raise _rejected("signing key") from None
        except SignatureRefused:
            raise _rejected("signature") from None
        call.stages.mark("verify")

    @contextmanager
    def _claimed(self, header: Header, transcript: bytes) -> Iterator[None]:
        """Let one copy of a message through at a time, so that two never search side by side."""
        key = header.sender, header.message_id
        with self._lock:
            running = self._running.get(key)
            if running == transcript:
                raise InProgress
            if running is not None:
                raise ReplayConflict
            self._running[key] = transcript
        try:
            yield
        finally:
            with self._lock:
                del self._running[key]

    def _replayed(self, header: Header, transcript: bytes) -> transactions.ReplayRow | None:
        with self._rooms.database.reader() as reader:
            row = transactions.find_replay(reader, header.sender, header.message_id)
        if row is not None and row.transcript != transcript:
            raise ReplayConflict
        return row

    def _check_keys(self, header: Header) -> None:
        """(7)."""
        version = self._rooms.own_version()
        stale = KeyStale(directory_version=str(version))
        if header.directory_version > version:
            raise stale  # it believes an entry of ours that we have not published
        try:
            self._rooms.keyset.opening(header.kem_key_id, self._rooms.clock())
        except (UnknownKey, KeyNotUsable):
            raise stale from None

    def _open(self, call: Call, header: Header, transcript: bytes) -> Request:
        """(9) and (10)."""
        agreement = None
        if header.operation is Operation.SUBMIT_QUERY:
            agreement = may_answer_header(header, self._rooms.agreements(), self._rooms.clock())
        call.stages.mark("policy")
        try:
            payload = envelope.open_sealed(
                call.letter.sealed,
                call.letter.header,
                header.payload_commitment,
                self._rooms.keyset.opening(header.kem_key_id, self._rooms.clock()),
            )
        except OpenRefused:
            raise _rejected("seal") from None
        call.stages.mark("open")
        return Request(header, transcript, payload, agreement)

    def _record_request(self, admitted: Admitted) -> bytes:
        """(14): nothing is compared before this is durable; return the hash of the REQUEST leaf."""
        request = admitted.request
        frame = self._frame(
            EntryType.REQUEST, EntryClass.ACCEPTED, request.header, request.transcript
        )
        effects = transactions.begin_request(
            request.header, request.transcript, admitted.claims, self._rooms.clock()
        )
        return self._commit((Leaf(frame, admitted.facts),), effects).leaf_hashes[0]

    def _write(self, admitted: Admitted, conclusion: Conclusion) -> _Written:
        """(19): sealed to the fresh key of the request, signed, and of one size whatever the outcome."""
        if isinstance(conclusion.answer, Reply):
            letter = conclusion.answer.letter
            return _Written(letters.parse_header(letter.header), letter)
        asked, now = admitted.request.header, _next_second(self._rooms.clock())
        recipient = envelope.SealingKey(admitted.reply_key)
        signer = self._rooms.keyset.signing()
        packed = envelope.pack(conclusion.answer)
        header = Header(
            message_type=MessageType.RESPONSE,
            operation=asked.operation,
            sender=self._rooms.party,
            signing_key_id=signer.key_id,
            recipient=asked.sender,
            kem_key_id=recipient.key_id,
            message_id=asked.message_id,
            create_time=now,
            expire_time=now + LIFE,
            directory_version=self._rooms.directory.party(asked.sender).version,
            transaction_reference=asked.transaction_number or asked.transaction_reference,
            agreement_id=asked.agreement_id,
            agreement_version=asked.agreement_version,
            purpose=asked.purpose,
            service_level=asked.service_level,
            in_reply_to=admitted.request.transcript,
            payload_commitment=packed.commitment,
        )
        octets = letters.header_bytes(header)
        sealed = envelope.seal(packed, octets, recipient)
        signature = signer.sign(envelope.transcript(octets, sealed), sign.RESPONSE)
        return _Written(header, Letter(octets, sealed, signature))

    def _record_response(
        self, admitted: Admitted, conclusion: Conclusion, written: _Written
    ) -> Reply:
        """(20): what this does not make durable does not leave."""
        request, answer, letter = admitted.request, written.header, written.letter
        frame = replace(
            self._frame(
                EntryType.RESPONSE,
                EntryClass.ANSWERED,
                request.header,
                envelope.transcript_hash(letter.header, letter.sealed),
            ),
            signing_key_id=answer.signing_key_id,
            kem_key_id=answer.kem_key_id,
            directory_version=answer.directory_version,
        )
        effects = transactions.finish_request(
            request.header,
            letter,
            conclusion.settled,
            self._rooms.clock(),
            response_index=conclusion.response_index,
        )
        leaves = (*conclusion.leaves, Leaf(frame, conclusion.facts))
        done = self._commit(leaves, (*conclusion.effects, *effects))
        if isinstance(conclusion.answer, Reply):
            return conclusion.answer
        return Reply(letter, self._rooms.sequencer.receipt(done.indices[-1], done.checkpoint_size))

    def _record_refusal(self, header: Header, transcript: bytes, refusal: Refusal) -> None:
        """A refusal is durable before it is an error; when the ledger cannot, that is the only answer."""
        kind = EntryType.REFUSAL
        if isinstance(refusal, ReplayConflict):
            kind = EntryType.REPLAY_CONFLICT
        facts = {"operation": header.operation.name, "reason": refusal.reason}
        facts |= {"element": refusal.metadata["element"]} if "element" in refusal.metadata else {}
        for note in getattr(refusal, "__notes__", ()):
            facts["why"] = note
        frame = self._frame(kind, EntryClass.DENIED, header, transcript)
        self._commit((Leaf(frame, facts),), ())

    def _record_unfinished(self, header: Header, transcript: bytes, unfinished: Unfinished) -> None:
        """The house is at fault: the refusal denies nothing, and a retry may still be answered."""
        facts = {"operation": header.operation.name, "reason": unfinished.refusal.reason}
        frame = self._frame(EntryType.REFUSAL, EntryClass.OTHER, header, transcript)
        self._commit((*unfinished.leaves, Leaf(frame, facts)), ())

    def _commit(self, leaves: tuple[Leaf, ...], effects: tuple[Effect, ...]) -> Committed:
        return self._rooms.sequencer.commit(leaves, effects)

    def _frame(
        self, kind: EntryType, entry_class: EntryClass, header: Header, transcript: bytes
    ) -> Frame:
        return Frame(
            type=kind,
            entry_class=entry_class,
            partner_id=header.sender,
            direction=Direction.INBOUND,
            message_id=header.message_id,
            transcript=transcript,
            transaction_number=header.transaction_number,
            signing_key_id=header.signing_key_id,
            kem_key_id=header.kem_key_id,
            directory_version=header.directory_version,
            agreement_id=header.agreement_id,
            agreement_version=header.agreement_version,
            subject_reference=header.operation.name,
        )


def _next_second(now: datetime) -> datetime:
    """Return the whole second at or after a moment, at which an answer says that it was made.

    A time takes more or fewer bytes with its fraction, and answers are of one size. Not the second before:
    a key that was made in this one would not be valid yet.
    """
    return now + timedelta(microseconds=-now.microsecond % 1_000_000)


def _rejected(check: str) -> EnvelopeRejected:
    """Name the failed check for the ledger's sealed detail; the caller is not told."""
    refusal = EnvelopeRejected()
    refusal.add_note(check)
    return refusal


def _demand_key(octets: bytes) -> None:
    """Refuse a reply key that nothing could be sealed to, before anything is recorded or searched."""
    try:
        envelope.SealingKey(octets)
    except MalformedKey:
        raise ElementInvalid(element="reply_kem_public_key") from None
