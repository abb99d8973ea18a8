"""What ends, when, and how loudly that is to be said: one table for every key, certificate, role and agreement.

    what                                            warned before its end
    keys, certificates, officer certificates, agreements, roles   60, 30, 7 and 1 days
    a KEM key without an announced successor        72 and 24 hours; once ended, every day
    snapshot and timestamp of a directory           12, 6 and 1 hours
    the key above the keys                          30 days; 30 days after its year

From PAGE on somebody has to act now, and `passerelle check` and `passerelle keys list` leave exit code 1.
Everything here is a value; what raises the alarms is `gateway.monitoring.expiry_alerts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keys import certificates, rotation_schedule
from keys.envelope import SealingKey
from keys.errors import CertificateFault, KeyNotUsable
from keys.key_record import KeyRecord
from keys.keyset import Keyset
from keys.keyset_file import KeyFile
from keys.lifecycle import KeyKind, KeyState
from keys.signatures import VerifyingKey

if TYPE_CHECKING:
    # The command that shows levels pays for none of these.
    from gateway.law.agreement import Agreements
    from gateway.store.people.staff import Member
    from gateway.trust.bundle import PartyBundle

Keys = Keyset | KeyFile  # opened, or as the file states them

SHOWN = 16  # hexadecimal digits of a key id or pin, enough to distinguish ours
KEK_YEAR = timedelta(days=365)  # keys.md 3
LONGEST_NAME = 24  # characters of a name in a metric or an alarm


class Level(IntEnum):
    """How near an end is; from PAGE on it is for now."""

    FINE = 0
    NOTICE = 1
    WARNING = 2
    PAGE = 3
    LAST = 4
    ENDED = 5

    @property
    def pages(self) -> bool:
        """Whether somebody has to act now: exit code 1."""
        return self >= Level.PAGE

    @property
    def colour(self) -> str:
        """How a terminal shows it."""
        return _COLOURS[self]


_COLOURS: Mapping[Level, str] = MappingProxyType(
    {
        Level.FINE: "",
        Level.NOTICE: "cyan",
        Level.WARNING: "yellow",
        Level.PAGE: "red",
        Level.LAST: "bold red",
        Level.ENDED: "bold red",
    }
)


class Kind(Enum):
    """What a thing that ends is; the label of its gauge."""

    SIGNING = "SIGNING"
    LOG = "LOG"
    KEM = "KEM"
    TLS_CA = "TLS_CA"
    TLS_LEAF = "TLS_LEAF"
    DATA = "DATA"
    AUDIT = "AUDIT"
    DELEGATION = "DELEGATION"
    SNAPSHOT = "SNAPSHOT"
    TIMESTAMP = "TIMESTAMP"
    KEK = "KEK"
    BADGE = "BADGE"
    AGREEMENT = "AGREEMENT"
    PARTNER_SIGNING = "PARTNER_SIGNING"
    PARTNER_KEM = "PARTNER_KEM"
    PARTNER_CA = "PARTNER_CA"
    TUF_ROOT = "TUF_ROOT"
    TUF_TARGETS = "TUF_TARGETS"
    TUF_DELEGATION = "TUF_DELEGATION"
    TUF_SNAPSHOT = "TUF_SNAPSHOT"
    TUF_TIMESTAMP = "TUF_TIMESTAMP"


Steps = tuple[tuple[timedelta, Level], ...]

# Sources: issue 5 item 8 for what lives longer than two months, keys.md section 10 for the rest.
_LONG: Steps = (
    (timedelta(days=60), Level.NOTICE),
    (timedelta(days=30), Level.WARNING),
    (timedelta(days=7), Level.PAGE),
    (timedelta(days=1), Level.LAST),
    (timedelta(0), Level.ENDED),
)
_EPOCH: Steps = (
    (timedelta(hours=72), Level.WARNING),
    (timedelta(hours=24), Level.PAGE),
    (timedelta(0), Level.ENDED),
)
_DAILY: Steps = (
    (timedelta(hours=12), Level.WARNING),
    (timedelta(hours=6), Level.PAGE),
    (timedelta(hours=1), Level.LAST),
    (timedelta(0), Level.ENDED),
)
_AGE: Steps = ((timedelta(days=30), Level.WARNING), (timedelta(days=-30), Level.PAGE))
_ENDS_ONLY: Steps = ((timedelta(0), Level.ENDED),)

_STEPS: Mapping[Kind, Steps] = MappingProxyType(
    {
        Kind.KEM: _EPOCH,
        Kind.PARTNER_KEM: _EPOCH,
        Kind.TUF_SNAPSHOT: _DAILY,
        Kind.TUF_TIMESTAMP: _DAILY,
        Kind.KEK: _AGE,
    }
)

_REMEDIES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.BADGE: "a new request of theirs: passerelle staff request, then passerelle staff add",
        Kind.KEK: "passerelle keys rewrap",
        Kind.AGREEMENT: "agree on its next version, then passerelle agreements sign",
        Kind.PARTNER_SIGNING: "ask the partner for its new bundle, then passerelle party import",
        Kind.PARTNER_KEM: "ask the partner for its new bundle, then passerelle party import",
        Kind.PARTNER_CA: "ask the partner for its new bundle, then passerelle party import",
    }
)
_ROTATE = "passerelle keys rotate"


@dataclass(frozen=True, slots=True)
class Expiring:
    """One thing that ends. Nothing in it is secret; it is shown in metrics, entries and tables.

    name      the beginning of a key id or pin, an agreement's name, or a role's
    partner   whose it is, or with whom it was agreed; empty for ours alone
    remedy    the command that resolves it
    followed  a successor is announced, so that only the end itself is worth a warning
    """

    name: str
    kind: Kind
    partner: str
    ends: datetime
    remedy: str
    followed: bool = False


@dataclass(frozen=True, slots=True)
class ExpiryNotice:
    """A thing that ends, and how loudly that is to be said at a moment.

    step   what an alarm is raised for once: the level, and for an ended epoch the day
    """

    thing: Expiring
    level: Level
    step: str
    left: timedelta


def levels(kind: Kind, *, followed: bool = False) -> Steps:
    """Return how long before its end a thing of `kind` comes to which level, the earliest first."""
    return _ENDS_ONLY if followed else _STEPS.get(kind, _LONG)


def level_of(thing: Expiring, now: datetime) -> Level:
    """Return the level of a thing at a moment."""
    left, reached = thing.ends - now, Level.FINE
    for before, level in levels(thing.kind, followed=thing.followed):
        if left <= before:
            reached = level
    return reached


def outlook(now: datetime, things: Iterable[Expiring]) -> tuple[ExpiryNotice, ...]:
    """Return all of them with their levels, the soonest end first."""
    told = [_notice(thing, now) for thing in things]
    return tuple(sorted(told, key=lambda one: (one.thing.ends, one.thing.kind.value)))


def level(keyset: Keys, record: KeyRecord, now: datetime) -> Level:
    """Return the level of one key of ours; a key that is not in use ends without anybody's doing."""
    found = _of_key(keyset, record.kind)
    if found is None or found[0].kid != record.kid:
        return Level.FINE
    return level_of(found[1], now)


def of_keyset(keyset: Keys) -> Iterator[Expiring]:
    """Yield the keys in use, one of each kind. A kind that has none is reported by the readiness."""
    for kind in KeyKind:
        found = _of_key(keyset, kind)
        if found is not None:
            yield found[1]


def of_kek(keyset: Keys, since: datetime | None) -> Iterator[Expiring]:
    """Yield the key above the keys; `since` when it is in use, else it is as old as the first key under it."""
    born = since or min((record.created for record in keyset.records), default=None)
    if born is not None:
        yield _thing("KEK", Kind.KEK, born + KEK_YEAR)


def of_staff(members: Iterable[Member], now: datetime) -> Iterator[Expiring]:
    """Yield the officer certificates in force; of a person's several the last to end."""
    last: dict[str, Member] = {}
    for one in members:
        if one.live(now) and (one.person not in last or one.expires > last[one.person].expires):
            last[one.person] = one
    for one in last.values():
        yield _thing(one.pin.hex()[:SHOWN], Kind.BADGE, one.expires)


def of_partner(bundle: PartyBundle) -> Iterator[Expiring]:
    """Yield of each kind of a partner's keys and authorities the last to end: older ones are in their overlap."""
    ends = [
        (Kind.PARTNER_SIGNING, VerifyingKey(key.public).key_id, key.not_after)
        for key in bundle.signing
    ]
    ends += [(Kind.PARTNER_KEM, SealingKey(key.public).key_id, key.not_after) for key in bundle.kem]
    ends += [
        (Kind.PARTNER_CA, certificates.pin(pem), certificates.validity(pem)[1])
        for pem in certificates.authorities_in(bundle.tls_ca_pem)
    ]
    last: dict[Kind, tuple[bytes, datetime]] = {}
    for kind, kid, end in ends:
        if kind not in last or end > last[kind][1]:
            last[kind] = kid, end
    for kind, (kid, end) in last.items():
        yield _thing(kid.hex()[:SHOWN], kind, end, bundle.party)


def of_partners(bundles: Iterable[PartyBundle]) -> Iterator[Expiring]:
    """Yield what ends of every partner."""
    for bundle in bundles:
        yield from of_partner(bundle)


def of_agreements(agreements: Agreements, now: datetime) -> Iterator[Expiring]:
    """Yield the agreements in force that have an end and no later version to take over by then."""
    for versions in agreements.values():
        for one in versions:
            if one.covers(now) and one.until is not None and one.superseded is None:
                yield _thing(_short(one.name), Kind.AGREEMENT, one.until, one.partner)


def of_role(kind: Kind, name: str, ends: datetime, remedy: str, partner: str = "") -> Expiring:
    """Return a role of a directory: what the repository knows and we do not."""
    return Expiring(_short(name), kind, partner, ends, remedy)


def _of_key(keyset: Keys, kind: KeyKind) -> tuple[KeyRecord, Expiring] | None:
    try:
        record = keyset.primary(kind)
    except KeyNotUsable:
        return None
    try:
        ends = rotation_schedule.ends(record)
    except CertificateFault:
        ends = record.not_after
    followed = kind is KeyKind.KEM and any(
        other.kind is kind and other.state is KeyState.PREACTIVE for other in keyset.records
    )
    remedy = _REMEDIES.get(Kind(kind.value), f"{_ROTATE} DIR {kind.value}")
    name = record.kid.hex()[:SHOWN]
    return record, Expiring(name, Kind(kind.value), "", ends, remedy, followed)


def _thing(name: str, kind: Kind, ends: datetime, partner: str = "") -> Expiring:
    return Expiring(name, kind, partner, ends, _REMEDIES.get(kind, _ROTATE))


def _notice(thing: Expiring, now: datetime) -> ExpiryNotice:
    reached, left = level_of(thing, now), thing.ends - now
    step = reached.name
    if thing.kind is Kind.KEM and reached is Level.ENDED:
        step = f"{step}-{(-left).days}"  # it stays in use: said again every day (keys.md 10)
    return ExpiryNotice(thing, reached, step, left)


def _short(name: str) -> str:
    """Shorten a long name in its middle: an agreement's version is at the end."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 8]}~{name[-7:]}"
