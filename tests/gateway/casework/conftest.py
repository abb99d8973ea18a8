"""Two gateways that ask and correct each other over real gRPC: CAN and AUS, on one clock that tests can move."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.agreements import signatures
from gateway.cli.home.init import NewHome, found
from gateway.domain.messages import Direction, Outcome, Purpose, Result
from gateway.domain.outbound_query import OutboundQuery, OutboundState, StoredAnswer
from gateway.domain.person import FieldCode
from gateway.exercises.demo.parties import free_port
from gateway.law.agreement_library import packaged
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf, decode
from gateway.operations.declaration import Role
from gateway.server import application as rooms
from gateway.server import partner_transport, self_check
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving
from gateway.server.workers import outbound
from gateway.store.casework import corrections, outbound_queries
from gateway.store.correction_lifecycle import Correction
from gateway.store.effects import Effect
from gateway.store.ledger import stored_ledger
from gateway.store.schema import correction_papers, disclosures
from gateway.store.times import milliseconds
from gateway.trust.bundle import fingerprint
from gateway.trust.partners import Directory, own_bundle
from gateway.wire import query_payload
from keys.custody import open_custody
from keys.keyset import Keyset
from tests.gateway.casework.outbound_requests import LAWFUL, given

CASEWORKER = Officer("P-7", frozenset({Role.CASEWORKER}))
PARTIES = ("CAN", "AUS")


@dataclass
class Clock:
    """The one clock of both gateways."""

    ahead: timedelta = timedelta(0)
    sides: list[Side] = field(default_factory=list)

    def now(self) -> datetime:
        now = datetime.now(UTC) + self.ahead
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def pass_(self, **time: float) -> None:
        self.ahead += timedelta(**time)
        for side in self.sides:
            if (
                side.serving is not None
            ):  # a gateway whose periodic jobs slept for days shuts the listeners
                side.serving.run_jobs()


@dataclass
class Side:
    """One party: its folder, and its gateway while that is open."""

    home: Path
    clock: Clock
    stack: ExitStack = field(default_factory=ExitStack)
    gateway: Any = None
    serving: Any = None

    def open(self, observe: Callable[[str], None] | None = None) -> Side:
        self.gateway = self.stack.enter_context(Gateway.open(self.home, _secret))
        self.serving = Serving(self.gateway, observe=observe, at_once=4)  # as in serve()
        self.serving.start()
        self.stack.callback(self.serving.stop)
        return self

    def close(self) -> None:
        self.serving = None
        self.stack.close()

    def walk(self) -> None:
        self.gateway.outbound.worker.walk()

    def act(self, name: str, officer: Officer = CASEWORKER, **values: object) -> Mapping[str, Any]:
        return self.gateway.admin.perform(officer, name, values)

    def corrections(self) -> tuple[Correction, ...]:
        with self.gateway.database.reader() as reader:
            return corrections.every(reader)

    def papers(self) -> int:
        """Return of how many corrections it is still kept what they say."""
        with self.gateway.database.reader() as reader:
            return len(reader.execute(correction_papers.select()).all())

    def outbound_query(self, partner: str, number: str) -> OutboundQuery:
        with self.gateway.database.reader() as reader:
            found = outbound_queries.find(reader, partner, number)
        assert found is not None
        return found

    def frames(self, *kinds: EntryType) -> list[Frame]:
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(self.gateway.database)]
        return [each for each in frames if each.type in kinds]

    def disclosed(
        self, partner: str, number: str, subject: int, *fields: FieldCode, version: int = 1
    ) -> None:
        """Record what the second step would: these fields of a person went to a partner."""
        now = milliseconds(self.clock.now())
        self.gateway.sequencer.commit(
            (),
            [
                Effect(
                    disclosures.insert().values(
                        partner=partner,
                        details_number=f"D-{number}",
                        field=int(code),
                        number=number,
                        hit_reference=bytes(16),
                        subject_id=subject,
                        authority="IRPR 315.41(2)(a)",
                        record_version=version,
                        disclose_ms=now,
                        response_index=0,
                    )
                )
                for code in fields
            ],
        )

    def asked(
        self,
        partner: str,
        number: str,
        state: OutboundState = OutboundState.ANSWERED,
        outcome: Outcome = Outcome.MATCH,
        details: bytes = b"",
    ) -> None:
        """Record that we asked a partner, and what it answered."""
        match = outcome is Outcome.MATCH
        answer = Result(
            outcome=outcome,
            decide_time=self.clock.now(),
            request_leaf_hash=bytes(32),
            hit_reference=bytes(16) if match else b"",
            details_expire_time=self.clock.now() + timedelta(days=30) if match else None,
        )
        folder = StoredAnswer(
            answer=query_payload.result_bytes(answer), details=(details,) if details else ()
        )
        outbound_query = OutboundQuery(
            partner=partner,
            number=number,
            message_id=number.encode()[:16].ljust(16, b"."),
            purpose=Purpose.VISA_PERMIT_BENEFIT,
            agreement=("au", 1),
            case="C-1",
            state=state,
            outcome=None,
            subject=None,
            ask=self.clock.now(),
            answer=None,
            used=None,
            used_in="",
            asked_index=0,
            answered_index=None,
            sealed=outbound_queries.seal(self.gateway.keys.data_key, partner, number, folder),
        )
        used = {"used_ms": milliseconds(self.clock.now()), "used_in": "R-1"}
        answered = {
            "outcome": int(outcome),
            "answer_ms": milliseconds(self.clock.now()),
            **(used if state is OutboundState.USED else {}),
        }
        frame = Frame(
            type=EntryType.ASKED,
            entry_class=EntryClass.OTHER,
            partner_id=partner,
            direction=Direction.OUTBOUND,
            message_id=outbound_query.message_id,
            transaction_number=number,
        )
        received = replace(frame, type=EntryType.ANSWER_RECEIVED, entry_class=EntryClass.ANSWERED)
        row = (
            outbound_queries.asked.update()
            .where(outbound_queries.asked.c.number == number)
            .values(**answered)
        )
        self.gateway.sequencer.commit(
            (Leaf(frame, {"case": "C-1"}), Leaf(received)),
            (outbound_queries.asking(outbound_query), Effect(row)),
        )


def _secret() -> bytes:
    return b"a passphrase for tests"


@pytest.fixture(scope="session")
def two_folders(tmp_path_factory: pytest.TempPathFactory, people: Any) -> Path:
    """Return a folder with `can` and `aus`, each of whose bundles names the port on which it will listen."""
    root = tmp_path_factory.mktemp("two")
    ports = [free_port() for _ in PARTIES]
    for party, port in zip(PARTIES, ports, strict=True):
        home = root / party.lower()
        charter = NewHome(party, party, f"127.0.0.1:{port}", ("127.0.0.1", "localhost"))
        found(
            home,
            charter,
            passphrase=_secret,
            auditor=lambda: b"the auditor's own",
            now=datetime.now(UTC),
        )
        settings = home / "passerelle.toml"
        text = settings.read_text()
        for fixed in ("7444", "7445", "7446"):
            text = text.replace(fixed, "0")
        settings.write_text(text.replace("[exchange]", "[exchange]\nquantum_floor_ms = 50"))
    theirs = packaged()["au.toml"].replace(b'home = "CAN"', b'home = "AUS"')
    theirs = theirs.replace(b'partner = "AUS"', b'partner = "CAN"')
    signed = root / "aus" / "agreements" / "au.toml"
    signed.write_bytes(theirs)
    custody = open_custody(f"file:{root}/aus/keys/kek.json", _secret)
    keyset = Keyset.load(root / "aus" / "keys" / "keyset.json", custody)
    line = signatures.signature(keyset.signing(), theirs)
    signed.with_name(signed.name + signatures.SUFFIX).write_text(line, encoding="ascii")
    for one, other in (("can", "aus"), ("aus", "can")):
        octets = (root / other / "party.json").read_bytes()
        own = own_bundle(root / one).party
        Directory(root / one / "parties", own).import_bundle(octets, fingerprint(octets))
        with Gateway.open(root / one, _secret) as gateway:
            assert not gateway.subjects.registry.enrol(
                [r for seed in (1, 2, 3) for r in people.rows(seed)]
            ).bad
    return root


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rooms, "utc_now", clock.now)
    monkeypatch.setattr(outbound, "EVERY", 3600.0)  # tests walk themselves
    return clock


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what sets how many seconds a partner is waited for: few while it is known to be away."""
    return lambda seconds: monkeypatch.setattr(partner_transport, "PATIENCE", seconds)


@pytest.fixture
def sides(two_folders: Path, tmp_path: Path, clock: Clock) -> Iterator[tuple[Side, Side]]:
    """Return CAN and AUS, both serving."""
    for name in ("can", "aus"):
        shutil.copytree(two_folders / name, tmp_path / name)
    can, aus = (Side(tmp_path / name, clock) for name in ("can", "aus"))
    clock.sides += [can, aus]
    try:
        yield can.open(), aus.open()
    finally:
        can.close()
        aus.close()
        for side in (can, aus):
            verdict = self_check.verify_ledger(side.home)
            assert verdict.ok, verdict


@pytest.fixture(scope="module")
def stopping(
    two_folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, list[bytes]]]:
    """Return CAN, open and not serving, and what its transports were given; for what must never leave."""
    home = tmp_path_factory.mktemp("stopping") / "can"
    shutil.copytree(two_folders / "can", home)
    carried: list[bytes] = []
    side = Side(home, Clock())
    with Gateway.open(home, _secret) as gateway:
        side.gateway = gateway
        gateway.outbound.worker._outbound._context = replace(
            gateway.outbound.worker._outbound._context, transports=carried.append
        )
        yield side, carried


@pytest.fixture
def fingers(people: Any) -> Callable[[int], dict[str, object]]:
    """Return what an officer's scanner gives of a synthetic person."""
    return lambda seed: given(*people.samples(seed))


@pytest.fixture
def ask(sides: Any, fingers: Any) -> Callable[..., Any]:
    can, _ = sides

    def asking(seed: int = 1, **other: object) -> Any:
        return can.act("ask", **{**LAWFUL, **fingers(seed), **other})

    return asking
