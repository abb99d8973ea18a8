"""A small ledger of every kind of row, written by the real sequencer, to be tampered with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from sqlalchemy import delete

from gateway.domain.messages import Direction, Receipt
from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.ledger.archive import Held
from gateway.ledger.crypto_shredding import OFFICE_DETAIL, Erased
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.proof import Expected, LogIdentity
from gateway.ledger.signed_note import KeyType, VerifierKey, cosign
from gateway.ledger.verify import Report
from gateway.store.effects import Effect
from gateway.store.ledger import stored_ledger, verification, witness_evidence
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.schema import detail_keys
from gateway.store.sqlite import Database, open_store
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
            sequencer.commit([Leaf(Frame(type=EntryType.STOP, entry_class=EntryClass.OTHER))])
    sequencer.close()
    held = tuple(stored_ledger.iter_held(database, 0, sequencer.size))
    notes = tuple(stored_ledger.iter_checkpoints(database))
    database.close()
    ring = OpeningRing([auditor])
    known = {WITNESS: [VerifierKey(WITNESS, KeyType.MLDSA44, witness.public)]}
    asked = (answered, receipt, expected(1))
    return Specimen(path.read_bytes(), key, log, ring, held, notes, asked, known)


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """Lend the store at `path`."""
    database = open_store(path)
    try:
        yield database
    finally:
        database.close()


def verify(path: Path, specimen: Specimen, *, keys: bool) -> Report:
    """Verify a store as `passerelle ledger verify` does; `keys` opens every sealed key too."""
    with opened(path) as database:
        ring = specimen.ring if keys else None
        return verification.verify(database, specimen.log, ring=ring, witnesses=specimen.witnesses)


def _write(sequencer: Sequencer, seed: int) -> int:
    """Write entries of all shapes; return the index of one answer."""
    answered = 0
    for number in range(1, EXCHANGES + 1):
        sequencer.commit([_leaf(EntryType.REQUEST, number)])
        pair = [_leaf(EntryType.DESTRUCTION, number), _leaf(EntryType.RESPONSE, number)]
        answered = sequencer.commit(pair).indices[-1] if number == 1 else answered
        if number > 1:
            sequencer.commit(pair)
    own: list[int] = []
    while len(own) < OTHERS:
        many = len(own) % 4 + 1
        frames = [Frame(type=EntryType.START, entry_class=EntryClass.OTHER)] * many
        facts = {"reason": f"specimen {seed}"}
        leaves = [
            Leaf(frame, facts if (len(own) + n) % 3 else None) for n, frame in enumerate(frames)
        ]
        own += sequencer.commit(leaves).indices
    gone = [own[1], own[2], own[5]][:SHREDDED]
    told = Erased(OFFICE_DETAIL, len(gone), gone[0], gone[-1])
    frame = Frame(
        type=EntryType.RETENTION, entry_class=EntryClass.OTHER, subject_reference=told.reference()
    )
    effect = Effect(delete(detail_keys).where(detail_keys.c.idx.in_(gone)), rows=len(gone))
    sequencer.commit([Leaf(frame)], [effect])
    return answered


def exchange(kind: EntryType, number: int) -> Frame:
    """Return the frame of one entry of an exchange: its REQUEST, DESTRUCTION or RESPONSE."""
    classes = {EntryType.REQUEST: EntryClass.ACCEPTED, EntryType.RESPONSE: EntryClass.ANSWERED}
    part = "ask" if kind is EntryType.REQUEST else "answer"
    return Frame(
        type=kind,
        entry_class=classes.get(kind, EntryClass.OTHER),
        partner_id="AUS",
        direction=Direction.INBOUND,
        message_id=number.to_bytes(16, "big"),
        transcript=_transcript(number, part),
        transaction_number=f"AUS-{number:08}",
        signing_key_id=SIGNING,
        kem_key_id=KEM,
        directory_version=7,
        agreement_id="drill",
        agreement_version=1,
        policy_id="315.4",
        subject_reference="" if kind is EntryType.DESTRUCTION else OPERATION,
    )


def _leaf(kind: EntryType, number: int) -> Leaf:
    return Leaf(exchange(kind, number), {"reason": "as agreed"})


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
