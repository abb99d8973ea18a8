"""A damaged file of our directory stops neither our keys nor the gateway: it is said, and repaired or restored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.server.application import Gateway
from keys.keyset import KeyKind, KeyState

each_file = pytest.mark.parametrize("role", ["root", "targets", "CAN", "snapshot", "timestamp"])
each_damage = pytest.mark.parametrize("damage", [b"", b"{", b"{}"], ids=["empty", "cut", "other"])


def spoil(home: Path, role: str, damage: bytes) -> None:
    """Damage the newest file of a role."""
    newest = max((home / "directory" / "metadata").glob(f"*{role}.json"))
    newest.write_bytes(damage)


@each_file
@each_damage
def test_the_rounds_go_on_beside_a_damaged_file(
    gateway: Gateway, key_operations: Any, clock: Any, role: str, damage: bytes
) -> None:
    """Keys go on to turn, and what ends goes on to be told."""
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    spoil(gateway.home, role, damage)
    clock.ahead = timedelta(days=6)

    for walk in (
        gateway.directory.publication.round,
        gateway.keys.rotation.round,
        gateway.expiry_alerts.round,
    ):
        walk()

    assert key_operations.key(KeyKind.KEM, KeyState.PREACTIVE) != old


@each_file
@each_damage
def test_a_gateway_with_a_damaged_file_opens(
    homes: Any, secret: Callable[[], bytes], role: str, damage: bytes
) -> None:
    with Gateway.open(homes[0], secret):
        pass
    spoil(homes[0], role, damage)

    with Gateway.open(homes[0], secret) as gateway:
        assert gateway.directory.publication.active


@each_file
def test_a_stolen_key_is_stopped_beside_a_damaged_file(
    gateway: Gateway, key_operations: Any, role: str
) -> None:
    kid = key_operations.key(KeyKind.SIGNING, KeyState.ACTIVE)
    spoil(gateway.home, role, b"{")
    since = (gateway.clock() - timedelta(hours=1)).isoformat()

    stopped = gateway.admin.perform(
        key_operations.one, "keys.compromised", {"key": kid, "since": since}
    )

    assert (stopped["state"], key_operations.state(kid)) == ("SUSPENDED", KeyState.SUSPENDED)
