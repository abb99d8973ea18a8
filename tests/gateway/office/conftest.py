"""The counter for keys, as its tests use it: who stands there, what is done, how the keys stand after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.admin.operation import Officer, Role
from gateway.ledger.entry import EntryType, decode
from gateway.server.application import Gateway
from gateway.store.exchange import seen_versions
from gateway.store.ledger import stored_ledger
from keys.keyset import KeyKind, KeyState

OPERATOR = frozenset({Role.OPERATOR})


class KeyDesk:
    """The acts on keys in one open gateway."""

    one = Officer("P-1", OPERATOR)
    two = Officer("P-1", OPERATOR, second="P-2")
    other = Officer("P-2", OPERATOR)

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def do(self, act: str, officer: Officer = one, **values: object) -> dict[str, Any]:
        """Do one act, for a reason where it wants one."""
        if act not in {"keys.list", "keys.show"}:
            values = {"reason": "a test", **values}
        return dict(self._gateway.perform(officer, act, values))

    def key(self, kind: KeyKind, state: KeyState) -> str:
        """Return the id of the newest key of a kind in a state."""
        found = [r for r in self._gateway.keyset.records if (r.kind, r.state) == (kind, state)]
        return max(found, key=lambda record: record.created).kid.hex()

    def state(self, kid: str) -> KeyState:
        return self._gateway.keyset.record(bytes.fromhex(kid)).state

    def sight(self, partner: str, version: int) -> None:
        """Have a partner be seen with a version, as the first commit of its message keeps it."""
        gateway = self._gateway
        gateway.sequencer.commit((), seen_versions.see(partner, version, gateway.clock()))

    def entries(self, kind: EntryType) -> int:
        leaves = stored_ledger.iter_leaves(self._gateway.database)
        return [decode(leaf).type for leaf in leaves].count(kind)


class Clock:
    """A clock of the keys that tests set forward or back; the ledger keeps its own."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self.ahead = gateway, timedelta()
        gateway.keyroom._clock = self
        gateway.turning._clock = self

    def __call__(self) -> datetime:
        return self._gateway.clock() + self.ahead


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    """Return an open gateway that knows one partner, AUS."""
    with Gateway.open(homes[0], secret) as opened:
        yield opened


@pytest.fixture(scope="session")
def keydesk() -> type[KeyDesk]:
    return KeyDesk


@pytest.fixture
def desk(gateway: Gateway) -> KeyDesk:
    return KeyDesk(gateway)


@pytest.fixture
def clock(gateway: Gateway) -> Clock:
    return Clock(gateway)
