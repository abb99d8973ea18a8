"""`passerelle status`: one look, its exit code, and no passphrase."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE


def test_a_gateway_that_does_not_serve_is_exit_code_1_with_the_remedy(run: Any, homes: Any) -> None:
    said = run("status", homes["CAN"])

    assert said.code == 1
    assert "DOES NOT SERVE: it was not started yet" in said.out
    assert f"passerelle serve {homes['CAN']}" in said.out


def test_json_says_the_same_in_one_document(run: Any, homes: Any) -> None:
    said = run("status", homes["CAN"], "--json")

    assert said.code == 1
    assert said.document["serving"] is said.document["ok"] is False
    assert said.document["why"] == "NEVER_STARTED"
    assert said.document["gallery"] == {"people": 0, "records": 0, "without_status": 0}
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
