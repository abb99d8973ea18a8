"""What an auditor makes of witnesses' lines in a bundle: whom they speak for, up to where, and what is not of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.ledger import merkle, signed_note, witness_quorum
from gateway.ledger.archive import Archive
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.archive_writer import Writer
from gateway.ledger.signed_note import Checkpoint, KeyType, LogIdentity, VerifierKey
from gateway.ledger.witness_policy import Policy
from gateway.trust.bundle import PartyBundle
from keys.signatures import LogKey, WitnessKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOG = LogKey.from_seed(b"l" * 64)
ORIGIN = "passerelle/CAN"
IDENTITY = LogIdentity.from_log_key(ORIGIN, LOG)
KEYS = {name: WitnessKey.from_seed(name.encode() * 8) for name in ("oneA", "twoB")}
NOTES = [
    signed_note.sign_checkpoint(Checkpoint(ORIGIN, size, merkle.leaf_hash(b"%d" % size)), LOG, NOW)
    for size in (3, 5, 9)
]


def by(name: str, signed: bytes) -> bytes:
    return signed_note.cosign(signed, f"{name}.example/witness", KEYS[name], NOW)


def lines() -> str:
    found = []
    for name, key in KEYS.items():
        vkey = VerifierKey(f"{name}.example/witness", KeyType.MLDSA44, key.public)
        found.append(f"witness {name} {vkey.format()}\n")
    return "".join(found)


@pytest.fixture
def both() -> Policy:
    return Policy.parse(f"{lines()}group all2 all oneA twoB\nquorum all2\n".encode())


def test_a_quorum_is_counted_over_witnesses_of_different_moments(both: Policy) -> None:
    said = [by("oneA", NOTES[0]), by("twoB", NOTES[1]), by("oneA", NOTES[2])]

    found = witness_quorum.count(NOTES, said, IDENTITY, both)

    assert found.reached == 5
    assert dict(found.witnesses) == {"oneA": 9, "twoB": 5}
    assert list(witness_quorum.astray(NOTES, said, IDENTITY)) == []


def test_split_view_a_witness_who_was_shown_another_tree_is_a_finding(both: Policy) -> None:
    """The ledger signed both: the witness's note is proof against the bundle that it lies in."""
    shown = signed_note.sign_checkpoint(Checkpoint(ORIGIN, 5, b"f" * 32), LOG, NOW)
    said = [by("oneA", NOTES[2]), by("twoB", shown)]

    (found,) = witness_quorum.astray(NOTES, said, IDENTITY)

    assert (found.index, "another tree of 5 entries" in found.text) == (4, True)
    assert witness_quorum.count(NOTES, said, IDENTITY, both).reached == 0


def test_a_cosigned_note_of_another_ledger_or_of_none_is_a_finding(both: Policy) -> None:
    other = signed_note.sign_checkpoint(Checkpoint(ORIGIN, 5, b"f" * 32), LogKey.generate(), NOW)

    for stray in (by("oneA", other), b"no note at all\n"):
        assert len(list(witness_quorum.astray(NOTES, [stray], IDENTITY))) == 1
        assert witness_quorum.count(NOTES, [stray, stray], IDENTITY, both).reached == 0


def test_a_checkpoint_of_the_future_reaches_nothing(both: Policy) -> None:
    ahead = signed_note.sign_checkpoint(Checkpoint(ORIGIN, 99, b"f" * 32), LOG, NOW)
    said = [by("oneA", ahead), by("twoB", ahead)]

    assert witness_quorum.count(NOTES, said, IDENTITY, both).reached == 0
    assert len(list(witness_quorum.astray(NOTES, said, IDENTITY))) == 2


def rebound(archive: Any, file: Path, said: list[bytes]) -> None:
    """Write the archive's bundle again, with these cosignatures."""
    with Archive.open(archive.bundle) as old, Writer(file) as writer:
        writer.document("party.json", old.party)
        writer.frontier(old.frontier())
        writer.entries(old.held(), None)
        writer.checkpoints(iter(list(old.notes())))
        writer.cosignatures(said)
        writer.tokens(old.tokens())
        writer.finish(old.manifest)


def test_a_bundle_says_up_to_where_it_was_witnessed(archive: Any, tmp_path: Path) -> None:
    party = archive.home / "party.json"
    (tmp_path / "policy").write_text(f"{lines()}group one any oneA twoB\nquorum one\n")
    with Archive.open(archive.bundle) as ledger_archive:
        newest = list(ledger_archive.notes())[-1]
        size = ledger_archive.size
    rebound(archive, tmp_path / "cosigned.bundle", [by("oneA", newest)])
    words = ["--policy", str(tmp_path / "policy"), "--party", str(party), "--json"]

    for file, code, reached in ((archive.bundle, 1, 0), (tmp_path / "cosigned.bundle", 0, size)):
        told = CliRunner().invoke(app, ["witness", "quorum", str(file), *words])
        document = json.loads(told.stdout)
        assert (told.exit_code, document["reached"], document["size"]) == (code, reached, size)
    (tmp_path / "policy").write_text("quorum none\n")
    told = CliRunner().invoke(app, ["witness", "quorum", str(archive.bundle), *words])
    assert (told.exit_code, json.loads(told.stdout)["reached"]) == (0, size)  # nobody is demanded
    (tmp_path / "policy").write_text("quorum nobody\n")
    told = CliRunner().invoke(app, ["witness", "quorum", str(archive.bundle), *words])
    assert told.exit_code == 2
    assert "line 1" in told.stdout


def test_a_policy_that_names_another_ledger_is_refused(archive: Any, tmp_path: Path) -> None:
    (tmp_path / "policy").write_text(f"log {IDENTITY.mldsa44_vkey}\nquorum none\n")
    words = ["--policy", str(tmp_path / "policy"), "--party", str(archive.home / "party.json")]

    told = CliRunner().invoke(app, ["witness", "quorum", str(archive.bundle), *words, "--json"])

    assert told.exit_code == 2
    assert "another ledger" in told.stdout


def test_a_bundle_whose_witnesses_speak_of_another_ledger_is_not_whole(
    archive: Any, tmp_path: Path
) -> None:
    log = PartyBundle.parse((archive.home / "party.json").read_bytes()).log
    file = tmp_path / "stray.bundle"

    rebound(archive, file, [by("oneA", NOTES[0])])
    with Archive.open(file) as ledger_archive:
        report = verify_archive(ledger_archive, log)
    assert not report.ok
    assert [finding.text for finding in report.findings] == [
        "a cosigned note is no checkpoint under both keys of this ledger"
    ]
    with Archive.open(archive.bundle) as ledger_archive:
        assert verify_archive(ledger_archive, log).ok
