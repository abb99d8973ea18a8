"""A partner of our own making, over real cryptography: honest, until a test makes it otherwise."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Outgoing, Partner  # before grpc: it sets the cipher list  # isort: skip
import grpc

from gateway.client.checkpoint_memory import CannotProve
from gateway.domain.messages import (
    Capabilities,
    Direction,
    Header,
    MessageType,
    Modality,
    Operation,
    Outcome,
    Purpose,
    QueryState,
    Receipt,
    RecordFormat,
    Result,
    Sample,
    SignedEnvelope,
    State,
)
from gateway.ledger import merkle, proof, signed_note
from gateway.ledger.entry import EntryClass, EntryType, Frame, encode
from gateway.ledger.signed_note import Checkpoint, LogIdentity
from gateway.trust.bundle import BundleKey, PartyBundle
from gateway.v1 import exchange_pb2, exchange_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from gateway.wire import query_payload, signed_envelope
from keys import envelope, signatures
from keys.custody import Argon2Cost, FileCustody
from keys.keyset import KeyKind, Keyset
from keys.signatures import LogKey

ORIGIN = "can.example/exchange-log"
MATTER: dict[str, Any] = {
    "purpose": Purpose.TRAVEL_ENTER_REMAIN,
    "agreement": ("au", 1),
    "case": "C-1",
    "unit": "U-1",
    "person": "P-1",
}
SAMPLE = Sample(
    modality=Modality.FINGER,
    position=2,
    format=RecordFormat.ISO_19794_2_2005,
    extractor="test",
    data=b"FMR\0 20\0"
    + struct.pack(">IHHHHHBB", 30, 0, 300, 300, 197, 197, 1, 0)
    + bytes([2, 0, 60, 0, 0, 0]),
)


def utc_now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass
class Log:
    """A log of leaves in memory; `fork` gives it a second history."""

    key: LogKey
    leaves: list[bytes] = field(default_factory=list)

    @property
    def identity(self) -> LogIdentity:
        return LogIdentity.from_log_key(ORIGIN, self.key)

    def grow(self, count: int, salt: bytes = b"") -> None:
        for _ in range(count):
            self.leaves.append(hashlib.sha256(salt + len(self.leaves).to_bytes(8, "big")).digest())

    def get(self, level: int, number: int) -> bytes:
        width = 1 << level
        chosen = self.leaves[number * width : (number + 1) * width]
        assert len(chosen) == width
        return merkle.root(map(merkle.leaf_hash, chosen))

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        at = len(self.leaves) if size is None else size
        return Checkpoint(ORIGIN, at, merkle.root_at(at, self.get))

    def signed(self, size: int | None = None) -> bytes:
        return signed_note.sign_checkpoint(self.checkpoint(size), self.key, utc_now())

    def prove(self, old: int, new: int) -> Sequence[bytes]:
        if new > len(self.leaves):
            raise CannotProve
        return merkle.consistency_proof(old, new, self.get)

    def receipt(self, leaf: bytes) -> Receipt:
        """Append a leaf and return the proof of it."""
        self.leaves.append(leaf)
        index, size = len(self.leaves) - 1, len(self.leaves)
        hashes = merkle.inclusion_proof(index, size, self.get)
        return Receipt(leaf, proof.make_proof(index, hashes, self.signed()))

    def fork(self, at: int) -> Log:
        return Log(self.key, self.leaves[:at])


@dataclass
class Answering:
    """The answering party: opens, answers, records. Every knob makes it dishonest in one way.

    header    what it changes in the header before sealing and signing
    signer    who signs; context under which
    sealed_to whom the answer is sealed to, if not the reply key
    frame     what it changes in the RESPONSE leaf
    """

    keyset: Keyset
    bundle: PartyBundle
    log: Log
    payload: Callable[[Header], bytes]
    header: Callable[[Header], Header] = lambda header: header
    signer: signatures.SigningKey | None = None
    context: bytes = signatures.RESPONSE
    sealed_to: envelope.SealingKey | None = None
    frame: Callable[[Frame], Frame] = lambda frame: frame
    stored: dict[str, tuple[SignedEnvelope, Receipt]] = field(default_factory=dict)

    def answer(self, signed: SignedEnvelope) -> tuple[SignedEnvelope, Receipt]:
        asked = signed_envelope.parse_header(signed.header)
        opening = self.keyset.opening(asked.kem_key_id)
        opened = envelope.open_sealed(
            signed.sealed, signed.header, asked.payload_commitment, opening
        )
        if asked.operation is Operation.SUBMIT_QUERY:
            public = query_payload.read_query(opened).reply_key
        else:
            public = query_payload.read_reply_key(opened, asked.operation)
        if asked.operation is Operation.REDELIVER_RESULT:
            return self.stored[asked.transaction_reference]
        answered = self._seal(asked, signed, public)
        said = signed_envelope.parse_header(answered.header)
        frame = Frame(
            type=EntryType.RESPONSE,
            entry_class=EntryClass.ANSWERED,
            time=utc_now(),
            partner_id=asked.sender,
            direction=Direction.INBOUND,
            message_id=asked.message_id,
            transcript=envelope.transcript_hash(answered.header, answered.sealed),
            transaction_number=asked.transaction_number,
            signing_key_id=said.signing_key_id,
            kem_key_id=said.kem_key_id,
            directory_version=said.directory_version,
            agreement_id=asked.agreement_id,
            agreement_version=asked.agreement_version,
            subject_reference=asked.operation.name,
        )
        receipt = self.log.receipt(encode(self.frame(frame)))
        self.stored[asked.transaction_number] = answered, receipt
        return answered, receipt

    def _seal(self, asked: Header, signed: SignedEnvelope, public: bytes) -> SignedEnvelope:
        recipient = self.sealed_to or envelope.SealingKey(public)
        signer = self.signer or self.keyset.signing()
        packed = envelope.pack(self.payload(asked))
        now = utc_now()
        header = self.header(
            Header(
                message_type=MessageType.RESPONSE,
                operation=asked.operation,
                sender=self.bundle.party,
                signing_key_id=signer.key_id,
                recipient=asked.sender,
                kem_key_id=envelope.SealingKey(public).key_id,
                message_id=asked.message_id,
                create_time=now,
                expire_time=now + timedelta(minutes=5),
                directory_version=1,
                transaction_reference=asked.transaction_number or asked.transaction_reference,
                in_reply_to=envelope.transcript_hash(signed.header, signed.sealed),
                payload_commitment=packed.commitment,
            )
        )
        octets = signed_envelope.header_bytes(header)
        sealed = envelope.seal(packed, octets, recipient)
        text = envelope.transcript(octets, sealed)
        return SignedEnvelope(octets, sealed, signer.sign(text, self.context))


def result_of(outcome: Outcome = Outcome.NO_MATCH) -> Result:
    return Result(
        outcome=outcome,
        decide_time=datetime(2026, 3, 1, tzinfo=UTC),
        request_leaf_hash=bytes(range(32)),
    )


def honest(asked: Header) -> bytes:
    if asked.operation is Operation.GET_CAPABILITIES:
        return query_payload.capabilities_bytes(
            Capabilities(
                envelope_formats=(1,),
                suites=(1,),
                size_classes=envelope.SIZE_CLASSES,
                modalities=(Modality.FINGER,),
                record_formats=(RecordFormat.ISO_19794_2_2005,),
                purposes=(Purpose.TRAVEL_ENTER_REMAIN,),
                directory_version=1,
            )
        )
    if asked.operation is Operation.GET_QUERY_STATE:
        return query_payload.state_bytes(QueryState(State.DECIDED, result_of()))
    return query_payload.result_bytes(result_of())


def bundle_of(keyset: Keyset, endpoint: str = "127.0.0.1:7443") -> PartyBundle:
    def published(kind: KeyKind) -> tuple[BundleKey, ...]:
        return tuple(BundleKey(r.public, r.not_before, r.not_after) for r in keyset.published(kind))

    return PartyBundle(
        party=keyset.party,
        legal_name=keyset.party,
        version=1,
        issue_time=utc_now(),
        endpoints=(endpoint,),
        kem=published(KeyKind.KEM),
        signing=published(KeyKind.SIGNING),
        tls_ca_pem=keyset.tls_ca_pem,
        tls_pins=keyset.tls_pins,
        log=LogIdentity.from_log_key(ORIGIN, keyset.log()),
    )


@pytest.fixture(scope="session")
def keysets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Keyset]:
    cheap = Argon2Cost(64, 1, 1)  # the cost of a guess is tested elsewhere
    custody = FileCustody.create(
        tmp_path_factory.mktemp("kek") / "kek.json", b"a passphrase for tests", cheap
    )
    born = utc_now() - timedelta(hours=1)
    return {party: Keyset.create(born, party, custody) for party in ("CAN", "AUS", "NZL")}


@pytest.fixture
def log(keysets: dict[str, Keyset]) -> Log:
    made = Log(keysets["CAN"].log())
    made.grow(5)
    return made


@pytest.fixture
def canada(keysets: dict[str, Keyset], log: Log) -> Answering:
    return Answering(keysets["CAN"], bundle_of(keysets["CAN"]), log, honest)


@pytest.fixture
def kept_in(tmp_path: Path) -> Path:
    return tmp_path / "witness" / "CAN.checkpoint"


@dataclass
class AnsweringServer(
    exchange_pb2_grpc.ExchangeServiceServicer, ledger_pb2_grpc.LedgerServiceServicer
):
    """The answering party behind real mTLS. `proofs` counts what was fetched of its ledger.

    tamper     what it changes in a response on its way out
    unwilling  what it does before it answers; reluctant: before it proves
    """

    gateway: Answering
    proofs: int = 0
    calls: list[bytes] = field(default_factory=list)
    tamper: Callable[[Any], None] = lambda _: None
    unwilling: Callable[[grpc.ServicerContext], None] = lambda _: None
    reluctant: Callable[[grpc.ServicerContext], None] = lambda _: None

    def _answer(self, kind: type[Any], request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append(request.SerializeToString(deterministic=True))
        self.unwilling(context)
        signed, receipt = self.gateway.answer(signed_envelope.envelope_from(request.envelope))
        response = kind(
            envelope=signed_envelope.envelope_of(signed),
            receipt=signed_envelope.receipt_message(receipt),
        )
        self.tamper(response)
        return response

    def SubmitQuery(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer(exchange_pb2.SubmitQueryResponse, request, context)

    def GetCapabilities(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer(exchange_pb2.GetCapabilitiesResponse, request, context)

    def GetQueryState(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer(exchange_pb2.GetQueryStateResponse, request, context)

    def RedeliverResult(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer(exchange_pb2.RedeliverResultResponse, request, context)

    def GetCheckpoint(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return ledger_pb2.GetCheckpointResponse(checkpoint=self.gateway.log.signed())

    def GetConsistencyProof(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.proofs += 1
        self.reluctant(context)
        try:
            hashes = self.gateway.log.prove(request.old_size, request.new_size)
        except CannotProve:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such tree")
        return ledger_pb2.GetConsistencyProofResponse(hashes=hashes)


@pytest.fixture
def answering_server(canada: Answering, keysets: dict[str, Keyset]) -> Iterator[AnsweringServer]:
    opened = AnsweringServer(canada)
    key, chain = canada.keyset.tls()
    credentials = grpc.ssl_server_credentials(
        [(key, chain)], keysets["AUS"].tls_ca_pem, require_client_auth=True
    )
    server = grpc.server(futures.ThreadPoolExecutor(8))
    exchange_pb2_grpc.add_ExchangeServiceServicer_to_server(opened, server)
    ledger_pb2_grpc.add_LedgerServiceServicer_to_server(opened, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    canada.bundle = replace(canada.bundle, endpoints=(f"127.0.0.1:{port}",))
    server.start()
    yield opened
    server.stop(None).wait()


@pytest.fixture
def partner(
    answering_server: AnsweringServer, keysets: dict[str, Keyset], kept_in: Path
) -> Iterator[Partner]:
    """Australia's view of Canada."""
    with Partner.connect(
        "AUS", keysets["AUS"], answering_server.gateway.bundle, witness=kept_in
    ) as connected:
        yield connected


@pytest.fixture
def sample() -> Sample:
    return SAMPLE


@pytest.fixture
def matter() -> dict[str, Any]:
    return MATTER


@pytest.fixture
def asked(keysets: dict[str, Keyset], canada: Answering) -> Outgoing:
    """A query of Australia, composed and not sent."""
    with Partner.connect("AUS", keysets["AUS"], canada.bundle) as idle:
        return idle.compose([SAMPLE], **MATTER)
