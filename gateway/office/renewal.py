"""Keys that follow each other: which are due, who comes after whom, and what partners are told.

    (1) the keyset's file, with old and new keys, replaced at once
    (2) the ledger: an entry for each key that was made or moved
    (3) our public bundle, its version one higher
    (4) the ledger: an entry for the bundle

A crash between two of these leaves a house that opens: the next opening records what the file says, and
the next renewal publishes what the bundle does not say yet, before it makes any other key (keys.md 5).

The new key counts from the next start on. What partners who hold the older bundle send is opened for 48
hours; our own signature and TLS leaf they accept once they have the newer one. That every partner is seen
to have it before a key is promoted, and that two persons decide it, is not in this release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from gateway.audit.note import KeyType, VerifierKey
from gateway.audit.proof import LogIdentity
from gateway.bundle import MAX_KEYS, BundleKey, PartyBundle
from gateway.directory import own_bundle
from gateway.errors import Remedy
from gateway.office import adoption
from gateway.store.database import Database
from gateway.store.sequencer import Sequencer
from keys import certificates, durable
from keys.keyset import Keyset
from keys.lifecycle import KEM_WINDOW, PUBLISHED, KeyKind, KeyState
from keys.record import KeyEvent, KeyRecord

RENEWABLE = (KeyKind.KEM, KeyKind.SIGNING, KeyKind.TLS_LEAF)
NEEDED = (KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_LEAF)  # past their end nothing is answered

WARNINGS: Mapping[KeyKind, timedelta] = MappingProxyType(  # before an end: keys.md 10, its first
    {
        KeyKind.KEM: timedelta(hours=72),
        KeyKind.SIGNING: timedelta(days=60),
        KeyKind.LOG: timedelta(days=60),
        KeyKind.TLS_CA: timedelta(days=30),
        KeyKind.TLS_LEAF: timedelta(days=30),
        KeyKind.DATA: timedelta(days=30),
        KeyKind.AUDIT: timedelta(days=30),
    }
)

ED25519_SIZE = 32  # bytes of a public key; the rest of a LOG key's public half is ML-DSA-44's
STOPPING = timedelta(minutes=1)  # a stopped ledger pair still signs the entry that records its stop

_REASON = "renewed before or at its end"
_SUCCEEDED = "its successor is active"
_SPENT = "its time is over"
_ACTOR = "operator"

_VERIFIES = frozenset({KeyState.DEACTIVATED, KeyState.DESTROYED})  # what it signed stays its own


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal did: keys made and moved, in order, and the bundle that partners need now."""

    events: tuple[KeyEvent, ...]
    bundle: PartyBundle
    published: bool  # whether the bundle is new


def ends(record: KeyRecord) -> datetime:
    """Return when a key ends: with its certificate, where it has one."""
    if record.certificate and record.kind is KeyKind.TLS_LEAF:
        return min(record.not_after, certificates.validity(record.certificate)[1])
    return record.not_after


def ended(keyset: Keyset, kinds: Iterable[KeyKind], now: datetime) -> tuple[KeyRecord, ...]:
    """Return of `kinds` the keys in use that are past their end. Raises KeyNotUsable where none is."""
    return tuple(r for r in (keyset.primary(kind) for kind in kinds) if ends(r) <= now)


def due(keyset: Keyset, now: datetime) -> tuple[KeyKind, ...]:
    """Return the kinds that can be renewed and whose key has ended, or ends within its warning time."""
    return tuple(kind for kind in RENEWABLE if ends(keyset.primary(kind)) <= now + WARNINGS[kind])


def renewed(
    keyset: Keyset, kinds: Iterable[KeyKind], now: datetime
) -> tuple[Keyset, tuple[KeyEvent, ...]]:
    """Return the keyset with a successor of each of `kinds`, and what is spent put away; nothing is saved.

    The old KEM key opens for 48 hours more. The old signing key's private half goes at once, its public
    half stays with its dates. The old TLS leaf stays ACTIVE until its end, so that its pin is published
    beside the new one; the newest is in use. Raises Remedy where the clock is behind the keyset.
    """
    if any(record.changed >= now for record in keyset.records):
        raise Remedy("the clock is behind the keyset's last change; set the clock")
    events: list[KeyEvent] = []
    for kind in kinds:
        before = [r for r in keyset.records if (r.kind, r.state) == (kind, KeyState.ACTIVE)]
        staying = keyset.primary(kind).kid if kind is KeyKind.TLS_LEAF else b""
        keyset, made = keyset.generate(kind, now, reason=_REASON, actor=_ACTOR)
        keyset, promoted = keyset.transition(made.kid, KeyState.ACTIVE, now, _REASON, _ACTOR)
        events += [made, promoted]
        for record in before:
            if record.kid != staying:
                keyset, left = keyset.transition(
                    record.kid, KeyState.DEACTIVATED, now, _SUCCEEDED, _ACTOR
                )
                events.append(left)
    keyset, spent = _put_away(keyset, now)
    return keyset, (*events, *spent)


def bundle_of(
    keyset: Keyset,
    *,
    party: str,
    legal_name: str,
    endpoints: tuple[str, ...],
    origin: str,
    version: int,
    now: datetime,
) -> PartyBundle:
    """Return what a party publishes of itself; `origin` names its ledger.

    Raises MalformedBundle for what partners would refuse.
    """
    bundle = PartyBundle(
        party=party,
        legal_name=legal_name,
        version=version,
        issue_time=_whole(now),
        endpoints=endpoints,
        kem=_published(keyset, KeyKind.KEM)[:MAX_KEYS],
        signing=(*_published(keyset, KeyKind.SIGNING), *_past_signing(keyset))[:MAX_KEYS],
        tls_ca_pem=keyset.tls_ca_pem,
        tls_pins=keyset.tls_pins,
        log=log_of(keyset, origin),
    )
    return PartyBundle.parse(bundle.to_bytes())


def log_of(keyset: Keyset, origin: str, *, every: bool = False) -> LogIdentity:
    """Return what verifies our ledger: the pair that signs, those that come and went, and those that were stopped.

    every   believe also what stopped pairs sign today, for us who hold what they signed

    A pair that is only announced stands among the past: it signs beside the current one already. Raises
    KeyNotUsable where no pair may sign.
    """
    signing = keyset.log_keys()
    current = signing[0].public if signing else keyset.log().public
    others = [
        record
        for record in sorted(keyset.records, key=lambda r: (r.created, r.kid), reverse=True)
        if record.kind is KeyKind.LOG and record.public != current
    ]
    if every:
        return LogIdentity.from_public(origin, current, [record.public for record in others])
    past = [r.public for r in others if r.state in PUBLISHED or _vouched(r)]
    # What it signed before it was stopped is still ours, and partners keep such checkpoints.
    stopped = [
        (r.public, int((r.changed + STOPPING).timestamp()))
        for r in others
        if r.state not in PUBLISHED and not _vouched(r)
    ]
    return LogIdentity.from_public(origin, current, past[:MAX_KEYS], stopped[:MAX_KEYS])


def _vouched(record: KeyRecord) -> bool:
    """Return whether what a key of the past signed is still believed to be its own, within its dates."""
    return record.state in _VERIFIES and record.not_before < record.not_after


def says(bundle: PartyBundle, keyset: Keyset, now: datetime) -> bool:
    """Return whether a bundle of ours says what the keyset holds."""
    return successor(bundle, keyset, now, version=bundle.version) == replace(
        bundle, issue_time=_whole(now)
    )


def names(bundle: PartyBundle, keyset: Keyset) -> set[bytes]:
    """Return the ids of those of our keys that a bundle of ours names, by public half, pin or authority."""
    publics = {key.public for key in (*bundle.kem, *bundle.signing)}
    authorities = set(certificates.authorities_in(bundle.tls_ca_pem))
    vkeys = {bundle.log.vkeys, *bundle.log.past}
    found = set()
    for record in keyset.records:
        match record.kind:
            case KeyKind.KEM | KeyKind.SIGNING:
                named = record.public in publics
            case KeyKind.TLS_LEAF:
                named = certificates.pin(record.certificate) in bundle.tls_pins
            case KeyKind.TLS_CA:
                named = record.certificate in authorities
            case KeyKind.LOG:
                named = _vkeys(bundle.log.origin, record.public) in vkeys
            case _:
                named = False
        if named:
            found.add(record.kid)
    return found


def renew(
    home: Path,
    file: Path,
    keyset: Keyset,
    kinds: Iterable[KeyKind],
    *,
    database: Database,
    sequencer: Sequencer,
    now: datetime,
) -> Renewal:
    """Renew `kinds` in the house at `home`, whose keyset is in `file`; steps 1 to 4 above.

    A key that partners were never told of is not replaced: an interrupted renewal is finished instead.
    Raises Remedy, KeysError or a fault of the disk; what was reached stays, and running it again goes on.
    """

    def record(bundle: PartyBundle) -> None:
        adoption.adopt(
            database,
            sequencer,
            keyset=keyset,
            agreements=(),
            entries=[adoption.entry(bundle)],
            now=now,
        )

    own = own_bundle(home)
    known = [kind for kind in kinds if _told(own, keyset, kind)]
    keyset, events = renewed(keyset, known, now)
    if events:
        keyset.save(file)  # (1)
    record(own)  # (2)
    published = not says(own, keyset, now)
    if published:
        own = successor(own, keyset, now, version=own.version + 1)
        durable.replace(home / "party.json", own.to_bytes())  # (3)
        record(own)  # (4)
    return Renewal(events, own, published)


def outlook(keyset: Keyset, record: KeyRecord, now: datetime) -> str:
    """Return in words what comes next for a key, and by which command."""
    if record.state is KeyState.ACTIVE and record.kid == keyset.primary(record.kind).kid:
        return _outlook_in_use(record, now)
    if record.state is KeyState.ACTIVE:
        return f"its pin is published until {ends(record):%Y-%m-%d %H:%M}"
    if record.state is KeyState.DEACTIVATED and record.kind is KeyKind.KEM:
        until = record.changed + KEM_WINDOW
        if now <= until:
            return f"opens until {until:%Y-%m-%d %H:%M}"
        return "opens no more → passerelle keys renew destroys it"
    return _NEXT.get(record.state, "")


_NEXT = {
    KeyState.PREACTIVE: "announced; produces nothing yet",
    KeyState.SUSPENDED: "neither produces nor accepts until it is resolved",
    KeyState.DEACTIVATED: "verifies what it signed; its private half is gone",
    KeyState.COMPROMISED: "refused",
    KeyState.DESTROYED: "gone; its public half is kept",
}


def _outlook_in_use(record: KeyRecord, now: datetime) -> str:
    end, warning = ends(record), WARNINGS[record.kind]
    if record.kind not in RENEWABLE:
        return "ended; this release cannot renew it" if end <= now else f"until {end:%Y-%m-%d}"
    if end <= now:
        return "ended → passerelle keys renew"
    if end <= now + warning:
        return "ends soon → passerelle keys renew"
    return f"renew from {end - warning:%Y-%m-%d}"


def _put_away(keyset: Keyset, now: datetime) -> tuple[Keyset, list[KeyEvent]]:
    """Destroy KEM keys whose window is over; retire leaves that have ended and have a successor."""
    events = []
    leaf = keyset.primary(KeyKind.TLS_LEAF).kid
    for record in keyset.records:
        match record.kind, record.state:
            case KeyKind.KEM, KeyState.DEACTIVATED if now > record.changed + KEM_WINDOW:
                target = KeyState.DESTROYED
            case KeyKind.TLS_LEAF, KeyState.ACTIVE if record.kid != leaf and ends(record) <= now:
                target = KeyState.DEACTIVATED
            case _:
                continue
        keyset, event = keyset.transition(record.kid, target, now, _SPENT, _ACTOR)
        events.append(event)
    return keyset, events


def _told(own: PartyBundle, keyset: Keyset, kind: KeyKind) -> bool:
    """Return whether our bundle already names the key of `kind` that is in use."""
    record = keyset.primary(kind)
    if kind is KeyKind.TLS_LEAF:
        return certificates.pin(record.certificate) in own.tls_pins
    named = own.kem if kind is KeyKind.KEM else own.signing
    return any(key.public == record.public for key in named)


def successor(own: PartyBundle, keyset: Keyset, now: datetime, *, version: int) -> PartyBundle:
    """Return our public entry as the keyset has it now, under another version."""
    return bundle_of(
        keyset,
        party=own.party,
        legal_name=own.legal_name,
        endpoints=own.endpoints,
        origin=own.log.origin,
        version=version,
        now=now,
    )


def _published(keyset: Keyset, kind: KeyKind) -> tuple[BundleKey, ...]:
    """Return what partners should know of a kind, the key in use first."""
    return tuple(
        BundleKey(record.public, record.not_before, record.not_after)
        for record in reversed(keyset.published(kind))
    )


def _past_signing(keyset: Keyset) -> tuple[BundleKey, ...]:
    """Return the signing keys of the past, newest first: old answers verify within their dates."""
    past = (
        BundleKey(record.public, record.not_before, record.not_after)
        for record in keyset.records
        if record.kind is KeyKind.SIGNING and _vouched(record)
    )
    return tuple(sorted(past, key=lambda key: key.not_after, reverse=True))


def _vkeys(origin: str, public: bytes) -> tuple[str, str]:
    """Return the verifier keys of a ledger's pair, Ed25519 ‖ ML-DSA-44."""
    halves = (KeyType.ED25519, public[:ED25519_SIZE]), (KeyType.MLDSA44, public[ED25519_SIZE:])
    ed25519, mldsa44 = (VerifierKey(origin, kind, half).format() for kind, half in halves)
    return ed25519, mldsa44


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
