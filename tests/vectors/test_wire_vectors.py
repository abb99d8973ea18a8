"""docs/wire-format.md, its vectors, our code and a client of another maker say the same."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from gateway.client import channel
from gateway.domain.messages import Operation
from gateway.errors import Refusal, remade
from gateway.ledger import entry
from gateway.v1 import audit_pb2, directory_pb2, exchange_pb2, ledger_pb2, types_pb2
from gateway.wire import canonical_form, decoding, query_payload, signed_envelope
from keys import envelope, pae, signatures
from tests.vectors.wire import generate
from tests.vectors.wire import second_client as second

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "wire-format.md"
NOW = int(datetime(2026, 3, 1, 12, 0, 4, tzinfo=UTC).timestamp() * 1000)
PROTOS = (types_pb2, exchange_pb2, ledger_pb2, directory_pb2)
SCALARS = {
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}


@cache
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


@cache
def vectors() -> Any:
    return json.loads(generate.FILE.read_text(encoding="utf-8"))


def octets(*path: str) -> bytes:
    value = vectors()
    for name in path:
        value = value[name]
    return bytes.fromhex(value)


def rows(first: str) -> dict[str, list[str]]:
    """Return the rows of the table whose head begins with a word, by their first cell."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", document(), re.MULTILINE)
    assert table is not None, first
    cells = [
        [cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table[1].splitlines()
    ]
    return {each[0].strip(" |`"): [cell.strip(" |") for cell in each[1:]] for each in cells}


def block(name: str) -> dict[str, list[str]]:
    """Return the entries of a fenced block: name, then numbered items."""
    found = re.search(rf"^```{name}\n(.*?)^```", document(), re.MULTILINE | re.DOTALL)
    assert found is not None
    entries = re.sub(r"\n  ", " ", found[1]).splitlines()
    parts = [entry_.partition(":") for entry_ in entries]
    return {head: [each for each in rest.strip().split(", ") if each] for head, _, rest in parts}


# The vectors and the code


def test_the_generator_makes_the_vectors_as_they_are() -> None:
    """Our code gives the same bytes at each step, today and at each upgrade of a library."""
    assert generate.text(vectors()["draws"]) == generate.FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("rejected", vectors()["rejections"], ids=lambda each: str(each["name"]))
def test_a_rejection_of_the_vectors_is_one(rejected: Any) -> None:
    part = "header" if "header" in rejected else "payload"
    read: Any = signed_envelope.parse_header if part == "header" else query_payload.read_query
    spelt, told = bytes.fromhex(rejected[part]), rejected["told"]
    if told is None:
        assert read(spelt) == read(octets("query", part))
        return
    with pytest.raises(Refusal) as caught:
        read(spelt)
    assert (caught.value.reason, caught.value.metadata) == (told["reason"], told["metadata"])


# The vectors and the second client


@pytest.mark.parametrize(("kind", "name"), [("kem", "CAN"), ("kem", "reply"), ("signing", "AUS")])
def test_the_second_client_makes_the_same_keys(kind: str, name: str) -> None:
    pair = (second.KemPair if kind == "kem" else second.SigningPair)(
        octets("keys", kind, name, "seed")
    )

    assert pair.public == octets("keys", kind, name, "public")
    assert second.key_id(pair.public) == octets("keys", kind, name, "key_id")


@pytest.mark.parametrize(
    ("name", "to", "least", "signer"),
    [("query", "CAN", 65536, "AUS"), ("answer", "reply", 0, "CAN")],
)
def test_the_second_client_takes_every_step(name: str, to: str, least: int, signer: str) -> None:
    step = vectors()[name]
    padded = second.padded(octets(name, "payload"), least)
    assert (len(padded), hashlib.sha256(padded).hexdigest()) == (
        step["padded_size"],
        step["padded_sha256"],
    )
    salt, header = octets(name, "salt"), octets(name, "header")
    assert second.commitment(salt, padded) == octets(name, "commitment")
    values = second.header_values(header)
    assert second.header_bytes(values) == header
    assert values["payload_commitment"] == octets(name, "commitment")

    info = second.pae(second.HPKE_LABEL, header)
    pair = second.KemPair(octets("keys", "kem", to, "seed"))
    shared = pair.decapsulate(octets(name, "encapsulation"))
    steps = {"info": info, "shared_secret": shared, **second.key_schedule(shared, info)}
    assert {each: value.hex() for each, value in steps.items()} == step["hpke"]
    sealed = second.hpke_seal(shared, octets(name, "encapsulation"), info, salt + padded)
    assert (len(sealed), hashlib.sha256(sealed).hexdigest()) == (
        step["sealed_size"],
        step["sealed_sha256"],
    )
    assert second.unsealed(pair, header, sealed) == octets(name, "payload")

    text = second.transcript(header, sealed)
    assert hashlib.sha256(text).hexdigest() == step["transcript_hash"]
    context = step["context"].encode()
    assert second.representative(text, context) == octets(name, "representative")
    public = octets("keys", "signing", signer, "public")
    second.verify(public, octets(name, "signature"), text, context)


def answered() -> tuple[second.Question, bytes]:
    """Return the question and the whole response of the vectors."""
    sealed = {}
    for name, to in (("query", "CAN"), ("answer", "reply")):
        least = 65536 if name == "query" else 0
        plain = octets(name, "salt") + second.padded(octets(name, "payload"), least)
        pair = second.KemPair(octets("keys", "kem", to, "seed"))
        drawn = octets(name, "encapsulation")
        info = octets(name, "hpke", "info")
        sealed[name] = second.hpke_seal(pair.decapsulate(drawn), drawn, info, plain)
    header = octets("query", "header")
    question = second.Question(
        second.header_values(header),
        header,
        sealed["query"],
        octets("query", "signature"),
        second.KemPair(octets("keys", "kem", "reply", "seed")),
    )
    parts = [
        (1, octets("answer", "header")),
        (2, sealed["answer"]),
        (3, octets("answer", "signature")),
    ]
    receipt = [
        (1, octets("receipt", "leaf")),
        (2, vectors()["receipt"]["tlog_proof"].encode()),
    ]
    return question, second.message([(1, second.message(parts)), (2, second.message(receipt))])


def test_the_second_client_believes_the_answer_of_the_vectors() -> None:
    question, response = answered()
    file = vectors()["bundle"]["file"].encode()

    assert second.fingerprint(file) == vectors()["bundle"]["fingerprint"]
    payload = second.believe(question, response, second.Bundle(file), NOW).payload
    assert second.OUTCOMES[second.fields(payload)[1][0]] == "NO_MATCH"


def test_the_second_client_believes_no_other() -> None:
    """One bit anywhere in the response, and it is not believed."""
    question, response = answered()
    peer = second.Bundle(vectors()["bundle"]["file"].encode())
    for at in range(40, len(response), 211):
        spoilt = bytearray(response)
        spoilt[at] ^= 1
        with pytest.raises(Exception):  # noqa: B017 - whatever it is, nothing is returned
            second.believe(question, bytes(spoilt), peer, NOW)


# The document


def test_the_document_states_the_constants_of_code_and_client() -> None:
    said = {name: cells[0].strip("`") for name, cells in rows("Constant").items()}
    sizes = ", ".join(map(str, envelope.SIZE_CLASSES))
    code = {
        "KID_LABEL": pae.KID_LABEL,
        "COMMIT_LABEL": envelope.COMMIT_LABEL,
        "HPKE_LABEL": envelope.HPKE_LABEL,
        "TRANSCRIPT_LABEL": envelope.TRANSCRIPT_LABEL,
        "REQUEST_CONTEXT": signatures.REQUEST,
        "RESPONSE_CONTEXT": signatures.RESPONSE,
        "COMPOSITE_PREFIX": signatures.PREFIX,
        "COMPOSITE_LABEL": signatures.LABEL,
        "SIZE_CLASSES": sizes.encode(),
        "SMALLEST_QUERY": envelope.SMALLEST_REQUEST_QUERY,
        "SALT_BYTES": envelope.SALT_BYTES,
        "SEALED_OVERHEAD": envelope.OVERHEAD,
        "KEM_PUBLIC_BYTES": envelope.PUBLIC_BYTES,
        "KEM_SEED_BYTES": envelope.SEED_BYTES,
        "SIGNING_PUBLIC_BYTES": signatures.PUBLIC_BYTES,
        "SIGNATURE_BYTES": signatures.SIGNATURE_BYTES,
        "MAX_HEADER_BYTES": signed_envelope.MAX_HEADER,
        "LEAF_BYTES": entry.LEAF_SIZE,
        "MAX_MESSAGE_BYTES": channel.MESSAGE_BYTES,
    }

    assert said == {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in code.items()
    }
    for name in ("KID_LABEL", "COMMIT_LABEL", "HPKE_LABEL", "TRANSCRIPT_LABEL", "COMPOSITE_LABEL"):
        assert getattr(second, name).decode() == said[name]


def test_the_document_states_every_message_and_number() -> None:
    def item(field: Any) -> str:
        kind = field.message_type or field.enum_type
        many = "[]" if field.is_repeated else ""
        return f"{field.number} {field.name} {kind.name if kind else SCALARS[field.type]}{many}"

    kinds = [
        kind
        for proto in PROTOS
        for kind in proto.DESCRIPTOR.message_types_by_name.values()
        if proto is not exchange_pb2 or not kind.name.endswith(("Request", "Response"))
    ]
    kinds.append(audit_pb2.LeafFrame.DESCRIPTOR)

    assert block("messages") == {kind.name: list(map(item, kind.fields)) for kind in kinds}


def test_the_document_states_every_enumeration_and_number() -> None:
    kinds = {
        kind.name: kind
        for proto in (types_pb2, exchange_pb2, audit_pb2)
        for kind in proto.DESCRIPTOR.enum_types_by_name.values()
    }
    code = {}
    for name, kind in kinds.items():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() + "_"
        code[name] = [
            f"{each.number} {each.name.removeprefix(prefix)}" for each in kind.values if each.number
        ]

    assert block("enumerations") == code


def test_the_document_states_what_each_operation_demands_of_a_header() -> None:
    said = {cells[0]: set(re.findall(r"`(\w+)`", cells[3])) for cells in rows("Method").values()}

    assert said == {each.name: set(signed_envelope.DEMANDED.get(each, ())) for each in Operation}


def test_the_document_states_a_rule_for_each_field_of_a_header() -> None:
    named = [name for first in rows("Field") for name in re.findall(r"\w+", first)]

    assert len(set(named)) == len(named)
    assert set(named) == {field.name for field in types_pb2.Header.DESCRIPTOR.fields}


def test_the_document_lists_every_rule_and_every_reason_exists() -> None:
    ours = {
        value
        for module in (decoding, canonical_form)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and value.isupper()
    }

    within = {
        "STAFF_UNKNOWN",
        "ROLE_REQUIRED",
        "OFFICER_REFUSED",
        "TWO_PERSONS",
        "ACT_REFUSED",
    }  # at our own listener
    within |= {
        "PERSECUTION_EXCLUSION",
        "PERSECUTION_NOT_STATED",
        "SUBJECT_OUT_OF_SCOPE",
    }  # by our own law
    said = {
        (code.strip("`"), reason)
        for code, cells in rows("Code").items()
        for reason in re.findall(r"[A-Z_]{4,}", cells[0])
    }
    kinds = [Refusal]
    for each in kinds:
        kinds += each.__subclasses__()
    known = {(each.code, each.reason) for each in kinds if getattr(each, "reason", "")}
    assert said - {("INTERNAL", "INTERNAL")} == {one for one in known if one[1] not in within}

    assert set(rows("Rule")) == ours | {"NOT_A_KEY", "SIZE_CLASS"}
    for first in rows("Reason"):
        for reason in re.findall(r"[A-Z_]+", first):
            if reason != "INTERNAL":
                assert remade(reason, "", {}).reason == reason
