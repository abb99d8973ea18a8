"""The life of a key, as a table (keys 4; states of NIST SP 800-57 part 1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from types import MappingProxyType

from keys.errors import IllegalTransition


class KeyState(Enum):
    """The state of a key in its life cycle."""

    PREACTIVE = "PREACTIVE"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DEACTIVATED = "DEACTIVATED"
    COMPROMISED = "COMPROMISED"
    DESTROYED = "DESTROYED"


class KeyKind(Enum):
    """What a key is for; one key, one purpose."""

    KEM = "KEM"  # X-Wing: opens requests
    SIGNING = "SIGNING"  # composite: signs messages
    LOG = "LOG"  # Ed25519 and ML-DSA-44: signs checkpoints
    TLS_CA = "TLS_CA"  # P-256: issues our leaves
    TLS_LEAF = "TLS_LEAF"  # P-256: ends our TLS connections
    DATA = "DATA"  # AES-256: records at rest
    DELEGATION = "DELEGATION"  # Ed25519 and ML-DSA-65: signs our part of our directory
    SNAPSHOT = "SNAPSHOT"  # the same: signs which files of the directory belong together
    TIMESTAMP = "TIMESTAMP"  # the same: signs that this was the newest, hours ago
    AUDIT = "AUDIT"  # X-Wing: opens ledger details; the private half is the auditor's alone


class Owner(Enum):
    """Whose keyset it is; the private half of AUDIT is never in a gateway."""

    HOUSE = "HOUSE"
    AUDITOR = "AUDITOR"


class Authority(Enum):
    """Who may move a key along an edge."""

    ONE = "one operator"
    TWO = "two persons"
    SCHEDULE = "the schedule"


_S = KeyState
_ONE = frozenset({Authority.ONE})
_TWO = frozenset({Authority.TWO})
_TWO_OR_SCHEDULE = frozenset({Authority.TWO, Authority.SCHEDULE})

TRANSITIONS: Mapping[tuple[KeyState, KeyState], frozenset[Authority]] = MappingProxyType(
    {
        (_S.PREACTIVE, _S.ACTIVE): _TWO_OR_SCHEDULE,  # the schedule, when the evidence is complete
        (_S.PREACTIVE, _S.SUSPENDED): _ONE,
        (_S.PREACTIVE, _S.COMPROMISED): _TWO,
        (_S.PREACTIVE, _S.DESTROYED): _TWO,
        (_S.ACTIVE, _S.SUSPENDED): _ONE,
        (_S.ACTIVE, _S.DEACTIVATED): _TWO_OR_SCHEDULE,  # with a successor
        (_S.ACTIVE, _S.COMPROMISED): _TWO,
        (_S.SUSPENDED, _S.ACTIVE): _TWO,
        (_S.SUSPENDED, _S.DEACTIVATED): _TWO,
        (_S.SUSPENDED, _S.COMPROMISED): _TWO,
        (_S.SUSPENDED, _S.DESTROYED): _TWO,
        (_S.DEACTIVATED, _S.SUSPENDED): _ONE,  # it may still open, or verify; it never comes back
        (_S.DEACTIVATED, _S.COMPROMISED): _TWO,
        (_S.DEACTIVATED, _S.DESTROYED): _TWO,  # a KEM or DATA key: by schedule, below
        (_S.COMPROMISED, _S.DESTROYED): _TWO,
    }
)

KEM_WINDOW = timedelta(hours=48)  # keys 5: how long a deactivated KEM key still opens
DESTRUCTION_WAIT = timedelta(days=7)  # keys 7: the least time in which one person can still cancel
# How long a deactivated DATA key is kept at least: longer than any call that took it before its successor was in use and
# has yet to commit what it sealed.
DATA_WINDOW = timedelta(hours=1)

LIFETIMES: Mapping[KeyKind, timedelta] = MappingProxyType(  # keys 3
    {
        KeyKind.KEM: timedelta(days=7),
        KeyKind.SIGNING: timedelta(days=365),
        KeyKind.LOG: timedelta(days=365),
        KeyKind.TLS_CA: timedelta(days=3650),
        KeyKind.TLS_LEAF: timedelta(days=90),
        KeyKind.DATA: timedelta(days=365),
        KeyKind.DELEGATION: timedelta(days=365),  # what they sign lasts 90 days, and 24 hours
        KeyKind.SNAPSHOT: timedelta(days=365),
        KeyKind.TIMESTAMP: timedelta(days=365),
        KeyKind.AUDIT: timedelta(days=365),
    }
)

# Kinds that only produce. Once deactivated their private half serves nobody but a thief and goes at once;
# the public half stays for verification. The others must still open what was sealed to them.
DIRECTORY = frozenset({KeyKind.DELEGATION, KeyKind.SNAPSHOT, KeyKind.TIMESTAMP})
PRODUCES_ONLY = DIRECTORY | {KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_CA, KeyKind.TLS_LEAF}

PUBLISHED = frozenset({KeyState.PREACTIVE, KeyState.ACTIVE})  # partners may learn of a key early
ACCEPTS = PUBLISHED | {KeyState.DEACTIVATED}  # opens; for a KEM key only within its window


def authority(kind: KeyKind, state: KeyState, target: KeyState) -> frozenset[Authority]:
    """Return who may take a key of `kind` from `state` to `target`; nobody where no edge is drawn."""
    if kind is KeyKind.KEM and (state, target) == (_S.DEACTIVATED, _S.DESTROYED):
        return frozenset({Authority.SCHEDULE})
    if kind is KeyKind.DATA and (state, target) == (_S.DEACTIVATED, _S.DESTROYED):
        return _TWO_OR_SCHEDULE  # the schedule, when nothing is sealed with it any more
    return TRANSITIONS.get((state, target), frozenset())


def wait_before_destruction(kind: KeyKind) -> timedelta:
    """Return how long a DEACTIVATED key of `kind` is kept at least."""
    return {KeyKind.KEM: KEM_WINDOW, KeyKind.DATA: DATA_WINDOW}.get(kind, DESTRUCTION_WAIT)


def step(kind: KeyKind, state: KeyState, target: KeyState) -> KeyState:
    """Return `target` where the edge is drawn. Raises IllegalTransition everywhere else."""
    if not authority(kind, state, target):
        raise IllegalTransition(
            f"a {kind.value} key does not go from {state.value} to {target.value}"
        )
    return target


def keeps_private(kind: KeyKind, state: KeyState) -> bool:
    """Say whether a key of `kind` still has its private half in `state`."""
    if state is KeyState.DESTROYED:
        return False
    return not (state is KeyState.DEACTIVATED and kind in PRODUCES_ONLY)
