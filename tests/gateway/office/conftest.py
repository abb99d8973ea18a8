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
    """The acts on keys in one open house."""

    one = Officer("P-1", OPERATOR)
    two = Officer("P-1", OPERATOR, second="P-2")
    other = Officer("P-2", OPERATOR)

    def __init__(self, house: Gateway) -> None:
        self._house = house

    def do(self, act: str, officer: Officer = one, **values: object) -> dict[str, Any]:
        """Do one act, for a reason where it wants one."""
        if act not in {"keys.list", "keys.show"}:
            values = {"reason": "a test", **values}
        return dict(self._house.perform(officer, act, values))

    def key(self, kind: KeyKind, state: KeyState) -> str:
        """Return the id of the newest key of a kind in a state."""
        found = [r for r in self._house.keyset.records if (r.kind, r.state) == (kind, state)]
        return max(found, key=lambda record: record.created).kid.hex()

    def state(self, kid: str) -> KeyState:
        return self._house.keyset.record(bytes.fromhex(kid)).state

    def sight(self, partner: str, version: int) -> None:
        """Have a partner be seen with a version, as the first commit of its message keeps it."""
        house = self._house
        house.sequencer.commit((), seen_versions.see(partner, version, house.clock()))

    def entries(self, kind: EntryType) -> int:
        leaves = stored_ledger.iter_leaves(self._house.database)
        return [decode(leaf).type for leaf in leaves].count(kind)


class Clock:
    """A clock of the keys that tests set forward or back; the ledger keeps its own."""

    def __init__(self, house: Gateway) -> None:
        self._house, self.ahead = house, timedelta()
        house.keyroom._clock = self
        house.turning._clock = self

    def __call__(self) -> datetime:
        return self._house.clock() + self.ahead


@pytest.fixture
def house(homes: Any, secret: Any) -> Iterator[Gateway]:
    """Return an open house that knows one partner, AUS."""
    with Gateway.open(homes[0], secret) as opened:
        yield opened


@pytest.fixture(scope="session")
def keydesk() -> type[KeyDesk]:
    return KeyDesk


@pytest.fixture
def desk(house: Gateway) -> KeyDesk:
    return KeyDesk(house)


@pytest.fixture
def clock(house: Gateway) -> Clock:
    return Clock(house)
