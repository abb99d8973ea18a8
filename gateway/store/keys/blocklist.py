"""Keys of partners that we refuse, whatever their bundles say; each row is written with its entry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from gateway.errors import UserError
from gateway.store import change_feed
from gateway.store.change_feed import Change
from gateway.store.effects import Effect, says
from gateway.store.schema import values
from gateway.store.times import milliseconds, moment

_PREFIX = "bar/"


class AlreadyBlocked(UserError):
    """The key is refused already, perhaps at the word of somebody in another process."""


@dataclass(frozen=True, slots=True)
class BlockedKey:
    """A key, leaf or authority of a partner that we refuse: its 32-byte id or pin, since when, at whose word."""

    party: str
    kid: bytes
    time: datetime
    actor: str


def blocked_by_party(connection: Connection) -> dict[str, frozenset[bytes]]:
    """Return what is refused, by party: key ids, pins of leaves and of authorities."""
    wanted = select(values.c.key).where(values.c.key.startswith(_PREFIX, autoescape=True))
    refused: dict[str, frozenset[bytes]] = {}
    for key in connection.execute(wanted).scalars():
        party, kid = key.removeprefix(_PREFIX).split("/")
        refused[party] = refused.get(party, frozenset()) | {bytes.fromhex(kid)}
    return refused


def blocked_since(connection: Connection) -> dict[tuple[str, bytes], datetime]:
    """Return since when each key is refused, by party and id or pin."""
    wanted = select(values).where(values.c.key.startswith(_PREFIX, autoescape=True))
    since = {}
    for row in connection.execute(wanted):
        party, kid = row.key.removeprefix(_PREFIX).split("/")
        since[party, bytes.fromhex(kid)] = moment(json.loads(row.value)["time_ms"])
    return since


def block(new: BlockedKey) -> tuple[Effect, ...]:
    """Return what refuses a key in every process; its commit raises AlreadyBlocked where it is refused already."""
    text = json.dumps({"time_ms": milliseconds(new.time), "actor": new.actor}, sort_keys=True)
    row = insert(values).values(key=_key(new.party, new.kid), value=text)
    refused = Effect(row, rows=1, refusal=says(AlreadyBlocked, "this key is refused already"))
    return refused, change_feed.announce(Change.BLOCKED_KEY)


def unblock(party: str, kid: bytes) -> tuple[Effect, ...]:
    """Return what ends the refusal of a key in every process; its commit raises UserError where there is none."""
    row = delete(values).where(values.c.key == _key(party, kid))
    believed = Effect(row, rows=1, refusal=says(UserError, "this key is not refused"))
    return believed, change_feed.announce(Change.BLOCKED_KEY)


def _key(party: str, kid: bytes) -> str:
    return f"{_PREFIX}{party}/{kid.hex()}"
