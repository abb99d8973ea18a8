"""A fresh machine: whatever is missing, the message names the remedy; half an environment is made whole."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest


def install(root: Path, python: str, venv: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "deploy/install.sh", python, venv],
        cwd=root,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def fake(path: Path, script: str) -> str:
    """Write an executable that stands for a Python."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def stub(root: Path, tmp_path: Path) -> Path:
    """Return a folder with the installer, a lock that nothing satisfies, and no packages."""
    shutil.copytree(root / "deploy", tmp_path / "deploy")
    shutil.copy(root / "pyproject.toml", tmp_path)
    nowhere = f"no-such-distribution-of-ours==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    (tmp_path / "requirements.lock").write_text(nowhere, encoding="utf-8")
    return tmp_path


def test_no_python_is_told(stub: Path) -> None:
    run = install(stub, "no-such-python", stub / "venv")

    assert run.returncode != 0
    assert "make PYTHON=" in run.stderr


def bounds(root: Path) -> tuple[int, int]:
    """Return the oldest and the newest Python 3 of `requires-python`: minor numbers."""
    wanted = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project(root)["requires-python"])
    assert wanted
    return int(wanted[1]), int(wanted[2]) - 1


def project(root: Path) -> dict[str, Any]:
    with (root / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["project"]
    return table


def ask(root: Path, version: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    """Run deploy/require_python.py as if this Python were of `version`."""
    pretend = (
        f"import runpy, sys; sys.version_info = {(*version, 0)};"
        "runpy.run_path('deploy/require_python.py', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", pretend], cwd=root, capture_output=True, text=True, check=False
    )


def test_a_python_that_is_too_old_or_too_new_is_told_in_one_sentence(root: Path) -> None:
    oldest, newest = bounds(root)

    for version in ((2, 7), (3, 6), (3, oldest - 1), (3, newest + 1), (4, oldest)):
        run = ask(root, version)
        assert run.returncode != 0
        assert run.stdout == ""
        assert run.stderr == (
            f"passerelle: this is Python {version[0]}.{version[1]} and one from 3.{oldest} to 3.{newest} is needed;"
            f" name one: make PYTHON=python3.{oldest} ...\n"
        )


def test_every_python_of_the_range_is_taken(root: Path) -> None:
    oldest, newest = bounds(root)

    for minor in range(oldest, newest + 1):
        run = ask(root, (3, minor))
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_installer_stops_at_a_python_that_is_refused(stub: Path) -> None:
    python = fake(
        stub / "python", f'case "$1" in deploy/*) exit 9;; esac; exec "{sys.executable}" "$@"'
    )

    run = install(stub, python, stub / "venv")

    assert run.returncode == 9
    assert not (stub / "venv").exists()


def test_the_sentence_is_spoken_by_a_python_of_long_ago(root: Path) -> None:
    """An old Python reads the whole file before it runs a line: one new word, and it tells a SyntaxError."""
    source = (root / "deploy" / "require_python.py").read_text(encoding="ascii")
    tree = ast.parse(source, feature_version=(3, 4))
    new = (
        ast.JoinedStr,
        ast.NamedExpr,
        ast.AnnAssign,
        ast.Starred,
        ast.Match,
        ast.AsyncFunctionDef,
    )

    found = [type(node).__name__ for node in ast.walk(tree) if isinstance(node, new)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            found += ["annotation"] * bool(
                node.returns or any(one.annotation for one in arguments.args)
            )
            found += ["keyword-only or positional-only"] * bool(
                arguments.kwonlyargs or arguments.posonlyargs
            )
    modules = {
        each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names
    }

    assert found == []
    assert modules <= {"io", "os", "re", "sys"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_the_range_of_pythons_stands_once(root: Path) -> None:
    """What else names a Python must agree: the packages' labels, the lock, the linter, the image."""
    oldest, newest = bounds(root)
    label = "Programming Language :: Python :: 3."
    labels = [each for each in project(root)["classifiers"] if each.startswith(label)]
    text = {
        name: (root / name).read_text(encoding="utf-8")
        for name in ("deploy/lock.sh", "deploy/Dockerfile", "pyproject.toml")
    }
    images = re.findall(r"^FROM python:3\.(\d+)-", text["deploy/Dockerfile"], re.MULTILINE)

    assert labels == [f"{label}{minor}" for minor in range(oldest, newest + 1)]
    assert f"--python-version 3.{oldest} " in text["deploy/lock.sh"]
    assert f'target-version = "py3{oldest}"' in text["pyproject.toml"]
    assert images
    assert all(oldest <= int(minor) <= newest for minor in images)
    assert oldest <= sys.version_info.minor <= newest


def test_a_lock_is_made_only_where_every_python_of_the_range_finds_wheels(root: Path) -> None:
    """Hashes do not say for which Python they are; so `make lock` asks, for each of the range, and stops at a gap."""
    text = (root / "deploy" / "lock.sh").read_text(encoding="utf-8")

    assert "set -eu" in text
    assert "require_python.supported()" in text
    assert "--only-binary :all:" in text


def test_a_python_without_venv_is_told(stub: Path) -> None:
    """Debian and Ubuntu ship Python without it."""
    python = fake(stub / "python", f'[ "$1" = -c ] && exit 1; exec "{sys.executable}" "$@"')

    run = install(stub, python, stub / "venv")

    assert run.returncode != 0
    assert "apt install python3-venv" in run.stderr


@pytest.mark.slow
def test_half_an_environment_is_made_whole_and_no_network_is_told(stub: Path) -> None:
    """An interrupted run leaves a folder without pip; it is made anew. Then the lock cannot be had."""
    (stub / "venv" / "bin").mkdir(parents=True)
    leftover = stub / "venv" / "leftover"
    leftover.touch()

    run = install(stub, sys.executable, stub / "venv", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)

    assert run.returncode != 0
    assert not leftover.exists()
    assert (stub / "venv" / "bin" / "python").exists()
    assert "Without a network" in run.stderr


RECORDED = """case "$1" in
deploy/*) ;;
-m) echo "$@" >> "$LOG"
  if [ "$2" = venv ]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; fi ;;
-c) case "$2" in *version_info*) echo "$SAID";; esac ;;
esac"""


def steps(stub: Path, python: str, **env: str) -> list[str]:
    """Return what the installer asks of Python and of pip, where each of them succeeds and does nothing."""
    log = stub / "log"
    log.unlink(missing_ok=True)
    run = install(stub, python, stub / "venv", **{"LOG": str(log), "SAID": "3.11", **env})
    assert run.returncode == 0, run.stderr
    return [
        line for line in log.read_text(encoding="utf-8").splitlines() if "--version" not in line
    ]


@pytest.fixture
def recorder(stub: Path) -> str:
    (stub / "deploy" / "softhsm.sh").write_text("", encoding="utf-8")
    return fake(stub / "python", RECORDED)


def test_set_up_takes_the_pip_that_venv_brings_and_never_another(stub: Path, recorder: str) -> None:
    """Nothing is fetched but what the lock names by its hash: pip itself is not upgraded, nothing is built from source."""
    pip = "-m pip --disable-pip-version-check --quiet install"

    assert steps(stub, recorder) == [
        f"-m venv --clear {stub / 'venv'}",
        f"{pip} --require-hashes -r requirements.lock",
        f"{pip} --no-deps --no-build-isolation --editable .",
    ]
    assert "PIP_ONLY_BINARY=${PIP_ONLY_BINARY:-:all:} $pip install --require-hashes" in (
        stub / "deploy" / "install.sh"
    ).read_text(encoding="utf-8")


def test_an_environment_of_the_same_python_is_kept_and_of_another_made_anew(
    stub: Path, recorder: str
) -> None:
    steps(stub, recorder)
    again = steps(stub, recorder)
    fake(stub / "venv" / "bin" / "python", RECORDED.replace('"$SAID"', "3.14"))
    other = steps(stub, recorder)

    assert not any("venv --clear" in step for step in again)
    assert any("venv --clear" in step for step in other)


def planned(root: Path, *words: str) -> list[str]:
    """Return the commands that make would run, one a line."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    clean = {
        name: value for name, value in os.environ.items() if name not in {"PYTHON", "MAKEFLAGS"}
    }
    run = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", *words],
        cwd=root,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """Return a folder with the files that make looks at, and no environment yet."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(root / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("word", ["demo", "test"])
def test_both_words_begin_with_the_installer_in_a_fresh_clone(clone: Path, word: str) -> None:
    """And so does `.ci/run`, which says `make test`: an untouched venv, with no pip upgraded by hand."""
    plan = planned(clone, word)

    assert plan[:2] == ["sh deploy/install.sh python3 .venv", "touch .venv/.installed"]
    assert not any("pip" in line for line in plan)


def test_an_environment_that_is_finished_is_not_made_again_unless_another_python_is_named(
    clone: Path,
) -> None:
    """An interrupted run leaves no stamp, and is taken up again."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    fake(clone / ".venv" / "bin" / "python", "echo Python 3.11.7")
    same = fake(clone / "same", "echo Python 3.11.7")
    other = fake(clone / "other", "echo Python 3.12.1")
    installs = "sh deploy/install.sh {} .venv".format

    assert planned(clone, "demo")[0] == installs("python3")
    (clone / ".venv" / ".installed").touch()

    assert planned(clone, "demo") == [".venv/bin/passerelle demo"]
    assert planned(clone, "demo", f"PYTHON={same}") == [".venv/bin/passerelle demo"]
    assert planned(clone, "demo", f"PYTHON={other}")[0] == installs(other)


def test_continuous_integration_runs_what_we_run(root: Path) -> None:
    """`.ci/run` is `make test` and nothing after it, so that the last lines are pytest's summary."""
    script = root / ".ci" / "run"
    last = script.read_text(encoding="utf-8").rstrip().splitlines()[-1]

    assert os.access(script, os.X_OK)
    assert last == "exec make --no-print-directory test </dev/null"
    assert not re.search(r"\b(pip|venv|python3?)\b", script.read_text(encoding="utf-8"))
