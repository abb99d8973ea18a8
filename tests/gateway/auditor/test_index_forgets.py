"""What was shredded leaves the auditor's index too, when it reads that it was (ledger.md section 3)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from gateway.auditor.index import Index
from gateway.exercises.bench.synthetic_events import BEGINS
from gateway.exercises.bench.synthetic_year import ORIGIN, _EntryMaker
from gateway.ledger.archive import Held
from gateway.ledger.crypto_shredding import Erased
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from gateway.ledger.entry_types import EXCHANGE_DETAIL
from gateway.ledger.signed_note import LogIdentity
from tests.gateway.auditor.year import Small, keys, query

CANARY = "Canary-Green-7"
HIT = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH", "subject": "987654321"}


def test_forgetting_reaches_an_index_that_had_read_it(tmp_path: Path) -> None:
    gateway, auditor = keys()
    maker = _EntryMaker(gateway.audit_public, gateway.log(), 0)
    said = [*query(1, 1, case=CANARY, **HIT), *query(2, 2, case="C-kept", **HIT)]
    before = [maker.entry(each) for each in said]
    told = Erased(EXCHANGE_DETAIL, 2, 0, 1)
    frame = Frame(
        type=EntryType.RETENTION,
        entry_class=EntryClass.OTHER,
        time=BEGINS + timedelta(hours=9),
        subject_reference=told.reference(),
    )
    shredded = [replace(each, sealed_dek=None) for each in before[:2]]
    after = [*shredded, *before[2:], maker.entry(Leaf(frame, {"count": "2"}))]
    log, secret = LogIdentity.from_log_key(ORIGIN, gateway.log()), secrets.token_bytes(32)

    with Index(tmp_path / "index", secret) as index:
        index.extend(Small(log, before), auditor.audit_ring())
        known = 'SELECT "case", person, true_outcome, subject FROM exchanges ORDER BY idx'
        assert index.rows(known)[0] == (CANARY, "OFFICER-9", "MATCH", "987654321")
        index.extend(Small(log, after), auditor.audit_ring())

        assert index.rows(known)[0] == (None, None, None, None)
        assert index.rows(known)[1][0] == "C-kept"
        assert index.rows("SELECT idx FROM details ORDER BY idx") == [(2,), (3,), (4,)]
        assert index.rows("SELECT closing FROM exchanges") == [("ANSWERED",), ("ANSWERED",)]


@dataclass
class Later(Small):
    """A source that begins after what an index has read, as next year's bundle does."""

    def held(self, start: int | None = None, stop: int | None = None) -> Iterator[Held]:
        return super().held(max(self.first, start or 0), stop)


def test_forgetting_reaches_what_a_later_bundle_holds_no_more(tmp_path: Path) -> None:
    gateway, auditor = keys()
    maker = _EntryMaker(gateway.audit_public, gateway.log(), 0)
    verdict = replace(query(1, 3)[1].frame, type=EntryType.VERDICT, entry_class=EntryClass.OTHER)
    decided = Leaf(verdict, {**HIT, "why": CANARY, "verdict": "SAME", "examiner": CANARY})
    said = [*query(1, 1, case=CANARY), decided, *query(2, 4)]
    before = [maker.entry(each) for each in said]
    told = Erased(EXCHANGE_DETAIL, 3, 0, 2)
    frame = replace(
        verdict,
        type=EntryType.RETENTION,
        time=BEGINS + timedelta(hours=9),
        subject_reference=told.reference(),
    )
    after = [*before, maker.entry(Leaf(frame, {"count": "3"}))]
    log, secret = LogIdentity.from_log_key(ORIGIN, gateway.log()), secrets.token_bytes(32)
    known = (
        'SELECT "case", true_outcome, why, verdict, examiner, subject FROM exchanges WHERE idx = 0'
    )

    with Index(tmp_path / "index", secret) as index:
        index.extend(Small(log, before), auditor.audit_ring())
        assert index.rows(known) == [(CANARY, "MATCH", CANARY, "SAME", CANARY, "987654321")]
        index.extend(Later(log, after, first=4), auditor.audit_ring())

        assert index.rows(known) == [(None,) * 6]
        assert index.rows("SELECT min(idx) FROM details") == [(3,)]
        assert CANARY.encode() not in index._connection.serialize("main")


def test_forgotten_words_stand_in_no_page_of_the_index(tmp_path: Path) -> None:
    """Read without encryption, page for page: secure_delete has overwritten what was deleted."""
    gateway, auditor = keys()
    maker = _EntryMaker(gateway.audit_public, gateway.log(), 0)
    before = [maker.entry(each) for each in query(1, 1, case=CANARY, **HIT)]
    told = Erased(EXCHANGE_DETAIL, 2, 0, 1)
    frame = Frame(
        type=EntryType.RETENTION,
        entry_class=EntryClass.OTHER,
        time=BEGINS + timedelta(hours=9),
        subject_reference=told.reference(),
    )
    gone = [replace(each, sealed_dek=None) for each in before]
    after = [*gone, maker.entry(Leaf(frame, {"count": "2"}))]
    log = LogIdentity.from_log_key(ORIGIN, gateway.log())

    with Index(tmp_path / "index", secrets.token_bytes(32)) as index:
        index.extend(Small(log, before), auditor.audit_ring())
        assert CANARY.encode() in index._connection.serialize("main")
        index.extend(Small(log, after), auditor.audit_ring())

        assert CANARY.encode() not in index._connection.serialize("main")
        assert b"OFFICER-9" not in index._connection.serialize("main")
