"""`passerelle review` as an examiner types it, the gateway open or closed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.domain.messages import Outcome, ServiceLevel, State
from gateway.server.lifecycle import Serving


@pytest.fixture
def officers(bench: Any, tmp_path: Path, secret: Any, let_in: Any) -> dict[str, Path]:
    """Credentials of an operator and of two examiners; the gateway is closed meanwhile and opened again."""
    home = bench.gateway.home
    bench.gateway.close()
    made = {"P-1": "operator", "P-7": "examiner", "P-8": "examiner"}
    for person, role in made.items():
        let_in(home, person, [role], tmp_path / person)
    from gateway.server.application import Gateway

    bench.gateway = Gateway.open(home, secret)
    return {person: tmp_path / person for person in made}


@pytest.fixture
def passphrase(tmp_path: Path, secret: Any) -> tuple[str, str]:
    file = tmp_path / "passphrase"
    file.touch(mode=0o600)
    file.write_bytes(secret())
    return "--passphrase-file", str(file)


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


def test_a_case_is_listed_shown_and_decided_beside_a_serving_gateway(
    bench: Any, officers: dict[str, Path], tmp_path: Path
) -> None:
    home, case = bench.gateway.home, bench.pending(persons=2)
    serving = Serving(bench.gateway)
    serving.start()
    try:
        code, listed = run("review", "list", home, "--as", officers["P-7"])
        assert code == 0, listed
        assert [each["case"] for each in listed["cases"]] == [case.case]

        picture = tmp_path / "overlay.svg"
        code, shown = run(
            "review", "show", home, case.case, "--as", officers["P-7"], "--out", picture
        )
        assert code == 0
        for file in map(Path, shown["pictures"]):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            text = file.read_text()
            assert text.startswith("<svg")
            assert "P-1" not in text
            assert "ratio" not in text

        words = ("review", "decide", home, case.case, "--verdict", "same", "--reason", "14 agree")
        assert run(*words, "--as", officers["P-7"])[1]["closed"] is False
        assert run("review", "show", home, case.case, "--as", officers["P-7"])[0] == 1
        assert run("review", "show", home, case.case, "--as", officers["P-8"])[0] == 0
        assert run("review", "release", home, case.case, "--as", officers["P-8"])[0] == 0
        assert run(*words, "--as", officers["P-8"])[0] == 2  # not in hand
        run("review", "show", home, case.case, "--as", officers["P-8"])
        code, done = run(*words, "--as", officers["P-8"])
        assert (code, done["closed"]) == (0, True)
        assert bench.result(case).outcome is Outcome.MATCH
    finally:
        serving.stop()
        bench.gateway.close()


def test_an_operator_sees_the_list_and_no_evidence(
    bench: Any, officers: dict[str, Path], passphrase: tuple[str, str]
) -> None:
    home, case = bench.gateway.home, bench.pending()
    bench.gateway.close()

    assert run("review", "list", home, "--as", officers["P-1"], *passphrase)[0] == 0
    code, told = run("review", "show", home, case.case, "--as", officers["P-1"], *passphrase)

    assert code == 1
    assert "examiner" in told["error"]["message"]


def test_the_list_says_by_its_exit_code_that_something_is_urgent(
    bench: Any, officers: dict[str, Path], passphrase: tuple[str, str]
) -> None:
    home = bench.gateway.home
    bench.pending(level=ServiceLevel.URGENT)
    bench.gateway.close()
    words = ("review", "list", home, "--as", officers["P-7"], *passphrase)

    assert run(*words)[0] == 0
    bench.clock.move(minutes=50)
    code, found = run(*words)

    assert code == 1
    assert found["cases"][0]["seconds_left"] <= 600


def test_nobody_examines_without_a_credential(bench: Any, passphrase: tuple[str, str]) -> None:
    home, case = bench.gateway.home, bench.pending()
    bench.gateway.close()

    code, told = run("review", "show", home, case.case, *passphrase)

    assert code == 2
    assert "--as FOLDER" in told["error"]["message"]


def test_a_serving_gateway_ends_what_ran_out_of_time(bench: Any) -> None:
    """The periodic jobs' rounds, and the start itself."""
    case = bench.pending()
    bench.clock.move(hours=24)

    serving = Serving(bench.gateway)
    serving.start()
    try:
        assert bench.row(case).state is State.ABANDONED
        again = bench.pending(level=ServiceLevel.URGENT)
        bench.clock.move(hours=1)
        serving.run_jobs()
        assert bench.row(again).state is State.ABANDONED
    finally:
        serving.stop()
