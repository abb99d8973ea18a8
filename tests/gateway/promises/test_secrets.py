"""Canary secrets: passphrase, PIN and seeds are nowhere but where they are used.

They are looked for as they are, in hexadecimal and in base64: in logs, errors, reprs and pickles, in the process
list and the environment of children, in metrics and the listener's file, in every file of the gateway; and no image of
the memory that holds them may be written.
"""

from __future__ import annotations

import base64
import copy
import pickle
import re
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.admin.operation import Officer
from gateway.exercises.subprocess_cli import Server
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from keys.custody import open_custody
from keys.errors import KeysError
from keys.keyset import Keyset

PASSPHRASE = b"canary-Zyzzyva-passphrase"
NEXT = b"canary-Quixotry-passphrase"
TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-2")


@pytest.fixture
def home(homes: Any, secret: Any, tmp_path: Path) -> Path:
    """Return a gateway whose keys are under the canary passphrase."""
    rewrap(homes[0], secret, secret_file(tmp_path / "canary.pass", PASSPHRASE))
    found: Path = homes[0]
    return found


def secret_file(path: Path, secret: bytes) -> Path:
    path.write_bytes(secret)
    path.chmod(0o600)
    return path


def rewrap(home: Path, passphrase: Any, file: Path) -> None:
    with Gateway.open(home, passphrase) as gateway:
        values = {"passphrase_file": str(file), "reason": "canary"}
        gateway.admin.perform(TWO, "custody.rewrap", values)


def seeds(home: Path) -> list[bytes]:
    """Return every seed of the gateway, unwrapped as nothing in it would show them."""
    settings = config.load(home)
    custody = open_custody(settings.keys.custody, lambda: PASSPHRASE)
    keyset = Keyset.load(settings.keys.keyset, custody)
    return [custody.unwrap(r.wrapped, r.seed_aad()) for r in keyset.records if r.wrapped]


def forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    yield base64.b64encode(secret).rstrip(b"=")
    yield repr(secret)[2:-1].encode()


def demand_absent(secrets: list[bytes], image: bytes, where: str) -> None:
    low = image.lower()
    for secret in secrets:
        for form in forms(secret):
            assert form not in image, where
            assert form.lower() not in low or form == secret, where


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())


def test_the_canary_would_be_seen() -> None:
    """A test that finds nothing anywhere must find it where it is."""
    for form in forms(PASSPHRASE):
        with pytest.raises(AssertionError, match="here"):
            demand_absent([PASSPHRASE], b"x" + form + b"y", "here")


def test_a_serving_gateway_shows_no_secret_anywhere(home: Path, tmp_path: Path) -> None:
    canaries = [PASSPHRASE, *seeds(home)]
    assert len(canaries) > 5
    log = tmp_path / "log"
    with Server(home, tmp_path / "canary.pass", log) as server:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics") as answer:
            demand_absent(canaries, answer.read(), "metrics")
        process = Path(f"/proc/{server.pid}")
        for name in ("cmdline", "comm"):
            demand_absent(canaries, (process / name).read_bytes(), name)
        demand_absent(canaries, _readable(process / "environ"), "environ")
        limits = (process / "limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits)
        demand_absent(canaries, (home / "door.json").read_bytes(), "door.json")
        listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, check=False)
        demand_absent(canaries, listed.stdout, "process list")
    demand_absent(canaries, log.read_bytes(), "log")
    for path in files(home):
        demand_absent(canaries, path.read_bytes(), path.name)


def _readable(path: Path) -> bytes:
    """Return what the file shows; a process that is not dumpable shows nothing to others."""
    try:
        return path.read_bytes()
    except PermissionError:
        return b""


def test_what_children_are_given_holds_no_secret(home: Path) -> None:
    """A child of a process that holds open keys, as a search engine or a tool would be."""
    with Gateway.open(home, lambda: PASSPHRASE):
        code = (
            "import os, sys; sys.stdout.buffer.write(repr((dict(os.environ), sys.argv)).encode())"
        )
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    demand_absent([PASSPHRASE, *seeds(home)], child.stdout, "child")


def test_no_error_shows_what_was_tried(home: Path) -> None:
    """Wrong passphrase, damaged files, another custody: message, repr and traceback of each."""
    tried = b"canary-tried-in-vain"
    settings = config.load(home)
    canaries, told = [PASSPHRASE, tried, *seeds(home)], list[str]()

    def fails(passphrase: bytes) -> None:
        try:
            Keyset.load(
                settings.keys.keyset, open_custody(settings.keys.custody, lambda: passphrase)
            )
        except KeysError as fault:
            told.extend([str(fault), repr(fault), *traceback.format_exception(fault)])
        else:
            pytest.fail("it opened")

    fails(tried)
    content = settings.keys.keyset.read_bytes()
    for damaged in (content[:-10], content.replace(b'"reason"', b'"raison"', 1)):
        settings.keys.keyset.write_bytes(damaged)
        fails(PASSPHRASE)
    assert len(told) >= 9
    demand_absent(canaries, "\n".join(told).encode(), "errors")


def test_no_handle_is_shown_pickled_or_copied(home: Path) -> None:
    settings = config.load(home)
    custody = open_custody(settings.keys.custody, lambda: PASSPHRASE)
    keyset = Keyset.load(settings.keys.keyset, custody)
    handles = [custody, keyset, keyset.signing(), keyset.log(), keyset.data(), keyset.tls_leaf()]

    shown = " ".join(f"{each!r} {each}" for each in handles)
    demand_absent([PASSPHRASE, *seeds(home)], shown.encode(), "repr")
    for each in handles:
        for leak in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                leak(each)
        with pytest.raises(TypeError):
            assert each == each  # noqa: PLR0124


def test_a_change_of_custody_leaves_no_secret_in_ledger_settings_or_files(
    home: Path, tmp_path: Path
) -> None:
    canaries = [PASSPHRASE, NEXT, *seeds(home)]
    rewrap(home, lambda: PASSPHRASE, secret_file(tmp_path / "next.pass", NEXT))

    for path in files(home):
        demand_absent(canaries, path.read_bytes(), path.name)


def test_a_pin_is_in_no_file_error_or_repr(home: Path, tmp_path: Path, tokens: Any) -> None:
    uri = tokens.uri("good", "canary")
    pin = secret_file(tmp_path / "pin", tokens.pin)
    with Gateway.open(home, lambda: PASSPHRASE) as gateway:
        values = {"passphrase_file": str(pin), "reason": "canary", "to": uri}
        gateway.admin.perform(TWO, "custody.rewrap", values)
        shown = f"{gateway.keyset.custody!r} {gateway.keyset.custody.describe()}"
    with pytest.raises(KeysError) as refused:
        open_custody(uri, lambda: b"canary-wrong-pin")

    told = f"{refused.value} {refused.value!r} {shown}"
    demand_absent([tokens.pin, b"canary-wrong-pin"], told.encode(), "errors")
    for path in files(home):
        demand_absent([tokens.pin], path.read_bytes(), path.name)


def test_a_process_that_opens_keys_writes_no_core() -> None:
    code = (
        "import resource, ctypes; from gateway.server.process_hardening import forbid_core; forbid_core();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["(0,", "0)", "0"]
