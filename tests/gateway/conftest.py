"""Two parties over real gRPC and mTLS on loopback: CAN answers, AUS asks.

Folders are made once for each test process, by the code of `passerelle init`, and copied for each gateway.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.admin.operation import Officer
from gateway.agreements.signatures import signature
from gateway.cli import admin_session, maintenance
from gateway.cli.admin import staff
from gateway.cli.home.init import NewHome, found
from gateway.client import Partner, Refused
from gateway.client.channel import open_channel
from gateway.domain.messages import (
    Biometrics,
    Header,
    MessageType,
    Modality,
    Operation,
    Purpose,
    Query,
    RecordFormat,
    Sample,
    SignedEnvelope,
)
from gateway.domain.person import Status, SubjectKind
from gateway.exchange.operation import Call
from gateway.ledger.entry import EntryType, Leaf, decode
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.server.lifecycle import Addresses, Serving
from gateway.server.listener import listeners
from gateway.server.maintenance import Maintenance
from gateway.store.keys import rotations
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Sequencer
from gateway.subjects.enrolment import Row
from gateway.telemetry import Stages
from gateway.trust.bundle import fingerprint
from gateway.trust.partners import Directory, own_bundle
from gateway.v1 import exchange_pb2
from gateway.wire import query_payload, signed_envelope
from keys import envelope, officer_keys, signatures
from keys.custody import Argon2Cost, FileCustody, open_custody
from keys.envelope import OpeningKey, SealingKey
from keys.keyset import KeyKind, Keyset, KeyState
from keys.signatures import SigningKey
from matcher.finger import record_fmr, synthetic
from tests.patience import CALL

AGREEMENT = ("au", 1)
POSITIONS = (2, 7)  # right and left index
ENROLLED = range(1, 6)  # seeds of people in the gallery
UNKNOWN = 99  # seed of somebody who is not
EXTRACTOR = "synthetic-1"
# A gateway that is told its floor need not measure it at each of some hundreds of starts; test_alike has it measured.
FLOOR = "[exchange]\nquantum_floor_ms = 50"
UNBOUND = "rate_per_second = 100000\nrate_burst = 100000"
AT_ONCE = 4  # pieces of heavy work at the same time, on whatever machine

# Officers' folders of tests are sealed under one passphrase, which costs next to nothing; test_officer has the real cost.
CHEAP = Argon2Cost(8, 1, 1)
OFFICERS = b"the officers' own"


@contextmanager
def _opened_here(home: Path, passphrase: Callable[[], bytes]) -> Iterator[maintenance.Opened]:
    """Open a stopped gateway for a command in this process, which has loaded already what a process of its own would.

    `maintenance_process` is for tests of that process.
    """
    with Gateway.open(home, passphrase) as gateway:
        service = Maintenance(gateway, private=True)
        near = listeners.near(gateway.settings.admin.listen)
        custodian = service.custodian
        try:
            yield maintenance.Opened(
                f"{near}:{service.start().admin}",
                *(service.authority, custodian.chain, custodian.key_pem),
            )
        finally:
            service.stop()


_in_a_process = maintenance.opened
maintenance.opened = _opened_here


@pytest.fixture
def maintenance_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands at a stopped gateway open it as they do for people: in a process of its own."""
    monkeypatch.setattr(maintenance, "opened", _in_a_process)


def secret() -> bytes:
    return b"a passphrase for tests"


def samples(seed: int, impression: int = 2, positions: tuple[int, ...] = POSITIONS) -> list[Sample]:
    """Return another impression of a synthetic person's fingers."""
    person = synthetic.person(seed)
    return [
        Sample(
            modality=Modality.FINGER,
            position=position,
            format=RecordFormat.ISO_19794_2_2005,
            extractor=EXTRACTOR,
            data=synthetic.record(synthetic.impression(person, position, impression), position),
        )
        for position in positions
    ]


def poor(sample: Sample, count: int) -> Sample:
    """Return a sample with only so many minutiae left."""
    view = record_fmr.read(sample.data).views[0]
    full = view.minutiae
    left = replace(
        full,
        xy=full.xy[:count],
        angle=full.angle[:count],
        kind=full.kind[:count],
        quality=full.quality[:count],
    )
    return replace(
        sample,
        data=record_fmr.write(
            record_fmr.at_197(record_fmr.Format.ISO_19794_2_2005, [replace(view, minutiae=left)])
        ),
    )


def status(
    kind: SubjectKind = SubjectKind.FOREIGN_NATIONAL, *nationalities: str, **other: Any
) -> Status:
    """Return a status confirmed today; of a foreign national of a third country unless said."""
    now = datetime.now(UTC)
    confirmed = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return Status(
        kind=kind,
        nationalities=frozenset(nationalities or ("IND",)),
        **{"confirmed": confirmed, **other},
    )


def rows(seed: int, status: Status | None = None) -> list[Row]:
    """Return what enrols a synthetic person."""
    return [
        Row(
            f"{seed}/{one.position}",
            f"P-{seed}",
            one.position,
            EXTRACTOR,
            one.data,
            status or _FOREIGNER,
        )
        for one in samples(seed, impression=1)
    ]


_FOREIGNER = status()


@dataclass
class Pair:
    """A serving gateway and the asker's folder."""

    home: Path
    asker: Path
    keyset: Keyset
    gateway: Gateway
    serving: Serving
    addresses: Addresses
    closing: ExitStack = field(repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.addresses.exchange}"

    def partner(self, *, keyset: Keyset | None = None, witness: Path | None = None) -> Partner:
        """Return the asker, connected."""
        return self.closing.enter_context(
            Partner.connect(
                "AUS",
                keyset or self.keyset,
                own_bundle(self.home),
                address=self.address,
                witness=witness,
            )
        )


def matter(**other: object) -> dict[str, object]:
    """Return what a lawful query is about."""
    return {
        "purpose": Purpose.VISA_PERMIT_BENEFIT,
        "agreement": AGREEMENT,
        "case": "C-1",
        "unit": "U-1",
        "person": "O-1",
        **other,
    }


@dataclass
class Forger:
    """Writes envelopes as an attacker or a careless client would: any header, any payload, any key."""

    pair: Pair

    def compose(
        self,
        payload: bytes | None = None,
        *,
        signer: SigningKey | None = None,
        recipient: SealingKey | None = None,
        commitment: bytes | None = None,
        context: bytes = signatures.REQUEST,
        recipient_id: str = "CAN",
        **header: object,
    ) -> SignedEnvelope:
        """Return an envelope that is lawful but for what is named."""
        keyset, now = self.pair.keyset, datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        signer = signer or keyset.signing()
        recipient = recipient or SealingKey(own_bundle(self.pair.home).kem[0].public)
        packed = envelope.pack(self.payload() if payload is None else payload, 65536)
        fields: dict[str, object] = {
            "message_type": MessageType.REQUEST,
            "operation": Operation.SUBMIT_QUERY,
            "sender": "AUS",
            "signing_key_id": signer.key_id,
            "recipient": recipient_id,
            "kem_key_id": recipient.key_id,
            "message_id": secrets.token_bytes(16),
            "create_time": now,
            "expire_time": now + timedelta(minutes=5),
            "directory_version": 1,
            "payload_commitment": commitment or packed.commitment,
            "transaction_number": f"T-{secrets.token_hex(8)}",
            "agreement_id": AGREEMENT[0],
            "agreement_version": AGREEMENT[1],
            "purpose": Purpose.VISA_PERMIT_BENEFIT,
            **header,
        }
        octets = signed_envelope.header_bytes(Header(**fields))
        sealed = envelope.seal(packed, octets, recipient)
        return SignedEnvelope(
            octets, sealed, signer.sign(envelope.transcript(octets, sealed), context)
        )

    envelope = envelope

    def payload(self, probe: Biometrics | None = None, **query: object) -> bytes:
        """Return the payload of a query."""
        fields: dict[str, object] = {
            "case": "C-1",
            "unit": "U-1",
            "person": "O-1",
            "reply_key": OpeningKey.generate().public,
            "probe": probe or Biometrics(tuple(samples(1))),
            **query,
        }
        return query_payload.query_bytes(Query(**fields))

    def send(
        self,
        signed: SignedEnvelope,
        *,
        keyset: Keyset | None = None,
        timeout: float = CALL,
        method: str = "SubmitQuery",
    ) -> exchange_pb2.SubmitQueryResponse:
        """Put an envelope on the wire as it is; raises grpc.RpcError."""
        request = exchange_pb2.SubmitQueryRequest(envelope=signed_envelope.envelope_of(signed))
        return self.post(request.SerializeToString(), keyset=keyset, timeout=timeout, method=method)

    def post(
        self,
        octets: bytes,
        *,
        keyset: Keyset | None = None,
        timeout: float | None = CALL,
        method: str = "SubmitQuery",
    ) -> exchange_pb2.SubmitQueryResponse:
        """Put bytes on the wire as they are."""
        key, chain = (keyset or self.pair.keyset).tls()
        roots = own_bundle(self.pair.home).tls_ca_pem
        with open_channel(self.pair.address, roots=roots, private_key=key, chain=chain) as channel:
            call = channel.unary_unary(
                f"/gateway.v1.ExchangeService/{method}",
                response_deserializer=exchange_pb2.SubmitQueryResponse.FromString,
            )
            return call(octets, timeout=timeout)

    def refused(self, signed: SignedEnvelope, **how: object) -> tuple[str, str]:
        """Send an envelope that must be refused; return gRPC code and reason."""
        with pytest.raises(grpc.RpcError) as caught:
            self.send(signed, **how)
        return verdict(caught.value)


def verdict(error: grpc.RpcError) -> tuple[str, str]:
    """Return the code and the reason of a refusal; it has exactly one reason, or none of ours."""
    status = rpc_status.from_call(error)
    if status is None:
        return error.code().name, ""
    info = error_details_pb2.ErrorInfo()
    reasons = [info.reason for each in status.details if each.Unpack(info)]
    assert len(reasons) == 1
    assert info.domain == "passerelle"
    return error.code().name, reasons[0]


Forger.verdict = staticmethod(verdict)


@pytest.fixture
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no call repeated: what is refused for now is told at once, and its deadline may be generous."""
    monkeypatch.setattr("gateway.client.channel._repeatable", lambda *_, **__: False)


@pytest.fixture
def forger(pair: Pair) -> Forger:
    return Forger(pair)


@pytest.fixture(scope="module")
def shared_forger(shared_pair: Pair) -> Forger:
    return Forger(shared_pair)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds `can` and `aus`, which have imported each other."""
    root = tmp_path_factory.mktemp("parties")
    for party in ("CAN", "AUS"):
        charter = NewHome(party, party, "127.0.0.1:7443", ("127.0.0.1", "localhost"))
        found(
            root / party.lower(),
            charter,
            passphrase=secret,
            auditor=lambda: b"the auditor's own",
            keepers=lambda: b"the root key holders' own",
            now=datetime.now(UTC),
        )
    introduce(root / "can", root / "aus")
    introduce(root / "aus", root / "can")
    settings = root / "can" / "passerelle.toml"
    text = settings.read_text()
    for port in ("7443", "7444", "7445"):
        text = text.replace(port, "0")
    settings.write_text(text.replace("[exchange]", FLOOR))
    with Gateway.open(root / "can", secret) as gateway:
        report = gateway.subjects.registry.enrol([row for seed in ENROLLED for row in rows(seed)])
        assert not report.bad
    return root


def introduce(home: Path, other: Path) -> None:
    octets = (other / "party.json").read_bytes()
    Directory(home / "parties", own_bundle(home).party).import_bundle(octets, fingerprint(octets))


@contextmanager
def serve(home: Path, asker: Path, observe: Callable[[str], None] | None = None) -> Iterator[Pair]:
    keyset = Keyset.load(
        asker / "keys" / "keyset.json", open_custody(f"file:{asker}/keys/kek.json", secret)
    )
    fatal: list[BaseException] = []
    with ExitStack() as closing, Gateway.open(home, secret, on_fatal=fatal.append) as gateway:
        # Some tests call inside of a call: those need turns for both.
        serving = Serving(gateway, observe=observe, at_once=AT_ONCE)
        addresses = serving.start()
        try:
            yield Pair(home, asker, keyset, gateway, serving, addresses, closing)
        finally:
            closing.close()
            serving.stop()


def call(signed: SignedEnvelope, caller: str = "AUS") -> Call:
    """Return a call as the listeners would hand it over."""
    return Call(caller, Operation.SUBMIT_QUERY, signed, lambda: 10.0, lambda: True, Stages())


class People:
    """The synthetic people of these tests, and what a lawful query about them says."""

    unknown = UNKNOWN
    positions = POSITIONS
    refused = Refused
    call = staticmethod(call)
    forger = Forger
    samples = staticmethod(samples)
    poor = staticmethod(poor)
    rows = staticmethod(rows)
    status = staticmethod(status)
    matter = staticmethod(matter)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Leaf]:
    """Return the entries of readings that are committed from now on, with the facts that are then sealed."""
    found: list[Leaf] = []
    commit = Sequencer.commit

    def watched(sequencer: Sequencer, leaves: Any, effects: Any = ()) -> Any:
        done = commit(sequencer, leaves, effects)
        found.extend(leaf for leaf in leaves if leaf.frame.type is EntryType.AUDIT_READ)
        return done

    monkeypatch.setattr(Sequencer, "commit", watched)
    return found


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the entries that are committed from now on, with the facts that are then sealed."""
    found: list[Any] = []
    commit = Sequencer.commit

    def watched(sequencer: Sequencer, leaves: Any, *rest: Any, **named: Any) -> Any:
        found.extend(leaves)
        return commit(sequencer, leaves, *rest, **named)

    monkeypatch.setattr(Sequencer, "commit", watched)
    return found


@pytest.fixture(scope="session")
def people() -> People:
    return People()


@pytest.fixture(scope="session", name="secret")
def secret_fixture() -> Callable[[], bytes]:
    return secret


@pytest.fixture(scope="session", autouse=True)
def officers_passphrase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Have commands of this process read the passphrase of officers' folders from a file."""
    file = tmp_path_factory.mktemp("officers") / "passphrase"
    file.touch(mode=0o600)
    file.write_bytes(OFFICERS)
    os.environ[admin_session.OFFICERS_PASSPHRASE] = str(file)
    yield file
    del os.environ[admin_session.OFFICERS_PASSPHRASE]


def own_keys(folder: Path, person: str) -> officer_keys.Request:
    """Make a person's keys in a folder, sealed at next to no cost."""
    custody = FileCustody.create(folder / officer_keys.KEK, OFFICERS, CHEAP)
    return officer_keys.make(folder, person, custody)


def let_in(
    home: Path,
    person: str,
    roles: list[str],
    folder: Path,
    *,
    passphrase: Callable[[], bytes] = secret,
    by: Path | None = None,
) -> dict[str, object]:
    """Have a person make keys in `folder` and be added, by the operator of a folder, or by custody."""
    wanted, file = own_keys(folder, person), folder / "certificate.json"
    done = admin_session.perform_or_propose(
        *(home, "staff.add", {**wanted.values(), "roles": roles}),
        officer=by,
        passphrase=passphrase,
        custody=by is None,
    )
    return done if "proposal" in done else staff._written(done, file)


@pytest.fixture
def pipe() -> Iterator[Callable[[Path], Path]]:
    """Return what puts a FIFO in a folder; who waits for it is let go after a while, so that a test fails, and ends."""
    made: list[Path] = []
    done = threading.Event()

    def let_go() -> None:
        while not done.wait(10.0):
            for path in made:
                with suppress(OSError):  # nobody waits
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    def make(path: Path) -> Path:
        os.mkfifo(path)
        made.append(path)
        return path

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    yield make
    done.set()
    thread.join()


@pytest.fixture(scope="session", name="own_keys")
def own_keys_fixture() -> Callable[[Path, str], officer_keys.Request]:
    return own_keys


@pytest.fixture(scope="session", name="let_in")
def let_in_fixture() -> Callable[..., dict[str, object]]:
    return let_in


def wish(person: str, *roles: str, **more: object) -> dict[str, object]:
    """Return the arguments of `staff.add` for a person with new keys."""
    keys = officer_keys.OfficerKeys(
        person, secrets.token_bytes(40), secrets.token_bytes(signatures.SEED_BYTES)
    )
    return {**keys.request().values(), "roles": list(roles), **more}


@pytest.fixture(scope="session", name="wish")
def wish_fixture() -> Callable[..., dict[str, object]]:
    return wish


@pytest.fixture(scope="session", name="serve")
def serve_fixture() -> Callable[..., object]:
    return serve


@pytest.fixture(scope="session", name="agree")
def agree_fixture() -> Callable[[Path, str, str], None]:
    """Return what puts an agreement file, signed by the gateway's own key, into a folder."""

    def agree(home: Path, name: str, text: str) -> None:
        custody = open_custody(f"file:{home}/keys/kek.json", secret)
        key = Keyset.load(home / "keys" / "keyset.json", custody).signing()
        signed = home / "agreements" / f"{name}.sig"
        signed.write_text(signature(key, text.encode()))
        (home / "agreements" / name).write_text(text)

    return agree


@pytest.fixture
def homes(folders: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return fresh copies of both folders."""
    for name in ("can", "aus"):
        shutil.copytree(folders / name, tmp_path / name)
    return tmp_path / "can", tmp_path / "aus"


@pytest.fixture
def pair(homes: tuple[Path, Path]) -> Iterator[Pair]:
    """Return a serving gateway of this test alone."""
    with serve(*homes) as serving:
        yield serving


@pytest.fixture(scope="module")
def shared_pair(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return a serving gateway that the tests of a module share."""
    root = tmp_path_factory.mktemp("shared")
    for name in ("can", "aus"):
        shutil.copytree(folders / name, root / name)
    settings = root / "can" / "passerelle.toml"
    # Its tests send hundreds of messages that are refused; test_shares has the rate as it is.
    settings.write_text(settings.read_text().replace(FLOOR, f"{FLOOR}\n{UNBOUND}"))
    with serve(root / "can", root / "aus") as serving:
        yield serving


OPERATOR = frozenset({Role.OPERATOR})


class KeyOperations:
    """The acts on keys in one open gateway."""

    one = Officer("P-1", OPERATOR)
    two = Officer("P-1", OPERATOR, second="P-2")
    other = Officer("P-2", OPERATOR)

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def do(self, act: str, officer: Officer = one, **values: object) -> dict[str, Any]:
        """Do one act, for a reason where it wants one."""
        if act not in {"keys.list", "keys.show"}:
            values = {"reason": "a test", **values}
        return dict(self._gateway.admin.perform(officer, act, values))

    def key(self, kind: KeyKind, state: KeyState) -> str:
        """Return the id of the newest key of a kind in a state."""
        found = [r for r in self._gateway.keyset.records if (r.kind, r.state) == (kind, state)]
        return max(found, key=lambda record: record.created).kid.hex()

    def state(self, kid: str) -> KeyState:
        return self._gateway.keyset.record(bytes.fromhex(kid)).state

    def sight(self, partner: str, version: int) -> None:
        """Have a partner be seen with a version, as the first commit of its message keeps it."""
        gateway = self._gateway
        gateway.sequencer.commit((), rotations.see(partner, version, gateway.clock()))

    def entries(self, kind: EntryType) -> int:
        leaves = stored_ledger.iter_leaves(self._gateway.database)
        return [decode(leaf).type for leaf in leaves].count(kind)


class Clock:
    """A clock of the keys that tests set forward or back; the ledger keeps its own."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self.ahead = gateway, timedelta()
        gateway.keys.active._clock = self
        gateway.keys.rotation._clock = self

    def __call__(self) -> datetime:
        return self._gateway.clock() + self.ahead


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    """Return an open gateway that knows one partner, AUS."""
    with Gateway.open(homes[0], secret) as opened:
        yield opened


@pytest.fixture(scope="session")
def key_operations_of() -> type[KeyOperations]:
    return KeyOperations


@pytest.fixture
def key_operations(gateway: Gateway) -> KeyOperations:
    return KeyOperations(gateway)


@pytest.fixture
def clock(gateway: Gateway) -> Clock:
    return Clock(gateway)
