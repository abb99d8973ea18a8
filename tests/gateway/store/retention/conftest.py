"""A counter whose gateway erases what is due, and rows of every class."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, update

from gateway.domain.hold import HoldKind
from gateway.domain.messages import Outcome
from gateway.law.agreement import Agreements, AgreementsInForce
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf, decode
from gateway.ledger.verify import verify_log
from gateway.retention.erasure import Retention
from gateway.store.effects import Effect
from gateway.store.exchange.transactions import Finding, Hit, seal_finding
from gateway.store.ledger import stored_ledger
from gateway.store.retention import holds
from gateway.store.retention.holds import Hold
from gateway.store.schema import asked, corrections, disclosures, reviews, transactions
from gateway.watchdog import Watchdog

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Clock, Counterpart

MANY = 1000


def asked_row(number: str, at: int, **other: object) -> Any:
    return insert(asked).values(
        **{
            "partner": "AUS",
            "number": number,
            "message_id": number.encode(),
            "purpose": 1,
            "agreement": "au",
            "version": 1,
            "case_reference": "C-1",
            "state": 4,
            "sealed": b"answer",
            "ask_ms": at,
            "answer_ms": at,
            "asked_index": 0,
            **other,
        }
    )


def correction_row(number: str, at: int | None, state: int = 2) -> Any:
    return insert(corrections).values(
        id=number.encode(),
        partner="AUS",
        direction=2,
        number=number,
        kind=1,
        state=state,
        opened_by="P-1",
        open_ms=0,
        due_ms=0,
        attempts=1,
        ack_ms=at,
        open_index=0,
    )


def disclosure_row(number: str, at: int, subject: int = 7, details: str = "") -> Any:
    return insert(disclosures).values(
        partner="AUS",
        details_number=details or f"{number}-D",
        field=1,
        number=number,
        hit_reference=b"r",
        subject_id=subject,
        authority="IRPR 315.41(2)(a)",
        record_version=1,
        disclose_ms=at,
        response_index=0,
    )


def review_row(number: str, due: int) -> Any:
    return insert(reviews).values(
        case_id=number,
        partner="AUS",
        number=number,
        message_id=b"m",
        state=1,
        persons=1,
        sealed=b"probe",
        open_ms=0,
        due_ms=due,
        request_index=0,
    )


def order(verb: str, name: str) -> Leaf:
    return Leaf(
        Frame(
            type=EntryType.HOLD,
            entry_class=EntryClass.OTHER,
            subject_reference=f"{verb}/{name}",
        )
    )


class ErasingGateway:
    """A counter whose gateway erases; whom a query found is written where its sealed place is."""

    asked_row = staticmethod(asked_row)
    correction_row = staticmethod(correction_row)
    disclosure_row = staticmethod(disclosure_row)
    review_row = staticmethod(review_row)
    order = staticmethod(order)

    def __init__(self, counter: Counterpart, agreed: Agreements | None = None) -> None:
        self.counter = counter
        self.clock: Clock = counter.store.clock
        self.sequencer = counter.sequencer
        self.database = counter.sequencer._database
        self.store = Retention(
            self.database,
            self.sequencer,
            counter.store.data_key,
            AgreementsInForce(agreed or {}),
            self.clock,
            Watchdog(60.0),
        )

    def run(self, batches: int = MANY) -> dict[str, int]:
        return {kept.name: count for kept, count in self.store.run(batches=batches).erased.items()}

    def put(self, *statements: Any) -> None:
        self.sequencer.commit([], [Effect(each) for each in statements])

    def hold(self, kind: HoldKind, reference: str, name: str = "1") -> Hold:
        one = Hold(
            id=f"H-{name:0>16}",
            kind=kind,
            reference=reference,
            reason="a court asks",
            placed_by="P-1",
            placed=self.clock(),
        )
        verb = "PLACE_ALL" if kind is HoldKind.EVERYTHING else "PLACE"
        self.sequencer.commit([order(verb, one.id)], holds.place(one))
        return one

    def release(self, one: Hold) -> None:
        self.sequencer.commit(
            [order("RELEASE", one.id)], holds.release(one.id, "P-2", self.clock())
        )

    def query(self, number: int, partner_number: str, subject: int | None = None) -> None:
        """Ask and answer one query whose row says whom it found."""
        head = self.counter.store.header(number, partner_number, now=self.clock())
        self.counter.begin(head)
        hit = None
        if subject is not None:
            expires = self.clock() + timedelta(days=30)
            hit = Hit(number.to_bytes(16, "big"), subject, expires)
        self.counter.finish(head, Outcome.MATCH if hit else Outcome.NO_MATCH, hit=hit)
        if subject is not None:
            sealed = seal_finding(
                self.counter.store.data_key, head.sender, partner_number, Finding(subject)
            )
            found = update(transactions).where(transactions.c.number == partner_number)
            self.put(found.values(subject=sealed))

    def detail(self, kind: EntryType = EntryType.REQUEST, number: str = "AUS-0001") -> int:
        """Write one entry with a detail; return its index."""
        leaf = self.counter.store.leaf(kind, number=number, reason="as agreed")
        return self.sequencer.commit([leaf]).indices[0]

    def whole(self) -> list[str]:
        """Return what a verifier finds."""
        with self.database.reader() as reader:
            size, _ = stored_ledger.extent(reader)
            keys = stored_ledger.keyed(reader, size)
        report = verify_log(
            stored_ledger.iter_leaves(self.database, 0, size),
            stored_ledger.iter_checkpoints(self.database),
            self.counter.store.log,
            None,
            keys,
        )
        texts = [finding.text for finding in report.findings]
        return [each for each in texts if "RETENTION" in each or "HOLD" in each or "key" in each]

    def entries(self, kind: EntryType) -> list[str]:
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(self.database)]
        return [frame.subject_reference for frame in frames if frame.type is kind]


@pytest.fixture
def erasing(counter: Counterpart) -> ErasingGateway:
    return ErasingGateway(counter)


@pytest.fixture(scope="session")
def erasing_of() -> Callable[..., ErasingGateway]:
    return ErasingGateway
