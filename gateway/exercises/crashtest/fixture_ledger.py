"""A small ledger of every kind of row, written by the real sequencer, to be tampered with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from sqlalchemy import delete

from gateway.domain.messages import Header, MessageType, Operation, Receipt
from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.ledger import events, exchange_events
from gateway.ledger.archive import Held
from gateway.ledger.crypto_shredding import Erased
from gateway.ledger.entry import EntryType, Leaf
from gateway.ledger.entry_types import OFFICE_DETAIL
from gateway.ledger.exchange_events import Message
from gateway.ledger.exchange_facts import operation_facts
from gateway.ledger.proof import Expected
from gateway.ledger.signed_note import KeyType, LogIdentity, VerifierKey, cosign
from gateway.ledger.verify import Report
from gateway.store.address import open_store
from gateway.store.effects import Effect
from gateway.store.engine import StorageEngine
from gateway.store.ledger import stored_ledger, verification, witness_evidence
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.schema import detail_keys
from keys.envelope import OpeningKey, OpeningRing, SealingKey
from keys.signatures import LogKey, WitnessKey

ORIGIN = "drill.example/exchange-log"
START = datetime(2026, 1, 1, tzinfo=UTC)
WITNESS = "drill.example/witness"
COSIGNED = 3  # checkpoints
EXCHANGES = 12
OTHERS = 150  # entries of our own, in commits of one to four
SHREDDED = 3
OPERATION = "SUBMIT_QUERY"
SIGNING, KEM = sha256(b"signing").digest(), sha256(b"kem").digest()


@dataclass(frozen=True, slots=True)
class Specimen:
    """A ledger at rest: the bytes of its store, and what it is verified with.

    answered   index of a RESPONSE, and what its asker knows of it
    """

    store: bytes
    key: LogKey
    log: LogIdentity
    ring: OpeningRing
    held: tuple[Held, ...]
    notes: tuple[bytes, ...]
    answered: tuple[int, Receipt, Expected]
    witnesses: dict[str, list[VerifierKey]]

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self.held)


def make(folder: Path, seed: int = 0) -> Specimen:
    """Write a ledger; another seed gives another one under the same name and other keys."""
    key = LogKey.from_seed(sha256(b"log %d" % seed).digest() * 2)
    auditor = OpeningKey.from_seed(sha256(b"auditor %d" % seed).digest())
    log = LogIdentity.from_log_key(ORIGIN, key)
    path = folder / f"specimen-{seed}.db"
    database = open_store(path, create=True)
    ticks = itertools.count()
    today = START
    sequencer = Sequencer(
        database,
        FixedKeys([key], SealingKey(auditor.public)),
        log,
        lambda: today + timedelta(seconds=next(ticks)),
        wait=0,
    )
    sequencer.start()
    answered = _write(sequencer, seed)
    receipt = sequencer.receipt(answered)
    witness = WitnessKey.from_seed(sha256(b"witness %d" % seed).digest())
    for number in range(COSIGNED):
        newest = sequencer.latest_checkpoint()
        said = cosign(newest, WITNESS, witness, START + timedelta(days=1))
        size = int(newest.split(b"\n", 2)[1])
        sequencer.commit((), witness_evidence.kept(size, WITNESS, said))
        today = START + timedelta(days=number + 1)  # of one witness one a day is kept
        if number + 1 < COSIGNED:
            sequencer.commit([events.service(EntryType.STOP, "specimen", "")])
    sequencer.close()
    held = tuple(stored_ledger.iter_held(database, 0, sequencer.size))
    notes = tuple(stored_ledger.iter_checkpoints(database))
    database.close()
    ring = OpeningRing([auditor])
    known = {WITNESS: [VerifierKey(WITNESS, KeyType.MLDSA44, witness.public)]}
    asked = (answered, receipt, expected(1))
    return Specimen(path.read_bytes(), key, log, ring, held, notes, asked, known)


@contextmanager
def opened(path: Path) -> Iterator[StorageEngine]:
    """Lend the store at `path`."""
    with closing(open_store(path)) as database:
        yield database


def verify(path: Path, specimen: Specimen, *, keys: bool) -> Report:
    """Verify a store as `passerelle ledger verify` does; `keys` opens every sealed key too."""
    with opened(path) as database:
        ring = specimen.ring if keys else None
        return verification.verify(database, specimen.log, ring=ring, witnesses=specimen.witnesses)


def _write(sequencer: Sequencer, seed: int) -> int:
    """Write entries of all shapes; return the index of one answer."""
    answered = 0
    for number in range(1, EXCHANGES + 1):
        asked, *pair = exchange(number)
        sequencer.commit([asked])
        answered = sequencer.commit(pair).indices[-1] if number == 1 else answered
        if number > 1:
            sequencer.commit(pair)
    own: list[int] = []
    while len(own) < OTHERS:
        many = len(own) % 4 + 1
        sealed = events.service(EntryType.START, f"specimen {seed}", "")
        leaves = [
            sealed if (len(own) + n) % 3 else events.alarm_end("SPECIMEN/1") for n in range(many)
        ]
        own += sequencer.commit(leaves).indices
    gone = [own[1], own[2], own[5]][:SHREDDED]
    told = Erased(OFFICE_DETAIL, len(gone), gone[0], gone[-1])
    erased = events.erasure(told, "IRPR 315.43", START, START, {"actor": "specimen"})
    effect = Effect(delete(detail_keys).where(detail_keys.c.idx.in_(gone)), rows=len(gone))
    sequencer.commit([erased], [effect])
    return answered


def exchange(number: int) -> tuple[Leaf, Leaf, Leaf]:
    """Return the entries of an exchange: its REQUEST, DESTRUCTION and RESPONSE."""
    header = Header(
        message_type=MessageType.REQUEST,
        operation=Operation.SUBMIT_QUERY,
        sender="AUS",
        signing_key_id=SIGNING,
        recipient="CAN",
        kem_key_id=KEM,
        message_id=number.to_bytes(16, "big"),
        create_time=START,
        expire_time=START,
        directory_version=7,
        payload_commitment=b"",
        transaction_number=f"AUS-{number:08}",
        agreement_id="drill",
        agreement_version=1,
    )
    message = Message("AUS", header.message_id, header.transaction_number)
    facts = operation_facts(header)
    return (
        exchange_events.request(header, _transcript(number, "ask"), facts),
        exchange_events.destruction(message, f"D-{number:032x}", "records=1"),
        exchange_events.response(header, header, _transcript(number, "answer"), facts),
    )


def _transcript(number: int, part: str) -> bytes:
    return sha256(f"{part} {number}".encode()).digest()


def expected(number: int) -> Expected:
    """Return what the asker of an exchange knows of its answer."""
    return Expected(
        partner_id="AUS",
        message_id=number.to_bytes(16, "big"),
        transcript=_transcript(number, "answer"),
        operation=OPERATION,
        transaction_number=f"AUS-{number:08}",
        agreement_id="drill",
        agreement_version=1,
        signing_key_id=SIGNING,
        kem_key_id=KEM,
        directory_version=7,
        earliest=START,
        latest=START + timedelta(days=1),
    )
