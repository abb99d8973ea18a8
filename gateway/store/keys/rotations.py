"""What the gateway keeps of its rotations: schedules, who asked, what is to go, and the evidence that promotes a key.

Small named values, each written with the leaf that records why. The evidence is which version of our entry first named
a key, and which version each partner was last seen to use: in the header of an authentic message. It is kept only where
it grows, in the commit that admits the message, so that a quiet day costs nothing and a crash forgets nothing that the
ledger remembers.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, insert, literal, select, update

from gateway.errors import UserError
from gateway.store.effects import Effect, says
from gateway.store.engine import StorageEngine
from gateway.store.schema import sightings, values
from gateway.store.times import milliseconds, moment
from keys.lifecycle import KeyKind
from keys.rotation_schedule import CRYPTO_PERIODS, CryptoPeriod

_SCHEDULE = "rotation/schedule/"
_ASKED = "rotation/asked/"
_NAMED = "rotation/named/"
_SCHEDULED_DESTRUCTION = "rotation/doomed/"


@dataclass(frozen=True, slots=True)
class ScheduledDestruction:
    """That a key is to be destroyed: when, why, and who decided it."""

    due: datetime
    reason: str
    actor: str
    approver: str


def crypto_periods(connection: Connection) -> dict[KeyKind, CryptoPeriod]:
    """Return how each kind is rotated: as somebody set it, else as it is from the start."""
    found = dict(CRYPTO_PERIODS)
    for name, held in _under(connection, _SCHEDULE).items():
        found[KeyKind(name)] = CryptoPeriod(held["on"], timedelta(days=held["days"]))
    return found


def set_crypto_period(kind: KeyKind, crypto_period: CryptoPeriod) -> tuple[Effect, ...]:
    """Return what changes how a kind is rotated."""
    return _put(
        f"{_SCHEDULE}{kind.value}", {"on": crypto_period.on, "days": crypto_period.every.days}
    )


def asked(connection: Connection) -> frozenset[bytes]:
    """Return the keys whose rotation somebody asked for."""
    return frozenset(bytes.fromhex(name) for name in _under(connection, _ASKED))


def ask(kid: bytes) -> tuple[Effect, ...]:
    """Return what lets the rounds go on with a key's rotation."""
    return _put(f"{_ASKED}{kid.hex()}", {})


def unask(kid: bytes) -> tuple[Effect, ...]:
    """Return what ends that; nothing where nobody asked."""
    return (Effect(delete(values).where(values.c.key == f"{_ASKED}{kid.hex()}")),)


def named(connection: Connection) -> dict[bytes, int]:
    """Return the version of our entry that first named each key."""
    return {
        bytes.fromhex(name): held["version"] for name, held in _under(connection, _NAMED).items()
    }


def name(kid: bytes, version: int) -> Effect:
    """Return what keeps that a version names a key; the first that did stays."""
    key = f"{_NAMED}{kid.hex()}"
    row = select(literal(key), literal(_text({"version": version})))
    absent = ~exists().where(values.c.key == key)
    return Effect(insert(values).from_select(["key", "value"], row.where(absent)))


def scheduled_destructions(connection: Connection) -> dict[bytes, ScheduledDestruction]:
    """Return the keys that are to be destroyed."""
    return {
        bytes.fromhex(name): ScheduledDestruction(
            moment(held["due_ms"]), held["reason"], held["actor"], held["approver"]
        )
        for name, held in _under(connection, _SCHEDULED_DESTRUCTION).items()
    }


def schedule_destruction(kid: bytes, planned: ScheduledDestruction) -> tuple[Effect, ...]:
    """Return what decides a destruction; the commit raises UserError where it is decided already."""
    held = {
        "due_ms": milliseconds(planned.due),
        "reason": planned.reason,
        "actor": planned.actor,
        "approver": planned.approver,
    }
    row = insert(values).values(key=f"{_SCHEDULED_DESTRUCTION}{kid.hex()}", value=_text(held))
    already = says(
        UserError, "its destruction is decided already; `passerelle keys cancel` ends that"
    )
    return (Effect(row, rows=1, refusal=already),)


def cancel_destruction(kid: bytes, *, demand: bool = True) -> tuple[Effect, ...]:
    """Return what ends a decision to destroy; where it is demanded, the commit raises UserError if there is none."""
    gone = delete(values).where(values.c.key == f"{_SCHEDULED_DESTRUCTION}{kid.hex()}")
    none = says(UserError, "no destruction of that key is decided any more")
    return (Effect(gone, rows=1, refusal=none) if demand else Effect(gone),)


def _under(connection: Connection, prefix: str) -> dict[str, Any]:
    wanted = select(values).where(values.c.key.startswith(prefix, autoescape=True))
    return {
        row.key.removeprefix(prefix): json.loads(row.value)
        for row in connection.execute(wanted.order_by(values.c.key))
    }


def _put(key: str, held: dict[str, object]) -> tuple[Effect, ...]:
    row = select(literal(key), literal(_text(held)))
    absent = ~exists().where(values.c.key == key)
    return (
        Effect(insert(values).from_select(["key", "value"], row.where(absent))),
        Effect(update(values).where(values.c.key == key).values(value=_text(held)), rows=1),
    )


def _text(held: dict[str, object]) -> str:
    return json.dumps(held, sort_keys=True, separators=(",", ":"))


# What partners were seen to use


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest version that a partner was seen to use, and since when."""

    version: int
    time: datetime


def seen(connection: Connection) -> dict[str, Sighting]:
    """Return what each partner was seen to use."""
    return {
        row.partner: Sighting(row.version, moment(row.see_ms))
        for row in connection.execute(select(sightings).order_by(sightings.c.partner))
    }


def see(partner: str, version: int, now: datetime) -> tuple[Effect, ...]:
    """Return what keeps that a partner uses a version; it never goes back."""
    here = sightings.c.partner == partner
    row = select(literal(partner), literal(version), literal(milliseconds(now)))
    first = insert(sightings).from_select(
        ["partner", "version", "see_ms"], row.where(~exists().where(here))
    )
    grown = (
        update(sightings)
        .where(and_(here, sightings.c.version < version))
        .values(version=version, see_ms=milliseconds(now))
    )
    return Effect(first), Effect(grown)


class Sightings:
    """What is seen while the gateway serves; for several threads. The database is asked once."""

    def __init__(self, database: StorageEngine) -> None:
        self._database = database
        self._known: dict[str, int] | None = None
        self._lock = threading.Lock()

    def effects(self, partner: str, version: int, now: datetime) -> tuple[Effect, ...]:
        """Return what to keep of a sighting with the message's first commit: mostly nothing."""
        with self._lock:
            grown = self._versions().get(partner, 0) < version
        return see(partner, version, now) if grown else ()

    def kept(self, partner: str, version: int) -> None:
        """Note that the commit is durable."""
        with self._lock:
            known = self._versions()
            known[partner] = max(known.get(partner, 0), version)

    def _versions(self) -> dict[str, int]:
        if self._known is None:
            with self._database.reader() as reader:
                self._known = {name: one.version for name, one in seen(reader).items()}
        return self._known
