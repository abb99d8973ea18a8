"""What an act on our keys would do, in sentences with dates: for --dry-run, and for whoever approves it.

A sentence says to the second person what they answer for, so it is made from what the gateway holds, never from what
the first person wrote. What would be refused says so in the words of the refusal.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.errors import UserError
from gateway.keymanagement import transitions
from gateway.keymanagement.rotation import KeyRotation
from gateway.operations import keys
from gateway.trust.directory_signers import WAYS
from keys.key_record import KeyRecord
from keys.lifecycle import DIRECTORY, KEM_WINDOW, PRODUCES_ONLY, KeyKind, KeyState
from keys.rotation_schedule import ANNOUNCED, CryptoPeriod, ends, needs_evidence, short

Sentences = tuple[str, ...]


def generate(rotation: KeyRotation, request: keys.Generate) -> Sentences:
    """Say what `keys generate` would do."""
    kind = request.kind
    already = transitions.coming(rotation.keyset, kind)
    if already is not None:
        return (f"Refused: {_name(already)} is PREACTIVE already; promote or destroy it first.",)
    said = [f"A {kind.value} key is made, PREACTIVE: it produces nothing yet."]
    if kind in ANNOUNCED:
        version = rotation.own.version + 1
        said.append(
            f"Partners learn of it with version {version} of our entry, once it is published."
        )
    elif kind in DIRECTORY:
        said.append(_named_first(kind))
    return (*said, "Nothing that is in use changes.")


def publish(rotation: KeyRotation, request: keys.Publish) -> Sentences:
    """Say what `keys publish` would do."""
    del request
    version = rotation.own.version
    if rotation.says_all():
        return (f"Nothing: version {version} of our entry says all that our keys are.",)
    return (
        f"Our entry becomes version {version + 1}, and goes to whoever carries it to partners.",
    )


def promote(rotation: KeyRotation, request: keys.Promote) -> Sentences:
    """Say what `keys promote` would do."""
    record = _record(rotation, request.key)
    try:
        transitions.demand_edge(rotation.keyset, record, KeyState.ACTIVE)
        grounds = rotation.grounds(record, override=request.override)
    except UserError as refused:
        return (f"Refused: {refused}",)
    said = [f"{_name(record)} becomes ACTIVE, and is in use from then on{_until(record)}."]
    if grounds["evidence"] == "OVERRIDDEN":
        missing = grounds["missing_partners"] or "nobody known"
        said.append(
            f"Not seen to know it: {missing}. {_COSTS.get(record.kind, '')}"
            " They need our new entry at once."
        )
    return (*said, *_predecessors(rotation, record))


def rotate(rotation: KeyRotation, request: keys.Rotate) -> Sentences:
    """Say what `keys rotate` would do."""
    kind = request.kind
    coming = transitions.coming(rotation.keyset, kind)
    said = (
        [f"A {kind.value} key is made, PREACTIVE{', and published' if kind in ANNOUNCED else ''}."]
        if coming is None
        else [f"{_name(coming)} is PREACTIVE already; its rotation goes on."]
    )
    active = [r for r in rotation.keyset.records if (r.kind, r.state) == (kind, KeyState.ACTIVE)]
    partners = sorted(rotation.partners())
    needed = kind in ANNOUNCED and not (
        active and not needs_evidence(rotation.keyset.records, active[-1], rotation.now())
    )
    if kind in DIRECTORY and rotation.directory:
        said.append(_named_first(kind))
    elif needed and partners:
        said.append(
            f"It takes over as soon as all of {', '.join(partners)} were seen with the version of our"
            " entry that names it: by the schedule, or by `passerelle keys promote`."
        )
    else:
        said.append("It takes over at once: there is nobody to wait for.")
    return (*said, *(_leaves(record) for record in active))


def suspend(rotation: KeyRotation, request: keys.Suspend) -> Sentences:
    """Say what `keys suspend` would do."""
    record = _record(rotation, request.key)
    refused = _refusal(rotation, record, KeyState.SUSPENDED)
    if refused:
        return refused
    said = [
        f"{_name(record)} is SUSPENDED at once: it neither produces nor accepts.",
        "An ALARM is recorded, and our entry is published without it.",
    ]
    said += _silence(rotation, record)
    said += _successor(rotation, record)
    return (*said, "It returns by `passerelle keys resume`, which takes two persons.")


def resume(rotation: KeyRotation, request: keys.Resume) -> Sentences:
    """Say what `keys resume` would do."""
    record = _record(rotation, request.key)
    if record.state is not KeyState.SUSPENDED:
        return (f"Refused: {_name(record)} is {record.state.value}; what is SUSPENDED resumes.",)
    since = f"suspended {record.changed:%Y-%m-%d %H:%M} ({record.reason})"
    return (f"{_name(record)}, {since}, is ACTIVE again{_until(record)}.",)


def deactivate(rotation: KeyRotation, request: keys.Deactivate) -> Sentences:
    """Say what `keys deactivate` would do."""
    record = _record(rotation, request.key)
    return _refusal(rotation, record, KeyState.DEACTIVATED) or (_leaves(record),)


def revoke(rotation: KeyRotation, request: keys.Revoke) -> Sentences:
    """Say what `keys revoke` would do."""
    record = _record(rotation, request.key)
    return _refusal(rotation, record, KeyState.COMPROMISED) or (
        f"{_name(record)} is COMPROMISED for ever: refused in both directions, in our next entry no more.",
        "What the ledger held before stays attributable. Only its destruction can follow.",
        *_silence(rotation, record),
        *_successor(rotation, record),
    )


def destroy(rotation: KeyRotation, request: keys.Destroy) -> Sentences:
    """Say what `keys destroy` would do."""
    record = _record(rotation, request.key)
    refused = _refusal(rotation, record, KeyState.DESTROYED) or _by_schedule(rotation, record)
    if refused:
        return refused
    due = transitions.destroyable(record)
    if transitions.waits(record):
        due = max(due, rotation.now() + timedelta(days=request.days))
        return (
            f"{_name(record)} is destroyed on {_day(due)}. {_lost(record)}",
            "Until then one person can cancel it: `passerelle keys cancel`.",
        )
    if due > rotation.now():
        return (f"Refused: too early; it can be destroyed from {_day(due)} on.",)
    return (f"{_name(record)} is destroyed at once. {_lost(record)}",)


def cancel(rotation: KeyRotation, request: keys.Cancel) -> Sentences:
    """Say what `keys cancel` would do."""
    record = _record(rotation, request.key)
    refused = _by_schedule(rotation, record)
    if refused:
        return refused
    planned = rotation.scheduled_destructions().get(record.kid)
    if planned is not None:
        return (
            f"The destruction of {_name(record)}, due {_day(planned.due)}, does not take place.",
        )
    if record.kid not in rotation.outlook().asked or record.state is not KeyState.PREACTIVE:
        return ("Refused: neither a destruction nor a rotation of that key is under way.",)
    return (
        f"{_name(record)} waits for `passerelle keys promote`, and no longer takes over by itself.",
    )


def schedule(rotation: KeyRotation, request: keys.Schedule) -> Sentences:
    """Say what `keys schedule` would do."""
    kind = request.kind
    now = rotation.outlook().crypto_periods.get(kind)
    if now is None:
        return (f"Refused: {kind.value} keys do not rotate by themselves.",)
    every = timedelta(days=request.days) if request.days else now.every
    if not request.on:
        said = [f"{kind.value} keys rotate when somebody says so, and end at their end."]
        return (*said, *([_COPIES_STAY] if kind is KeyKind.DATA else []))
    said = [f"{kind.value} keys rotate every {every.days} days by themselves."]
    said += [_COPIES_END] if kind is KeyKind.DATA else []
    planned = rotation.steps_with(kind, CryptoPeriod(on=True, every=every))
    said += [f"{step.when:%Y-%m-%d %H:%M} UTC: {step.sentence}." for step in planned]
    return tuple(said)


_COPIES_END = (
    "An earlier key is destroyed when nothing is sealed with it any more: copies of the database from before, erased"
    " things in them, open no more."
)
_COPIES_STAY = "No earlier key is destroyed but by two persons: what is erased stays readable in copies of the database until then."

# What a partner meets who does not know the promoted key yet.
_COSTS = {
    KeyKind.KEM: "What they seal to the old key opens for 48 hours after it is deactivated.",
    KeyKind.SIGNING: "They refuse our signature until they have it.",
    KeyKind.TLS_LEAF: "They refuse our certificate until they have it.",
    KeyKind.TLS_CA: "They refuse what it issues until they have it.",
    KeyKind.LOG: "They verify our ledger by the old pair until that is deactivated.",
}


def _named_first(kind: KeyKind) -> str:
    return f"It takes over when the directory's root key holders name it: {WAYS[kind]}. Its predecessor signs until then."


def _predecessors(rotation: KeyRotation, record: KeyRecord) -> Sentences:
    older = [
        r
        for r in rotation.keyset.records
        if (r.kind, r.state) == (record.kind, KeyState.ACTIVE) and r.kid != record.kid
    ]
    return tuple(
        f"{_name(each)} stays ACTIVE until it is deactivated, by the schedule or by hand."
        for each in older
    )


def _successor(rotation: KeyRotation, record: KeyRecord) -> Sentences:
    rest = [r for r in rotation.keyset.published(record.kind) if r.kid != record.kid]
    if rest or record.kind not in ANNOUNCED:
        return ()
    return (
        "Partners would know no other: a successor is made with it, PREACTIVE. It takes over once all partners were seen to know it; two persons can promote it before.",
    )


def _silence(rotation: KeyRotation, record: KeyRecord) -> Sentences:
    if not transitions.silences(rotation.keyset, record):
        return ()
    said = (
        f"FROM THEN ON NOTHING IS ANSWERED: no other {record.kind.value} key is ACTIVE. Partners are told"
        " KEYS_UNAVAILABLE, until two persons promote its successor or resume it; `passerelle keys list` shows how."
    )
    return (said,)


def _leaves(record: KeyRecord) -> str:
    name = _name(record)
    if record.kind is KeyKind.KEM:
        return (
            f"{name} is then deactivated: it opens for {KEM_WINDOW / timedelta(hours=1):.0f} hours more,"
            " and is destroyed after that."
        )
    if record.kind in PRODUCES_ONLY:
        return f"{name} is then deactivated: its private half is gone at once, its public half verifies."
    return f"{name} is then deactivated: it opens what is its own, and seals nothing new."


def _lost(record: KeyRecord) -> str:
    if not record.wrapped:
        return "Its private half is gone already; its public half, dates and reasons remain."
    return "What only it opens is lost for ever; its public half, dates and reasons remain."


def _refusal(rotation: KeyRotation, record: KeyRecord, target: KeyState) -> Sentences:
    try:
        transitions.demand_edge(rotation.keyset, record, target)
    except UserError as refused:
        return (f"Refused: {refused}",)
    return ()


def _by_schedule(rotation: KeyRotation, record: KeyRecord) -> Sentences:
    try:
        transitions.require_no_schedule(record, rotation.outlook().crypto_periods)
    except UserError as refused:
        return (f"Refused: {refused}",)
    return ()


def _record(rotation: KeyRotation, key: str) -> KeyRecord:
    return transitions.named(rotation.keyset, key)


def _name(record: KeyRecord) -> str:
    return f"{record.kind.value} {short(record.kid)}"


def _until(record: KeyRecord) -> str:
    return f", until {ends(record):%Y-%m-%d}" if record.certificate else ""


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
