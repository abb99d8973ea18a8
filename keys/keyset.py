"""A party's keys in one file: handles to use them, a table for their lives.

A keyset is a value. Making or moving a key returns a new keyset and the event for the ledger; nothing is
on disk before `save`. Each seed is wrapped by the custody and bound to its key's id, kind, state and
birth, and a seal by the same custody covers the whole file, so that dates, hosts and certificates cannot
be edited either. An older file put back in place still opens: whoever starts the gateway compares the
states with the ledger's key events (keys 2.6).
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeAlias, TypeVar

from keys import (
    certificates,
    data_encryption,
    envelope,
    keyset_file,
    lifecycle,
    signatures,
)
from keys.certificates import TlsKey, issue_ca, issue_leaf, private_key_pem
from keys.custody import Custody
from keys.data_encryption import DataKey
from keys.envelope import OpeningKey, OpeningRing, SealingKey
from keys.errors import CustodyFault, DamagedFile, IllegalTransition, KeyNotUsable, UnknownKey
from keys.key_record import KeyEvent, KeyRecord, newborn, primary, whole
from keys.keyset_file import KeyFile
from keys.lifecycle import TRANSITIONS, Authority, KeyKind, KeyState, Owner, step
from keys.lifecycle_rules import demand, end
from keys.pae import key_id
from keys.secret import handle
from keys.signatures import DirectoryKey, LogKey, SigningKey

__all__ = [
    "TRANSITIONS",
    "Authority",
    "DataKey",
    "KeyEvent",
    "KeyKind",
    "KeyRecord",
    "KeyState",
    "Keyset",
    "KeysetInForce",
    "Owner",
    "step",
]

HOSTS = ("127.0.0.1", "localhost")  # what a leaf names when nothing else is said: this machine only

Live: TypeAlias = SigningKey | OpeningKey | LogKey | TlsKey | DataKey | DirectoryKey

_SEEDS: dict[KeyKind, tuple[int, Callable[[bytes], Live]]] = {
    KeyKind.KEM: (envelope.SEED_BYTES, OpeningKey.from_seed),
    KeyKind.SIGNING: (signatures.SEED_BYTES, SigningKey.from_seed),
    KeyKind.LOG: (signatures.SEED_BYTES, LogKey.from_seed),
    KeyKind.TLS_CA: (certificates.SEED_BYTES, TlsKey.from_seed),
    KeyKind.TLS_LEAF: (certificates.SEED_BYTES, TlsKey.from_seed),
    KeyKind.DATA: (data_encryption.SEED_BYTES, DataKey.from_seed),
    KeyKind.DELEGATION: (signatures.SEED_BYTES, DirectoryKey.from_seed),
    KeyKind.SNAPSHOT: (signatures.SEED_BYTES, DirectoryKey.from_seed),
    KeyKind.TIMESTAMP: (signatures.SEED_BYTES, DirectoryKey.from_seed),
    KeyKind.AUDIT: (envelope.SEED_BYTES, OpeningKey.from_seed),
}

_K = TypeVar("_K", SigningKey, OpeningKey, LogKey, TlsKey, DataKey, DirectoryKey)

_MADE_FOR = {
    Owner.HOUSE: tuple(
        kind for kind in KeyKind if kind is not KeyKind.AUDIT
    ),  # the CA before its leaf
    Owner.AUDITOR: (KeyKind.AUDIT,),
}


@handle
class Keyset:
    """A party's keys, alive: made by `create`, `create_auditor` or `load`, and never changed in place."""

    __slots__ = ("_custody", "_live", "hosts", "owner", "party", "records")

    def __init__(
        self,
        owner: Owner,
        party: str,
        hosts: Sequence[str],
        custody: Custody,
        keys: Iterable[tuple[KeyRecord, Live | None]] = (),
    ) -> None:
        pairs = tuple(keys)
        self.owner = owner
        self.party = party
        self.hosts = tuple(hosts)
        self.records: tuple[KeyRecord, ...] = tuple(record for record, _ in pairs)
        self._custody = custody
        self._live = {record.kid: live for record, live in pairs}

    # Making and keeping

    @classmethod
    def create(
        cls,
        now: datetime,
        party: str,
        custody: Custody,
        *,
        hosts: Sequence[str] = HOSTS,
        audit_public: bytes | None = None,
    ) -> Keyset:
        """Return a gateway's first keyset: one ACTIVE key of each kind, and the auditor's public half.

        Raises CertificateFault for a party id or host that no certificate can carry, MalformedKey for
        an `audit_public` that is no sealing key.
        """
        keyset = cls._first(Owner.HOUSE, now, party, custody, hosts)
        if audit_public is not None:
            keyset, _ = keyset.adopt_auditor(audit_public, now, reason="first auditor", actor="")
        return keyset

    @classmethod
    def create_auditor(cls, now: datetime, party: str, custody: Custody) -> Keyset:
        """Return an auditor's keyset: one ACTIVE key, which opens ledger details; carry it away."""
        return cls._first(Owner.AUDITOR, now, party, custody, ())

    @classmethod
    def load(cls, path: Path, custody: Custody) -> Keyset:
        """Read a keyset, unwrap every seed and check that each gives its own key id.

        Raises DamagedFile when the file is not as it was written or was not written under this custody,
        CustodyFault when it is absent or readable by others.
        """
        file = keyset_file.read(path, custody)
        keys = [(record, _revive(path, record, custody)) for record in file.records]
        return cls(file.owner, file.party, file.hosts, custody, keys)

    def save(self, path: Path) -> None:
        """Replace the file at `path` by this keyset, durably and all at once; mode 0600."""
        keyset_file.write(path, self._content, self._custody)

    def sealed(self) -> bytes:
        """Return the bytes that `save` writes, sealed anew."""
        return keyset_file.compose(self._content, self._custody)

    @property
    def _content(self) -> KeyFile:
        return KeyFile(self.owner, self.party, self.hosts, self.records)

    def rewrapped(self, custody: Custody) -> Keyset:
        """Return the same keys, each seed wrapped by another custody."""
        keys: list[tuple[KeyRecord, Live | None]] = []
        for record in self.records:
            moved = record
            if record.wrapped:
                seed = self._custody.unwrap(record.wrapped, record.seed_aad())
                moved = replace(record, wrapped=custody.wrap(seed, record.seed_aad()))
            keys.append((moved, self._live[record.kid]))
        return Keyset(self.owner, self.party, self.hosts, custody, keys)

    @property
    def custody(self) -> Custody:
        """What wraps these keys."""
        return self._custody

    # Looking up

    def record(self, kid: bytes) -> KeyRecord:
        """Return the record of a key id. Raises UnknownKey."""
        for record in self.records:
            if record.kid == kid:
                return record
        raise UnknownKey("no key of that id is held here")

    def primary(self, kind: KeyKind) -> KeyRecord:
        """Return the key of `kind` that produces: of the ACTIVE ones the latest made.

        Raises KeyNotUsable when none is ACTIVE.
        """
        return primary(self.records, kind)

    def published(self, kind: KeyKind) -> tuple[KeyRecord, ...]:
        """Return the keys of `kind` that partners should know: PREACTIVE and ACTIVE, primary last."""
        known = (r for r in self.records if r.kind is kind and r.state in lifecycle.PUBLISHED)
        return tuple(sorted(known, key=lambda r: (r.state is KeyState.ACTIVE, r.created, r.kid)))

    # Using

    def signing(self) -> SigningKey:
        """Return the key that signs our messages. Raises KeyNotUsable when none is ACTIVE."""
        return self._primary(KeyKind.SIGNING, SigningKey)

    def kem(self) -> KeyRecord:
        """Return the record of the key that partners should seal to. Raises KeyNotUsable."""
        return self.primary(KeyKind.KEM)

    def opening(self, kid: bytes, now: datetime | None = None) -> OpeningKey:
        """Return the key that opens what was sealed to `kid`.

        A DEACTIVATED key opens for 48 hours, which only a caller that gives `now` can claim. Raises
        UnknownKey when we never had it, KeyNotUsable when its state or window forbids.
        """
        record = self.record(kid)
        if record.kind is not KeyKind.KEM:
            raise UnknownKey("no KEM key of that id is held here")
        if record.state is KeyState.DEACTIVATED and (
            now is None or now > record.changed + lifecycle.KEM_WINDOW
        ):
            raise KeyNotUsable("the window of this KEM key has ended; seal to the current one")
        return self._accepting(record, OpeningKey)

    def log(self) -> LogKey:
        """Return the pair that signs checkpoints. Raises KeyNotUsable when none is ACTIVE."""
        return self._primary(KeyKind.LOG, LogKey)

    def log_keys(self) -> tuple[LogKey, ...]:
        """Return the pairs that sign checkpoints now, the primary first: those announced sign with it.

        A partner who knows only the older pair, or already the newer, verifies every checkpoint of the time in
        which one follows the other. Empty where no pair may sign.
        """
        return self._all(KeyKind.LOG, lifecycle.PUBLISHED, LogKey)

    def directory(self, kind: KeyKind, kid: bytes | None = None) -> DirectoryKey:
        """Return the pair of a role of our directory, of `kid` where given. Raises KeyNotUsable, UnknownKey."""
        record = self.primary(kind) if kid is None else self.record(kid)
        if record.kind is not kind or kind not in lifecycle.DIRECTORY:
            raise UnknownKey(f"no {kind.value} key of that id is held here")
        if record.state is not KeyState.ACTIVE:
            raise KeyNotUsable(f"a {record.state.value} {kind.value} key signs nothing")
        return self._accepting(record, DirectoryKey)

    def data(self, kid: bytes | None = None) -> DataKey:
        """Return the data key to seal with, or, given `kid`, the one to open older records with.

        Raises KeyNotUsable, and UnknownKey when `kid` names no data key.
        """
        if kid is None:
            return self._primary(KeyKind.DATA, DataKey)
        return self._accepting(self.record(kid), DataKey)

    def data_keys(self) -> tuple[DataKey, ...]:
        """Return every data key that is kept, the one that seals first.

        One that was stopped opens too: what it sealed is our own, and has to be moved to its successor.
        """
        return self._all(KeyKind.DATA, frozenset(KeyState), DataKey)

    @property
    def audit_public(self) -> SealingKey:
        """The key that ledger details are sealed to. Raises KeyNotUsable when none was given."""
        return _auditor(self.primary(KeyKind.AUDIT).public)

    def audit_opening(self, kid: bytes | None = None) -> OpeningKey:
        """Return the auditor's key, the current one or that of `kid`.

        Raises KeyNotUsable in a gateway, which has no private half, and UnknownKey.
        """
        record = self.primary(KeyKind.AUDIT) if kid is None else self.record(kid)
        if record.kind is not KeyKind.AUDIT:
            raise UnknownKey("no audit key of that id is held here")
        return self._accepting(record, OpeningKey)

    def audit_ring(self) -> OpeningRing:
        """Return what opens details of all times: every private half that the auditor keeps."""
        return OpeningRing(self._all(KeyKind.AUDIT, frozenset(KeyState), OpeningKey))

    def tls_ca(self) -> TlsKey:
        """Return our authority's key. Raises KeyNotUsable when none is ACTIVE."""
        return self._primary(KeyKind.TLS_CA, TlsKey)

    def tls_leaf(self) -> TlsKey:
        """Return the key of our end of TLS. Raises KeyNotUsable when none is ACTIVE."""
        return self._primary(KeyKind.TLS_LEAF, TlsKey)

    def tls(self) -> tuple[bytes, bytes]:
        """Return what TLS needs: the leaf's private key PEM, for memory only, and its chain PEM."""
        return private_key_pem(self.tls_leaf()), self.primary(KeyKind.TLS_LEAF).certificate

    @property
    def tls_ca_pem(self) -> bytes:
        """The PEM bundle of our authorities, the primary last: what a partner trusts for our leaves."""
        return b"".join(record.certificate for record in self.published(KeyKind.TLS_CA))

    @property
    def badge_ca_pem(self) -> bytes:
        """The PEM bundle of the authorities whose officer certificates we read: also those that are SUSPENDED.

        An officer certificate counts only where its key is in the staff table, which no authority can write; and were nobody
        let in, nobody could promote the successor of a suspended authority.
        """
        read = {*lifecycle.PUBLISHED, KeyState.SUSPENDED}
        return b"".join(
            r.certificate for r in self.records if r.kind is KeyKind.TLS_CA and r.state in read
        )

    @property
    def tls_pins(self) -> tuple[bytes, ...]:
        """The pins of our leaves, the primary's last; two while a new leaf is being announced."""
        return tuple(
            certificates.pin(record.certificate) for record in self.published(KeyKind.TLS_LEAF)
        )

    # Living

    def generate(
        self, kind: KeyKind, now: datetime, *, reason: str, actor: str
    ) -> tuple[Keyset, KeyEvent]:
        """Return the keyset with a new PREACTIVE key, and the event; promote it once partners know it.

        Raises IllegalTransition for a kind that this owner does not make.
        """
        keyset, record = self._made(kind, now, KeyState.PREACTIVE, reason)
        event = KeyEvent(record.created, record.kid, kind, None, record.state, reason, actor)
        return keyset, event

    def adopt_auditor(
        self, public: bytes, now: datetime, *, reason: str, actor: str
    ) -> tuple[Keyset, KeyEvent]:
        """Return a gateway's keyset that seals ledger details to `public` from now on, and the event.

        Raises MalformedKey, and IllegalTransition in an auditor's own keyset.
        """
        if self.owner is not Owner.HOUSE:
            raise IllegalTransition("an auditor's keyset makes its keys and adopts none")
        record = newborn(SealingKey(public), KeyKind.AUDIT, KeyState.ACTIVE, now, reason)
        event = KeyEvent(record.created, record.kid, record.kind, None, record.state, reason, actor)
        return self._with(record, None), event

    def transition(
        self, kid: bytes, target: KeyState, now: datetime, reason: str, actor: str
    ) -> tuple[Keyset, KeyEvent]:
        """Return the keyset with one key moved to `target`, and the event.

        Who may order it is `lifecycle.authority`, for the caller to ask. Beyond the table: an ACTIVE
        key steps down only for a successor (to stop without one, suspend it), none becomes ACTIVE past
        its end, and a deactivated key is destroyed only when its window, or a week, is over. Whether
        something is still sealed with a DATA key is for the caller to know. The life of a key that bears no
        certificate counts from its promotion, not from its making.
        Raises UnknownKey, IllegalTransition.
        """
        record = self.record(kid)
        step(record.kind, record.state, target)
        demand(self.records, record, target, now)
        moved = replace(
            record,
            state=target,
            changed=whole(now),
            not_after=end(record, target, whole(now)),
            reason=reason,
            wrapped=b"",
        )
        live = self._live[kid]
        if record.wrapped and lifecycle.keeps_private(record.kind, target):
            seed = self._custody.unwrap(record.wrapped, record.seed_aad())
            moved = replace(moved, wrapped=self._custody.wrap(seed, moved.seed_aad()))
        else:
            live = None
        event = KeyEvent(moved.changed, kid, record.kind, record.state, target, reason, actor)
        return self._with(moved, live), event

    @classmethod
    def _first(
        cls, owner: Owner, now: datetime, party: str, custody: Custody, hosts: Sequence[str]
    ) -> Keyset:
        keyset = cls(owner, party, hosts, custody)
        for kind in _MADE_FOR[owner]:
            keyset, _ = keyset._made(kind, now, KeyState.ACTIVE, "first of its kind")
        return keyset

    def _made(
        self, kind: KeyKind, now: datetime, state: KeyState, reason: str
    ) -> tuple[Keyset, KeyRecord]:
        if kind not in _MADE_FOR[self.owner]:
            raise IllegalTransition(f"a {kind.value} key is not made by this owner")
        seed, live = _draw(kind)
        record = newborn(live, kind, state, now, reason)
        if isinstance(live, TlsKey):
            record = replace(record, certificate=self._certificate(kind, live, now))
        record = replace(record, wrapped=self._custody.wrap(seed, record.seed_aad()))
        return self._with(record, live), record

    def _certificate(self, kind: KeyKind, key: TlsKey, now: datetime) -> bytes:
        if kind is KeyKind.TLS_CA:
            return issue_ca(self.party, key, now)
        authority = self.primary(KeyKind.TLS_CA).certificate
        leaf = issue_leaf(self.party, authority, self.tls_ca(), key, now, hosts=self.hosts)
        return leaf + authority

    def _with(self, record: KeyRecord, live: Live | None) -> Keyset:
        keys = {known.kid: (known, self._live[known.kid]) for known in self.records}
        keys[record.kid] = (record, live)
        return Keyset(self.owner, self.party, self.hosts, self._custody, keys.values())

    def _all(self, kind: KeyKind, states: Collection[KeyState], of: type[_K]) -> tuple[_K, ...]:
        """Return the live keys of a kind in any of these states: the primary, others that are ACTIVE, the rest."""
        found = sorted(
            (r for r in self.records if r.kind is kind and r.state in states),
            key=lambda r: (r.state is KeyState.ACTIVE, r.created, r.kid),
            reverse=True,
        )
        lives = (self._live[record.kid] for record in found)
        return tuple(live for live in lives if isinstance(live, of))

    def _primary(self, kind: KeyKind, of: type[_K]) -> _K:
        return self._accepting(self.primary(kind), of)

    def _accepting(self, record: KeyRecord, of: type[_K]) -> _K:
        live = self._live[record.kid]
        if record.state not in lifecycle.ACCEPTS or live is None:
            raise KeyNotUsable(
                f"a {record.state.value} {record.kind.value} key does not serve here"
            )
        if not isinstance(live, of):
            raise UnknownKey("no key of that kind and id is held here")
        return live


class KeysetInForce:
    """Our keyset, now. Who changes our keys replaces `current`; everybody else reads it anew for each use.

    It holds data keys as a keyset does, so that a `DataRing` of it follows every change.
    """

    __slots__ = ("current",)

    def __init__(self, current: Keyset) -> None:
        self.current = current

    def data(self) -> DataKey:
        """Return the key that seals. Raises KeyNotUsable where none is ACTIVE."""
        return self.current.data()

    def data_keys(self) -> Sequence[DataKey]:
        """Return every key that still opens, the one that seals first."""
        return self.current.data_keys()

    def log_keys(self) -> tuple[LogKey, ...]:
        """Return what signs the next checkpoint, the primary first."""
        return self.current.log_keys()

    def audit_public(self) -> SealingKey:
        """Return what details are sealed to. Raises KeyNotUsable where no AUDIT key is ACTIVE."""
        return self.current.audit_public


@functools.lru_cache(maxsize=4)
def _auditor(public: bytes) -> SealingKey:
    """Return a key that details are sealed to; reading one takes as long as sealing a detail, and each entry needs it."""
    return SealingKey(public)


def _draw(kind: KeyKind) -> tuple[bytes, Live]:
    """Return a fresh seed from the system's randomness, and its key; wrap the seed and forget it."""
    size, from_seed = _SEEDS[kind]
    seed = secrets.token_bytes(size)
    return seed, from_seed(seed)


def _revive(path: Path, record: KeyRecord, custody: Custody) -> Live | None:
    """Return the key of a record, or None where only its public half is held.

    Raises DamagedFile unless the seed unwraps under the record's own kind, state and birth and gives
    the record's key id again.
    """
    if record.kid != key_id(record.public):
        raise DamagedFile(path, "a key's id is not that of its public half")
    if not record.wrapped:
        return None
    try:
        live = _SEEDS[record.kind][1](custody.unwrap(record.wrapped, record.seed_aad()))
    except (CustodyFault, ValueError):
        raise DamagedFile(path, f"the seed of a {record.kind.value} key does not unwrap") from None
    if live.key_id != record.kid:
        raise DamagedFile(path, f"the seed of a {record.kind.value} key gives another key id")
    return live
