"""What comes next for our keys: pure, from what they are, how often they are rotated, who has seen them, and the time.

    generate   a successor, a lead before its predecessor's period ends
    promote    at the end of the period, or at once where somebody asked; when every partner was seen to know the key
    wait       the period is over, and partners who have not seen the key are named; the old key stays in use
    deactivate who was succeeded
    destroy    a KEM key whose window is over; a DATA key with which nothing is sealed any more, where DATA keys rotate by
               themselves; any other when the wait that two persons decided is over

A timer destroys nothing that two persons have not decided, but for KEM keys (keys.md 5 and 12) and DATA keys, whose
schedule two persons decide: the end of a DATA key ends every copy of what was erased before it (ledger.md 3). Nothing
here reads a clock, a file or a keyset's secrets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType

from keys import certificates
from keys.key_record import KeyRecord
from keys.lifecycle import (
    DATA_WINDOW,
    DIRECTORY,
    KEM_WINDOW,
    LIFETIMES,
    KeyKind,
    KeyState,
    authority,
)

TICK = timedelta(
    milliseconds=1
)  # the grain of our moments; a window is over one grain after its end
SHOWN = 16  # digits of a key id that are enough to distinguish ours

# What our public entry names, so that partners have to be seen with it before a key is promoted.
ANNOUNCED = frozenset({KeyKind.KEM, KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_CA, KeyKind.TLS_LEAF})

# What has to be known to others before it is promoted: to partners, or to the root key holders who name a directory's pairs.
_WAITS = ANNOUNCED | DIRECTORY

# Past its end such a key serves nobody, so a successor that nobody has seen is no loss. An ended KEM key opens.
_DEAD_AT_END = frozenset({KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_CA, KeyKind.TLS_LEAF})

# How long before the end of a period a successor is made (keys.md 5: an epoch's 72 hours before).
LEADS: Mapping[KeyKind, timedelta] = MappingProxyType(
    {
        **dict.fromkeys(KeyKind, timedelta(days=30)),
        KeyKind.KEM: timedelta(hours=72),
        KeyKind.TLS_LEAF: timedelta(days=14),
        KeyKind.TLS_CA: timedelta(days=180),
        KeyKind.DATA: timedelta(hours=2),  # nobody else has to know it: in time for its promotion
    }
)

# How long before the end of a period its successor takes over: partners whose clocks are fast, and our rounds.
MARGIN = timedelta(hours=1)

# How long a successor is in use before its predecessor leaves. Connections live ten minutes and a half; whoever
# began to read a directory under its last root is done much sooner.
OVERLAPS: Mapping[KeyKind, timedelta] = MappingProxyType(
    dict.fromkeys((KeyKind.TLS_LEAF, KeyKind.SNAPSHOT, KeyKind.TIMESTAMP), timedelta(hours=1))
)

# These leave by hand alone: leaves and officer certificates that an authority issued live on with it.
_BY_HAND = frozenset({KeyKind.TLS_CA})

# It stays until its successor is known to all, also where two persons did not wait to promote that.
_STAYS_UNTIL_SEEN = frozenset({KeyKind.LOG, KeyKind.TLS_LEAF})


class Move(Enum):
    """What is done to a key."""

    GENERATE = "generate"
    PROMOTE = "promote"
    WAIT = "wait"
    DEACTIVATE = "deactivate"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class CryptoPeriod:
    """Whether keys of a kind are rotated by themselves, and after how long."""

    on: bool
    every: timedelta


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who has seen a key.

    version   of our entry that first named it, or for a pair of our directory of what its root key holders signed; None
              while none does
    missing   partners who were not seen with that version yet, in order
    """

    version: int | None
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every partner was seen to know the key."""
        return self.version is not None and not self.missing


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, when, and why, in a sentence; `kid` is empty for a key that is yet to be made."""

    move: Move
    kind: KeyKind
    kid: bytes
    when: datetime
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All that decides what comes next.

    crypto_periods    of each kind
    evidence   of each PREACTIVE and each ACTIVE key that is announced, by kid
    asked      kids whose rotation somebody asked for: on as soon as the evidence allows
    decided    kids that two persons decided to destroy, and when
    unused     kids of DATA keys with which nothing is sealed any more; what is not here may still be needed
    """

    crypto_periods: Mapping[KeyKind, CryptoPeriod]
    evidence: Mapping[bytes, Evidence] = field(default_factory=dict)
    asked: Collection[bytes] = ()
    decided: Mapping[bytes, datetime] = field(default_factory=dict)
    unused: Collection[bytes] = ()


# The KEM epoch, the leaf and the data key are rotated by themselves; the others when somebody says so (keys.md 3 and 5).
CRYPTO_PERIODS: Mapping[KeyKind, CryptoPeriod] = MappingProxyType(
    {
        **{
            kind: CryptoPeriod(on=False, every=LIFETIMES[kind] - LEADS[kind])
            for kind in KeyKind
            if kind is not KeyKind.AUDIT
        },
        KeyKind.KEM: CryptoPeriod(on=True, every=LIFETIMES[KeyKind.KEM]),
        KeyKind.TLS_LEAF: CryptoPeriod(on=True, every=timedelta(days=60)),
        # What is erased is unreadable in every copy of the database when this period is over.
        KeyKind.DATA: CryptoPeriod(on=True, every=timedelta(days=7)),
    }
)


def ends(record: KeyRecord) -> datetime:
    """Return when a key ends: with its certificate, where it has one."""
    if record.certificate and record.kind is KeyKind.TLS_LEAF:
        return min(record.not_after, certificates.validity(record.certificate)[1])
    return record.not_after


def turn(record: KeyRecord, every: timedelta) -> datetime:
    """Return when the period of a key in use is over."""
    return min(ends(record), record.changed + every)


def lead(kind: KeyKind, every: timedelta) -> timedelta:
    """Return how long before the end of a period its successor is made: never more than half of it."""
    return min(LEADS[kind], every / 2)


def needs_evidence(records: Iterable[KeyRecord], record: KeyRecord, now: datetime) -> bool:
    """Say whether partners must be seen to know `record`, or root key holders must name it, before it is promoted.

    Not where its predecessors have ended and serve nobody any more: then waiting protects nothing.
    """
    if record.kind not in _WAITS:
        return False
    active = [r for r in records if (r.kind, r.state) == (record.kind, KeyState.ACTIVE)]
    ended = bool(active) and all(ends(each) <= now for each in active)
    return not (ended and record.kind in _DEAD_AT_END)


def ends_by_schedule(record: KeyRecord, crypto_periods: Mapping[KeyKind, CryptoPeriod]) -> bool:
    """Say whether `record` is a data key that is destroyed when nothing is sealed with it, and nobody decides."""
    crypto_period = crypto_periods.get(record.kind)
    deactivated = (record.kind, record.state) == (KeyKind.DATA, KeyState.DEACTIVATED)
    return deactivated and crypto_period is not None and crypto_period.on


def steps(records: Iterable[KeyRecord], outlook: Outlook, now: datetime) -> tuple[Step, ...]:
    """Return what comes next for every key, the earliest first; none of it twice."""
    keys = tuple(records)
    found = [step for kind in KeyKind for step in _of_kind(keys, kind, outlook, now)]
    found += _ends_of_life(keys, outlook)
    return tuple(sorted(found, key=lambda step: (step.when, step.kind.value, step.kid)))


def due(records: Iterable[KeyRecord], outlook: Outlook, now: datetime) -> tuple[Step, ...]:
    """Return of `steps` what is to be done now."""
    return tuple(step for step in steps(records, outlook, now) if step.when <= now)


def _of_kind(
    keys: tuple[KeyRecord, ...], kind: KeyKind, outlook: Outlook, now: datetime
) -> Iterator[Step]:
    crypto_period = outlook.crypto_periods.get(kind, CryptoPeriod(on=False, every=LIFETIMES[kind]))
    mine = sorted((r for r in keys if r.kind is kind), key=lambda r: (r.created, r.kid))
    active = [r for r in mine if r.state is KeyState.ACTIVE]
    coming = [r for r in mine if r.state is KeyState.PREACTIVE]
    for record in coming:
        if record.kid in outlook.decided:
            continue  # two persons decided its end; a schedule does not outvote them
        if crypto_period.on or record.kid in outlook.asked:
            yield _promotion(keys, record, active, crypto_period, outlook, now)
    if not active:
        return  # what stopped them was a person, and so is what goes on
    primary = active[-1]
    if crypto_period.on and not coming:
        over = turn(primary, crypto_period.every)
        yield Step(
            Move.GENERATE,
            kind,
            b"",
            over - lead(kind, crypto_period.every),
            f"a successor of {kind.value} {short(primary.kid)} is made and published; "
            f"the turn ends {over:%Y-%m-%d %H:%M}",
        )
    if kind not in _BY_HAND and (crypto_period.on or primary.kid in outlook.asked):
        yield from _retirements(active, outlook)


def _promotion(  # noqa: PLR0917 - all that bears on one key
    keys: tuple[KeyRecord, ...],
    record: KeyRecord,
    active: list[KeyRecord],
    crypto_period: CryptoPeriod,
    outlook: Outlook,
    now: datetime,
) -> Step:
    asked = record.kid in outlook.asked or not active
    at = record.changed if asked else turn(active[-1], crypto_period.every) - MARGIN
    evidence = outlook.evidence.get(record.kid, Evidence(None))
    name = f"{record.kind.value} {short(record.kid)}"
    if evidence.complete or not needs_evidence(keys, record, now):
        return Step(Move.PROMOTE, record.kind, record.kid, at, f"{name} takes over")
    if record.kind in DIRECTORY:
        why = "the directory's root key holders have not named it yet"
    elif evidence.version is None:
        why = "no version of our entry names it yet"
    else:
        why = f"not seen with version {evidence.version}: {', '.join(evidence.missing)}"
    stays = f"{name} waits, and its predecessor stays in use; {why}"
    return Step(Move.WAIT, record.kind, record.kid, max(at, record.changed), stays)


def _retirements(active: list[KeyRecord], outlook: Outlook) -> Iterator[Step]:
    """Yield when those leave whom the newest has succeeded."""
    primary = active[-1]
    for record in active[:-1]:
        when = primary.changed + OVERLAPS.get(record.kind, timedelta())
        unseen = not outlook.evidence.get(primary.kid, Evidence(None)).complete
        if record.kind in DIRECTORY and unseen:
            continue  # the directory still asks for the old one
        if record.kind in _STAYS_UNTIL_SEEN and unseen:
            when = max(when, ends(record))
        yield Step(
            Move.DEACTIVATE,
            record.kind,
            record.kid,
            when,
            f"{record.kind.value} {short(record.kid)} is deactivated; {short(primary.kid)} is in use",
        )


def _ends_of_life(keys: tuple[KeyRecord, ...], outlook: Outlook) -> Iterator[Step]:
    for record in keys:
        name = f"{record.kind.value} {short(record.kid)}"
        if record.kind is KeyKind.DATA and record.state is not KeyState.PREACTIVE:
            yield from _end_of_data_key(record, name, outlook)
        elif (record.kind, record.state) == (KeyKind.KEM, KeyState.DEACTIVATED):
            when = record.changed + KEM_WINDOW + TICK
            yield Step(
                Move.DESTROY,
                record.kind,
                record.kid,
                when,
                f"{name} is destroyed: its 48 hours are over; what is sealed to it opens no more",
            )
        elif record.kid in outlook.decided and authority(
            record.kind, record.state, KeyState.DESTROYED
        ):
            when = outlook.decided[record.kid]
            yield Step(
                Move.DESTROY,
                record.kind,
                record.kid,
                when,
                f"{name} is destroyed, as two persons decided",
            )


def _end_of_data_key(record: KeyRecord, name: str, outlook: Outlook) -> Iterator[Step]:
    """Yield when a data key ends: never while something of ours may be sealed with it, whoever decided it.

    A decision is never a way to keep one for longer than its schedule does: copies would show what was erased.
    """
    if record.kid not in outlook.unused:
        return
    ends_at: list[tuple[datetime, str]] = []
    decided = outlook.decided.get(record.kid)
    if decided is not None and authority(record.kind, record.state, KeyState.DESTROYED):
        ends_at.append((decided, f"{name} is destroyed, as two persons decided"))
    if ends_by_schedule(record, outlook.crypto_periods):
        what = f"{name} is destroyed: nothing is sealed with it; what was erased opens in no copy any more"
        ends_at.append((record.changed + DATA_WINDOW + TICK, what))
    if ends_at:
        when, what = min(ends_at)
        yield Step(Move.DESTROY, record.kind, record.kid, when, what)


def short(kid: bytes) -> str:
    """Return as much of a key id as people need."""
    return kid.hex()[:SHOWN]
