"""A new auditor's key: what is recorded from now on is sealed to it; what was recorded before opens to the old one.

The auditor makes it and keeps its private half; two operators take over the public half, once the auditor has read
its fingerprint out to them.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.errors import UserError
from gateway.keymanagement.rotation import KeyRotation
from gateway.keymanagement.views import standing
from gateway.operations.keys import SEALING_KEY_BYTES, Adopt
from gateway.trust.key_names import id_of_new_key
from keys import strict_json
from keys.envelope import SealingKey
from keys.errors import MalformedKey
from keys.key_record import KeyEvent
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState

FORMAT = "passerelle/1/auditor"

_PLAN = (
    "Entries of the ledger are sealed to the auditor's new key from now on.",
    "The auditor keeps the old private key: what was recorded before opens to nothing else.",
)
MOST = 4 * SEALING_KEY_BYTES  # bytes of the file: the public half in hexadecimal, and its frame
_SUCCEEDED = "the auditor's new key is in use"


def public_file(public: bytes) -> bytes:
    """Return the file in which an auditor hands over a public half, in its canonical form."""
    return json.dumps({"format": FORMAT, "public": public.hex()}, sort_keys=True).encode() + b"\n"


def read_public(octets: bytes) -> bytes:
    """Return the public half in such a file; raises UserError for anything else."""
    try:
        public = bytes.fromhex(strict_json.read(octets, MOST)["public"])
    except (ValueError, TypeError, KeyError):
        public = b""
    if public_file(public) != octets or len(public) != SEALING_KEY_BYTES:
        raise UserError("this is no file of an auditor's public key; see `passerelle audit renew`")
    return public


class AuditorKeyOperations:
    """The operation that adopts an auditor's new key."""

    def __init__(self, rotation: KeyRotation) -> None:
        self._rotation = rotation

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(
                request=Adopt,
                do=self._adopt,
                state=of_all(lambda: standing(self._rotation)),
                plan=self._plan,
                about=lambda _, request: (id_of_new_key(request.public), ()),
            ),
        )

    def _adopt(self, officer: Officer, request: Adopt) -> Answer:
        def decide(keyset: Keyset, now: datetime) -> tuple[Keyset, tuple[KeyEvent, ...]]:
            _demand_new(keyset, request.public)
            before = [
                record.kid
                for record in keyset.records
                if (record.kind, record.state) == (KeyKind.AUDIT, KeyState.ACTIVE)
            ]
            try:
                keyset, made = keyset.adopt_auditor(
                    request.public, now, reason=request.reason, actor=officer.person
                )
            except MalformedKey:
                raise UserError("public: no key that anything could be sealed to") from None
            events = [made]
            for kid in before:
                keyset, left = keyset.transition(
                    kid, KeyState.DEACTIVATED, now, _SUCCEEDED, officer.person
                )
                events.append(left)
            return keyset, tuple(events)

        made, *left = self._rotation.change(decide, officer.person, officer.facts)
        moves = [
            {
                "key": event.kid.hex(),
                "kind": event.kind.value,
                "from": None if event.previous is None else event.previous.value,
                "to": event.state.value,
            }
            for event in (made, *left)
        ]
        return {"key": made.kid.hex(), "moves": moves, **self._rotation.entry()}

    def _plan(self, request: Adopt) -> tuple[str, ...]:
        _demand_new(self._rotation.keyset, request.public)
        return _PLAN


def _demand_new(keyset: Keyset, public: bytes) -> None:
    if any(record.public == public for record in keyset.records):
        raise UserError("public: this key was taken over before; the auditor makes another")
    try:
        SealingKey(public)
    except MalformedKey:
        raise UserError("public: no key that anything could be sealed to") from None
