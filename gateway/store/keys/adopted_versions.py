"""What the gateway has adopted: versions of agreements and directory entries, states of keys.

Small named values, each written with the leaf that records why. A value is replaced only by someone who
knows what it was, so that two adoptions at once cannot both succeed. At start-up the keyset file is compared
with the key states here: an older file, put back from a backup, would revive a destroyed key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, exists, insert, literal, select, update

from gateway.errors import InternalError, UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import values
from gateway.store.times import milliseconds, moment
from keys.keyset import KeyEvent, KeyKind, KeyState

_TEXT = "agreement-text/"  # of the keys under which texts are kept
_MEANWHILE = says(UserError, "it changed meanwhile; look again, then decide again")


class Subject(Enum):
    """What kind of thing was adopted."""

    AGREEMENT = "agreement"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Adopted:
    """The version in force of an agreement or a party's directory entry.

    digest     SHA-256 of its bytes in hexadecimal
    withdrawn  it was in force and is so no longer; the version is kept, so that no older one returns
    """

    version: int
    digest: str
    time: datetime
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """What the ledger's last event says of a key."""

    kind: KeyKind
    state: KeyState
    time: datetime


def adopted(connection: Connection, subject: Subject) -> dict[str, Adopted]:
    """Return what is in force, by agreement id or party."""
    return {
        name: Adopted(time=moment(held.pop("time_ms")), **held)
        for name, held in _named(connection, subject.value).items()
    }


def texts(connection: Connection) -> dict[str, bytes]:
    """Return the texts of agreements that were kept, by agreement and version."""
    wanted = select(values).where(values.c.key.startswith(_TEXT, autoescape=True))
    return {row.key.removeprefix(_TEXT): row.value.encode() for row in connection.execute(wanted)}


def keep_text(name: str, text: bytes) -> Effect:
    """Return what keeps the text of an agreement that is adopted; nothing where it is kept already.

    A file may be overwritten; what was adopted has to be had as long as it is in force. Its digest is what is
    believed, so the text needs no entry.
    """
    key = _TEXT + name
    absent = ~exists().where(values.c.key == key)
    row = select(literal(key), literal(text.decode())).where(absent)
    return Effect(insert(values).from_select(["key", "value"], row))


def adopt(
    subject: Subject, name: str, new: Adopted, previous: Adopted | None
) -> tuple[Effect, ...]:
    """Return what puts a version in force, together with its AGREEMENT or DIRECTORY leaf.

    previous   what `adopted` says is in force; None for the first

    Raises UserError unless the version grows, or the withdrawn one itself returns; the commit raises UserError
    when another was adopted meanwhile.
    """
    returns = (
        previous is not None
        and previous.withdrawn
        and (new.version, new.digest) == (previous.version, previous.digest)
    )
    if previous is not None and new.version <= previous.version and not returns:
        raise UserError(
            f"{subject.value} {name}: version {new.version} does not follow {previous.version}"
        )
    before = None if previous is None else _adopted_text(previous)
    return (_replace(f"{subject.value}/{name}", _adopted_text(new), before),)


def withdraw(subject: Subject, name: str, held: Adopted, now: datetime) -> tuple[Effect, ...]:
    """Return what notes that `held` is no longer in force, together with its leaf.

    The commit raises UserError when another was adopted meanwhile.
    """
    gone = replace(held, time=now, withdrawn=True)
    return (_replace(f"{subject.value}/{name}", _adopted_text(gone), _adopted_text(held)),)


def key_states(connection: Connection) -> dict[bytes, KeyStanding]:
    """Return what the last recorded event says of each key, by its 32-byte id."""
    return {
        bytes.fromhex(kid): KeyStanding(
            KeyKind(held["kind"]), KeyState(held["state"]), moment(held["time_ms"])
        )
        for kid, held in _named(connection, "key").items()
    }


def record_key(event: KeyEvent, previous: KeyStanding | None) -> tuple[Effect, ...]:
    """Return what notes a key's new state, together with its KEY leaf.

    previous   what `key_states` says of the key; None for a new one

    Raises InternalError when the event does not begin where the ledger's last one ended; the commit raises UserError
    when the key moved meanwhile.
    """
    held = None if previous is None else previous.state
    if event.previous is not held:
        raise InternalError("a key event that does not begin where the ledger's last one ended")
    before = None if previous is None else _standing_text(previous)
    after = _standing_text(KeyStanding(event.kind, event.state, event.time))
    return (_replace(f"key/{event.kid.hex()}", after, before),)


def _named(connection: Connection, kind: str) -> dict[str, dict[str, Any]]:
    prefix = f"{kind}/"
    wanted = select(values).where(values.c.key.startswith(prefix, autoescape=True))
    return {
        row.key.removeprefix(prefix): json.loads(row.value)
        for row in connection.execute(wanted.order_by(values.c.key))
    }


def _replace(key: str, new: str, before: str | None) -> Effect:
    if before is None:
        return Effect(insert(values).values(key=key, value=new), rows=1, refusal=_MEANWHILE)
    row = update(values).where(values.c.key == key, values.c.value == before).values(value=new)
    return Effect(row, rows=1, refusal=_MEANWHILE)


def _adopted_text(one: Adopted) -> str:
    gone = {"withdrawn": True} if one.withdrawn else {}
    return _text(version=one.version, digest=one.digest, time_ms=milliseconds(one.time), **gone)


def _standing_text(one: KeyStanding) -> str:
    return _text(kind=one.kind.value, state=one.state.value, time_ms=milliseconds(one.time))


def _text(**parts: str | int) -> str:
    """Return the one way to write a value, so that it can be compared as text."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))
