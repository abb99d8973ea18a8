"""Moves of our keys as decisions on a keyset: each is pure, and says in words why it cannot be.

A transition is passed to the active keyset, which keeps, records and puts it in force. Who may order it is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from gateway.errors import UserError
from gateway.keymanagement.active_keyset import Decide
from gateway.monitoring.expiry import Keys
from gateway.trust.key_names import of_record, spelt
from keys.errors import KeyNotUsable, KeysError
from keys.key_record import KeyEvent, KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import (
    DIRECTORY,
    PRODUCES_ONLY,
    KeyKind,
    KeyState,
    authority,
    wait_before_destruction,
)
from keys.rotation_schedule import ANNOUNCED, TICK, CryptoPeriod, ends_by_schedule, short

# Past their end, or stopped, nothing is answered.
NEEDED = (KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_LEAF)

# One person may stop a key, but not the whole gateway: without these it records nothing, or reads nothing.
_HOUSE_NEEDS = frozenset({KeyKind.LOG, KeyKind.DATA, KeyKind.AUDIT})
_STOPPED = frozenset({KeyState.SUSPENDED, KeyState.COMPROMISED})
# What two persons decide to destroy waits, so that one can still cancel; these live for days only.
_SHORT_LIVED = frozenset({KeyKind.KEM, KeyKind.TLS_LEAF})


def named(keyset: Keyset, key: str) -> KeyRecord:
    """Return the key of ours that digits name, by id, pin or serial number; raises UserError for none and for several."""
    beginning = spelt(key)
    found = [
        record
        for record in keyset.records
        if any(each.startswith(beginning) for each in of_record(record))
    ]
    if len(found) == 1:
        return found[0]
    raise UserError(
        "key: several keys of ours begin so; give more digits"
        if found
        else "key: no key of ours begins so; see `passerelle keys list`. A partner's is for `passerelle keys"
        " compromised`, `affected` and `unblock`, with --partner ID"
    )


def keepers_sign(kind: KeyKind) -> str | None:
    """Return what the directory's root key holders sign to name a pair of a kind: its root, or its targets."""
    if kind not in DIRECTORY:
        return None
    return "targets" if kind is KeyKind.DELEGATION else "root"


def coming(keyset: Keyset, kind: KeyKind) -> KeyRecord | None:
    """Return the newest PREACTIVE key of a kind."""
    found = [r for r in keyset.records if (r.kind, r.state) == (kind, KeyState.PREACTIVE)]
    return max(found, key=lambda record: (record.created, record.kid), default=None)


def sole(keyset: Keyset, record: KeyRecord) -> bool:
    """Say whether a key is the only ACTIVE one of its kind."""
    active = [r for r in keyset.records if (r.kind, r.state) == (record.kind, KeyState.ACTIVE)]
    return [each.kid for each in active] == [record.kid]


def stopped(keyset: Keys) -> tuple[KeyKind, ...]:
    """Return the kinds without which nothing is answered, and of which no key is ACTIVE."""
    active = {record.kind for record in keyset.records if record.state is KeyState.ACTIVE}
    return tuple(kind for kind in NEEDED if kind not in active)


def silences(keyset: Keyset, record: KeyRecord) -> bool:
    """Say whether nothing would be answered any more if a key were stopped now."""
    return record.kind in NEEDED and sole(keyset, record)


def demand_ours(kind: KeyKind) -> None:
    """Raise UserError for a kind whose keys are made elsewhere."""
    if kind is KeyKind.AUDIT:
        raise UserError(
            "an AUDIT key is the auditor's: they make the next by passerelle audit renew, and two operators take over its"
            " public half by passerelle keys set-auditor-key DIR FILE"
        )


def generate(kind: KeyKind, reason: str, actor: str, *, join: bool = False) -> Decide:
    """Make a key of a kind, PREACTIVE; one at a time, so that two operators do not rotate side by side.

    join   where one is made already, move nothing instead of refusing
    """

    def decide(keyset: Keyset, now: datetime) -> tuple[Keyset, tuple[KeyEvent, ...]]:
        demand_ours(kind)
        already = coming(keyset, kind)
        if already is not None and join:
            return keyset, ()
        if already is not None:
            raise UserError(
                f"{kind.value} {short(already.kid)} is PREACTIVE already: promote or destroy it first"
            )
        try:
            keyset, event = keyset.generate(kind, now, reason=reason, actor=actor)
        except KeysError as fault:
            raise UserError(str(fault)) from None
        return keyset, (event,)

    return decide


def move(kid: bytes, target: KeyState, reason: str, actor: str) -> Decide:
    """Move a key along an edge of its table."""

    def decide(keyset: Keyset, now: datetime) -> tuple[Keyset, tuple[KeyEvent, ...]]:
        record = keyset.record(kid)
        demand_edge(keyset, record, target)
        try:
            keyset, event = keyset.transition(kid, target, now, reason, actor)
        except KeysError as fault:
            raise UserError(f"{record.kind.value} {short(kid)}: {fault}") from None
        return keyset, (event,)

    return decide


def stop(kid: bytes, target: KeyState, reason: str, actor: str) -> Decide:
    """Suspend or revoke a key; where partners would know no other of its kind, its successor is made with it.

    Our entry never names none; the successor is PREACTIVE.
    """

    def decide(keyset: Keyset, now: datetime) -> tuple[Keyset, tuple[KeyEvent, ...]]:
        record = keyset.record(kid)
        keyset, events = move(kid, target, reason, actor)(keyset, now)
        if record.kind in ANNOUNCED and not keyset.published(record.kind):
            with suppress(KeyNotUsable):  # a leaf whose authority is stopped: that one comes first
                follows = f"follows {short(kid)}, which is {target.value}"
                keyset, made = keyset.generate(record.kind, now, reason=follows, actor=actor)
                events = (*events, made)
        return keyset, events

    return decide


def demand_edge(keyset: Keyset, record: KeyRecord, target: KeyState) -> None:
    """Raise UserError, saying what to do instead, where a key does not go to `target`."""
    name, state = f"{record.kind.value} {short(record.kid)}", record.state
    if state is target:
        raise UserError(f"{name} is {state.value} already, since {record.changed:%Y-%m-%d %H:%M}")
    only = sole(keyset, record)
    if target in _STOPPED and only and record.kind in _HOUSE_NEEDS:
        instead = f"run `passerelle keys rotate {record.kind.value}`"
        if record.kind is KeyKind.AUDIT:
            instead = "take over the public half of the auditor's new key"
        raise UserError(
            f"{name} is the only one, and without it the gateway records nothing, or reads nothing:"
            f" {instead}, then stop this one"
        )
    if state is KeyState.ACTIVE and target is KeyState.DESTROYED:
        raise UserError(
            f"{name} is ACTIVE: promote a successor and deactivate this one, or suspend it, first"
        )
    if state is KeyState.ACTIVE and target is KeyState.DEACTIVATED and only:
        raise UserError(f"{name} is the only ACTIVE one: promote a successor first, or suspend it")
    if not authority(record.kind, state, target):
        raise UserError(f"{name} is {state.value}, and none goes from there to {target.value}")


def require_no_schedule(record: KeyRecord, crypto_periods: Mapping[KeyKind, CryptoPeriod]) -> None:
    """Raise UserError where the schedule ends a key: a decision, or to take one back, would change nothing."""
    if ends_by_schedule(record, crypto_periods):
        raise UserError(
            f"{record.kind.value} {short(record.kid)} is destroyed by the schedule as soon as nothing is sealed with it"
            " any more: it stays only if two persons end the schedule first, `passerelle keys schedule DIR DATA off`"
        )


def waits(record: KeyRecord) -> bool:
    """Say whether the destruction of a key waits for 7 to 30 days.

    Not that of a compromised key that only produces: its private half is a thief's, and opens nothing of ours.
    """
    thiefs = record.state is KeyState.COMPROMISED and record.kind in PRODUCES_ONLY
    return record.kind not in _SHORT_LIVED and not thiefs


def destroyable(record: KeyRecord) -> datetime:
    """Return from when on the table lets a key be destroyed."""
    if record.state is not KeyState.DEACTIVATED:
        return record.changed
    return record.changed + wait_before_destruction(record.kind) + TICK
