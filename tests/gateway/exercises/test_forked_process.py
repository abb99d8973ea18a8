"""A program forked from a warm process is a process like any other."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from gateway.exercises import forked_process
from tests.patience import PATIENCE

HERE = __name__


def program() -> None:
    """Say what this process was given, and end with 3."""
    given = {
        "words": sys.argv[1:],
        "environment": dict(os.environ),
        "stdin": sys.stdin.read(),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        "pid": os.getpid(),
        "folder": str(Path.cwd()),
    }
    sys.stdout.write(json.dumps(given))
    sys.stderr.write("to be read by a person")
    raise SystemExit(3)


def endless() -> None:
    """Never end by itself."""
    signal.pause()


def test_its_words_streams_environment_limits_and_end_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_text("told")
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        Path("in").open("rb") as read,
        Path("out").open("wb") as out,
        Path("err").open("wb") as err,
    ):
        process = forked_process.start(
            f"{HERE}:program",
            ("one", "two"),
            streams=(read.fileno(), out.fileno(), err.fileno()),
            environment={"NAMED": "alone"},
            descriptors=100,
        )
        assert forked_process.end(process, PATIENCE) == 3

    given = json.loads(Path("out").read_text())
    assert given["pid"] == process.pid != os.getpid()
    assert given["words"] == ["one", "two"]
    assert given["environment"] == {"NAMED": "alone"}
    assert (given["stdin"], given["descriptors"]) == ("told", [100, 100])
    assert given["folder"] == str(tmp_path)
    assert Path("err").read_text() == "to be read by a person"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == ours


def test_one_that_does_not_end_is_killed() -> None:
    with Path(os.devnull).open("r+b") as nothing:
        streams = (nothing.fileno(), nothing.fileno(), nothing.fileno())
        process = forked_process.start(f"{HERE}:endless", streams=streams, environment={})
        assert process.exitcode is None
        assert forked_process.end(process, 0.01) == -signal.SIGKILL


@pytest.mark.parametrize("module", forked_process.IMPORTED)
def test_what_it_is_forked_from_has_imported_what_there_is(module: str) -> None:
    """The fork server passes over a module that was renamed, and every command would import it again."""
    assert importlib.util.find_spec(module) is not None


def test_a_signal_waits_until_a_program_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off while it asks for a process, we would take the fork server with us, and leave what it forked behind."""
    order: list[str] = []
    real = type(forked_process._CONTEXT.Process()).start

    def start(process: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(process)
        order.append("started")

    monkeypatch.setattr(forked_process._CONTEXT.Process, "start", start)
    before = signal.signal(signal.SIGTERM, lambda *_: order.append("heard"))
    try:
        with Path(os.devnull).open("r+b") as nothing:
            number = nothing.fileno()
            process = forked_process.start(
                f"{HERE}:program", streams=(number, number, number), environment={}
            )
        assert forked_process.end(process, PATIENCE) == 3
    finally:
        signal.signal(signal.SIGTERM, before)

    assert order == ["started", "heard"]
