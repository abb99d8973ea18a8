"""Our public entry, from our keys: what partners may know, and whether all of it is published.

It names the keys in use first, behind them those that are only announced, then the signing keys of the past.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from gateway.ledger.signed_note import KeyType, LogIdentity, VerifierKey
from gateway.trust.bundle import MAX_KEYS, Anchor, BundleKey, PartyBundle, witness_name
from keys import certificates
from keys.key_record import KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import PUBLISHED, KeyKind, KeyState

STOPPING = timedelta(minutes=1)  # a stopped ledger pair still signs the entry that records its stop

_VERIFIES = frozenset({KeyState.DEACTIVATED, KeyState.DESTROYED})  # what it signed stays its own


def bundle_of(
    keyset: Keyset,
    *,
    party: str,
    legal_name: str,
    endpoints: tuple[str, ...],
    origin: str,
    version: int,
    now: datetime,
    root: Anchor | None = None,
) -> PartyBundle:
    """Return what a party publishes of itself; `origin` names its ledger, `root` begins its directory.

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
        root=root,
        witness=witness_of(keyset, party),
    )
    return PartyBundle.parse(bundle.to_bytes())


def witness_of(keyset: Keyset, party: str) -> str:
    """Return the vkey that we cosign others' checkpoints with; empty where no pair of our ledger may sign."""
    signing = keyset.log_keys()
    if not signing:
        return ""
    return VerifierKey(witness_name(party), KeyType.MLDSA44, signing[0].witness().public).format()


def log_of(keyset: Keyset, origin: str, *, every: bool = False) -> LogIdentity:
    """Return what verifies our ledger: the pair that signs, those beside it, and those that signed until a moment.

    every   believe also what stopped pairs sign today, for us who hold what they signed

    A pair that is only announced signs beside the current one already. Whoever stole a pair that has left signs
    nothing new with it: what it signs after it left is not believed. Raises KeyNotUsable where no pair may sign.
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
    past = [r.public for r in others if r.state in PUBLISHED]
    # What it signed before it left or was stopped is still ours, and partners keep such checkpoints.
    stopped = [
        (r.public, int(((r.not_after if _vouched(r) else r.changed) + STOPPING).timestamp()))
        for r in others
        if r.state not in PUBLISHED
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
                named = LogIdentity.from_public(bundle.log.origin, record.public).vkeys in vkeys
            case _:
                named = False
        if named:
            found.add(record.kid)
    return found


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
        root=own.root,
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


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
