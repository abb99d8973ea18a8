"""A gateway with a query under review, brought there by the commits that the pipeline makes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.domain.messages import (
    Biometrics,
    Direction,
    Header,
    MessageType,
    Operation,
    Outcome,
    Purpose,
    Query,
    Result,
    ServiceLevel,
    SignedEnvelope,
)
from gateway.exchange import review_opening
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf, decode
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.store.casework import reviews
from gateway.store.casework.reviews import Case, Evidence
from gateway.store.exchange import transactions
from gateway.store.exchange.quotas import Claims
from gateway.store.ledger import stored_ledger
from gateway.wire import query_payload, signed_envelope
from keys.envelope import OpeningKey

FIRST = Officer("P-7", frozenset({Role.EXAMINER}))
SECOND = Officer("P-8", frozenset({Role.EXAMINER}))


@dataclass
class Clock:
    """The gateway's clock, moved by the test."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        from gateway.server.application import utc_now

        return utc_now() + self.ahead

    def move(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@dataclass
class Bench:
    """An open gateway, its clock, and ways to put cases before examiners."""

    gateway: Gateway
    clock: Clock
    people: Any

    def pending(
        self, seed: int = 1, persons: int = 1, level: ServiceLevel = ServiceLevel.ROUTINE
    ) -> Case:
        """Return a new case: the search of one person's prints came close to that person's record."""
        gateway, now = self.gateway, self.clock()
        header = self.header(now, level)
        payload = query_payload.query_bytes(
            Query(
                case="C-1",
                unit="U-1",
                person="O-1",
                reply_key=OpeningKey.generate().public,
                probe=Biometrics(tuple(self.people.samples(seed))),
            )
        )
        claims = Claims(purpose=header.purpose, day_limit=10_000, year_limit=10_000)
        gateway.sequencer.commit(
            (Leaf(self.frame(EntryType.REQUEST, header)),),
            transactions.begin_request(header, bytes(32), claims, now),
        )
        evidence = Evidence(signed_envelope.header_bytes(header), payload, self.subject(seed))
        leaf, begun = review_opening.opened(
            header, evidence, persons, now, data_key=gateway.keys.data_key, random=gateway.random
        )
        result = Result(
            outcome=Outcome.REVIEW_PENDING, decide_time=now, request_leaf_hash=bytes(32)
        )
        settled = transactions.Settled(
            outcome=Outcome.REVIEW_PENDING,
            result=transactions.seal_result(
                gateway.keys.data_key,
                "AUS",
                header.transaction_number,
                query_payload.result_bytes(result),
            ),
            finding=transactions.seal_finding(
                gateway.keys.data_key, "AUS", header.transaction_number, transactions.Finding(None)
            ),
        )
        stored = SignedEnvelope(b"header", b"sealed", b"signature")
        gateway.sequencer.commit(
            (leaf, Leaf(self.frame(EntryType.RESPONSE, header))),
            (begun, *transactions.finish_request(header, stored, settled, now)),
        )
        return self.case(leaf.frame.subject_reference)

    def header(self, now: datetime, level: ServiceLevel) -> Header:
        return Header(
            message_type=MessageType.REQUEST,
            operation=Operation.SUBMIT_QUERY,
            sender="AUS",
            signing_key_id=bytes(32),
            recipient="CAN",
            kem_key_id=bytes(32),
            message_id=secrets.token_bytes(16),
            create_time=now,
            expire_time=now + timedelta(minutes=5),
            directory_version=1,
            payload_commitment=bytes(32),
            transaction_number=f"T-{secrets.token_hex(8)}",
            agreement_id="au",
            agreement_version=1,
            purpose=Purpose.VISA_PERMIT_BENEFIT,
            service_level=level,
        )

    def frame(self, kind: EntryType, header: Header) -> Frame:
        request = kind is EntryType.REQUEST
        return Frame(
            type=kind,
            entry_class=EntryClass.ACCEPTED if request else EntryClass.ANSWERED,
            partner_id=header.sender,
            direction=Direction.INBOUND,
            message_id=header.message_id,
            transaction_number=header.transaction_number,
            subject_reference=header.operation.name,
        )

    def subject(self, seed: int) -> int:
        from gateway.store.people import subjects

        with self.gateway.database.reader() as reader:
            found = subjects.find(reader, f"P-{seed}")
        assert found is not None
        return found

    def case(self, name: str) -> Case:
        with self.gateway.database.reader() as reader:
            found = reviews.case(reader, name)
        assert found is not None
        return found

    def row(self, case: Case) -> transactions.TransactionRow:
        with self.gateway.database.reader() as reader:
            found = transactions.transaction(reader, case.partner, case.number)
        assert found is not None
        return found

    def result(self, case: Case) -> Result:
        row = self.row(case)
        assert row.result is not None
        opened = transactions.open_result(
            self.gateway.keys.data_key, case.partner, case.number, row.result
        )
        return query_payload.read_result(opened)

    def act(self, officer: Officer, name: str, case: Case, **values: object) -> Any:
        return self.gateway.admin.perform(officer, f"review.{name}", {"case": case.case, **values})

    def decide(self, officer: Officer, case: Case, verdict: str) -> Any:
        """Take the case in hand and give a verdict."""
        self.act(officer, "lease", case)
        return self.act(officer, "decide", case, verdict=verdict, reason="as seen")

    def kinds(self) -> list[EntryType]:
        return [decode(leaf).type for leaf in stored_ledger.iter_leaves(self.gateway.database)]

    first = FIRST
    second = SECOND


@pytest.fixture
def bench(homes: Any, secret: Any, people: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clock = Clock()
    from gateway.server import application as rooms

    now = rooms.utc_now
    monkeypatch.setattr(Clock, "__call__", lambda self: now() + self.ahead)
    monkeypatch.setattr(rooms, "utc_now", clock)
    with Gateway.open(homes[0], secret) as opened:
        yield Bench(opened, clock, people)
