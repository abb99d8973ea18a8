"""The state of our keys, in plain values: for a list, for one key, and for what an approval is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from gateway.keymanagement.rotation import KeyRotation
from gateway.keymanagement.transitions import keepers_sign, stopped
from gateway.monitoring import expiry
from gateway.trust.key_names import serial
from keys.certificates import pin
from keys.key_record import KeyRecord
from keys.lifecycle import DIRECTORY, KEM_WINDOW, KeyKind, KeyState
from keys.rotation_schedule import CryptoPeriod, Evidence, Move, Step, ends, short


def standing(rotation: KeyRotation) -> object:
    """Return the state of every key, and the version of our entry: what an approval must find unchanged."""
    keys = [
        [record.kid.hex(), record.kind.value, record.state.value, _time(record.changed)]
        for record in sorted(rotation.keyset.records, key=lambda record: record.kid)
    ]
    return {"keys": keys, "version": rotation.own.version}


def listing(rotation: KeyRotation) -> dict[str, object]:
    """Return every key with what comes next for it, and how each kind is rotated."""
    crypto_periods, steps, evidence = (
        rotation.outlook().crypto_periods,
        rotation.steps(),
        rotation.evidence(),
    )
    return {
        "keys": [
            _row(rotation, record, steps, evidence)
            for record in sorted(rotation.keyset.records, key=lambda r: (r.kind.value, r.created))
        ],
        "schedules": [
            crypto_period(kind, crypto_periods[kind]) for kind in KeyKind if kind in crypto_periods
        ],
        "next": [{"when": _time(step.when), "what": step.sentence} for step in steps],
        "silent": [_way_back(rotation, kind) for kind in stopped(rotation.keyset)],
        **rotation.entry(),
    }


def one(rotation: KeyRotation, record: KeyRecord) -> dict[str, object]:
    """Return one key, and who has seen it."""
    found = rotation.evidence()
    evidence = found.get(record.kid, Evidence(None))
    return {
        **_row(rotation, record, rotation.steps(), found),
        "not_before": _time(record.not_before),
        "not_after": _time(record.not_after),
        "has_private": bool(record.wrapped),
        "partners": [
            {
                "party": party,
                "version": None if seen is None else seen.version,
                "seen": None if seen is None else _time(seen.time),
                "missing": evidence.version is not None and party in evidence.missing,
            }
            for party, seen in sorted(rotation.partners().items())
        ],
    }


def crypto_period(kind: KeyKind, how: CryptoPeriod) -> dict[str, object]:
    """Return how a kind is rotated."""
    return {"kind": kind.value, "on": how.on, "days": how.every.days}


def _row(
    rotation: KeyRotation,
    record: KeyRecord,
    steps: tuple[Step, ...],
    found: Mapping[bytes, Evidence],
) -> dict[str, object]:
    evidence = found.get(record.kid, Evidence(None))
    return {
        "kid": record.kid.hex(),
        "pin": pin(record.certificate).hex() if record.certificate else "",
        "serial": serial(record.certificate) if record.certificate else "",
        "kind": record.kind.value,
        "state": record.state.value,
        "created": _time(record.created),
        "since": _time(record.changed),
        "ends": _time(ends(record)),
        "reason": record.reason,
        "level": expiry.level(rotation.keyset, record, rotation.now()).name,
        "in_use": _in_use(rotation, record),
        "published": evidence.version or None,
        "missing": list(evidence.missing) if evidence.version is not None else [],
        "next": _next(rotation, record, steps),
    }


def _way_back(rotation: KeyRotation, kind: KeyKind) -> str:
    """Return in words why nothing is answered for want of a kind, and each order that ends that; two persons."""
    ways = [
        f"passerelle keys {verb} DIR {short(record.kid)} {words}"
        for state, verb, words in (
            (KeyState.PREACTIVE, "promote", "--override WORDS"),
            (KeyState.SUSPENDED, "resume", "--reason WORDS"),
        )
        for record in rotation.keyset.records
        if (record.kind, record.state) == (kind, state)
    ] or [f"passerelle keys rotate DIR {kind.value} --reason WORDS"]
    return f"Nothing is answered: no {kind.value} key is ACTIVE → {', or '.join(ways)}"


def _in_use(rotation: KeyRotation, record: KeyRecord) -> bool:
    active = [
        r for r in rotation.keyset.records if (r.kind, r.state) == (record.kind, KeyState.ACTIVE)
    ]
    return bool(active) and max(active, key=lambda r: (r.created, r.kid)).kid == record.kid


def _next(rotation: KeyRotation, record: KeyRecord, steps: tuple[Step, ...]) -> str:
    """Return in words what comes next for a key."""
    mine = next((step for step in steps if step.kid == record.kid), None)
    if mine is not None:
        if mine.move is Move.WAIT:
            return f"waits for {'root key holders' if record.kind in DIRECTORY else 'partners'}"
        return f"{mine.move.value}: {mine.when:%Y-%m-%d %H:%M}"
    if record.state is KeyState.ACTIVE and _in_use(rotation, record):
        made = next((s for s in steps if (s.move, s.kind) == (Move.GENERATE, record.kind)), None)
        if made is not None:
            return f"successor: {made.when:%Y-%m-%d %H:%M}"
        renewed = "audit renew, then passerelle keys set-auditor-key DIR FILE"  # the private half is the auditor's
        rotated = f"keys rotate DIR {record.kind.value} --reason WORDS"
        return f"→ passerelle {renewed if record.kind is KeyKind.AUDIT else rotated}"
    if record.state is KeyState.DEACTIVATED:
        return _end(rotation, record)
    role = keepers_sign(record.kind) if record.state is KeyState.PREACTIVE else None
    return _NEXT[record.state] if role is None else _NAME[role]


def _end(rotation: KeyRotation, record: KeyRecord) -> str:
    """Return in words until when a DEACTIVATED key serves."""
    if record.kind is KeyKind.KEM:
        return f"opens until {record.changed + KEM_WINDOW:%Y-%m-%d %H:%M}"
    if record.kind is KeyKind.DATA:
        outlook = rotation.outlook()
        ends_here = outlook.crypto_periods[record.kind].on or record.kid in outlook.decided
        until = "all is sealed with its successor" if ends_here else "two persons destroy it"
        return f"opens until {until}"
    return "verifies, or opens, what is its own"


_NEXT = {
    KeyState.PREACTIVE: "→ passerelle keys promote, once partners have seen it",
    KeyState.ACTIVE: "→ passerelle keys deactivate; a newer one is in use",
    KeyState.SUSPENDED: "→ passerelle keys resume, or revoke; two persons",
    KeyState.COMPROMISED: "refused",
    KeyState.DESTROYED: "gone; its public half is kept",
}

# What names a pair of our directory: its root, or its targets.
_NAME = {"root": "→ passerelle directory root", "targets": "→ passerelle directory renew"}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
