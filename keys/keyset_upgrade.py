"""A keyset of an earlier release gets a key of each kind that only a later one uses."""

from __future__ import annotations

from datetime import datetime

from keys.key_record import KeyEvent
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState


def completed(
    keyset: Keyset, now: datetime, *, reason: str, actor: str
) -> tuple[Keyset, tuple[KeyEvent, ...]]:
    """Return a gateway's keyset with an ACTIVE key of each kind of which it never had one, and the events.

    Nobody knows of such a key yet, so none has to be announced before it is used.
    """
    events: list[KeyEvent] = []
    had = {record.kind for record in keyset.records} | {KeyKind.AUDIT}  # the auditor makes that one
    for kind in KeyKind:
        if kind not in had:
            keyset, made = keyset.generate(kind, now, reason=reason, actor=actor)
            keyset, used = keyset.transition(made.kid, KeyState.ACTIVE, now, reason, actor)
            events += [made, used]
    return keyset, tuple(events)
