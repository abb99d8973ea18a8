"""A new auditor's key: what is recorded from now on is sealed to it; what was recorded before opens to the old one.

The auditor makes it and keeps its private half; two operators take over the public half, once the auditor has read
its fingerprint out to them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.errors import Remedy
from gateway.office.acts import Act, Answer, Officer, Role, always
from gateway.office.arguments import Arguments
from gateway.office.keystates import standing
from gateway.office.turning import Turning
from keys.errors import MalformedKey
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState
from keys.record import KeyEvent
from keys.rotation import short

PUBLIC_BYTES = 1216  # an X-Wing public key

_SUCCEEDED = "the auditor's new key is in use"


class Auditors:
    """The counter at which an auditor's new key is handed in."""

    def __init__(self, turning: Turning) -> None:
        self._turning = turning

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act(
                "keys.adopt",
                frozenset({Role.OPERATOR}),
                self._adopt,
                always,
                lambda: standing(self._turning),
                lambda _: (
                    "entries of the ledger are sealed to the auditor's new key from now on",
                    "the auditor keeps the old private key: what was recorded before opens to nothing else",
                ),
            ),
        )

    def _adopt(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        public, reason = arguments.octets("public", PUBLIC_BYTES), arguments.reason()

        def decide(keyset: Keyset, now: datetime) -> tuple[Keyset, tuple[KeyEvent, ...]]:
            if any(record.public == public for record in keyset.records):
                raise Remedy("public: this key was taken over before; the auditor makes another")
            before = [
                record.kid
                for record in keyset.records
                if (record.kind, record.state) == (KeyKind.AUDIT, KeyState.ACTIVE)
            ]
            try:
                keyset, made = keyset.adopt_auditor(
                    public, now, reason=reason, actor=officer.person
                )
            except MalformedKey:
                raise Remedy("public: no key that anything could be sealed to") from None
            events = [made]
            for kid in before:
                keyset, left = keyset.transition(
                    kid, KeyState.DEACTIVATED, now, _SUCCEEDED, officer.person
                )
                events.append(left)
            return keyset, tuple(events)

        def do() -> Answer:
            made, *left = self._turning.change(decide, officer.person, officer.facts)
            return {"key": made.kid.hex(), "succeeded": [short(event.kid) for event in left]}

        return do
