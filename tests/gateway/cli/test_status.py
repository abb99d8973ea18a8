"""`passerelle status`: one look, its exit code, and no passphrase."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.trust.bundle import PartyBundle
from tests.patience import PATIENCE


def test_a_gateway_that_does_not_serve_is_exit_code_1_with_the_remedy(run: Any, homes: Any) -> None:
    said = run("status", homes["CAN"])

    assert said.code == 1
    assert "DOES NOT SERVE: it has not served yet" in said.out
    assert f"passerelle serve {homes['CAN']}" in said.out


def test_json_says_the_same_in_one_document(run: Any, homes: Any) -> None:
    said = run("status", homes["CAN"], "--json")

    assert said.code == 1
    assert said.document["serving"] is said.document["ok"] is False
    assert said.document["why"] == "NEVER_STARTED"
    nobody = {"people": 0, "with_prints": 0, "records": 0, "without_status": 0}
    assert said.document["gallery"] == nobody
    assert said.document["answer"] is None


def test_one_look_or_many_not_both(run: Any, homes: Any) -> None:
    assert run("status", homes["CAN"], "--json", "--watch").code == 2


def test_a_folder_that_is_none_could_not_be_found_out(run: Any, tmp_path: Path) -> None:
    assert run("status", tmp_path).code == 2


def test_watching_ends_with_ctrl_c_and_without_a_traceback(
    spawn: Callable[..., subprocess.Popen[str]], homes: Any
) -> None:
    with spawn("status", homes["CAN"], "--watch", "--every", "0.5") as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        watching.send_signal(2)
        _, err = watching.communicate(timeout=PATIENCE)

    assert "DOES NOT SERVE" in first
    assert watching.returncode == 130
    assert "Traceback" not in err


def test_a_partner_that_does_not_answer_is_exit_code_1_with_the_step(
    run: Any, homes: Any, secrets_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "AUS.json"
    printed = run("party", "export", homes["AUS"], "-o", file, "--json").document["fingerprint"]
    run("party", "import", homes["CAN"], file, "--fingerprint", printed)
    entry = PartyBundle.parse(file.read_bytes())
    gone = replace(entry, endpoints=("127.0.0.1:1",))  # a port of the system's, at which nobody is
    (homes["CAN"] / "parties" / "AUS.json").write_bytes(gone.to_bytes())
    how = ("--partner", "AUS", "--passphrase-file", secrets_folder / "gateway")

    said = run("check", homes["CAN"], *how, "--json")

    assert said.code == 1
    assert [(one["name"], one["ok"]) for one in said.document["steps"]] == [
        ("name", True),
        ("connection", False),
    ]
    assert said.document["not_known"][0] == "TLS"
    assert "not known" in run("check", homes["CAN"], *how).out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_PASSERELLE_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "passerelle sta")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "passerelle sta")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    done = subprocess.run(
        [sys.executable, "-c", "from gateway.cli.main import app; app(prog_name='passerelle')"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert {"status", "state", "staff"} <= set(re.findall(r"[a-z]+", done.stdout))
    assert "serve" not in done.stdout.split()
