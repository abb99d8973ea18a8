"""The pipeline: a signed envelope goes in, a reply comes out, in numbered steps that every operation passes.

The numbers are those of the gateway protocol; the listeners have done 0 to 3 before we begin.

(4)  the header is strict; its sender is the caller, its recipient is us, its operation is the RPC
(5)  it is inside its time window
(6)  the signing key is known and both halves of the signature verify
(7)  the key it is sealed to still opens; the sender's view of our entry is not ahead of it
(8)  the same bytes under the same message id get the stored reply, or refusal, and we stop
(9)  the agreement permits the purpose that the header states
(10) the seal opens; commitment and padding are right
(11) the payload is strict, and so is each record                                   ┐ ExchangeOperation.admit
(12) the transaction number is unused; a prior number is ours                       │
(13) the agreement permits the whole of it                                          ┘
(14) FIRST COMMIT: the REQUEST leaf, replay row, number and quota, and which version of our entry
     the sender was seen to use (7), where it grew. Nothing is compared before it
(15–18) the operation concludes; what it used is destroyed                            ExchangeOperation.perform
(19) the answer is padded, sealed to the reply key and signed
(20) SECOND COMMIT: its leaves, the stored reply, the quota. Nothing leaves before it
(21) the listeners hold the answer to its quantum and send it

From (6) to (13) and from (15) to (19) a call has one of the turns at the processors that partners share; it has
none while it waits for the disk, for an extractor or for a search process. Before (6) a copy of a message seen lately is counted, and refused beyond its share.

A refusal from step 6 on is a REFUSAL leaf before it is an error, up to an allowance; then it is counted. A call found dead before step 14 is
dropped; after it, it is carried to its end and the answer waits for a retry or `GetQueryState`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.config import Limits
from gateway.domain.messages import Header, MessageType, Operation, Reply, SignedEnvelope
from gateway.errors import (
    AuditUnavailable,
    DeadlineTooShort,
    ElementInvalid,
    EnvelopeRejected,
    HeaderInvalid,
    InProgress,
    KeyStale,
    KeysUnavailable,
    OperationNotAuthorised,
    OutsideTimeWindow,
    RateLimited,
    Refusal,
    ReplayConflict,
    SenderMismatch,
    Unavailable,
)
from gateway.exchange.operation import (
    Admitted,
    Call,
    Conclusion,
    ExchangeOperation,
    Perishable,
    Request,
    Unfinished,
)
from gateway.exchange.rate_limits import Copies, Gate, RefusalStanding, Turn
from gateway.exchange.refusal_counter import RefusalCounter
from gateway.law.agreement import AgreementsInForce
from gateway.law.query_policy import may_answer_header
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf
from gateway.store.engine import StorageEngine
from gateway.store.exchange import replay, transactions
from gateway.store.keys.rotations import Sightings
from gateway.store.ledger.sequencer import Committed, Effect, Sequencer
from gateway.trust.partners import Directory, OwnEntry
from gateway.wire import signed_envelope
from gateway.wire.decoding import NOT_HERE
from keys import envelope, signatures
from keys.errors import KeyNotUsable, MalformedKey, OpenRefused, SignatureRefused, UnknownKey
from keys.keyset import KeysetInForce

LIFE = timedelta(minutes=10)  # life of an answer, the longest that a message may have (protocol 3)
_ABOUT_A_PERSON = frozenset({Operation.SUBMIT_QUERY, Operation.REQUEST_HIT_DETAILS})
MARGIN = 0.02  # seconds kept back so that an answer still reaches the caller (protocol 12)


class _Recorded(Exception):
    """What ended a call after its first commit, and is in the ledger already."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class PipelineServices:
    """What the pipeline passes through; `clock` is the edge."""

    party: str
    keyset: KeysetInForce
    directory: Directory
    agreements: AgreementsInForce
    database: StorageEngine
    sequencer: Sequencer
    limits: Limits
    clock: Callable[[], datetime]
    own: OwnEntry
    refused: RefusalCounter
    gate: Gate
    copies: Copies


class Pipeline:
    """Answers signed envelopes, one operation or another, always in the same way."""

    def __init__(
        self, services: PipelineServices, operations: Mapping[Operation, ExchangeOperation]
    ) -> None:
        self._services = services
        self._operations = operations
        self._standing = RefusalStanding(services.clock)
        self._record = Recorder(
            services.sequencer, services.refused, services.clock, Sightings(services.database)
        )
        self._running: dict[tuple[str, bytes], bytes] = {}
        self._lock = threading.Lock()

    def handle(self, call: Call) -> Reply:
        """Return the reply to a signed envelope, durable in the ledger, or raise the Refusal that is its answer."""
        if call.operation not in self._operations:
            raise OperationNotAuthorised
        header = self._read(call)  # (4), (5)
        transcript = envelope.transcript_hash(call.envelope.header, call.envelope.sealed)
        try:
            with self._services.gate.turn(header.sender) as turn:
                _begin(call, turn)
                counted = self._spend_copy(header, transcript)
                self._authenticate(call, header)  # (6)
                self._services.copies.remember(header.sender, header.message_id, transcript)
                with self._claimed(header, transcript):
                    return self._answer(call, header, transcript, turn, counted=counted)
        except _Recorded as recorded:
            raise recorded.cause from None
        except (AuditUnavailable, DeadlineTooShort, InProgress, RateLimited):
            raise  # the first cannot be recorded; the others are counted at the listeners
        except Refusal as refusal:
            self._record.refusal(header, transcript, refusal)
            raise

    def _answer(
        self, call: Call, header: Header, transcript: bytes, turn: Turn, *, counted: bool
    ) -> Reply:
        self._check_keys(header)  # (7)
        row = self._replayed(header, transcript, counted=counted)  # (8)
        call.stages.mark("replay")
        if row is not None and row.reply is not None:
            return row.reply
        if row is not None and row.refusal is not None:
            raise _Recorded(row.refusal)
        if header.operation is not Operation.SUBMIT_QUERY:
            self._standing.take(
                header.sender
            )  # no legal quota bounds these, and each is two entries
        admitted = self._admit(call, header, transcript)  # (9)–(13)
        try:
            call.stages.mark("admit")
            leaf_hash = self._requested(call, admitted, row, turn)  # (14)
        except BaseException:  # a quota, say: what was opened goes, though nothing was searched
            admitted.discard()
            raise
        return self._conclude(call, admitted, leaf_hash, turn)

    def _requested(
        self, call: Call, admitted: Admitted, row: replay.ReplayRow | None, turn: Turn
    ) -> bytes:
        """(14): return the hash of the REQUEST leaf, recorded now or by an earlier try; then wait, without a turn, for images."""
        if (
            row is not None
        ):  # a crash or a fault of ours stood between 14 and 20: the same leaf serves
            leaf_hash = self._services.sequencer.leaf_hash(row.request_index)
            turn.leave()
        elif _patience(call) <= 0:
            raise DeadlineTooShort
        else:  # the turn is left where the disk begins to be waited for, and others may work
            leaf_hash = self._record.request(admitted, turn.leave)
        call.stages.mark("record_request")
        if isinstance(admitted.work, Perishable):
            admitted.work.wait()  # a slow picture takes no turn from other partners' searches
        turn.enter()  # from here on the call is carried to its end, however long that takes
        call.stages.mark("turn")
        return leaf_hash

    def _admit(self, call: Call, header: Header, transcript: bytes) -> Admitted:
        """(9) to (13); the opened payload lives in this frame alone."""
        request, payload = self._open(call, header, transcript)
        admitted = self._operations[call.operation].admit(request, payload, self._services.clock())
        try:
            _demand_key(admitted.reply_key)
        except BaseException:
            admitted.discard()
            raise
        return admitted

    def _conclude(self, call: Call, admitted: Admitted, leaf_hash: bytes, turn: Turn) -> Reply:
        """(15) to (20). Whatever ends it, what the operation used is destroyed, and that is recorded."""
        leaves: tuple[Leaf, ...] = ()
        try:
            conclusion = self._operations[call.operation].perform(
                admitted, leaf_hash, call.stages, turn
            )  # (15)–(18)
            leaves = conclusion.leaves if conclusion.undone is None else conclusion.undone
            written = self._write(admitted, conclusion)  # (19)
            call.stages.mark("seal")
            reply = self._record.response(admitted, conclusion, written, turn.leave)  # (20)
        except AuditUnavailable:
            raise
        except Unfinished as unfinished:
            turn.leave()
            self._record.unfinished(admitted.request, unfinished.leaves, unfinished.cause)
            raise _Recorded(unfinished.cause) from None
        except Exception as error:  # noqa: BLE001 - whatever it was, it is recorded and raised again
            turn.leave()
            if isinstance(error, Refusal) and _final(admitted, error):
                self._record.denied(admitted.request, leaves, error)
            else:
                self._record.unfinished(admitted.request, leaves, error)
            raise _Recorded(error) from None
        call.stages.mark("record_response")
        return reply

    def _read(self, call: Call) -> Header:
        """(4) and (5): cheap to provoke and about nobody, so their refusals are counted, not recorded."""
        header = signed_envelope.parse_header(call.envelope.header)
        if header.sender != call.caller:
            raise SenderMismatch
        if header.message_type is not MessageType.REQUEST:
            raise HeaderInvalid(element="header.message_type", rule=NOT_HERE)
        if header.recipient != self._services.party:
            raise HeaderInvalid(element="header.recipient_id", rule=NOT_HERE)
        if header.operation is not call.operation:
            raise HeaderInvalid(element="header.operation", rule=NOT_HERE)
        _demand_size(call)
        now, skew = self._services.clock(), timedelta(seconds=self._services.limits.clock_skew_s)
        life = header.expire_time - header.create_time
        fault = ""
        if header.create_time > now + skew:
            fault = "FROM_THE_FUTURE"
        elif now > header.expire_time + skew:
            fault = "EXPIRED"
        elif life > timedelta(seconds=self._services.limits.message_life_s):
            fault = "LIVES_TOO_LONG"
        if fault:
            moment = now.isoformat(timespec="milliseconds")
            raise OutsideTimeWindow(rule=fault, server_time=moment)
        call.stages.mark("header")
        return header

    def _authenticate(self, call: Call, header: Header) -> None:
        """(6): whoever holds the public key can distinguish the two faults, so the answer says which it was."""
        signed = call.envelope
        try:
            key = self._services.directory.signing_key(
                header.sender, header.signing_key_id, header.create_time
            )
            text = envelope.transcript(signed.header, signed.sealed)
            key.verify(signed.signature, text, signatures.REQUEST)
        except (UnknownKey, KeyNotUsable):
            raise _rejected("SIGNING_KEY") from None
        except SignatureRefused:
            raise _rejected("SIGNATURE") from None
        call.stages.mark("verify")

    def running(self) -> frozenset[tuple[str, bytes]]:
        """Return the messages that are being answered now, by sender and message id."""
        with self._lock:
            return frozenset(self._running)

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

    def _spend_copy(self, header: Header, transcript: bytes) -> bool:
        """Count a copy of a message that is remembered, and return whether it is one; raises RateLimited.

        The answer, that these very bytes came before, goes to the partner whose certificate the caller has.
        """
        copies = self._services.copies
        known = copies.knows(header.sender, header.message_id, transcript)
        if known:
            copies.take(header.sender)
        return known

    def _replayed(
        self, header: Header, transcript: bytes, *, counted: bool
    ) -> replay.ReplayRow | None:
        """(8); a copy that was not counted when it came is counted here."""
        with self._services.database.reader() as reader:
            row = replay.find_replay(reader, header.sender, header.message_id)
        if row is None:
            return None
        if row.transcript != transcript:
            raise ReplayConflict
        if not counted:
            self._services.copies.take(header.sender)
        return row

    def _check_keys(self, header: Header) -> None:
        """(7)."""
        version = self._services.own.version
        if header.directory_version > version:  # it believes an entry that we have not published
            element = "header.directory_version"
            raise KeyStale(element=element, directory_version=str(version))
        self._opener(header)

    def _opener(self, header: Header) -> envelope.OpeningKey:
        """Return the key that opens a message; raises KeyStale, also where it was stopped since (7)."""
        try:
            return self._services.keyset.current.opening(header.kem_key_id, self._services.clock())
        except (UnknownKey, KeyNotUsable):
            element = "header.recipient_kem_key_id"
            version = str(self._services.own.version)
            raise KeyStale(element=element, directory_version=version) from None

    def _open(self, call: Call, header: Header, transcript: bytes) -> tuple[Request, bytes]:
        """(9) and (10): the request, and the payload that it sealed."""
        agreement = None
        if header.operation in _ABOUT_A_PERSON:
            agreement = may_answer_header(
                header, self._services.agreements.current, self._services.clock()
            )
        call.stages.mark("policy")
        try:
            payload = envelope.open_sealed(
                call.envelope.sealed,
                call.envelope.header,
                header.payload_commitment,
                self._opener(header),
            )
        except OpenRefused:
            raise _rejected("SEAL") from None
        call.stages.mark("open")
        version = self._services.directory.party(header.sender).version
        return Request(header, transcript, agreement, version), payload

    def _write(self, admitted: Admitted, conclusion: Conclusion) -> Recorded:
        """(19): sealed to the fresh key of the request, signed, and of one size whatever the outcome."""
        if isinstance(conclusion.answer, Reply):
            signed = conclusion.answer.envelope
            return Recorded(signed_envelope.parse_header(signed.header), signed)
        asked, now = admitted.request.header, _next_second(self._services.clock())
        recipient = envelope.SealingKey(admitted.reply_key)
        try:
            signer = self._services.keyset.current.signing()
        except (
            KeyNotUsable
        ):  # stopped while this was answered; a copy is answered once one is in force
            raise KeysUnavailable from None
        packed = envelope.pack(conclusion.answer, conclusion.at_least)
        header = Header(
            message_type=MessageType.RESPONSE,
            operation=asked.operation,
            sender=self._services.party,
            signing_key_id=signer.key_id,
            recipient=asked.sender,
            kem_key_id=recipient.key_id,
            message_id=asked.message_id,
            create_time=now,
            expire_time=now + LIFE,
            directory_version=admitted.request.partner_version,
            transaction_reference=asked.transaction_number or asked.transaction_reference,
            agreement_id=asked.agreement_id,
            agreement_version=asked.agreement_version,
            purpose=asked.purpose,
            service_level=asked.service_level,
            in_reply_to=admitted.request.transcript,
            payload_commitment=packed.commitment,
        )
        octets = signed_envelope.header_bytes(header)
        sealed = envelope.seal(packed, octets, recipient)
        signature = signer.sign(envelope.transcript(octets, sealed), signatures.RESPONSE)
        return Recorded(header, SignedEnvelope(octets, sealed, signature))


def _begin(call: Call, turn: Turn) -> None:
    """Wait for a turn before the first commit; raises DeadlineTooShort where the caller cannot wait any longer."""
    if not turn.enter(lambda: _patience(call)):
        raise DeadlineTooShort
    call.stages.mark("turn")


def _patience(call: Call) -> float:
    """Return the seconds that a call may still wait before its first commit; none where nobody listens."""
    return call.remaining() - MARGIN if call.alive() else 0.0


def _next_second(now: datetime) -> datetime:
    """Return the whole second at or after a moment, at which an answer says that it was made.

    A time takes more or fewer bytes with its fraction, and answers are of one size. Not the second before:
    a key that was made in this one would not be valid yet.
    """
    return now + timedelta(microseconds=-now.microsecond % 1_000_000)


def _final(admitted: Admitted, refusal: Refusal) -> bool:
    """Return whether a refusal after the first commit is the answer, and not a fault of ours that a retry may mend.

    A query is never denied there: it has an outcome, or a fault kept it from one.
    """
    return admitted.claims is None and not isinstance(refusal, Unavailable)


def _demand_size(call: Call) -> None:
    """Refuse a sealed payload of no size class, and one that no query, or nothing but a query, may have (protocol 6)."""
    query = call.operation is Operation.SUBMIT_QUERY
    least = envelope.SMALLEST_REQUEST_QUERY if query else 0
    most = envelope.SIZE_CLASSES[-1] if query else envelope.LARGEST_BUT_QUERY
    padded = len(call.envelope.sealed) - envelope.OVERHEAD - envelope.SALT_BYTES
    if padded not in envelope.SIZE_CLASSES or not least <= padded <= most:
        raise HeaderInvalid(element="envelope.sealed", rule="SIZE_CLASS")


def _rejected(check: str) -> EnvelopeRejected:
    """Name the failed check, to the caller and in the ledger's sealed detail.

    SIGNING_KEY and SIGNATURE anybody can find out who has the sender's public keys; SEAL is one word for all that
    depends on our private key: that it opens, the commitment, the padding.
    """
    refusal = EnvelopeRejected(check=check)
    refusal.add_note(check.lower().replace("_", " "))
    return refusal


def _demand_key(octets: bytes) -> None:
    """Refuse a reply key that nothing could be sealed to, before anything is recorded or searched."""
    try:
        envelope.SealingKey(octets)
    except MalformedKey:
        raise ElementInvalid(element="reply_kem_public_key", rule="NOT_A_KEY") from None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A signed envelope of ours, and the header that it holds."""

    header: Header
    envelope: SignedEnvelope


class Recorder:
    """Writes the entries of calls; each method returns when what it wrote is durable."""

    def __init__(
        self,
        sequencer: Sequencer,
        refused: RefusalCounter,
        clock: Callable[[], datetime],
        sightings: Sightings,
    ) -> None:
        self._sequencer = sequencer
        self._refused = refused
        self._clock = clock
        self._sightings = sightings

    def request(self, admitted: Admitted, waits: Callable[[], None]) -> bytes:
        """(14): nothing is compared before this is durable; return the hash of the REQUEST leaf.

        With it is kept which version of our entry the sender uses, where that was not seen before.

        waits   is called once everything is prepared, before the disk is waited for
        """
        request, now = admitted.request, self._clock()
        header = request.header
        effects = transactions.begin_request(header, request.transcript, admitted.claims, now)
        sight = self._sightings.effects(header.sender, header.directory_version, now)
        waits()
        leaf = exchange_events.request(header, request.transcript, admitted.facts)
        done = self._commit((leaf,), (*effects, *sight))
        if sight:
            self._sightings.kept(header.sender, header.directory_version)
        return done.leaf_hashes[0]

    def response(
        self,
        admitted: Admitted,
        conclusion: Conclusion,
        written: Recorded,
        waits: Callable[[], None],
    ) -> Reply:
        """(20): what this does not make durable does not leave; `waits` as in `request`."""
        request, signed = admitted.request, written.envelope
        transcript = envelope.transcript_hash(signed.header, signed.sealed)
        leaf = exchange_events.response(
            request.header, written.header, transcript, conclusion.facts
        )
        effects = transactions.finish_request(
            request.header,
            signed,
            conclusion.settled,
            self._clock(),
            response_index=conclusion.response_index,
        )
        waits()
        done = self._commit((*conclusion.leaves, leaf), (*conclusion.effects, *effects))
        if isinstance(conclusion.answer, Reply):
            return conclusion.answer
        return Reply(signed, done.receipt())

    def refusal(self, header: Header, transcript: bytes, refusal: Refusal) -> None:
        """A refusal is durable before it is an error; when the ledger cannot, that is the only answer.

        Beyond the allowance of a minute refusals are counted instead: signed junk is as cheap as unsigned.
        """
        if not self._refused.recordable(header.sender):
            self._refused.count(header.sender, refusal.reason)
            return
        self._commit((exchange_events.refusal(header, transcript, refusal),), ())

    def denied(self, request: Request, leaves: tuple[Leaf, ...], refusal: Refusal) -> None:
        """An operation says no after its first commit: the message is closed, and a copy of it gets the same refusal."""
        header = request.header
        leaf = exchange_events.refusal(header, request.transcript, refusal)
        self._commit((*leaves, leaf), (replay.refused(header, refusal),))

    def unfinished(self, request: Request, leaves: tuple[Leaf, ...], cause: Exception) -> None:
        """The gateway is at fault: the refusal denies nothing, and a retry may still be answered."""
        leaf = exchange_events.failure(request.header, request.transcript, cause)
        self._commit((*leaves, leaf), ())

    def _commit(self, leaves: tuple[Leaf, ...], effects: tuple[Effect, ...]) -> Committed:
        return self._sequencer.commit(leaves, effects)
