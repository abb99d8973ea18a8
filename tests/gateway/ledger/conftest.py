"""A small ledger, kept in lists, that the tests write honestly and then attack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.domain.messages import Direction, Receipt
from gateway.ledger import merkle
from gateway.ledger.entry import EntryClass, EntryType, Frame, encode, seal_detail
from gateway.ledger.proof import make_proof
from gateway.ledger.signed_note import Checkpoint, LogIdentity, sign_checkpoint
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import LogKey

ORIGIN = "can.example/exchange-log"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Ledger:
    """What the sequencer keeps, in lists."""

    key: LogKey = field(default_factory=lambda: LogKey.from_seed(bytes(range(64))))
    auditor: OpeningKey = field(default_factory=lambda: OpeningKey.from_seed(bytes(range(32))))
    origin: str = ORIGIN
    now: datetime = START
    leaves: list[bytes] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)
    details: dict[int, bytes] = field(default_factory=dict)
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @property
    def log(self) -> LogIdentity:
        return LogIdentity.from_log_key(self.origin, self.key)

    def get(self, level: int, number: int) -> bytes:
        return self.nodes[level, number]

    def append(self, frame: Frame, detail: dict[str, str] | None = None) -> int:
        index = len(self.leaves)
        if detail:
            sealed = seal_detail(frame, detail, SealingKey(self.auditor.public))
            self.details[index] = sealed.ciphertext
            frame = replace(frame, detail_commitment=sealed.commitment)
        leaf = encode(replace(frame, time=self.now))
        for level, number, node in merkle.new_nodes(index, merkle.leaf_hash(leaf), self.get):
            self.nodes[level, number] = node
        self.leaves.append(leaf)
        return index

    def commit(self, *frames: Frame, seconds: float = 1) -> None:
        for frame in frames:
            self.append(frame, {"reason": "as agreed"} if frame.partner_id else None)
        self.now += timedelta(seconds=seconds)
        self.notes.append(self.sign())

    def sign(self, size: int | None = None) -> bytes:
        size = len(self.leaves) if size is None else size
        checkpoint = Checkpoint(self.origin, size, merkle.root_at(size, self.get))
        return sign_checkpoint(checkpoint, self.key, self.now)

    def receipt(self, index: int) -> Receipt:
        hashes = merkle.inclusion_proof(index, len(self.leaves), self.get)
        return Receipt(self.leaves[index], make_proof(index, hashes, self.notes[-1]))

    def exchange(self, number: int = 1, operation: str = "SUBMIT_QUERY") -> None:
        self.commit(request(number, operation))
        answer = [response(number)]
        if operation == "SUBMIT_QUERY":
            answer.insert(0, entry(EntryType.DESTRUCTION, number, EntryClass.OTHER))
        self.commit(*answer)


def entry(kind: EntryType, number: int, entry_class: EntryClass, part: str = "ask") -> Frame:
    """Return the frame of an entry about the partner's message of that number."""
    return Frame(
        type=kind,
        entry_class=entry_class,
        partner_id="AUS",
        direction=Direction.INBOUND,
        message_id=number.to_bytes(16, "big"),
        transcript=transcript(number, part),
        transaction_number=f"AUS-{number:08}",
        signing_key_id=sha256(b"signing").digest(),
        kem_key_id=sha256(b"kem").digest(),
        directory_version=7,
        agreement_id="can-aus",
        agreement_version=1,
        policy_id="315.4",
    )


def transcript(number: int, part: str = "answer") -> bytes:
    return sha256(f"{part} {number}".encode()).digest()


def request(number: int = 1, operation: str = "SUBMIT_QUERY") -> Frame:
    frame = entry(EntryType.REQUEST, number, EntryClass.ACCEPTED)
    return replace(frame, subject_reference=operation)


def response(number: int = 1) -> Frame:
    frame = entry(EntryType.RESPONSE, number, EntryClass.ANSWERED, "answer")
    return replace(frame, subject_reference="SUBMIT_QUERY")


def own(kind: EntryType = EntryType.START) -> Frame:
    return Frame(type=kind, entry_class=EntryClass.OTHER)


@dataclass(frozen=True)
class Words:
    """The frames that the tests speak in."""

    entry = staticmethod(entry)
    request = staticmethod(request)
    response = staticmethod(response)
    own = staticmethod(own)
    transcript = staticmethod(transcript)
    now = START


@pytest.fixture(scope="session")
def words() -> Words:
    return Words()


@pytest.fixture
def ledger() -> Ledger:
    """A ledger with a start, one query and one question about the state of it; five commits."""
    small = Ledger()
    small.commit(own())
    small.exchange(1)
    small.exchange(2, "GET_QUERY_STATE")
    return small


@pytest.fixture
def empty_ledger() -> Ledger:
    return Ledger()


@pytest.fixture(scope="session")
def vectors(shared: Path) -> Path:
    """The folder of published vectors, read in place."""
    return shared / "vectors"
