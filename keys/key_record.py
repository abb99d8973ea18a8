"""What a keyset writes about one key, and what it reports when a key moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from keys import atomic_file
from keys.errors import KeyNotUsable
from keys.lifecycle import LIFETIMES, KeyKind, KeyState
from keys.pae import pae

SEED_LABEL = b"passerelle/1/seed"

NAMES = frozenset(
    {
        "kid",
        "kind",
        "state",
        "created",
        "changed",
        "not_before",
        "not_after",
        "public",
        "certificate",
        "wrapped",
        "reason",
    }
)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key: its name, its state, its public half, and its seed as wrapped by the custody.

    kid          32 bytes, recomputed from the seed on loading
    changed      when it came to its state; the window of a KEM key counts from here
    not_before   with not_after, when it may produce; UTC, whole milliseconds
    certificate  PEM, for TLS keys; a leaf's is followed by its authority's
    wrapped      empty once the private half is gone, and for a public half that is another's
    reason       why it is in its state, in the words of who put it there
    """

    kid: bytes
    kind: KeyKind
    state: KeyState
    created: datetime
    changed: datetime
    not_before: datetime
    not_after: datetime
    public: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)
    reason: str

    def seed_aad(self) -> bytes:
        """Return what the wrapped seed is bound to: a state edited in the file no longer unwraps."""
        return pae(
            SEED_LABEL,
            self.kid,
            self.kind.value.encode("ascii"),
            self.state.value.encode("ascii"),
            stamp(self.created).encode("ascii"),
        )

    def standing(self) -> KeyRecord:
        """Return the record without its wrapped seed: what stays when the key above the keys changes."""
        return replace(self, wrapped=b"")

    def members(self) -> dict[str, object]:
        """Return the record as the members of a JSON object."""
        return {
            "kid": self.kid.hex(),
            "kind": self.kind.value,
            "state": self.state.value,
            "created": stamp(self.created),
            "changed": stamp(self.changed),
            "not_before": stamp(self.not_before),
            "not_after": stamp(self.not_after),
            "public": atomic_file.text_of(self.public),
            "certificate": self.certificate.decode("ascii"),
            "wrapped": atomic_file.text_of(self.wrapped),
            "reason": self.reason,
        }

    @classmethod
    def read(cls, fields: atomic_file.Fields) -> KeyRecord:
        """Return the record that `members` wrote. Raises DamagedFile."""
        try:
            return cls(
                kid=bytes.fromhex(fields.text("kid")),
                kind=KeyKind(fields.text("kind")),
                state=KeyState(fields.text("state")),
                created=_moment(fields.text("created")),
                changed=_moment(fields.text("changed")),
                not_before=_moment(fields.text("not_before")),
                not_after=_moment(fields.text("not_after")),
                public=fields.octets("public"),
                certificate=fields.text("certificate").encode("ascii"),
                wrapped=fields.octets("wrapped"),
                reason=fields.text("reason"),
            )
        except (ValueError, OverflowError):
            raise fields.fault("a key's record") from None


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key was made, or moved; the caller puts it into the ledger with what it did."""

    time: datetime
    kid: bytes
    kind: KeyKind
    previous: KeyState | None
    state: KeyState
    reason: str
    actor: str


class Named(Protocol):
    """Whatever has a public half and its key id."""

    @property
    def key_id(self) -> bytes:
        """The id of the public half."""
        ...

    @property
    def public(self) -> bytes:
        """The public half."""
        ...


def primary(records: Iterable[KeyRecord], kind: KeyKind) -> KeyRecord:
    """Return the key of `kind` that produces: of the ACTIVE ones the latest made.

    Raises KeyNotUsable when none is ACTIVE.
    """
    active = [each for each in records if each.kind is kind and each.state is KeyState.ACTIVE]
    if not active:
        raise KeyNotUsable(f"no {kind.value} key is ACTIVE; promote one, or make one first")
    return max(active, key=lambda record: (record.created, record.kid))


def newborn(key: Named, kind: KeyKind, state: KeyState, now: datetime, reason: str) -> KeyRecord:
    """Return the record of a key that is made now, still without certificate and wrapped seed."""
    born = whole(now)
    return KeyRecord(
        kid=key.key_id,
        kind=kind,
        state=state,
        created=born,
        changed=born,
        not_before=born,
        not_after=born + LIFETIMES[kind],
        public=key.public,
        certificate=b"",
        wrapped=b"",
        reason=reason,
    )


def stamp(moment: datetime) -> str:
    """Return a moment as 2026-01-31T12:00:00.000Z. Raises ValueError when it has no time zone."""
    return whole(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole(moment: datetime) -> datetime:
    """Return a moment in UTC, cut to whole milliseconds. Raises ValueError when it has no time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    utc = moment.astimezone(UTC)
    return utc - timedelta(microseconds=utc.microsecond % 1000)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if stamp(moment) != text:
        raise ValueError("not as written here")
    return moment
