"""Another maker's client, written from docs/wire-format.md alone, asks a real gateway and believes its answer."""

from __future__ import annotations

import ast
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from gateway.admin.operation import Officer
from gateway.domain.person import Datum, FieldCode, Record
from gateway.operations.declaration import Role
from gateway.store.people import person_records as store
from gateway.store.people import subjects
from gateway.trust.bundle import fingerprint
from gateway.trust.partners import Directory
from tests.patience import CALL
from tests.vectors.wire import second_client as second

ALLOWED = {"cryptography", "grpc"}


class Maker:
    """The other maker's side: keys of its own, a channel, the bundle of whom it asks."""

    gateway: Any
    kept: second.Checkpoint | None = None

    def __init__(self) -> None:
        self.kem = second.KemPair(secrets.token_bytes(32))
        self.signing = second.SigningPair(secrets.token_bytes(64))
        self.tls = second.Tls.made("AUS")
        origin = "aus.example/exchange-log"
        ed = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        ml = mldsa.MLDSA44PrivateKey.generate().public_key().public_bytes_raw()
        log = origin, second.vkey(origin, 1, ed), second.vkey(origin, 6, ml)
        self.file = second.publish(
            "AUS",
            "aus.example:7443",
            kem=self.kem,
            signing=self.signing,
            tls=self.tls,
            log=log,
        )

    def connect(self, address: str, bundle: bytes) -> None:
        self.peer = second.Bundle(bundle)
        roots = "".join(self.peer.values["tls_ca"]).encode()
        credentials = grpc.ssl_channel_credentials(roots, self.tls.key, self.tls.leaf)
        self.channel = grpc.secure_channel(address, credentials)

    def compose(
        self, operation: str, payload: Callable[[bytes], bytes], at_least: int = 0, **more: Any
    ) -> second.Question:
        now = time.time_ns() // 1_000_000
        values = {
            "operation": second.OPERATIONS.index(operation) + 1,
            "sender_id": "AUS",
            "recipient_id": "CAN",
            "message_id": secrets.token_bytes(16),
            "create_time": now,
            "expire_time": now + 300_000,
            "directory_version": self.peer.version,
            **more,
        }
        recipient = self.peer.kem(now)
        return second.compose(
            values, payload, signer=self.signing, recipient=recipient, at_least=at_least
        )

    def query(self, samples: Any, at_least: int = second.SMALLEST_QUERY) -> second.Question:
        records = [
            {"position": each.position, "format": 1, "extractor": "synthetic-1", "data": each.data}
            for each in samples
        ]
        return self.compose(
            "SUBMIT_QUERY",
            lambda reply: second.query_payload(reply, records),
            at_least,
            transaction_number=f"OTHER-{secrets.token_hex(8)}",
            agreement_id="au",
            agreement_version=1,
            purpose=1,
        )

    def ask(self, method: str, question: second.Question) -> bytes:
        return self.believed(method, question).payload

    def believed(self, method: str, question: second.Question) -> second.Believed:
        """Ask, and hold the ledger to the checkpoint that was kept of the answer before."""
        response = second.call(self.channel, method, question, CALL)
        self.answered = len(response)
        told = second.believe(question, response, self.peer, time.time_ns() // 1_000_000)
        if self.kept is not None:
            second.demand_only_grown(self.channel, self.kept, told.checkpoint, CALL)
        self.kept = told.checkpoint
        return told

    def details(
        self, number: str, reference: bytes, *wanted: str, purpose: int = 1
    ) -> second.Question:
        return self.compose(
            "REQUEST_HIT_DETAILS",
            lambda reply: second.details_payload(reply, reference, wanted),
            transaction_number=f"OTHER-{secrets.token_hex(8)}",
            transaction_reference=number,
            agreement_id="au",
            agreement_version=1,
            purpose=purpose,
        )

    def refused(
        self, question: second.Question, method: str = "SubmitQuery"
    ) -> tuple[str, dict[str, str]]:
        with pytest.raises(grpc.RpcError) as caught:
            second.call(self.channel, method, question, CALL)
        return second.reason(caught.value)


@pytest.fixture(scope="module")
def maker(folders: Path, tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[Maker]:
    root = tmp_path_factory.mktemp("second")
    for name in ("can", "aus"):
        shutil.copytree(folders / name, root / name)
    other = Maker()
    assert second.fingerprint(other.file) == fingerprint(other.file)
    Directory(root / "can" / "parties", "CAN").import_bundle(
        other.file, second.fingerprint(other.file)
    )
    with serve(root / "can", root / "aus") as pair:
        other.connect(pair.address, (root / "can" / "party.json").read_bytes())
        other.gateway = pair.gateway
        with other.channel:
            yield other


def test_the_second_client_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(second.__file__).read_text(encoding="utf-8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
        )
    }

    assert not names & {"gateway", "keys", "matcher", "tests"}
    assert names >= ALLOWED


def test_a_second_client_asks_and_believes(maker: Maker, people: Any) -> None:
    known = second.fields(maker.ask("SubmitQuery", maker.query(people.samples(1))))
    unknown = second.fields(maker.ask("SubmitQuery", maker.query(people.samples(people.unknown))))

    assert second.OUTCOMES[known[1][0]] == "MATCH"
    assert len(known[2][0]) == 16
    assert second.OUTCOMES[unknown[1][0]] == "NO_MATCH"


def test_a_second_client_asks_what_is_accepted(maker: Maker) -> None:
    question = maker.compose("GET_CAPABILITIES", second.reply_payload)
    told = second.fields(maker.ask("GetCapabilities", question))

    sizes = b"".join(map(second.varint, second.SIZE_CLASSES))
    assert told[3] == [sizes]
    assert told[7] == [maker.peer.version]


def test_a_query_smaller_than_others_is_refused_by_its_size(maker: Maker, people: Any) -> None:
    """Its size would say what it holds; the rule depends on lengths alone."""
    small = maker.query(people.samples(1), at_least=0)

    assert len(small.sealed) == 4096 + 32 + 1136
    told = {"element": "envelope.sealed", "rule": "SIZE_CLASS"}
    assert maker.refused(small) == ("HEADER_INVALID", told)


def test_only_a_query_may_have_the_size_class_of_images(maker: Maker, people: Any) -> None:
    """An answer to it is no larger than any other; whoever asks anything else with two megabytes is refused."""
    large = maker.query(people.samples(1), at_least=2_097_152)
    assert len(large.sealed) == 2_097_152 + 32 + 1136

    found = second.fields(maker.ask("SubmitQuery", large))
    assert second.OUTCOMES[found[1][0]] == "MATCH"
    assert maker.answered < 65_536
    maker.ask("SubmitQuery", maker.query(people.samples(1)))
    assert maker.answered < 65_536

    other = maker.compose("GET_CAPABILITIES", second.reply_payload, at_least=2_097_152)
    told = {"element": "envelope.sealed", "rule": "SIZE_CLASS"}
    assert maker.refused(other, "GetCapabilities") == ("HEADER_INVALID", told)


def test_which_check_of_the_envelope_failed_is_said(maker: Maker, people: Any) -> None:
    """Key and signature anybody can check who has our bundle; all that needs the private key is one word."""

    def signed(question: second.Question, by: second.SigningPair) -> second.Question:
        text = second.transcript(question.header, question.sealed)
        return replace(question, signature=by.sign(text, second.REQUEST_CONTEXT))

    lawful = maker.query(people.samples(1))
    other = second.SigningPair(secrets.token_bytes(64))
    unsealed = replace(lawful, sealed=lawful.sealed[:-1] + bytes([lawful.sealed[-1] ^ 1]))
    unknown = second.compose(
        lawful.values,
        second.reply_payload,
        signer=other,
        recipient=maker.peer.kem(lawful.values["create_time"]),
        at_least=65536,
    )

    assert maker.refused(signed(lawful, other))[1] == {"check": "SIGNATURE"}
    assert maker.refused(unknown)[1] == {"check": "SIGNING_KEY"}
    assert maker.refused(signed(unsealed, maker.signing)) == (
        "ENVELOPE_REJECTED",
        {"check": "SEAL"},
    )


def test_bytes_that_are_no_message_have_a_reason(maker: Maker) -> None:
    send: Any = maker.channel.unary_unary("/gateway.v1.ExchangeService/SubmitQuery")
    with pytest.raises(grpc.RpcError) as caught:
        send(b"\xff\xff", timeout=CALL)

    told = {"element": "request", "rule": "NOT_A_MESSAGE"}
    assert second.reason(caught.value) == ("HEADER_INVALID", told)


def test_the_clock_that_is_wrong_is_named(maker: Maker) -> None:
    late = maker.compose("GET_CAPABILITIES", second.reply_payload)
    hour = 3_600_000
    old = dict(
        late.values,
        create_time=late.values["create_time"] - hour,
        expire_time=late.values["expire_time"] - hour,
    )
    question = second.compose(
        old,
        second.reply_payload,
        signer=maker.signing,
        recipient=maker.peer.kem(old["create_time"] + hour),
    )
    with pytest.raises(grpc.RpcError) as caught:
        second.call(maker.channel, "GetCapabilities", question, CALL)
    reason, metadata = second.reason(caught.value)

    assert (reason, metadata["rule"]) == ("OUTSIDE_TIME_WINDOW", "EXPIRED")
    assert "server_time" in metadata


DATA = {
    FieldCode.LAST_NAME: Datum(b"Canary"),
    FieldCode.FIRST_NAME: Datum(b"Zara"),
    FieldCode.DATE_OF_BIRTH: Datum(b"1990-01-02"),
    FieldCode.PHOTOGRAPH: Datum(b"\xff\xd8" + bytes(90_000), "image/jpeg"),
}


@pytest.fixture
def matched(maker: Maker, people: Any) -> Callable[[int], tuple[str, dict[int, list[Any]]]]:
    """Return what records data of a person and asks about them: number and fields of the answer."""

    def ask(seed: int) -> tuple[str, dict[int, list[Any]]]:
        gateway = maker.gateway
        with gateway.database.reader() as reader:
            subject = subjects.find(reader, f"P-{seed}")
            assert subject is not None
            held = store.read_record(reader, gateway.keys.data_key, subject)
        record = Record(status=held.status, data=DATA, version=held.version + 1)
        written = store.write_record(subject, record, gateway.keys.data_key, gateway.clock())
        gateway.sequencer.commit((), (written,))
        question = maker.query(people.samples(seed))
        number = str(question.values["transaction_number"])
        return number, second.fields(maker.ask("SubmitQuery", question))

    return ask


def test_a_second_client_gets_details_of_a_match_and_proves_them(
    maker: Maker, matched: Any
) -> None:
    """The second step: each field with its paragraph; and what both steps asked for is in one ledger that only grew."""
    number, answer = matched(1)
    (reference,), (request_leaf,) = answer[2], answer[6]

    asked = maker.details(number, reference, "DATE_OF_BIRTH", "LAST_NAME", "PHOTOGRAPH", "GENDER")
    told = maker.believed("RequestHitDetails", asked)
    details = second.details_of(told.payload)

    assert details.outcome == "DISCLOSED"
    assert {name: value for name, (value, _, _) in details.fields.items()} == {
        "LAST_NAME": b"Canary",
        "DATE_OF_BIRTH": b"1990-01-02",
        "PHOTOGRAPH": DATA[FieldCode.PHOTOGRAPH].value,
    }
    assert [medium for _, medium, _ in details.fields.values()] == [
        *("text/plain", "text/plain", "image/jpeg")
    ]
    assert all(
        paragraph.startswith("IRPR 315.41(2)(") for _, _, paragraph in details.fields.values()
    )
    assert details.withheld is None
    second.demand_included(maker.channel, request_leaf, told.checkpoint, CALL)
    with pytest.raises(grpc.RpcError) as caught:
        second.demand_included(maker.channel, bytes(32), told.checkpoint, CALL)
    assert second.reason(caught.value)[0] == "ELEMENT_INVALID"


def test_a_second_client_believes_no_details_whose_proof_was_altered(
    maker: Maker, matched: Any
) -> None:
    number, answer = matched(2)
    asked = maker.details(number, answer[2][0], "LAST_NAME")
    response = second.call(maker.channel, "RequestHitDetails", asked, CALL)
    parts = {name: each[0] for name, each in second.fields(response).items()}
    leaf, proof = (each[0] for each in second.fields(parts[2]).values())
    index, hashes, note = second.open_proof(proof)
    now = time.time_ns() // 1_000_000

    def held(altered: list[bytes], at: int = index) -> bytes:
        lines = b"".join(second.base64.b64encode(each) + b"\n" for each in altered)
        text = b"c2sp.org/tlog-proof@v1\nindex %d\n%s\n%s" % (at, lines, note)
        return second.message([(1, parts[1]), (2, second.message([(1, leaf), (2, text)]))])

    assert second.believe(asked, held(hashes), maker.peer, now).payload
    for altered in ([bytes(32), *hashes[1:]], hashes[1:], [*hashes, bytes(32)]):
        with pytest.raises(second.Disbelieved):
            second.believe(asked, held(altered), maker.peer, now)
    with pytest.raises(second.Disbelieved):
        second.believe(asked, held(hashes, index ^ 1), maker.peer, now)
    other = maker.details(number, answer[2][0], "LAST_NAME")
    with pytest.raises(second.Disbelieved, match="recipient_kem_key_id"):
        second.believe(other, response, maker.peer, now)


def test_a_second_client_reads_a_refusal_that_is_signed(maker: Maker, matched: Any) -> None:
    """An official's refusal is an answer: in the ledger, signed, with its ground, for a part or for the whole."""
    number, answer = matched(3)
    decision = {"person": "P-3", "ground": "PUBLIC_POLICY", "reason": "file 12"}
    part = {"scope": "PART", "fields": ["LAST_NAME"], **decision}
    officer = Officer("P-9", frozenset({Role.CASEWORKER}))
    maker.gateway.admin.perform(officer, "decision.refuse", part)

    asked = maker.details(number, answer[2][0], "LAST_NAME", "DATE_OF_BIRTH")
    some = second.details_of(maker.ask("RequestHitDetails", asked))
    maker.gateway.admin.perform(officer, "decision.refuse", {"scope": "ALL", **decision})
    none = second.details_of(
        maker.ask(
            "RequestHitDetails", maker.details(number, answer[2][0], "LAST_NAME", "DATE_OF_BIRTH")
        )
    )
    _, again = matched(3)

    assert (some.outcome, list(some.fields)) == ("DISCLOSED", ["DATE_OF_BIRTH"])
    assert some.withheld == ("PART", "PUBLIC_POLICY")
    assert (none.outcome, none.fields) == ("DISCLOSED", {})
    assert none.withheld == ("ALL", "PUBLIC_POLICY")
    assert second.OUTCOMES[again[1][0]] == "REFUSED"
    assert second.withheld(again[4]) == ("ALL", "PUBLIC_POLICY")
    assert 2 not in again


def test_a_second_client_is_told_why_details_are_not_given(maker: Maker, matched: Any) -> None:
    number, answer = matched(4)
    (reference,) = answer[2]
    maker.ask("RequestHitDetails", maker.details(number, reference, "LAST_NAME"))

    def refused(*wanted: str, purpose: int = 1) -> tuple[str, dict[str, str]]:
        asked = maker.details(number, reference, *wanted, purpose=purpose)
        return maker.refused(asked, "RequestHitDetails")

    guessed = maker.details(number, bytes(16), "LAST_NAME")
    unknown = second.details_of(maker.ask("RequestHitDetails", guessed))

    assert refused("DATE_OF_BIRTH") == ("HIT_REFERENCE_SPENT", {})
    assert refused("LAST_NAME", "FINGERPRINTS")[0] == "FIELD_NOT_PERMITTED"
    assert refused("LAST_NAME", purpose=2) == (
        "PURPOSE_NOT_PERMITTED",
        {"element": "header.purpose"},
    )
    assert unknown == second.Details("UNAVAILABLE", {}, None)
