"""The main job, from the command line, as somebody sees it who has just cloned the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.exercises.demo import organisation
from gateway.exercises.demo.parties import LISTENERS, PORTS, free_port
from gateway.exercises.scratch_folder import MARK

PROMISED = {  # fields that are added to and never taken away
    *("queries", "hits", "no_hits", "wrong_hits", "missed", "refused", "receipts_verified"),
    *("ledger_ok", "seconds"),
    *("details_fields", "masked", "reviews", "corrections_acknowledged"),
    "destruction_receipts_verified",
    *("image_queries", "ten_finger_queries", "face_queries", "iris_queries", "fused_queries"),
}
ROOT = Path(__file__).parents[3]


def last_line(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text.splitlines()[-1])
    return document


@pytest.mark.slow
def test_it_holds_twice_in_one_folder_with_real_records_and_with_people_who_do_not_exist(
    passerelle: Any, tmp_path: Path
) -> None:
    """Kept and told to a machine the first time; emptied, told to a person and removed the second, with cheap passphrases.

    The first takes FVC2002 set B as two extractors saw it, the one with more records, where it lies at hand; where
    no records do, people are invented, and it is said.
    """
    records = Path(os.environ.get("PASSERELLE_SHARED") or ROOT.parent / "shared")
    records = records / "data" / "fingerprint"
    real = records.is_dir()
    of = ("--records", records) if real else ()
    words = ("demo", "--workdir", "w", "--keep", "--json", *of)
    first = passerelle(*words, at=tmp_path, real=True)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "w").glob("*.pass")}
    second = passerelle("demo", "--workdir", "w", at=tmp_path)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    _held(first.stdout, real=real)
    names = {
        f"{party}{whose}.pass"
        for party in ("can", "aus", "unhcr")
        for whose in ("", "-auditor", "-keepers")
    }
    assert modes == dict.fromkeys(names | {"commissioner.pass"}, 0o600)
    _told(second.stdout)
    assert not (tmp_path / "w").exists()


def _held(stdout: str, *, real: bool) -> None:
    summary = last_line(stdout)
    assert len(stdout.splitlines()) == 1
    assert summary.keys() >= PROMISED
    assert summary["ok"] is summary["ledger_ok"] is True
    assert summary["synthetic"] is not real
    assert summary["wrong_hits"] == 0
    assert summary["hits"] > 0
    assert summary["no_hits"] > 0
    assert summary["receipts_verified"] == summary["queries"]
    assert summary["refused"] == 7
    assert summary["rotations"] == 3
    assert summary["details_fields"] == 7
    assert summary["masked"] > 0
    assert summary["reviews"] == summary["corrections_acknowledged"] == 1
    of_organisation = [summary[kind] for kind in organisation.KINDS]
    assert of_organisation == [5, 5, 5, 5]
    # The prints that were too poor, those that an examiner saw, and what the organisation asked and was answered.
    others = 2 + sum(of_organisation) + 1 + summary["image_queries"] - summary["waiting"]
    assert summary["destruction_receipts_verified"] == summary["queries"] + others
    assert len(summary["answer_bytes"]) == 1
    assert summary["seconds"] > 0  # how many is a matter of the machine
    if real:
        assert summary["queries"] == 140
        assert summary["masked"] == 7


def _told(stdout: str) -> None:
    assert "matcher.finger.synthetic" in stdout
    attempts = stdout.split("What must not work")[1]
    said = stdout.split("What may be said of")[1]
    for word in ("SPECIMEN", "IRPR 315.41(2)(a)", "IRPR 315.41(2)(b)", "FIELD_NOT_PERMITTED"):
        assert word in said
    assert "REVIEW_PENDING, REVIEWING, then DECIDED: MATCH" in stdout
    assert "1 of 1 notices: USED_NOTE_TO_FILE" in stdout
    assert "audit explain: IRPR 315.36" in stdout
    for reason in ("REPLAY_CONFLICT", "ENVELOPE_REJECTED", "PURPOSE_NOT_PERMITTED"):
        assert reason in attempts
    assert "QUALITY_INSUFFICIENT" in attempts
    assert "✗" not in attempts


def test_a_folder_that_the_demo_did_not_make_is_refused(passerelle: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")

    done = passerelle("demo", "--workdir", "thesis", "--json", at=tmp_path)

    assert done.returncode == 2
    assert last_line(done.stdout)["error"]["kind"] == "UserError"
    assert "was not made by the demo" in done.stderr
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


@pytest.mark.parametrize("records", ["nowhere", "empty"])
def test_records_that_are_not_there_are_an_error_and_not_an_invention(
    passerelle: Any, tmp_path: Path, records: str
) -> None:
    """Who names a folder wants its records; to invent people instead would be a lie."""
    (tmp_path / "empty").mkdir()

    done = passerelle("demo", "--records", records, "--json", at=tmp_path)

    assert done.returncode == 2
    assert records in last_line(done.stdout)["error"]["message"]
    assert {path.name for path in tmp_path.glob(".demo/*")} <= {MARK}


def test_no_two_parties_are_given_one_port() -> None:
    """They are chosen long before anybody listens there."""
    ports = [first + at for first in (free_port() for _ in range(200)) for at in range(LISTENERS)]

    assert len(set(ports)) == len(ports)
    assert set(ports) <= set(PORTS)


@pytest.mark.slow
def test_a_demo_that_is_told_to_end_leaves_no_server_behind(tmp_path: Path) -> None:
    """`timeout` and orchestrators send SIGTERM; a server without its demo would serve forever."""
    words = (sys.executable, "-u", "-c", "from tests.cheap import command; command()", "demo")
    ours = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=ours) as demo:
        assert demo.stdout is not None
        serving = next(line for line in demo.stdout if "mutual TLS" in line)
        server = int(serving.rsplit(" ", 1)[1])
        os.kill(server, 0)  # it is there

        demo.terminate()
        demo.stdout.read()

    assert demo.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
