"""Which alarms are open: what each is, where, since when, and what to do; for whoever runs the gateway.

An alarm is open while what raised it lasts. Those that latch are in the store (`gateway.store.alarms`). What an ALARM
entry says once is read where it is so: a key of ours or an officer certificate that is suspended, a partner's key that
is refused and still in its bundle, a correction that is late or refused. Nothing of an entry's sealed detail is read:
it is the auditor's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from gateway import telemetry
from gateway.law.retention_policy import RetentionClass
from gateway.monitoring.expiry import SHOWN, Keys, Level
from gateway.store import alarms
from gateway.store.casework import corrections
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.store.engine import Reader, StorageEngine
from gateway.store.keys import blocklist
from gateway.store.people import staff
from gateway.trust import key_names
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import Directory
from keys.keyset import KeysetInForce
from keys.lifecycle import KeyState
from keys.rotation_schedule import short

_log = telemetry.logger("alarms")


class AlarmKind(Enum):
    """What alarms there are, and what resolves each: DIR is the home directory, PARTY and KEY are of the alarm's name."""

    WATCHDOG = "see the log for the thread; its next start ends the alarm: passerelle serve DIR"
    RETENTION = "passerelle retention status DIR, then passerelle retention run DIR"
    DATA_KEY = "passerelle keys list DIR; the log says what keeps the old data key"
    EVIDENCE_TILES = "make room in evidence.tiles, then passerelle ledger publish DIR"
    EVIDENCE_WITNESSES = "passerelle witness list DIR, then telephone them"
    EVIDENCE_STAMPS = "passerelle ledger stamp DIR says why"
    EXPIRY = "passerelle check DIR says what to renew"
    MISREAD = (
        "speak with PARTY: its pictures of eyes are mirrored or exchanged, or somebody hides so"
    )
    QUOTA = "nothing here; speak with the partner before its quota ends"
    JOB = "see job_failed in the log"
    OUTGOING = "passerelle check DIR --partner PARTY"
    PARTNER_FILE = "passerelle party list DIR says why"
    AGREEMENTS = "passerelle check DIR names file and line"
    CALIBRATIONS = "passerelle calibrations list DIR says why"
    TLS_IDENTITY = "passerelle keys rotate DIR TLS_LEAF"
    TLS_SHOWN = "look what stands before the listener, then start the gateway again"
    KEY_SUSPENDED = "passerelle keys resume DIR KEY, or keys revoke DIR KEY; two persons"
    OFFICER_SUSPENDED = (
        "passerelle staff list DIR, then staff resume, two persons, or staff end, --official WHOM"
    )
    PARTNER_KEY_REFUSED = "passerelle party import DIR FILE, its new bundle; or keys unblock DIR KEY --partner PARTY, two persons"
    CORRECTION = "passerelle corrections list DIR --open"
    CORRECTION_REFUSED = "passerelle corrections list DIR --open, speak with PARTY, then passerelle corrections retry DIR ID"
    OTHER = "passerelle check DIR, and see the log"


_PLACES: Final = re.compile(r"\b(?:DIR|PARTY|KEY)\b")
# What a latched alarm is called, or begins with where a name of its own follows `/`.
_LATCHED: Final[Mapping[str, AlarmKind]] = {
    **dict.fromkeys(("ROUNDS", *RetentionClass.__members__), AlarmKind.RETENTION),
    RetentionClass.DATA_KEY.name: AlarmKind.DATA_KEY,  # no erasure ends it, but the rotation of keys
    "WATCHDOG": AlarmKind.WATCHDOG,
    "EVIDENCE_TILES": AlarmKind.EVIDENCE_TILES,
    "EVIDENCE_WITNESSES": AlarmKind.EVIDENCE_WITNESSES,
    "EVIDENCE_STAMPS": AlarmKind.EVIDENCE_STAMPS,
    "EXPIRY/": AlarmKind.EXPIRY,
    "QUOTA/": AlarmKind.QUOTA,
    "MISREAD/": AlarmKind.MISREAD,
    "JOB/": AlarmKind.JOB,
    "OUTGOING/": AlarmKind.OUTGOING,
    "PARTNER_FILE/": AlarmKind.PARTNER_FILE,
    "AGREEMENTS": AlarmKind.AGREEMENTS,
    "CALIBRATIONS": AlarmKind.CALIBRATIONS,
    "TLS_IDENTITY": AlarmKind.TLS_IDENTITY,
    "TLS_SHOWN": AlarmKind.TLS_SHOWN,
}


_ENDS_BY_SERVING: Final = frozenset(
    {
        AlarmKind.WATCHDOG,
        AlarmKind.DATA_KEY,
        AlarmKind.EVIDENCE_TILES,
        AlarmKind.EVIDENCE_WITNESSES,
        AlarmKind.EVIDENCE_STAMPS,
        AlarmKind.JOB,
        AlarmKind.MISREAD,
        AlarmKind.OUTGOING,
        AlarmKind.PARTNER_FILE,
        AlarmKind.AGREEMENTS,
        AlarmKind.CALIBRATIONS,
        AlarmKind.TLS_IDENTITY,
        AlarmKind.TLS_SHOWN,
        AlarmKind.OTHER,
    }
)


_CORRECTIONS: Final[Mapping[AlarmKind, frozenset[CorrectionPhase]]] = {
    AlarmKind.CORRECTION: frozenset({CorrectionPhase.UNSENT, CorrectionPhase.LATE}),
    AlarmKind.CORRECTION_REFUSED: frozenset({CorrectionPhase.REFUSED}),
}


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is open.

    name    which of its kind: a key, a partner, a file; the alarm's own name where there is one of the kind
    """

    kind: AlarmKind
    name: str
    since: datetime

    @property
    def pages(self) -> bool:
        """Whether somebody has to act now.

        Not where an end or a partner's quota is only near, nor where a partner refuses a correction: it may do so for
        good, and what somebody could do is done.
        """
        if self.kind is AlarmKind.EXPIRY:
            step = self.name.rpartition("/")[2].partition("-")[0]
            return step in Level.__members__ and Level[step].pages
        return self.kind not in {AlarmKind.QUOTA, AlarmKind.CORRECTION_REFUSED}

    @property
    def ends_by_serving(self) -> bool:
        """Whether a gateway that serves is all that can end it, so that it may be over at one that is stopped."""
        return self.kind in _ENDS_BY_SERVING

    @property
    def identity(self) -> tuple[AlarmKind, str]:
        """What stays the same while it is open: the step of what ends comes nearer, the earliest of several goes."""
        name = self.name.rpartition("/")[0] if self.kind is AlarmKind.EXPIRY else self.name
        return self.kind, name

    def remedy(self, home: str) -> str:
        """Return what to do, with the home directory in its place."""
        words = self.name.split() or [""]
        named = {"DIR": home, "PARTY": words[0], "KEY": words[-1]}
        return _PLACES.sub(lambda place: named[place[0]], self.kind.value)


def find_open(
    reader: Reader, keys: Keys | None, bundles: Iterable[PartyBundle], now: datetime
) -> tuple[OpenAlarm, ...]:
    """Return the open alarms, the oldest first.

    keys      ours; None where they could not be read
    bundles   of partners, as they state them, with the keys that we refuse
    """
    latched = alarms.raised_since(reader)
    found = [OpenAlarm(*_named(name), since) for name, since in latched.items()]
    found += [] if keys is None else _of_keys(keys)
    found += _of_staff(staff.members(reader), now)
    found += _of_partners(blocklist.blocked_since(reader), bundles)
    found += [
        OpenAlarm(kind, partner, due)
        for kind, phases in _CORRECTIONS.items()
        for partner, due in corrections.due_since(reader, phases).items()
    ]
    return tuple(sorted(found, key=lambda one: (one.since, one.kind.name, one.name)))


def _named(latched: str) -> tuple[AlarmKind, str]:
    begins, slash, of = latched.partition("/")
    return _LATCHED.get(begins + slash, AlarmKind.OTHER), of if slash else latched


def _of_keys(keys: Keys) -> Iterator[OpenAlarm]:
    for record in keys.records:
        if record.state is KeyState.SUSPENDED:
            name = f"{record.kind.value} {short(record.kid)}"
            yield OpenAlarm(AlarmKind.KEY_SUSPENDED, name, record.changed)


def _of_staff(members: Iterable[staff.Member], now: datetime) -> Iterator[OpenAlarm]:
    """Yield officer certificates by their pins: whose they are is for officers, who see `staff list`."""
    for one in members:
        if one.suspended is not None and one.endable(now):
            name = one.pin.hex()[:SHOWN]
            yield OpenAlarm(AlarmKind.OFFICER_SUSPENDED, name, one.suspended)


def _of_partners(
    blocked: Mapping[tuple[str, bytes], datetime], bundles: Iterable[PartyBundle]
) -> Iterator[OpenAlarm]:
    """Yield refused keys that a partner's bundle still states: its next bundle, without them, ends the alarm."""
    if not blocked:
        return
    for bundle in bundles:
        for kid in {one.kid for one in key_names.of_bundle(bundle)}:
            since = blocked.get((bundle.party, kid))
            if since is not None:
                name = f"{bundle.party} {short(kid)}"
                yield OpenAlarm(AlarmKind.PARTNER_KEY_REFUSED, name, since)


class OpenAlarms:
    """What a serving process says of open alarms: a line in the log as each begins and ends, and a gauge by kind.

    A start says those again that are open from before. One that was only near is said again when somebody has to act;
    the gauge counts those on which somebody has to. Names are in no metric.
    """

    def __init__(
        self,
        database: StorageEngine,
        keyset: KeysetInForce,
        directory: Directory,
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._keyset, self._directory = database, keyset, directory
        self._clock = clock
        self._open: dict[tuple[AlarmKind, str], OpenAlarm] = {}

    def round(self) -> None:
        """Look, and say what is new and what is over."""
        bundles = self._directory.stated()
        with self._database.reader() as reader:
            found = find_open(reader, self._keyset.current, bundles, self._clock())
        before, self._open = self._open, {one.identity: one for one in found}
        for identity, one in self._open.items():
            known = before.get(identity)
            if known is None or one.pages > known.pages:
                (_log.error if one.pages else _log.warning)("alarm_open", state=one.kind.name)
        for identity, one in before.items():
            if identity not in self._open:
                _log.info("alarm_over", state=one.kind.name)
        counts = Counter(one.kind.name for one in found if one.pages)
        telemetry.show_alarms({kind.name: counts[kind.name] for kind in AlarmKind})
