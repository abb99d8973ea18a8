"""The drill of tampering finds everything out, and would say so where it did not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.exercises.crashtest import fixture_ledger, tamper
from gateway.exercises.drill import tamper as drill_tamper
from gateway.exercises.drill import tampered_files
from gateway.exercises.drill.tamper import Figures, Tampering

GOOD = Figures(trials=9, kinds=1, undetected=0, unnamed=0, tried={"one": 9}, missed=())


@pytest.fixture(scope="module")
def tampering(tmp_path_factory: pytest.TempPathFactory) -> Tampering:
    return Tampering(tmp_path_factory.mktemp("tampering"))


@pytest.mark.slow
def test_one_of_every_kind_is_found_out(tmp_path: Path) -> None:
    words = ("drill", "tamper", "--trials", "66", "--workdir", str(tmp_path / "d"), "--json")
    done = CliRunner().invoke(app, words, prog_name="passerelle")

    said: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == 0, said
    assert (said["ok"], said["undetected"], said["unnamed"], said["missed"]) == (True, 0, 0, [])
    assert said["kinds"] == len(said["tried"]) == 66
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("wrong", [{"undetected": 1}, {"unnamed": 1}, {"tried": {"one": 0}}])
def test_one_thing_that_is_missed_fails_the_drill(wrong: dict[str, Any]) -> None:
    assert GOOD.ok
    assert not replace(GOOD, **wrong).ok


def test_what_changes_nothing_is_counted_as_undetected(
    tampering: Tampering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: an act that claims to change a row and leaves the ledger whole is a miss."""
    assert tampering._row(lambda *_: (True, None))(random.Random(1)) == (False, True)
    for module in (drill_tamper, tampered_files):
        monkeypatch.setattr(module, "flipped", lambda octets, _: octets)
    assert tampering.kinds()["flip a bit of a bundle"](random.Random(1)) == (False, True)
    assert tampering.kinds()["flip a bit of a tile"](random.Random(1)) == (False, True)
    assert tampering.kinds()["flip a bit of a receipt"](random.Random(1)) == (False, True)
    assert tampering.kinds()["flip a bit of a published file"](random.Random(1)) == (False, True)


def test_an_index_that_is_not_the_changed_one_is_no_finding_of_it(tampering: Tampering) -> None:
    tamper.do(
        tampering._path,
        tamper.acts()["flip a bit of leaves.leaf"],
        random.Random(1),
        tampering._ledger,
    )

    assert tampering._judged(10_000) == (True, False)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("leaves.leaf_hash", "stored hash"),
        ("leaves.partner", "its row does not say what the leaf says: partner"),
        ("leaves.type", "type"),
        ("details.ciphertext", "sealed detail"),
        ("detail_keys.sealed_dek", "does not open it"),
        ("nodes.hash", "subtree"),
        ("checkpoints.root", "checkpoint"),
        ("checkpoints.time_ms", "another time"),
        ("cosignatures.note", "cosign"),
        ("cosignatures.witness", "is not there"),
        ("cosignatures.size", "cosignature stands"),
    ],
)
def test_a_finding_says_what_was_changed(tampering: Tampering, column: str, text: str) -> None:
    act = tamper.acts()[f"flip a bit of {column}"]
    _, index = tamper.do(tampering._path, act, random.Random(3), tampering._ledger)

    report = fixture_ledger.verify(tampering._path, tampering._ledger, keys=True)
    found = [each for each in report.findings if text in each.text]
    assert found, report.findings
    assert index is None or index in {each.index for each in found}


def test_a_sealed_key_can_only_be_judged_by_who_opens_it(tampering: Tampering) -> None:
    """It is committed to nowhere, or a shredded detail could be confirmed: the auditor's key finds it out."""
    act = tamper.acts()["replace a sealed key by another entry's"]
    tamper.do(tampering._path, act, random.Random(3), tampering._ledger)

    assert fixture_ledger.verify(tampering._path, tampering._ledger, keys=False).ok
    assert not fixture_ledger.verify(tampering._path, tampering._ledger, keys=True).ok


def test_an_index_beyond_all_others_is_a_gap_and_no_reason_to_read_so_far(
    tampering: Tampering,
) -> None:
    def far(shell: Any, *_: object) -> tuple[bool, int | None]:
        shell.execute("UPDATE leaves SET idx = ? WHERE idx = 5", (2**62,))
        return True, 5

    tamper.do(tampering._path, far, random.Random(1), tampering._ledger)

    assert tampering._judged(5) == (True, True)


def test_a_cosignature_of_a_key_that_was_replaced_is_a_notice(tampering: Tampering) -> None:
    """A partner's witness turns with its ledger's pair: what it signed before is no fault of ours."""
    tamper.do(tampering._path, lambda *_: (True, None), random.Random(1), tampering._ledger)
    unknown = replace(tampering._ledger, witnesses={})

    report = fixture_ledger.verify(tampering._path, unknown, keys=False)
    assert report.ok
    assert len(report.findings) == fixture_ledger.COSIGNED
    assert "we do not know the key" in report.findings[0].text


def test_two_ledgers_that_end_alike_are_no_fork(
    tampering: Tampering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest history that grew must not be counted as one that nobody found out."""
    monkeypatch.setattr(tampering, "_other", tampering._ledger)

    assert tampering._fork(random.Random(1)) is None
