"""Partners as witnesses of our ledger: what they cosign, what is kept of it, and what convicts us."""

from __future__ import annotations

import time
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.client import Refused, signed_request
from gateway.client.errors import SplitView
from gateway.errors import EvidenceOverdue
from gateway.keymanagement import bundle_renewal
from gateway.ledger import signed_note
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.signed_note import Checkpoint, KeyType, VerifierKey
from gateway.ledger.witness_policy import Policy
from gateway.outbound.transport import Fate
from gateway.server.partner_transport import GrpcTransport
from gateway.store.ledger import stored_ledger, witness_evidence
from gateway.trust.partners import own_bundle
from gateway.v1 import ledger_pb2
from keys.signatures import WitnessKey
from tests.patience import CALL


def add(pair: Any, signed: bytes) -> str:
    """Bring a cosignature by hand; return the reason of the refusal, or nothing."""
    with pair.partner() as partner, partner._dialogue._lines.held() as line:
        request = ledger_pb2.AddCosignatureRequest(checkpoint=signed)
        try:
            partner._dialogue._transport.carry(
                line.ledger.AddCosignature, request, time.monotonic() + CALL
            )
        except Refused as refused:
            return str(refused.metadata.get("element", refused.reason))
    return ""


@pytest.fixture
def newest(pair: Any, people: Any) -> bytes:
    with pair.partner() as partner:
        partner.query(people.samples(1), **people.matter())
    signed: bytes = pair.gateway.sequencer.latest_checkpoint()
    return signed


def test_a_partner_cosigns_and_whoever_asks_sees_it(pair: Any, people: Any) -> None:
    with pair.partner() as partner:
        partner.query(people.samples(1), **people.matter())
        checkpoint = partner.cosign()

    signed = pair.gateway.evidence.witnesses.cosigned()
    key = VerifierKey.parse(own_bundle(pair.asker).witness)
    assert signed_note.line_of(signed, key) is not None
    assert own_bundle(pair.home).log.open(signed) == checkpoint
    assert [row["witness"] for row in pair.gateway.evidence.witnesses.latest()] == [
        "passerelle/AUS/witness"
    ]


def test_of_a_day_the_newest_cosignature_is_kept(pair: Any, people: Any) -> None:
    with pair.partner() as partner:
        partner.query(people.samples(1), **people.matter())
        first = partner.cosign()
        partner.query(people.samples(2), **people.matter())
        second = partner.cosign()

    assert first.size < second.size
    assert [row["size"] for row in pair.gateway.evidence.witnesses.latest()] == [second.size]


def test_a_checkpoint_from_the_future_is_refused(pair: Any, newest: bytes) -> None:
    log = pair.gateway.keyset.log()
    ahead = signed_note.sign_checkpoint(
        Checkpoint("passerelle/CAN", 10**6, bytes(32)), log, pair.gateway.clock()
    )

    assert add(pair, cosign(pair, ahead)) == "checkpoint"


def test_a_checkpoint_of_another_origin_is_refused(pair: Any, newest: bytes) -> None:
    other = signed_note.sign_checkpoint(
        Checkpoint("passerelle/USA", 3, bytes(32)), pair.gateway.keyset.log(), pair.gateway.clock()
    )

    assert add(pair, cosign(pair, other)) == "checkpoint"


def test_a_fork_that_we_signed_is_not_kept_as_ours(pair: Any, newest: bytes) -> None:
    """Even under our own keys: what the ledger does not hold is no checkpoint of it."""
    size = own_bundle(pair.home).log.open(newest).size
    fork = signed_note.sign_checkpoint(
        Checkpoint("passerelle/CAN", size, b"f" * 32),
        pair.gateway.keyset.log(),
        pair.gateway.clock(),
    )

    assert add(pair, cosign(pair, fork)) == "checkpoint"


def test_a_witness_whom_nobody_knows_is_not_kept(pair: Any, newest: bytes) -> None:
    unknown = WitnessKey.generate()
    signed = signed_note.cosign(newest, "passerelle/USA/witness", unknown, pair.gateway.clock())

    assert add(pair, signed) == "cosignature"
    assert add(pair, newest) == "cosignature"  # nobody's line at all


def test_a_line_of_anothers_key_under_a_known_name_is_not_kept(pair: Any, newest: bytes) -> None:
    signed = signed_note.cosign(
        newest, "passerelle/AUS/witness", WitnessKey.generate(), pair.gateway.clock()
    )

    assert add(pair, signed) == "cosignature"


def test_a_spoilt_line_of_a_known_witness_is_refused(pair: Any, newest: bytes) -> None:
    line = signed_note.parse_note(cosign(pair, newest)).signatures[-1]
    spoilt = signed_note.SignatureLine(line.name, line.key_id, line.payload[:-1] + b"\0")

    assert add(pair, signed_note.with_lines(newest, [spoilt])) == "cosignature"


def cosign(pair: Any, signed: bytes) -> bytes:
    key = pair.keyset.log().witness()
    return signed_note.cosign(signed, "passerelle/AUS/witness", key, pair.gateway.clock())


def test_split_view_is_not_cosigned(pair: Any, people: Any, tmp_path: Path) -> None:
    """The ledger shows another tree than the one we keep: no line of ours, but evidence."""
    witness = tmp_path / "CAN.checkpoint"
    size = pair.gateway.sequencer.size
    fork = signed_note.sign_checkpoint(
        Checkpoint("passerelle/CAN", size, b"f" * 32),
        pair.gateway.keyset.log(),
        pair.gateway.clock(),
    )
    witness.write_bytes(fork)

    with pair.partner(witness=witness) as partner, pytest.raises(SplitView) as caught:
        partner.cosign()

    assert caught.value.evidence is not None
    assert pair.gateway.evidence.witnesses.cosigned() == b""


def test_a_quorum_that_is_late_is_an_alarm_and_then_the_end_of_service(
    pair: Any, people: Any, monkeypatch: Any
) -> None:
    gateway, witnesses = pair.gateway, pair.gateway.evidence.witnesses
    vkey = bundle_renewal.witness_of(pair.keyset, "AUS")
    witnesses._policy = Policy.parse(f"witness aus {vkey}\nquorum aus\n".encode())
    now = gateway.clock()
    witnesses.round()
    assert "WITNESSES" not in gateway.evidence.deadline.standing

    witnesses._clock = lambda: now + timedelta(minutes=40)
    witnesses.round()
    assert "WITNESSES" in gateway.evidence.deadline.standing
    with pytest.raises(EvidenceOverdue):
        gateway.evidence.deadline.demand(now + timedelta(hours=5))

    with pair.partner() as partner:
        partner.cosign()
    witnesses._clock = gateway.clock
    witnesses.round()
    gateway.evidence.deadline.demand(now + timedelta(hours=5))
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    said = [f.subject_reference for f in frames if f.type is EntryType.ALARM]
    assert said == ["RAISE/EVIDENCE_WITNESSES", "CLEAR/EVIDENCE_WITNESSES"]


def test_a_quorum_demanded_of_an_old_ledger_is_counted_down_from_the_opening_on(pair: Any) -> None:
    """A policy that is new, a witness that left, a gateway that was closed overnight: hours of grace, not none."""
    gateway, witnesses = pair.gateway, pair.gateway.evidence.witnesses
    vkey = bundle_renewal.witness_of(pair.keyset, "AUS")
    witnesses._policy = Policy.parse(f"witness aus {vkey}\nquorum aus\n".encode())
    opened = gateway.clock() + timedelta(days=30)  # its checkpoints are a month old
    witnesses._begun, witnesses._clock = opened, lambda: opened + timedelta(minutes=1)

    witnesses.round()
    assert "WITNESSES" not in gateway.evidence.deadline.standing

    witnesses._clock = lambda: opened + timedelta(minutes=40)
    witnesses.round()
    assert gateway.evidence.deadline.standing["WITNESSES"] == opened
    gateway.evidence.deadline.demand(opened + timedelta(hours=3))
    # Opened again meanwhile, it does not begin anew.
    witnesses._begun = opened + timedelta(hours=3)
    witnesses._clock = lambda: opened + timedelta(hours=3, minutes=1)
    witnesses.round()
    assert gateway.evidence.deadline.standing["WITNESSES"] == opened
    with pytest.raises(EvidenceOverdue):
        gateway.evidence.deadline.demand(opened + timedelta(hours=5))


def test_split_view_a_cosigned_checkpoint_of_another_tree_is_not_taken(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer shows two trees, each signed by the ledger: the second is held against the one that we keep."""
    witness = tmp_path / "CAN.checkpoint"
    with pair.partner(witness=witness) as partner:
        size = partner.cosign().size
        fork = signed_note.sign_checkpoint(
            Checkpoint("passerelle/CAN", size, b"f" * 32),
            pair.gateway.keyset.log(),
            pair.gateway.clock(),
        )
        monkeypatch.setattr(pair.gateway.evidence.witnesses, "cosigned", lambda: fork)

        with pytest.raises(SplitView) as caught:
            partner.cosigned()

    assert caught.value.evidence is not None


def independent(pair: Any) -> tuple[WitnessKey, str]:
    """Return the key of a witness who is no partner, and its line of a policy."""
    key = WitnessKey.generate()
    vkey = VerifierKey("office.example/witness", KeyType.MLDSA44, key.public).format()
    return (
        key,
        f"witness office {vkey}\nwitness aus {bundle_renewal.witness_of(pair.keyset, 'AUS')}\n",
    )


def test_witnesses_who_never_look_at_one_size_make_a_quorum_all_the_same(
    pair: Any, people: Any, newest: bytes
) -> None:
    """Each vouches for the trees before its own: two who look by turns would else end the service of an honest gateway."""
    gateway, witnesses = pair.gateway, pair.gateway.evidence.witnesses
    key, lines = independent(pair)
    witnesses._policy = Policy.parse(f"{lines}group both all office aus\nquorum both\n".encode())
    now = gateway.clock()
    witnesses._clock = lambda: now + timedelta(hours=1)

    for turn in range(2):
        signed = gateway.sequencer.latest_checkpoint()
        witnesses.add("", signed_note.cosign(signed, "office.example/witness", key, now))
        with pair.partner() as partner:
            partner.query(people.samples(turn), **people.matter())
            partner.cosign()
        with gateway.database.reader() as reader:
            notes = [each for _, _, each in witness_evidence.latest(reader)]
        size = own_bundle(pair.home).log.open(signed).size
        assert witnesses._policy.reached(notes) == size
    assert len({row["size"] for row in witnesses.latest()}) == 2


def test_a_witness_that_looks_again_on_another_day_is_kept_and_breaks_nothing(
    pair: Any, newest: bytes
) -> None:
    """A ledger at rest: the same size is cosigned before midnight and after."""
    witnesses, now = pair.gateway.evidence.witnesses, pair.gateway.clock()

    for days in (0, 0, 1, 2):
        witnesses._clock = lambda days=days: now + timedelta(days=days)
        witnesses.add("AUS", cosign(pair, newest))

    assert len(witnesses.latest()) == 1


def test_a_cosignature_that_is_kept_already_costs_no_commit(
    pair: Any, newest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    witnesses, brought, commits = pair.gateway.evidence.witnesses, cosign(pair, newest), []
    commit = pair.gateway.sequencer.commit
    monkeypatch.setattr(
        witnesses._sequencer, "commit", lambda *what: commits.append(what) or commit(*what)
    )

    names = witnesses.add("AUS", brought)
    once = len(commits)

    assert witnesses.add("AUS", brought) == names
    assert (once, len(commits)) == (1, 1)


def test_old_cosignatures_brought_again_fill_no_table(
    pair: Any, people: Any, newest: bytes
) -> None:
    with pair.partner() as partner:
        partner.query(people.samples(2), **people.matter())
        last = partner.cosign()

    assert add(pair, cosign(pair, newest)) == ""

    with pair.gateway.database.reader() as reader:
        assert witness_evidence.sizes(reader, 10) == [last.size]


def test_an_answer_that_shows_two_histories_is_recorded_as_what_a_witness_saw(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only at the rounds: an envelope of ours brings the fork home, and its evidence is named by digest."""
    evidence = tmp_path / "AUS.split-1.json"
    evidence.write_bytes(b"{}")
    forked = SplitView("its ledger was rewritten", evidence)

    def carry(*_: Any, **__: Any) -> None:
        raise forked

    transport = GrpcTransport(
        SimpleNamespace(carry=carry),  # type: ignore[arg-type]
        lambda split: pair.gateway.outbound.worker._connections.accuse("AUS", split),
    )
    monkeypatch.setattr(signed_request, "unpack", lambda octets: octets)
    delivery = transport.carry(b"an envelope")

    assert (delivery.fate, delivery.reason) == (Fate.DOUBTED, "SPLIT_VIEW")
    *_, last = (decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database))
    assert last.type is EntryType.WITNESS
    assert last.partner_id == "AUS"
    assert last.subject_reference == f"SPLIT/{sha256(b'{}').hexdigest()[:32]}"


def test_more_witnesses_than_a_note_has_room_for_still_make_a_note(
    pair: Any, newest: bytes
) -> None:
    """Forty partners cosign one size: what is shown is a note that parses, with our own lines in it."""
    now, log = pair.gateway.clock(), pair.gateway.own.log
    notes = [
        signed_note.cosign(newest, f"w{n}", WitnessKey.from_seed(n.to_bytes(32, "big")), now)
        for n in range(1, 41)
    ]

    merged = pair.gateway.evidence.witnesses._merged(notes)

    assert len(signed_note.parse_note(merged).signatures) == signed_note.MAX_SIGNATURES
    assert log.open(merged) == log.open(newest)


@pytest.mark.parametrize("most", [signed_note.MAX_NOTE, signed_note.MAX_NOTE + 1])
def test_a_cosignature_is_bounded_before_it_is_read(pair: Any, most: int) -> None:
    before = pair.gateway.sequencer.size

    assert add(pair, b"x" * most) == "checkpoint"
    assert pair.gateway.sequencer.size == before


def test_our_own_gateway_accuses_once_for_each_evidence(pair: Any) -> None:
    before = pair.gateway.sequencer.size

    for _ in range(3):
        pair.gateway.evidence.witnesses.accuse("AUS", "ab" * 32)

    assert pair.gateway.sequencer.size == before + 1
