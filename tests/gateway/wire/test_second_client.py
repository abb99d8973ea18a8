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

from gateway.bundle import fingerprint
from gateway.directory import Directory
from tests.patience import CALL
from tests.vectors.wire import second_client as second

ALLOWED = {"cryptography", "grpc"}


class Maker:
    """The other maker's side: keys of its own, a channel, the bundle of whom it asks."""

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
        response = second.call(self.channel, method, question, CALL)
        return second.believe(question, response, self.peer, time.time_ns() // 1_000_000)

    def refused(self, question: second.Question) -> tuple[str, dict[str, str]]:
        with pytest.raises(grpc.RpcError) as caught:
            second.call(self.channel, "SubmitQuery", question, CALL)
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
    stranger = second.fields(maker.ask("SubmitQuery", maker.query(people.samples(people.stranger))))

    assert second.OUTCOMES[known[1][0]] == "MATCH"
    assert len(known[2][0]) == 16
    assert second.OUTCOMES[stranger[1][0]] == "NO_MATCH"


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


def test_which_check_of_the_envelope_failed_is_said(maker: Maker, people: Any) -> None:
    """Key and signature anybody can check who has our bundle; all that needs the private key is one word."""

    def signed(question: second.Question, by: second.SigningPair) -> second.Question:
        text = second.transcript(question.header, question.sealed)
        return replace(question, signature=by.sign(text, second.REQUEST_CONTEXT))

    lawful = maker.query(people.samples(1))
    other = second.SigningPair(secrets.token_bytes(64))
    unsealed = replace(lawful, sealed=lawful.sealed[:-1] + bytes([lawful.sealed[-1] ^ 1]))
    stranger = second.compose(
        lawful.values,
        second.reply_payload,
        signer=other,
        recipient=maker.peer.kem(lawful.values["create_time"]),
        at_least=65536,
    )

    assert maker.refused(signed(lawful, other))[1] == {"check": "SIGNATURE"}
    assert maker.refused(stranger)[1] == {"check": "SIGNING_KEY"}
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
