"""A bench by turns with another checkout: what each side tells, in which order, and what is said where one does not."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.exercises.bench import machine_speed
from gateway.exercises.bench.machine_speed import MachineSpeed
from gateway.exercises.bench.turns import Compared, Order, Side, Spread, by_turns, other
from tests.patience import PATIENCE

Checkout = Callable[..., Path]
ORDER = Order(("exchange", "--seconds", "1"), ("qps", "p50_ms", "qps / sgemm"), 2, PATIENCE)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine gets no slower while a test measures it."""
    monkeypatch.setattr(machine_speed, "measure", lambda: MachineSpeed(100.0, 20.0))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Return what makes a folder with a command of its own, which says a version and then does what a script says."""

    def make(name: str, script: str) -> Path:
        command = tmp_path / name / ".venv" / "bin" / "passerelle"
        command.parent.mkdir(parents=True)
        begin = f"#!{sys.executable}\nimport json, os, signal, sys, time\n"
        begin += f"with open({str(tmp_path / 'told')!r}, 'a') as told:\n"
        begin += f"    told.write({name!r} + ' ' + ' '.join(sys.argv[1:]) + '\\n')\n"
        begin += (
            f"if sys.argv[1:] == ['--version']:\n    print('passerelle {name}')\n    sys.exit()\n"
        )
        command.write_text(begin + script)
        command.chmod(0o700)
        return tmp_path / name

    return make


def told(document: object) -> str:
    return f"print({json.dumps(document)!r})\n"


def here(folder: Path) -> Side:
    command = (str(folder / ".venv" / "bin" / "passerelle"),)
    return Side("here", folder, command, dict(os.environ))


def counted(first: float, step: float) -> str:
    """Return a script whose figures grow with each run."""
    return f"""
count = os.path.join(os.path.dirname(__file__), 'count')
runs = int(open(count).read()) if os.path.exists(count) else 0
open(count, 'w').write(str(runs + 1))
print(json.dumps({{'ok': True, 'qps': {first} + {step} * runs, 'p50_ms': 50, 'sgemm': 10}}))
"""


def test_both_sides_run_by_turns_and_their_medians_are_compared(
    checkout: Checkout, tmp_path: Path
) -> None:
    before = checkout("before", counted(10, 2))
    after = checkout("after", counted(66, 0))
    steps: list[int] = []

    found = by_turns(ORDER, here(after), other(before), steps.append)

    assert found.figures["qps"] == Compared(Spread(66, 66, 66), Spread(11, 10, 12), 6.0)
    assert found.figures["p50_ms"].ratio == 1.0
    assert found.figures["qps / sgemm"].here == Spread(6.6, 6.6, 6.6)
    assert (found.here.version, found.there.version) == ("passerelle after", "passerelle before")
    assert found.machine["sgemm_gflops"] == Spread(20, 20, 20)
    assert [each["qps"] for each in found.runs["there"]] == [10, 12]
    assert steps == [1, 1, 1, 1]
    lines = (tmp_path / "told").read_text().splitlines()
    runs = [line for line in lines if "--version" not in line]
    assert [line.split()[0] for line in runs] == ["after", "before", "before", "after"]
    assert {line.split(" ", 1)[1] for line in runs} == {"bench exchange --seconds 1 --json"}


def test_what_an_older_document_lacks_is_told_of_one_side_alone(checkout: Checkout) -> None:
    before = checkout("before", told({"p50_ms": 80, "qps": "many"}))
    after = checkout("after", told({"p50_ms": 20, "qps": 9, "sgemm": 3}))

    found = by_turns(ORDER, here(after), other(before))

    assert found.figures["p50_ms"].ratio == 0.25
    assert found.figures["qps"] == Compared(Spread(9, 9, 9), None, None)
    assert found.figures["qps / sgemm"].there is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "sys.exit('passerelle: No such command \\'population\\'.')",
            "exit code 1: passerelle: No",
        ),
        (
            "sys.stderr.write('a\\nno such option\\n\\n'); sys.exit(2)",
            "exit code 2: no such option",
        ),
        ("sys.exit(3)", "exit code 3: it said nothing"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "exit code -9"),
        ("print('{\"qps\": ')", 'answered no JSON document but: {"qps":'),
        ("print('{\"qps\": NaN}')", "answered no JSON document but"),
        ("print('[' * 100_000)", "answered no JSON document but: [[["),
        ("sys.stdout.buffer.write(bytes(range(128, 256)))", "answered no JSON document but"),
        ("print('[1, 2]')", "answered no JSON document but: [1, 2]"),
        ("", "answered no JSON document but: nothing"),
        (told({"other": 1}), "tells no figure that is told here too"),
    ],
)
def test_who_fails_or_answers_something_else_is_named(
    checkout: Checkout, script: str, said: str
) -> None:
    before = checkout("before", script)
    after = checkout("after", told({"qps": 1}))

    with pytest.raises(UserError) as refused:
        by_turns(ORDER, here(after), other(before))

    assert said in str(refused.value)
    assert str(before) in str(refused.value)


def test_who_hangs_is_ended_with_all_that_it_started(checkout: Checkout, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    hangs = f"""
import fcntl, subprocess
lock = os.open({str(held)!r}, os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
subprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)'], pass_fds=[lock])
"""
    before = checkout("before", hangs)
    after = checkout("after", told({"qps": 1}))
    # The start of an interpreter may take longer than a second; then there is no child, and none is left either.
    order = Order(ORDER.bench, ORDER.figures, 1, 1.0)

    with pytest.raises(UserError, match="had not ended after 1 s, and was ended"):
        by_turns(order, here(after), other(before))

    # The lock is free once the last of those who have it open has ended.
    with held.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_without_an_environment_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python3 -m venv \.venv"):
        other(tmp_path)


def test_an_environment_of_another_tree_is_refused(checkout: Checkout) -> None:
    folder = checkout("copied", told({"qps": 1}))
    python = folder / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\necho /elsewhere/gateway/__init__.py\n")
    python.chmod(0o700)

    with pytest.raises(UserError, match=r"/elsewhere/gateway/__init__\.py, another tree"):
        other(folder)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_checkout_that_git_knows_is_named_by_its_commit(
    checkout: Checkout, tmp_path: Path
) -> None:
    folder = checkout("before", told({"qps": 1}))
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *author, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit() -> str | None:
        return by_turns(ORDER, here(folder), other(folder)).there.commit

    assert commit() is None
    git("init")
    (folder / "file").write_text("as committed")
    git("add", "file")
    git("commit", "-m", "one")
    whole = git("rev-parse", "HEAD")
    assert commit() == whole[:12]
    (folder / "file").write_text("changed")
    assert commit() == f"{whole[:12]}-dirty"


@pytest.mark.slow
def test_the_command_compares_a_real_exchange_with_an_older_one(
    passerelle: Any, checkout: Checkout, tmp_path: Path
) -> None:
    before = checkout("before", told({"qps": 12.5, "quiet_p50_ms": 120.0, "older": True}))
    load = ("--seconds", "1", "--clients", "2", "--gallery", "5")

    done = passerelle(
        "bench", "exchange", *load, "--against", before, "--rounds", "1", "--json", at=tmp_path
    )

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    ran = document["runs"]["here"][0]
    assert document["figures"]["qps"]["there"]["median"] == 12.5
    assert document["figures"]["qps"]["ratio"] == pytest.approx(ran["qps"] / 12.5, rel=0.01)
    assert document["figures"]["server_cpu_ms"]["there"] is None
    assert (ran["clients"], ran["seconds"], ran["gallery"]) == (2, 1, 5)
    asked = (tmp_path / "told").read_text().splitlines()[-1]
    assert asked == "before bench exchange --seconds 1.0 --clients 2 --gallery 5 --json"


def test_rounds_without_another_side_are_wrong_usage(passerelle: Any, tmp_path: Path) -> None:
    done = passerelle("bench", "exchange", "--rounds", "2", "--json", at=tmp_path)

    assert done.returncode == 2
    assert "name --against too" in json.loads(done.stdout)["error"]["message"]
