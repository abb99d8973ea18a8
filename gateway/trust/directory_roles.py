"""Which of our pairs sign for our directory, and which its root key holders name next."""

from __future__ import annotations

from collections.abc import Collection

from gateway.errors import UserError
from gateway.trust.directory_signers import HandleSigner, identifiers, pair_publics, pair_signers
from keys.key_record import KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState

WAYS = {
    KeyKind.DELEGATION: "have two root key holders sign new targets: passerelle directory renew",
    KeyKind.SNAPSHOT: "have three root key holders sign a new root: passerelle directory root",
    KeyKind.TIMESTAMP: "have three root key holders sign a new root: passerelle directory root",
}


def ours(keyset: Keyset, kind: KeyKind, keyids: Collection[str]) -> KeyRecord:
    """Return our pair of these two public keys. Raises UserError where it is not ours."""
    for record in keyset.records:
        if record.kind is kind and identifiers(pair_publics(record.public)) == set(keyids):
            return record
    raise UserError(f"the directory asks for a {kind.value} pair that is not ours; {WAYS[kind]}")


def following(keyset: Keyset, kind: KeyKind) -> KeyRecord:
    """Return the pair that root key holders name next: the one that waits for it, else the one in use."""
    coming = [r for r in keyset.records if (r.kind, r.state) == (kind, KeyState.PREACTIVE)]
    return max(coming, key=lambda r: (r.created, r.kid), default=None) or keyset.primary(kind)


def signers(keyset: Keyset, kind: KeyKind, kid: bytes) -> tuple[HandleSigner, ...]:
    """Return what signs a role: the pair `kid` that the directory names, and the newest other that is in use.

    Where one succeeds the other, both sign: whoever began to read under the last root or the next ends under
    it. Raises UserError where the named pair may not sign.
    """
    state = keyset.record(kid).state
    if state is not KeyState.ACTIVE:
        raise UserError(
            f"the directory asks for a {kind.value} pair that is {state.value}; {WAYS[kind]}"
        )
    active = [r for r in keyset.records if (r.kind, r.state) == (kind, KeyState.ACTIVE)]
    others = sorted((r.created, r.kid) for r in active if r.kid != kid)
    kids = (kid, *(other for _, other in others[-1:]))
    return tuple(one for each in kids for one in pair_signers(keyset.directory(kind, each)))
