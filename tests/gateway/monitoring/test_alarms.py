"""One module builds ALARM entries: their bytes are those of earlier releases, and each is written once."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gateway
from gateway.admin import staff
from gateway.domain.messages import Direction, Purpose
from gateway.errors import AuditUnavailable
from gateway.keymanagement.rotation import KeyRotation
from gateway.law.quota_policy import Counter
from gateway.ledger import events, exchange_events
from gateway.ledger.entry import Leaf, encode
from gateway.monitoring.alarms import LatchedAlarms, OnceInAWhile
from gateway.monitoring.expiry import Expiring, ExpiryNotice, Kind, Level
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.monitoring.quota_alerts import QuotaAlerts
from gateway.outbound.correction_sender import CorrectionSender
from gateway.retention.watchdog import RetentionWatchdog
from gateway.store import alarms as store
from gateway.store.correction_lifecycle import CorrectionPhase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KID = bytes(range(32))
ENDS = Expiring("0123456789abcdef", Kind.SIGNING, "AUS", NOW + timedelta(days=7), "a command")
AGREED = SimpleNamespace(name="CAN-AUS@2", id="CAN-AUS", version=2, partner="AUS")
ASKED = SimpleNamespace(
    partner="AUS", number="CAN-0001", message_id=bytes(16), agreement=("CAN-AUS", 2), case="C-1"
)
CORRECTION = SimpleNamespace(
    partner="AUS",
    direction=Direction.OUTBOUND,
    id=bytes(range(16)),
    number="AUS-0001",
    state=CorrectionPhase.OPEN,
    due=NOW,
)


@dataclass
class Recorder:
    """Stands for the sequencer: keeps the entries that are committed."""

    leaves: list[Leaf] = field(default_factory=list)

    def commit(self, leaves: Sequence[Leaf], effects: Sequence[object] = ()) -> None:
        del effects
        self.leaves += leaves


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A ledger in which no alarm stands."""
    monkeypatch.setattr(store, "raised", lambda _: frozenset())
    return Recorder()


NOTHING: Any = SimpleNamespace(reader=nullcontext)  # what is not asked here, or knows nothing


def clock() -> datetime:
    return NOW


def latched(recorder: Any) -> None:
    LatchedAlarms(NOTHING, recorder, clock).begin("WATCHDOG", "SILENT")


def expiry(recorder: Any) -> None:
    told = ExpiryNotice(ENDS, Level.PAGE, "PAGE", timedelta(days=7))
    name = "EXPIRY/SIGNING/AUS/0123456789abcdef/PAGE"
    ExpiryAlerts(NOTHING, recorder, clock)._raise(told, name, set())


def quota(recorder: Any) -> None:
    counter = Counter(Purpose.CITIZENSHIP, yearly=False, used=90, limit=100, resets=NOW)
    alerts: Any = QuotaAlerts(NOTHING, recorder, dict, clock)
    alerts._alarm("QUOTA/CAN-AUS@2/4/day/2026-03-02", AGREED, counter)


def overdue(recorder: Any) -> None:
    RetentionWatchdog(NOTHING, recorder, NOTHING, clock, NOTHING)._alarm("ROUNDS", 1)


def denied(recorder: Any) -> None:
    officer: Any = SimpleNamespace(person="alice")
    staff.Staff(NOTHING, recorder, NOTHING, clock).denied(officer, "keys.list", "ROLE_REQUIRED")


def suspended(recorder: Any) -> None:
    recorder.commit([events.staff_alarm(KID, {"operation": "SUSPEND"})])


def compromised(kind: str) -> Callable[[Any], None]:
    def commit(recorder: Any) -> None:
        facts = {"state_after": "REFUSED"}
        recorder.commit([events.key_alarm("COMPROMISED", "AUS", KID, kind, facts)])

    return commit


def doubted(recorder: Any) -> None:
    asked: Any = ASKED
    recorder.commit([exchange_events.answer_alarm(asked, "SIGNATURE_INVALID")])


def corrected(recorder: Any) -> None:
    correction: Any = CORRECTION
    post: Any = SimpleNamespace(sequencer=recorder)
    CorrectionSender(post).alarm(correction, None, "OVERDUE")


def rotated(recorder: Any) -> None:
    rotation = KeyRotation(NOTHING, NOTHING, NOTHING, recorder, clock, lambda: None, NOTHING)
    rotation._alarm("NOT_SEEN", "SIGNING", "a sentence", "AUS")


# SHA-256 of the leaf as the modules wrote it that built their own entries, and what only auditors read of it.
RECORDED: dict[str, tuple[Callable[[Any], None], str, dict[str, str]]] = {
    "a latched alarm": (
        latched,
        "f774d1468a84f386fcf5aba984726b150288f1f1b753ec90fdbd6b34b55e074d",
        {"reason": "SILENT"},
    ),
    "what ends soon": (
        expiry,
        "60e62ca2187386e80a9a327dc94a2cfba6f5b2f9dad1042aed171030f58b5ad2",
        {"expires": "2026-03-08T12:00:00+00:00", "note": "a command", "reason": "EXPIRY_PAGE"},
    ),
    "a quota that runs out": (
        quota,
        "0f110560d28c79bf80e40aa6852c6b570f709696423bfae2a2e7b780cd4970f7",
        {"purpose": "CITIZENSHIP", "quota_day": "90/100", "reason": "QUOTA_WARNING"},
    ),
    "what is overdue": (
        overdue,
        "691393eee008b2df957b7552e3a06c0aec9d59a2d20eb7e44220dbc9e4f25689",
        {"count": "1", "reason": "RETENTION_OVERDUE", "retention_class": "ROUNDS"},
    ),
    "what a role does not allow": (
        denied,
        "e4b98d0cbb3ce5f634f59b74aed24eba20966a0ce3395635b0f5499f15dcf958",
        {"actor": "alice", "operation": "keys.list", "reason": "ROLE_REQUIRED"},
    ),
    "a suspended officer": (
        suspended,
        "c7c794fefea9ed5521833350bd9bbe3b908bac2d47f9f977e354eecc11343ef2",
        {"operation": "SUSPEND"},
    ),
    "a compromised signing key": (
        compromised("SIGNING"),
        "b7104a5539b6f7f956982e7d902cc188ea842a82318b966126de87929c8638e6",
        {"key_kind": "SIGNING", "state_after": "REFUSED"},
    ),
    "a compromised KEM key": (
        compromised("KEM"),
        "8770b51f17580ed35a5338333b9de598c0681760006ca2e3a764bf91230cfc75",
        {"key_kind": "KEM", "state_after": "REFUSED"},
    ),
    "an answer in doubt": (
        doubted,
        "76551a4bfde1b31521780beb9ef2a0d7fa0742af654e8ba0c4b2acc9bffe955b",
        {"case": "C-1", "reason": "SIGNATURE_INVALID"},
    ),
    "a correction that is late": (
        corrected,
        "b089843a288afa46afe7771668293822b19be31f7126875467207c7558ce18fb",
        {
            "correction": "000102030405060708090a0b0c0d0e0f",
            "due": "2026-03-01T12:00:00+00:00",
            "reason": "OVERDUE",
            "state_before": "OPEN",
            "transaction_reference": "AUS-0001",
        },
    ),
    "a rotation that waits": (
        rotated,
        "ef98569c80515c2662818f152866428166cd21effce51e6b840e5e437ccf98bd",
        {
            "key_kind": "SIGNING",
            "missing_partners": "AUS",
            "reason": "NOT_SEEN",
            "why": "a sentence",
        },
    ),
}


@pytest.mark.parametrize("what", RECORDED)
def test_an_alarm_entry_is_byte_for_byte_what_earlier_releases_wrote(
    recorder: Recorder, what: str
) -> None:
    act, digest, facts = RECORDED[what]

    act(recorder)

    (leaf,) = recorder.leaves
    assert leaf.detail == facts
    assert hashlib.sha256(encode(replace(leaf.frame, time=NOW))).hexdigest() == digest


def test_alarm_entries_are_built_and_latched_in_one_module() -> None:
    sources = Path(gateway.__path__[0])
    calls = [
        (str(path.relative_to(sources)), node)
        for path in sources.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    built = {
        name
        for name, call in calls
        for each in (*call.args, *(named.value for named in call.keywords))
        if ast.unparse(each) == "EntryType.ALARM"
        and not ast.unparse(call.func).endswith(".last")  # reads one
    }
    latches = {"raise_alarm", "clear_alarm"}
    latched = {name for name, call in calls if latches & {*ast.unparse(call.func).split(".")}}

    assert latched == {"monitoring/alarms.py"}
    assert built == {"ledger/events.py", "ledger/exchange_events.py"}  # one constructor each


def test_what_repeats_is_said_once_in_a_while_and_at_once_where_the_clock_was_set_back() -> None:
    once = OnceInAWhile(timedelta(days=1))
    hour = timedelta(hours=1)

    assert once.due("a", NOW)
    assert not once.due("a", NOW + 23 * hour)
    assert once.due("b", NOW + 23 * hour)  # another thing waits for none
    assert once.due("a", NOW + 24 * hour)
    assert once.due("a", NOW - hour)


def test_what_an_officer_may_not_do_is_recorded_once_a_minute_of_each_reason() -> None:
    """A harmless attempt hides no forged one."""
    recorder, officer = Recorder(leaves=[]), SimpleNamespace(person="alice")
    people = staff.Staff(NOTHING, recorder, NOTHING, clock)  # type: ignore[arg-type]

    for why in ("ROLE_REQUIRED", "ROLE_REQUIRED", "SIGNATURE", "SAME_PERSON", "SIGNATURE"):
        people.denied(officer, "proposals.approve", why)  # type: ignore[arg-type]

    said = [leaf.detail["reason"] for leaf in recorder.leaves if leaf.detail]
    assert said == ["ROLE_REQUIRED", "SIGNATURE", "SAME_PERSON"]


def test_what_the_ledger_did_not_take_is_said_again() -> None:
    once = OnceInAWhile(timedelta(days=1))
    once.due("a", NOW)

    once.forget("a")

    assert once.due("a", NOW)


class Shut(Recorder):
    """A ledger that takes nothing."""

    def commit(self, leaves: Sequence[Leaf], effects: Sequence[object] = ()) -> None:
        del leaves, effects
        raise AuditUnavailable


def test_who_watches_goes_on_where_the_ledger_takes_nothing(recorder: Recorder) -> None:
    shut: Any = Shut()
    alarms = LatchedAlarms(NOTHING, shut, clock)

    alarms.begin("WATCHDOG", "SILENT")

    with pytest.raises(AuditUnavailable):
        alarms.raise_once("WATCHDOG", events.alarm("WATCHDOG", "SILENT"))


def test_an_alarm_that_stands_is_not_raised_again_and_one_that_does_not_is_not_cleared(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger: Any = recorder
    alarms = LatchedAlarms(NOTHING, ledger, clock)

    alarms.end("WATCHDOG")
    monkeypatch.setattr(store, "raised", lambda _: frozenset({"WATCHDOG"}))
    alarms.begin("WATCHDOG", "SILENT")

    assert recorder.leaves == []
    alarms.end("WATCHDOG")
    assert [leaf.frame.subject_reference for leaf in recorder.leaves] == ["CLEAR/WATCHDOG"]
