"""Whether a folder's gateway serves, why not, since when, and what is due: answered without a passphrase.

What the serving process says of itself is read from its metrics on loopback; the rest is in the store, and in what the
files of the folder state. No key is opened, so of our own keys it reports what the file says, whose seal nobody checked.
A part that cannot be read is named, and the others are reported all the same.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from gateway import config, user_files
from gateway.config import Settings
from gateway.errors import PasserelleError
from gateway.home_layout import ADMIN_ADDRESS
from gateway.keymanagement.transitions import stopped
from gateway.ledger.entry import EntryType
from gateway.ledger_ops import evidence_deadline
from gateway.monitoring.expiry import ExpiryNotice, Keys, Level
from gateway.monitoring.open_alarms import OpenAlarm
from gateway.server import alarms_of_folder, expiry_of_folder
from gateway.store import alarms
from gateway.store.address import is_served, open_store
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.stored_ledger import Last
from gateway.store.people import subjects
from gateway.store.people.subjects import Counts
from keys import keyset_file, strict_json
from keys.errors import KeysError

T = TypeVar("T")

ANSWERS: Final = 3.0  # seconds for the process to answer on loopback
MOST: Final = 1 << 20  # bytes of its metrics; a busy gateway has some 100,000
MOST_DOOR: Final = (
    1 << 16
)  # bytes of the file that says where it listens; each of a few authorities has about 800
_SERVING: Final = re.compile(
    r'^passerelle_serving\{gateway="([A-Z0-9-]{2,32})",reason="([A-Z0-9_]{0,64})"\} [01](?:\.0)?$',
    re.MULTILINE,
)
_SINCE: Final = re.compile(r"^passerelle_serving_since_seconds ([0-9.e+]{1,32})$", re.MULTILINE)

# Why nothing is answered, and what to do about it.
REMEDIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "NEVER_STARTED": (
            "it has not served yet",
            "passerelle check DIR, then passerelle serve DIR",
        ),
        "STOPPED": ("it was stopped", "passerelle serve DIR"),
        "ENDED": (
            "its process ended and recorded no STOP",
            "see the end of its log, then passerelle serve DIR",
        ),
        "OPEN": (
            "a process holds the home directory and serves nobody: it starts, ends, or is another command",
            "wait, or look at that process",
        ),
        "MAINTENANCE": (
            "it is under maintenance: our own people can work, partners are not answered",
            "end it, then passerelle serve DIR",
        ),
        "SILENT": (
            "its process is there and does not say whether it serves",
            "see the end of its log; a supervisor starts it again",
        ),
        "DRAINING": ("it is being stopped", "passerelle serve DIR, once it has ended"),
        "KEYS_UNAVAILABLE": (
            "a key without which nothing is answered is past its end, or stopped",
            "passerelle keys list DIR, then keys rotate or keys promote",
        ),
        "AUDIT_UNAVAILABLE": (
            "the ledger cannot record: the clock is behind its last entry, or the disk failed",
            "compare the clock and the disk with the log",
        ),
        "DIRECTORY_STALE": ("our directory has ended", "passerelle directory renew DIR"),
        "RETENTION_OVERDUE": (
            "what should be erased is not",
            "passerelle retention status DIR, then passerelle retention run DIR",
        ),
        "EVIDENCE_OVERDUE": (
            "published files, cosignatures or time stamps are late for too long",
            "passerelle check DIR says which",
        ),
        "ENGINE_UNAVAILABLE": ("the gallery is not loaded", "see the log"),
        "WATCHDOG": ("a thread of it stands still", "its supervisor starts it again; see the log"),
        "FAULT": ("its readiness could not be found out", "see the log"),
    }
)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a gateway at a moment.

    why      "" while it serves, else a word of `REMEDIES`, or the refusal's reason
    since    when that began, as far as it is known
    served   the last moment at which it is known that it served, where it ended without a word
    answer   the newest answer to a partner
    entries  how many the ledger has
    newest   its newest entry
    late     evidence that is late, and since when
    raised   other raised alarms, and since when
    alarms   all that are open, and what to do about each, the oldest first
    alarm    the newest ALARM entry that is not the end of one, whose detail is the auditor's to read
    missing  kinds of keys without which nothing is answered, and of which none is ACTIVE
    due      what ends soon, the soonest first
    unread   parts that could not be read, and why
    """

    party: str
    why: str
    since: datetime | None
    served: datetime | None = None
    answer: Last | None = None
    gallery: Counts | None = None
    entries: int = 0
    newest: Last | None = None
    late: Mapping[str, datetime] = field(default_factory=dict)
    raised: Mapping[str, datetime] = field(default_factory=dict)
    alarms: tuple[OpenAlarm, ...] = ()
    alarm: Last | None = None
    missing: tuple[str, ...] = ()
    due: tuple[ExpiryNotice, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def serving(self) -> bool:
        """Whether partners are answered."""
        return not self.why

    def told(self, home: Path) -> tuple[str, str]:
        """Return in words why it does not serve, and what to do about it; both empty while it does."""
        if self.serving:
            return "", ""
        words, remedy = REMEDIES.get(self.why, (self.why, "see the log"))
        return words, remedy.replace("DIR", str(home))


@dataclass(frozen=True, slots=True)
class _Stored:
    gallery: Counts | None = None
    entries: int = 0
    newest: Last | None = None
    answer: Last | None = None
    start: Last | None = None
    stop: Last | None = None
    raised: Mapping[str, datetime] = field(default_factory=dict)
    alarm: Last | None = None


def look(home: Path, now: datetime) -> Status:
    """Return the state of a folder's gateway; raises UserError where the folder has no settings."""
    settings = config.load(home)
    unread: list[str] = []

    def part(name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (PasserelleError, KeysError, OSError) as fault:
            unread.append(f"{name}: {user_files.fault_text(fault)}")
        except Exception as fault:  # noqa: BLE001 - whatever it was, the other parts are reported
            unread.append(f"{name}: {type(fault).__name__}")
        return None

    readable = part("store", lambda: _stored(settings))
    stored = readable or _Stored()
    keys: Keys | None = part("keys", lambda: keyset_file.stated(settings.keys.keyset))
    due = part("ends", lambda: expiry_of_folder.of_folder(home, keys, now)) or ()
    found = readable and part("alarms", lambda: alarms_of_folder.of_folder(settings, keys, now))
    why, since = _standing(home, settings, stored)
    raised, evidence = stored.raised, evidence_deadline.PREFIX
    return Status(
        settings.gateway.party,
        why,
        since,
        served=_last_served(stored) if why == "ENDED" else None,
        answer=stored.answer,
        gallery=stored.gallery,
        entries=stored.entries,
        newest=stored.newest,
        late={
            name.removeprefix(evidence): at
            for name, at in raised.items()
            if name.startswith(evidence)
        },
        raised={name: at for name, at in raised.items() if not name.startswith(evidence)},
        alarms=found or (),
        alarm=stored.alarm,
        missing=tuple(kind.value for kind in stopped(keys)) if keys else (),
        due=tuple(one for one in due if one.level is not Level.FINE),
        unread=tuple(unread),
    )


def _stored(settings: Settings) -> _Stored:
    with closing(open_store(settings.store.path)) as database, database.reader() as reader:
        return _Stored(
            subjects.counts(reader),
            stored_ledger.extent(reader)[0],
            stored_ledger.last(reader),
            stored_ledger.last(reader, EntryType.RESPONSE),
            stored_ledger.last(reader, EntryType.START),
            stored_ledger.last(reader, EntryType.STOP),
            alarms.raised_since(reader),
            stored_ledger.newest_alarm(reader),
        )


def _standing(home: Path, settings: Settings, stored: _Stored) -> tuple[str, datetime | None]:
    """Return why it does not serve, "" where it does, and since when."""
    served = is_served(settings.store.path)
    written = _written(home)
    # What a killed process wrote stays; the lock may be another's.
    listens = served and _listens(written)
    if listens and "metrics" not in written:
        return "MAINTENANCE", None
    said = _said(written)
    if said is not None:
        found, since = _SERVING.search(said), _SINCE.search(said)
        if found and since and found[1] == settings.gateway.party:
            return found[2], datetime.fromtimestamp(float(since[1]), UTC)
    start, stop = stored.start, stored.stop
    if served:
        return ("SILENT" if listens else "OPEN"), None
    if start is None:
        return "NEVER_STARTED", None
    if stop is not None and stop.index > start.index:
        return "STOPPED", stop.time
    return "ENDED", None


def _last_served(stored: _Stored) -> datetime | None:
    """Return the last moment at which it certainly served; entries after it are those of commands, or of maintenance."""
    found = [each.time for each in (stored.start, stored.answer) if each is not None]
    return max(found, default=None)


def is_up(home: Path, settings: Settings) -> bool:
    """Say whether a process holds the home directory, as far as this system shows it."""
    return is_served(settings.store.path) or _listens(_written(home))


def _written(home: Path) -> Mapping[str, object]:
    """Return what a process wrote of where it listens; empty where none did, or it cannot be read."""
    try:
        written = strict_json.read(user_files.read(home / ADMIN_ADDRESS, MOST_DOOR), MOST_DOOR)
    except (PasserelleError, OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}


def _listens(written: Mapping[str, object]) -> bool:
    """Say whether somebody answers where a process wrote that its admin listener is."""
    host, _, port = str(written.get("admin", "")).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _said(written: Mapping[str, object]) -> str | None:
    """Return what the process says of itself; None where nobody answers where one said that it listens."""
    try:
        host, _, port = str(written["metrics"]).rpartition(":")
        asked = HTTPConnection(host, int(port), timeout=ANSWERS)  # by itself it heeds no proxy
        try:
            asked.request("GET", "/metrics")
            return asked.getresponse().read(MOST).decode()
        finally:
            asked.close()
    except (OSError, HTTPException, ValueError, KeyError):
        return None
