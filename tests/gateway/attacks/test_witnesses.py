"""Partners as witnesses of our ledger: what they cosign, what is kept of it, and what convicts us."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import note
from gateway.audit.entry import EntryType, decode
from gateway.audit.note import Checkpoint, VerifierKey
from gateway.audit.policy import Policy
from gateway.client import Refused
from gateway.client.errors import SplitView
from gateway.directory import own_bundle
from gateway.errors import EvidenceOverdue
from gateway.office import renewal
from gateway.store import ledger
from gateway.v1 import ledger_pb2
from keys.sign import WitnessKey


def add(pair: Any, signed: bytes) -> str:
    """Bring a cosignature by hand; return the reason of the refusal, or nothing."""
    with pair.partner() as partner, partner._dialogue._lines.held() as line:
        request = ledger_pb2.AddCosignatureRequest(checkpoint=signed)
        try:
            partner._dialogue._courier.carry(
                line.ledger.AddCosignature, request, time.monotonic() + 10
            )
        except Refused as refused:
            return str(refused.metadata.get("element", refused.reason))
    return ""


@pytest.fixture
def newest(pair: Any, people: Any) -> bytes:
    with pair.partner() as partner:
        partner.query(people.samples(1), **people.matter())
    signed: bytes = pair.house.sequencer.latest_checkpoint()
    return signed


def test_a_partner_cosigns_and_whoever_asks_sees_it(pair: Any, people: Any) -> None:
    with pair.partner() as partner:
        partner.query(people.samples(1), **people.matter())
        checkpoint = partner.cosign()

    signed = pair.house.witnesses.cosigned()
    key = VerifierKey.parse(own_bundle(pair.asker).witness)
    assert note.line_of(signed, key) is not None
    assert own_bundle(pair.home).log.open(signed) == checkpoint
    assert [row["witness"] for row in pair.house.witnesses.latest()] == ["passerelle/AUS/witness"]


def test_of_a_day_the_newest_cosignature_is_kept(pair: Any, people: Any) -> None:
    with pair.partner() as partner:
        partner.query(people.samples(1), **people.matter())
        first = partner.cosign()
        partner.query(people.samples(2), **people.matter())
        second = partner.cosign()

    assert first.size < second.size
    assert [row["size"] for row in pair.house.witnesses.latest()] == [second.size]


def test_a_checkpoint_from_the_future_is_refused(pair: Any, newest: bytes) -> None:
    log = pair.house.keyset.log()
    ahead = note.sign_checkpoint(
        Checkpoint("passerelle/CAN", 10**6, bytes(32)), log, pair.house.clock()
    )

    assert add(pair, cosign(pair, ahead)) == "checkpoint"


def test_a_checkpoint_of_another_origin_is_refused(pair: Any, newest: bytes) -> None:
    other = note.sign_checkpoint(
        Checkpoint("passerelle/USA", 3, bytes(32)), pair.house.keyset.log(), pair.house.clock()
    )

    assert add(pair, cosign(pair, other)) == "checkpoint"


def test_a_fork_that_we_signed_is_not_kept_as_ours(pair: Any, newest: bytes) -> None:
    """Even under our own keys: what the ledger does not hold is no checkpoint of it."""
    size = own_bundle(pair.home).log.open(newest).size
    fork = note.sign_checkpoint(
        Checkpoint("passerelle/CAN", size, b"f" * 32), pair.house.keyset.log(), pair.house.clock()
    )

    assert add(pair, cosign(pair, fork)) == "checkpoint"


def test_a_witness_whom_nobody_knows_is_not_kept(pair: Any, newest: bytes) -> None:
    stranger = WitnessKey.generate()
    signed = note.cosign(newest, "passerelle/USA/witness", stranger, pair.house.clock())

    assert add(pair, signed) == "cosignature"
    assert add(pair, newest) == "cosignature"  # nobody's line at all


def test_a_line_of_anothers_key_under_a_known_name_is_not_kept(pair: Any, newest: bytes) -> None:
    signed = note.cosign(
        newest, "passerelle/AUS/witness", WitnessKey.generate(), pair.house.clock()
    )

    assert add(pair, signed) == "cosignature"


def test_a_spoilt_line_of_a_known_witness_is_refused(pair: Any, newest: bytes) -> None:
    line = note.parse_note(cosign(pair, newest)).signatures[-1]
    spoilt = note.SignatureLine(line.name, line.key_id, line.payload[:-1] + b"\0")

    assert add(pair, note.with_lines(newest, [spoilt])) == "cosignature"


def cosign(pair: Any, signed: bytes) -> bytes:
    key = pair.keyset.log().witness()
    return note.cosign(signed, "passerelle/AUS/witness", key, pair.house.clock())


def test_split_view_is_not_cosigned(pair: Any, people: Any, tmp_path: Path) -> None:
    """The ledger shows another tree than the one we keep: no line of ours, but evidence."""
    witness = tmp_path / "CAN.checkpoint"
    size = pair.house.sequencer.size
    fork = note.sign_checkpoint(
        Checkpoint("passerelle/CAN", size, b"f" * 32), pair.house.keyset.log(), pair.house.clock()
    )
    witness.write_bytes(fork)

    with pair.partner(witness=witness) as partner, pytest.raises(SplitView) as caught:
        partner.cosign()

    assert caught.value.evidence is not None
    assert pair.house.witnesses.cosigned() == b""


def test_a_quorum_that_is_late_is_an_alarm_and_then_the_end_of_service(
    pair: Any, people: Any, monkeypatch: Any
) -> None:
    house, witnesses = pair.house, pair.house.witnesses
    vkey = renewal.witness_of(pair.keyset, "AUS")
    witnesses._policy = Policy.parse(f"witness aus {vkey}\nquorum aus\n".encode())
    now = house.clock()
    witnesses.round()
    assert "WITNESSES" not in house.overdue.standing

    witnesses._clock = lambda: now + timedelta(minutes=20)
    witnesses.round()
    assert "WITNESSES" in house.overdue.standing
    with pytest.raises(EvidenceOverdue):
        house.overdue.demand(now + timedelta(hours=5))

    with pair.partner() as partner:
        partner.cosign()
    witnesses._clock = house.clock
    witnesses.round()
    house.overdue.demand(now + timedelta(hours=5))
    frames = [decode(leaf) for leaf in ledger.iter_leaves(house.database)]
    said = [f.subject_reference for f in frames if f.type is EntryType.ALARM]
    assert said == ["RAISE/EVIDENCE_WITNESSES", "CLEAR/EVIDENCE_WITNESSES"]


def test_our_own_gateway_accuses_once_for_each_evidence(pair: Any) -> None:
    before = pair.house.sequencer.size

    for _ in range(3):
        pair.house.witnesses.accuse("AUS", "ab" * 32)

    assert pair.house.sequencer.size == before + 1
