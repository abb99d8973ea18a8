"""A gateway is a record of services: nobody exchanges one, and its parts stand alone."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.admin_session import perform
from gateway.client.errors import Refused
from gateway.monitoring.alarms import LatchedAlarms
from gateway.server.application import Gateway
from gateway.server.lifecycle import build_admin_listener
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_identity import TlsIdentity
from gateway.server.readiness import Readiness

ROOT = Path(__file__).resolve().parents[3]
MOST = 2  # callables of one constructor: as a rule a clock and a source of randomness
# What is made of functions because it is a table of them, or draws what it is given.
TABLES = {"Handler", "ConsoleContext"}


def constructors() -> Iterator[tuple[str, int]]:
    """Yield each class of ours with how many callables it is constructed with."""
    files = (
        file for folder in ("gateway", "keys", "matcher") for file in (ROOT / folder).rglob("*.py")
    )
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            fields = [one.annotation for one in node.body if isinstance(one, ast.AnnAssign)]
            for one in node.body:
                if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                    arguments = (*one.args.args, *one.args.kwonlyargs)
                    fields = [each.annotation for each in arguments if each.annotation]
            yield node.name, sum("Callable" in ast.unparse(each) for each in fields)


def test_no_constructor_takes_more_than_two_callables() -> None:
    found = list(constructors())

    assert {name for name, count in found if count > MOST} - TABLES == set()
    assert ("Sequencer", 1) in found  # the search sees what it is to see: its clock


def test_nobody_exchanges_a_service_of_an_open_gateway(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        for name in ("sequencer", "keys", "admin", "clock"):
            with pytest.raises(FrozenInstanceError):
                setattr(gateway, name, None)


def test_our_own_people_are_served_without_the_exchange(
    homes: Any, secret: Any, let_in: Any, tmp_path: Path
) -> None:
    """The listener of our own people needs no gallery, no pipeline and no partner; it answers from when it may."""
    home = homes[0]
    let_in(home, "P-1", ["operator"], tmp_path / "p1")
    with Gateway.open(home, secret) as gateway:
        alarms = LatchedAlarms(gateway.database, gateway.sequencer, gateway.clock)
        identity, readiness = TlsIdentity(alarms), Readiness(gateway.sequencer)
        identity.begin(gateway.keyset)
        listener = build_admin_listener(gateway, readiness, Guard(gateway.watchdog))
        listener.start(identity, 8, {})
        try:
            with pytest.raises(Refused, match="DRAINING"):
                perform(home, "staff.list", {}, officer=tmp_path / "p1")
            readiness.open()
            found = perform(home, "staff.list", {}, officer=tmp_path / "p1")
            written = json.loads((home / "door.json").read_text())
        finally:
            listener.stop(5.0)

    assert [row["person"] for row in found["staff"]] == ["P-1"]
    assert list(written) == ["admin", "authority"]
    assert not (home / "door.json").exists()
