"""A real store in a scratch folder, a clock that the test moves, and a sequencer over both."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.dialects import postgresql

from gateway.domain.messages import (
    Direction,
    Header,
    MessageType,
    Operation,
    Outcome,
    Purpose,
    Reply,
    SignedEnvelope,
)
from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.law.agreement import AgreementsInForce
from gateway.law.quota_policy import Usage
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from gateway.ledger.signed_note import LogIdentity
from gateway.retention.erasure import Retention
from gateway.store.exchange.quotas import Claims, used
from gateway.store.exchange.replay import stored_reply
from gateway.store.exchange.transactions import (
    Finding,
    Settled,
    TransactionRow,
    begin_request,
    finish_request,
    seal_finding,
    seal_result,
    transaction,
)
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Committed, Observer, Sequencer
from gateway.store.sqlite import SqliteEngine, open_file
from gateway.watchdog import Watchdog
from keys.data_encryption import DataKey
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import LogKey

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ORIGIN = "gateway.can.example/exchange-log"
TRANSCRIPT = bytes([7]) * 32
CLAIMS = Claims(purpose=Purpose.VISA_PERMIT_BENEFIT, day_limit=100, year_limit=1000)
SIGNED_ENVELOPE = SignedEnvelope(b"header", b"sealed", b"signature")


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class SharedEngine(SqliteEngine):
    """SQLite without the writer lock: several processes write to it in turn, as to a database server.

    `BEGIN IMMEDIATE` has the ledger's end for one transaction. For tests alone: such writers can lose commits where the
    power goes (`SqliteEngine`).
    """

    sole_writer = False

    def take_writer(self) -> Connection:
        self._writer = self._writers.connect()
        return self._writer

    def lock_head(self, writer: Connection) -> int | None:
        return stored_ledger.extent(writer)[1]


# Every engine that the tests of the store run on: what opens one, makes it where it is missing, and connects.
ENGINES = (pytest.param(open_file, id="sqlite"),)


@dataclass
class Kept(Observer):
    """Keeps what a sequencer tells of its work."""

    fatal: list[BaseException]
    commits: list[tuple[int, float]] = field(default_factory=list)

    def failed(self, error: BaseException) -> None:
        self.fatal.append(error)

    def committed(self, leaves: int, seconds: float) -> None:
        self.commits.append((leaves, seconds))


@dataclass
class StoreFixture:
    """Everything a test of the store needs, and a sequencer whenever it asks for one."""

    path: Path
    log_key: LogKey
    auditor: OpeningKey
    data_key: DataKey
    opener: Callable[..., SqliteEngine] = open_file
    clock: Clock = field(default_factory=Clock)
    fatal: list[BaseException] = field(default_factory=list)
    commits: list[tuple[int, float]] = field(default_factory=list)
    _open: list[Callable[[], None]] = field(default_factory=list)

    @property
    def log(self) -> LogIdentity:
        return LogIdentity.from_log_key(ORIGIN, self.log_key)

    def database(
        self, connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    ) -> SqliteEngine:
        database = self.opener(self.path, create=True, connect=connect)
        self._open.append(database.close)
        return database

    def shared(self) -> SharedEngine:
        """Open the store once more, as one of several processes that write to it."""
        self.database().close()
        database = SharedEngine(self.path)
        self._open.append(database.close)
        return database

    def sequencer(self, database: SqliteEngine | None = None, **settings: float) -> Sequencer:
        sequencer = Sequencer(
            database or self.database(),
            FixedKeys([self.log_key], SealingKey(self.auditor.public)),
            self.log,
            self.clock,
            observer=Kept(self.fatal, self.commits),
            **settings,  # type: ignore[arg-type]
        )
        sequencer.start()
        self._open.append(sequencer.close)
        return sequencer

    @staticmethod
    def leaf(
        kind: EntryType = EntryType.REQUEST, *, message: int = 1, number: str = "", **facts: str
    ) -> Leaf:
        """Return an entry about one message of Australia's."""
        frame = Frame(
            type=kind,
            entry_class=EntryClass.OTHER,
            partner_id="AUS",
            direction=Direction.INBOUND,
            message_id=message.to_bytes(16, "big"),
            transcript=bytes([message % 251]) * 32,
            transaction_number=number,
        )
        return Leaf(frame, facts or None)

    @staticmethod
    def header(
        message: int = 1,
        number: str = "AUS-0001",
        operation: Operation = Operation.SUBMIT_QUERY,
        now: datetime = START,
    ) -> Header:
        """Return the header of one message of Australia's."""
        return Header(
            message_type=MessageType.REQUEST,
            operation=operation,
            sender="AUS",
            signing_key_id=bytes(32),
            recipient="CAN",
            kem_key_id=bytes(32),
            message_id=message.to_bytes(16, "big"),
            create_time=now,
            expire_time=now + timedelta(minutes=10),
            directory_version=1,
            payload_commitment=bytes(32),
            transaction_number=number,
            agreement_id="au",
            agreement_version=3,
            purpose=Purpose.VISA_PERMIT_BENEFIT,
        )

    @staticmethod
    def envelope(text: str = "answer") -> SignedEnvelope:
        return SignedEnvelope(
            b"header of " + text.encode(), b"sealed " + text.encode(), b"signature"
        )

    def close(self) -> None:
        while self._open:
            self._open.pop()()


@pytest.fixture(scope="session")
def log_key() -> LogKey:
    return LogKey.from_seed(bytes(range(64)))


@pytest.fixture(scope="session")
def auditor() -> OpeningKey:
    return OpeningKey.from_seed(bytes(32))


@pytest.fixture(scope="session")
def store_of(log_key: LogKey, auditor: OpeningKey) -> Callable[[Path], StoreFixture]:
    """Return the maker of stores, for tests that need more than one; each closes its own."""
    data_key = DataKey.from_seed(bytes(32))
    return lambda folder: StoreFixture(
        folder / "store" / "passerelle.db", log_key, auditor, data_key
    )


@pytest.fixture(params=ENGINES)
def store(
    tmp_path: Path, store_of: Callable[[Path], StoreFixture], request: pytest.FixtureRequest
) -> Iterator[StoreFixture]:
    store = store_of(tmp_path)
    store.opener = request.param
    yield store
    store.close()


class Counterpart:
    """The two commits of a query, as the pipeline makes them."""

    def __init__(self, store: StoreFixture) -> None:
        self.store = store
        self.sequencer: Sequencer = store.sequencer()

    def begin(
        self,
        head: Header,
        claims: Claims | None = CLAIMS,
        transcript: bytes = TRANSCRIPT,
    ) -> Committed:
        effects = begin_request(head, transcript, claims, self.store.clock())
        return self.sequencer.commit([self.store.leaf(number=head.transaction_number)], effects)

    def finish(
        self,
        head: Header,
        outcome: Outcome | None = Outcome.NO_MATCH,
        envelope: SignedEnvelope = SIGNED_ENVELOPE,
        **more: object,
    ) -> Committed:
        settled = None
        if outcome is not None:
            payload = f"result of {head.transaction_number}".encode()
            sealed = seal_result(self.store.data_key, "AUS", head.transaction_number, payload)
            nobody = seal_finding(
                self.store.data_key, "AUS", head.transaction_number, Finding(None)
            )
            settled = Settled(outcome=outcome, result=sealed, finding=nobody, **more)  # type: ignore[arg-type]
        effects = finish_request(head, envelope, settled, self.store.clock())
        kinds = (EntryType.DESTRUCTION, EntryType.RESPONSE)
        return self.sequencer.commit([self.store.leaf(kind) for kind in kinds], effects)

    def expire(self) -> None:
        """Erase what is due."""
        database = self.sequencer._database
        agreed, watchdog = AgreementsInForce({}), Watchdog(60.0)
        store = Retention(
            database,
            self.sequencer,
            self.store.data_key,
            agreed,
            self.store.clock,
            watchdog,  # type: ignore[arg-type]
        )
        store.run(batches=100)

    def row(self, number: str = "AUS-0001") -> TransactionRow | None:
        with self.sequencer._database.reader() as reader:
            return transaction(reader, "AUS", number)

    def usage(self) -> Usage:
        with self.sequencer._database.reader() as reader:
            told = used(reader, "AUS", Direction.INBOUND, self.store.clock())
            return Usage(told.day, told.year)

    def count(self, table: object) -> int:
        with self.sequencer._database.reader() as reader:
            return reader.execute(select(func.count()).select_from(table)).scalar() or 0  # type: ignore[arg-type]

    def reply(self, number: str = "AUS-0001") -> Reply | None:
        with self.sequencer._database.reader() as reader:
            return stored_reply(reader, "AUS", number, self.store.clock())


@pytest.fixture(scope="session", autouse=True)
def other_dialect() -> Iterator[None]:
    """Every statement of ours that a test of the store executes is one that PostgreSQL can be asked too."""
    seen: dict[str, str] = {}

    def compiled(*told: Any) -> None:
        statement, context = told[2], told[4]
        if statement in seen or context.compiled is None:
            return  # what is handed to the driver as text is the engine's own, and no other engine's
        seen[statement] = ""
        try:
            named = {} if context.isddl else {"column_keys": context.compiled.column_keys}
            context.compiled.statement.compile(dialect=postgresql.dialect(), **named)
        except Exception as fault:  # noqa: BLE001 - said at the end, with the statement
            seen[statement] = f"{type(fault).__name__}: {fault}"

    event.listen(Engine, "before_cursor_execute", compiled)
    yield
    event.remove(Engine, "before_cursor_execute", compiled)
    assert {statement: fault for statement, fault in seen.items() if fault} == {}


@pytest.fixture
def counter(store: StoreFixture) -> Counterpart:
    return Counterpart(store)


@pytest.fixture(scope="session")
def counter_of() -> Callable[[StoreFixture], Counterpart]:
    """Make a counterpart where a fixture of its own would be made once for all examples."""
    return Counterpart
