"""A key that moves along an edge of its table: what must hold beside the edge, and when it then ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from keys import lifecycle
from keys.errors import IllegalTransition
from keys.key_record import KeyRecord
from keys.lifecycle import KeyState


def demand(
    records: Iterable[KeyRecord], record: KeyRecord, target: KeyState, now: datetime
) -> None:
    """Raise IllegalTransition where the table lets a key move and the circumstances do not."""
    if target is KeyState.ACTIVE and now >= record.not_after:
        raise IllegalTransition("this key is past its end; make a new one")
    if (record.state, target) == (KeyState.ACTIVE, KeyState.DEACTIVATED) and not any(
        other.kind is record.kind and other.state is KeyState.ACTIVE and other.kid != record.kid
        for other in records
    ):
        raise IllegalTransition("no successor is ACTIVE; promote one first, or suspend this key")
    if (record.state, target) == (KeyState.DEACTIVATED, KeyState.DESTROYED):
        wait = lifecycle.wait_before_destruction(record.kind)
        if now <= record.changed + wait:
            hours = wait // timedelta(hours=1)
            raise IllegalTransition(
                f"too early: more than {hours} h after deactivation, not before"
            )


def end(record: KeyRecord, target: KeyState, now: datetime) -> datetime:
    """Return when a key that moves to `target` now will end."""
    if target is KeyState.DEACTIVATED:
        return min(record.not_after, now)
    if target is KeyState.COMPROMISED or (
        target is KeyState.DESTROYED and record.state is not KeyState.DEACTIVATED
    ):
        return record.not_before  # it vouches for nothing any more, destroyed or not
    if (record.state, target) == (KeyState.PREACTIVE, KeyState.ACTIVE) and not record.certificate:
        return now + lifecycle.LIFETIMES[record.kind]
    return record.not_after
