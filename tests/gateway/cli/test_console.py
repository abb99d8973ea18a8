"""No input leads to a traceback; every command says how it is used and what its exit codes mean."""

from __future__ import annotations

import errno
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy.exc import DatabaseError
from typer.testing import CliRunner

from gateway.cli import output
from gateway.cli.main import app
from gateway.cli.output import Code, GuardedGroup, Json, No, emit, manner, passphrase_from
from gateway.client import AnswerRejected, DeadlineExceeded, KeyStale, Refused
from gateway.errors import InternalError, UserError
from keys.errors import CustodyFault
from tests.patience import PATIENCE

COMMANDS = [
    *("init", "serve", "check", "query", "state", "details"),
    *("party export", "party import", "party list"),
    *("gallery enrol", "gallery stats", "ledger verify"),
    *("registry import", "registry show", "registry update", "registry remove", "registry status"),
]
WITHOUT_HOME = ["eval", "eval explain", "bench finger", "bench ten"]


@pytest.mark.parametrize("command", COMMANDS + WITHOUT_HOME)
def test_every_command_shows_an_example_and_its_exit_codes(run: Any, command: str) -> None:
    said = run(*command.split(), "--help")

    assert said.code == 0
    assert f"$ passerelle {command}" in " ".join(said.out.split())
    assert "Exit codes" in said.out
    assert "--json" in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_no_passphrase_travels_on_the_command_line(run: Any, command: str) -> None:
    """Whatever is in argv, every user of the machine reads."""
    said = run(*command.split(), "--help")

    options = {word.strip("│ ,") for word in said.out.split() if word.startswith("--")}
    assert not options & {"--passphrase", "--password", "--secret", "--pin"}


@pytest.mark.parametrize("command", COMMANDS[1:])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_folder_that_is_no_home_is_one_line(
    run: Any, tmp_path: Path, command: str, as_json: bool
) -> None:
    needed = {
        "query": [
            *("--to", "CAN", "--agreement", "au@1", "--purpose", "CITIZENSHIP"),
            *("--case", "C", "--unit", "U", "--official", "P", "--prior", "20260301-aa"),
        ],
        "state": ["20260301-aa", "--to", "CAN"],
        "details": [
            *("20260301-aa", "--to", "CAN", "--reference", "00" * 16, "--field", "LAST_NAME"),
            *("--agreement", "au@1", "--purpose", "CITIZENSHIP"),
            *("--case", "C", "--unit", "U", "--official", "P"),
        ],
        "registry import": [__file__],
        "registry show": ["F-1", "--reason", "why"],
        "registry update": ["F-1", "--status", "CITIZEN"],
        "registry remove": ["F-1", "--reason", "why", "--yes"],
        "party import": [__file__, "--fingerprint", "ABCD"],
        "gallery enrol": [__file__],
    }
    more = ["--json"] if as_json else []

    said = run(*command.split(), tmp_path / "nowhere", *needed.get(command, []), *more)

    assert said.code == 2
    assert said.err.startswith("passerelle: ")
    assert said.err.count("\n") == 1
    assert bool(said.out) == as_json
    if as_json:
        assert said.document["ok"] is False
        assert said.document["error"]["message"] in said.err


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "[gateway]\nparty = 'can'\n",
        "[gateway]\nparty = 'CAN'\nnickname = 'x'\n",
        "[gateway\n",
        "\x00",
        "[gateway]\nparty = 'CAN'\n[keys]\ncustody = 'pkcs11:token'\n",
        "[gateway]\nparty = 'CAN'\n[exchange]\nlisten = 7\n",
    ],
)
@pytest.mark.parametrize("command", ["check", "serve", "gallery stats", "party list"])
def test_bad_settings_are_never_a_traceback(
    run: Any, homes: Any, passphrase: Any, settings: str, command: str
) -> None:
    (homes["CAN"] / "passerelle.toml").write_text(settings)
    needed = passphrase if command in ("check", "serve") else ()
    if "pkcs11" in settings and not needed:
        pytest.skip("no custody is opened by this command")

    said = run(*command.split(), homes["CAN"], *needed)

    assert said.code in (1, 2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b"secret", b"secret"),
        (b" two words \n", b" two words "),
        (b"secret\n\n", b"secret\n"),
    ],
)
def test_a_passphrase_file_ends_at_its_line(
    tmp_path: Path, content: bytes, expected: bytes
) -> None:
    (tmp_path / "p").write_bytes(content)
    (tmp_path / "p").chmod(0o600)

    assert passphrase_from(tmp_path / "p", "a test")() == expected


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 2000])
def test_what_is_no_passphrase_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    (tmp_path / "p").chmod(0o600)

    with pytest.raises(UserError):
        passphrase_from(tmp_path / "p", "a test")()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_passphrase_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "p").write_bytes(b"secret\n")
    (tmp_path / "p").chmod(mode)

    with pytest.raises(UserError, match="chmod 600"):
        passphrase_from(tmp_path / "p", "a test")()


@pytest.mark.parametrize(
    "words",
    [
        ["query", "DIR", "--json"],
        ["--json", "check", "DIR"],
        ["check", "--json"],
        ["check", "DIR", "--json", "--frobnicate"],
        ["frobnicate", "--json"],
        ["gallery", "enrol", "DIR", "x", "--position", "11", "--json"],
        ["gallery", "enrol", "DIR", "x", "--manifest", "m.csv", "--json"],
        ["init", "DIR", "--party", "canada", "--json"],
        ["state", "DIR", "20260301-aa", "--to", "CAN", "--deadline", "soon", "--json"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_document_too(run: Any, tmp_path: Path, words: list[str]) -> None:
    said = run(*(str(tmp_path / "can") if word == "DIR" else word for word in words))

    assert said.code == 2
    assert said.document["ok"] is False
    assert said.document["error"]["kind"] == "Usage"
    assert said.document["error"]["message"] in said.err


def test_a_file_called_json_asks_for_no_document(run: Any, tmp_path: Path) -> None:
    said = run("init", tmp_path / "can", "--party", "canada", "--", "--json")

    assert (said.code, said.out) == (2, "")


def test_a_home_that_cannot_be_read_is_one_document(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    said = run("check", tmp_path / "file", "--json")

    assert said.code == 2
    assert said.document["ok"] is False


@pytest.mark.parametrize("words", [["--help"], ["party", "list", "--help"], ["--version"]])
def test_a_pipe_that_closes_is_no_answer(spawn: Any, words: list[str]) -> None:
    """Exit code 1 would say that the answer is no."""
    child = spawn(*words)
    child.stdout.close()
    complaint = child.stderr.read()
    child.stderr.close()

    assert child.wait(PATIENCE) == 141
    assert complaint == ""


def test_ctrl_c_before_the_command_begins_is_no_traceback(spawn: Any) -> None:
    """Most of the first second goes into imports; what the interpreter says before ours is its own."""
    child = spawn("--version", start_new_session=True)
    time.sleep(0.15)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=PATIENCE)

    assert "gateway/cli" not in complaint


# The last fence


def told(fault: BaseException | None, *words: str) -> Any:
    """Run a command that ends in `fault`."""
    commands = typer.Typer(cls=GuardedGroup)

    @commands.callback()
    def root(context: typer.Context, debug: bool = False) -> None:
        manner(context).debug = debug

    @commands.command()
    def act(context: typer.Context, as_json: Json = False, late: bool = False) -> None:
        del as_json
        if late:
            emit(context, {"ok": True}, "done")
        if fault is not None:
            raise fault
        emit(context, {"ok": True, "price": "[bold]5[/bold] €"}, "[bold]5[/bold] €")

    return CliRunner().invoke(commands, list(words))


@pytest.mark.parametrize("count", [0, 1, 1000, 2500])
def test_what_is_iterated_over_is_one_list_of_one_document(
    capsys: pytest.CaptureFixture[str], count: int
) -> None:
    rows = [{"n": number, "é": None} for number in range(count)]

    output._write(output.OutputOptions(), {"ok": True, "rows": iter(rows), "last": {"a": [1]}})

    assert json.loads(capsys.readouterr().out) == {"ok": True, "rows": rows, "last": {"a": [1]}}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (No("nothing there"), 1),
        (Refused("PERMISSION_DENIED", "PURPOSE_NOT_PERMITTED", "no"), 1),
        (AnswerRejected("receipt", "no"), 1),
        (DeadlineExceeded("late"), 2),
        (Refused("UNAVAILABLE", "DRAINING", "later"), 2),
        (Refused("RESOURCE_EXHAUSTED", "RATE_LIMITED", "later"), 2),
        (KeyStale("FAILED_PRECONDITION", "KEY_STALE", "import it"), 2),
        (UserError("do that"), 2),
        (InternalError("ours"), 2),
        (CustodyFault("not there"), 2),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (ZeroDivisionError("secret value of nobody"), 2),
        (RecursionError("deep"), 2),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_fault_is_one_line_and_its_code(fault: Exception, code: int) -> None:
    result = told(fault, "act")

    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("passerelle: ")
    assert result.stderr.count("\n") == 1


def test_an_unforeseen_exception_says_its_class_and_an_identifier_only() -> None:
    result = told(ZeroDivisionError("secret value of nobody"), "act", "--json")

    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "ZeroDivisionError"
    assert error["error_id"] in result.stderr
    assert "nobody" not in result.output


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "x", "y.csv"), "y.csv: no such file or folder; check the"),
        (
            PermissionError(errno.EACCES, "x", "y.csv"),
            "y.csv: this user may not open it; change its",
        ),
        (IsADirectoryError(errno.EISDIR, "x", "y"), "y: a folder, where a file is wanted; name a"),
        (OSError(errno.EIO, "Input/output error", "y"), "y: Input/output error"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),  # of a port, say
    ],
)
def test_what_the_system_says_of_a_file_is_told_with_what_to_do(fault: OSError, said: str) -> None:
    assert told(fault, "act").stderr.startswith(f"passerelle: {said}")


# What typer, click and pydantic say of a wrong value; an operator is told what to write instead.
VALIDATORS = re.compile(r"Value error|Input should|does not match|unable to parse|validation error")


def _options(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield from ((words, each) for each in command.params)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _options(inner, (*words, name))


def test_no_option_tells_a_wrong_value_in_its_validators_words(run: Callable[..., Any]) -> None:
    """Every option and argument of every command that takes no text: what is written instead is said."""
    tried = 0
    for words, option in _options(typer.main.get_command(app)):
        kind = option.type_descriptor.annotation
        if kind in {bool, str, Path, list[str], list[Path]} or option.param_type_name != "option":
            continue
        said = run(*words, option.opts[0], "2026-13-01")
        tried += 1

        assert said.code == 2
        text = " ".join(said.err.replace("│", "").split())
        assert f"Invalid value for '{option.opts[0]}" in text
        assert "e.g. " in text or "one of " in text or "such as " in text
        assert not VALIDATORS.search(text)
    assert tried > 50


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("audit", "refusals", "x", "--since", "2026-02-30"), "write YYYY-MM-DD, e.g. 2026-03-01"),
        (("status", "x", "--every", "0"), "write a number from 0.5 to 3600, e.g. 2.0"),
        (("bench", "alike", "--threads", "1.5"), "write a whole number from 1 to 64, e.g. 4"),
        (("keys", "schedule", "x", "--every", "-1"), "write a whole number from 0 to 3650, e.g. 0"),
        (("audit", "explain", "x", "--only", "y"), "one of "),
        (("audit", "subject", "x", "--release", "y"), "write a whole number, e.g. 1"),
    ],
)
def test_a_wrong_value_of_an_option_is_told_with_what_to_write(
    run: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    document = run(*words, "--json").document

    assert document["error"]["kind"] == "Usage"
    assert said in document["error"]["message"]


def test_a_passphrase_file_that_is_not_there_names_the_option(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    said = run(
        *("witness", "new", tmp_path / "w", "--name", "witness.example.org/w"),
        *("--passphrase-file", tmp_path / "absent"),
    )

    assert said.code == 2
    assert "no such file or folder; check the name; give --passphrase-file FILE" in said.err
    assert "Errno" not in said.err


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_is_its_own_exit_code(as_json: bool) -> None:
    result = told(KeyboardInterrupt(), "act", *(["--json"] if as_json else []))

    assert result.exit_code == 130
    assert result.stderr == "passerelle: interrupted\n"
    assert bool(result.stdout) == as_json


def test_ctrl_c_at_a_question_is_ctrl_c() -> None:
    result = told(typer.Abort(), "act", "--json")

    assert (result.exit_code, json.loads(result.stdout)["error"]["kind"]) == (130, "Interrupted")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("hooked", ["raise KeyboardInterrupt", "D()"])
def test_ctrl_c_before_or_after_a_command_shows_no_traceback(hooked: str) -> None:
    """While modules are read there is no command to end in order, and what a destructor raises nobody catches."""
    script = f"""
import gateway.cli
class D:
    def __del__(self):
        raise KeyboardInterrupt
{hooked}
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if hooked == "D()" else -signal.SIGINT)  # 130, as shells count


def test_a_full_disk_is_said_with_the_remedy(tmp_path: Path) -> None:
    """The system's words, and the database's, whatever wraps them."""
    plain = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x.csv"))
    database = sqlite3.OperationalError("database or disk is full")
    database.sqlite_errorcode = sqlite3.SQLITE_FULL
    for fault in (plain, DatabaseError("INSERT", None, database)):
        result = told(fault, "act")

        assert result.exit_code == 2
        assert "no space was left" in result.stderr
        assert "make room, then run it again" in result.stderr
    assert str(tmp_path) in told(plain, "act").stderr


def test_a_closed_pipe_is_its_own_exit_code() -> None:
    assert told(BrokenPipeError(32, "Broken pipe"), "act").exit_code == 141


def test_debug_shows_the_traceback() -> None:
    result = told(ZeroDivisionError("secret value of nobody"), "--debug", "act")

    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "secret value of nobody" in result.stderr


def test_a_refusal_tells_a_machine_its_reason() -> None:
    refusal = Refused(
        "INVALID_ARGUMENT", "ELEMENT_MISSING", "no", metadata={"element": "probe"}, retry_after=2.0
    )

    error = json.loads(told(refusal, "act", "--json").stdout)["error"]

    assert (error["code"], error["reason"], error["retry_after"]) == (
        *("INVALID_ARGUMENT", "ELEMENT_MISSING"),
        2.0,
    )
    assert error["metadata"] == {"element": "probe"}


def test_a_document_once_written_stays_the_only_one() -> None:
    result = told(UserError("too late"), "act", "--json", "--late")

    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout) == {"ok": True}
    assert result.exit_code == 2


def test_what_is_printed_is_not_markup() -> None:
    """A file name in brackets must not restyle the terminal, nor vanish."""
    assert "[bold]5[/bold]" in told(None, "act").stdout
    assert json.loads(told(None, "act", "--json").stdout)["price"] == "[bold]5[/bold] €"


def test_the_version_is_said(run: Any) -> None:
    assert run("--version").out.startswith("passerelle ")


def test_no_command_is_usage(run: Any) -> None:
    assert run().code == 2
    assert run("frobnicate").code == 2


def test_the_codes_are_those_of_the_help() -> None:
    assert [int(code) for code in Code] == [0, 1, 2, 130, 141]
    assert all(str(int(code)) in output.EXIT_CODES for code in Code)
    assert app.info.name == "passerelle"
