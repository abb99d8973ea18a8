"""Whoever runs a gateway sees each open alarm and what to do about it, without an auditor and without a sealed detail."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

from gateway import telemetry
from gateway.admin.operation import Officer
from gateway.agreements import active
from gateway.calibrations import adopted
from gateway.law.retention_policy import RetentionClass
from gateway.ledger import events
from gateway.ledger.entry import EntryType
from gateway.ledger_ops import evidence_deadline
from gateway.monitoring import expiry_alerts, open_alarms, partner_files, quota_alerts
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.open_alarms import AlarmKind, OpenAlarm, find_open
from gateway.operations.declaration import Role
from gateway.outbound import failures
from gateway.retention import watchdog
from gateway.server import lifecycle, self_check
from gateway.server.application import Gateway
from gateway.server.listener import tls_identity
from gateway.server.status import look
from gateway.server.workers import periodic_jobs
from gateway.store import alarms
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.store.effects import Effect
from gateway.store.ledger import stored_ledger
from gateway.store.schema import corrections as rows
from gateway.store.times import milliseconds
from keys.keyset import KeyKind, KeyState
from keys.rotation_schedule import short

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a laptop was stolen"  # the reason that an operator gives; only auditors read it
LATCHED = {
    lifecycle.WATCHDOG: AlarmKind.WATCHDOG,
    watchdog.ROUNDS: AlarmKind.RETENTION,
    **dict.fromkeys(RetentionClass.__members__, AlarmKind.RETENTION),
    RetentionClass.DATA_KEY.name: AlarmKind.DATA_KEY,
    **{
        f"{evidence_deadline.PREFIX}{name}": AlarmKind[f"EVIDENCE_{name}"]
        for name in ("TILES", "WITNESSES", "STAMPS")
    },
    f"{expiry_alerts.PREFIX}SIGNING/AUS/0123/PAGE": AlarmKind.EXPIRY,
    f"{quota_alerts._PREFIX}au@1/4/day/2026-03-02": AlarmKind.QUOTA,
    f"{periodic_jobs.PREFIX}tiles": AlarmKind.JOB,
    f"{failures.PREFIX}AUS": AlarmKind.OUTGOING,
    f"{partner_files.PREFIX}AUS.json": AlarmKind.PARTNER_FILE,
    active.ALARM: AlarmKind.AGREEMENTS,
    adopted.ALARM: AlarmKind.CALIBRATIONS,
    tls_identity.TRIED: AlarmKind.TLS_IDENTITY,
    tls_identity.SHOWN: AlarmKind.TLS_SHOWN,
}


@pytest.mark.parametrize("name", LATCHED)
def test_an_alarm_that_latches_is_open_by_its_kind_with_a_remedy(gateway: Any, name: str) -> None:
    gateway.sequencer.commit((), alarms.raise_alarm(name, NOW))
    with gateway.database.reader() as reader:
        (found,) = find_open(reader, None, (), NOW)

    assert (found.kind, found.since) == (LATCHED[name], NOW)
    assert found.remedy("/srv/can").count("DIR") == 0


def test_a_name_that_another_release_raised_is_shown_too(gateway: Any) -> None:
    gateway.sequencer.commit((), alarms.raise_alarm("NEVER_HEARD_OF/x", NOW))
    with gateway.database.reader() as reader:
        (found,) = find_open(reader, None, (), NOW)

    assert (found.kind, found.name, found.pages) == (AlarmKind.OTHER, "x", True)


@pytest.mark.parametrize(
    ("kind", "name", "pages"),
    [
        (AlarmKind.EXPIRY, "KEM//0123/NOTICE", False),
        (AlarmKind.EXPIRY, "KEM//0123/PAGE", True),
        (AlarmKind.EXPIRY, "KEM//0123/ENDED-3", True),
        (AlarmKind.QUOTA, "au@1/4/year/2027-01-01", False),
        (AlarmKind.JOB, "tiles", True),
    ],
)
def test_what_is_only_near_wakes_nobody(kind: AlarmKind, name: str, pages: bool) -> None:
    assert OpenAlarm(kind, name, NOW).pages is pages


def test_a_remedy_names_the_key_the_partner_and_the_home_directory() -> None:
    refused = OpenAlarm(AlarmKind.PARTNER_KEY_REFUSED, "AUS 3f9a01c2", NOW)

    said = refused.remedy("/srv/KEY/DIR")

    assert said.startswith("passerelle party import /srv/KEY/DIR FILE")
    assert "keys unblock /srv/KEY/DIR 3f9a01c2 --partner AUS" in said


def test_a_suspended_key_is_in_status_check_log_and_metrics_until_it_is_resumed(
    pair: Any, key_operations_of: Any, secret: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    key_operations, now = key_operations_of(pair.gateway), pair.gateway.clock
    kid = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    key = short(bytes.fromhex(kid))
    capsys.readouterr()

    key_operations.do("keys.suspend", key=kid, reason=SECRET)
    pair.serving.run_jobs()

    (found,) = look(pair.home, now()).alarms
    assert (found.kind, found.name) == (AlarmKind.KEY_SUSPENDED, f"KEM {key}")
    assert f"passerelle keys resume {pair.home} {key}" in found.remedy(str(pair.home))
    assert SECRET not in repr(look(pair.home, now()))
    checked = {one.name: one for one in self_check.check(pair.home, secret, now())}
    assert not checked["alarm: KEY_SUSPENDED"].ok
    assert key in checked["alarm: KEY_SUSPENDED"].detail
    assert _gauge("KEY_SUSPENDED") == 1
    assert _lines(capsys) == [("error", "alarm_open", "KEY_SUSPENDED")]

    pair.serving.run_jobs()
    assert _lines(capsys) == []  # said once

    key_operations.do("keys.resume", key_operations.two, key=kid)
    pair.serving.run_jobs()

    assert look(pair.home, now()).alarms == ()
    assert all(one.ok for one in self_check.check(pair.home, secret, now()))
    assert _gauge("KEY_SUSPENDED") == 0
    assert _lines(capsys) == [("info", "alarm_over", "KEY_SUSPENDED")]


@pytest.mark.parametrize("remedy", ["staff.resume", "staff.end", ""])
def test_a_suspended_officer_is_shown_by_the_certificate_until_resumed_ended_or_expired(
    gateway: Any, wish: Any, remedy: str
) -> None:
    operator = Officer("P-1", frozenset({Role.OPERATOR}))
    gateway.admin.perform(operator, "staff.add", wish("P-7", "caseworker"))
    gateway.admin.perform(operator, "staff.suspend", {"person": "P-7", "reason": SECRET})

    (member,) = gateway.admin.staff.members()
    (found,) = _open(gateway, gateway.clock())
    assert (found.kind, found.name) == (AlarmKind.OFFICER_SUSPENDED, member.pin.hex()[:16])

    if remedy:
        assert remedy.replace(".", " ") in found.remedy("can")
        values = {"person": "P-7"} | ({"reason": "found"} if remedy == "staff.resume" else {})
        gateway.admin.perform(replace(operator, second="P-2"), remedy, values)
    assert _open(gateway, gateway.clock() if remedy else member.expires) == ()


def _open(gateway: Any, now: datetime) -> tuple[OpenAlarm, ...]:
    with gateway.database.reader() as reader:
        return find_open(reader, gateway.keyset, gateway.directory.partners.stated(), now)


@pytest.mark.parametrize("remedy", ["keys.resume", "keys.revoke"])
def test_either_remedy_of_a_suspended_key_ends_its_alarm(
    gateway: Any, key_operations_of: Any, remedy: str
) -> None:
    key_operations, now = key_operations_of(gateway), gateway.clock()
    kid = key_operations.key(KeyKind.SIGNING, KeyState.ACTIVE)
    key_operations.do("keys.suspend", key=kid, reason=SECRET)
    (found,) = _open(gateway, now)
    assert remedy.replace(".", " ") in found.remedy("can")

    reason = {"reason": SECRET} if remedy == "keys.revoke" else {}
    key_operations.do(remedy, key_operations.two, key=kid, **reason)

    assert _open(gateway, now) == ()


def test_a_partners_key_that_is_believed_again_ends_its_alarm(
    gateway: Any, key_operations_of: Any
) -> None:
    key_operations, now = key_operations_of(gateway), gateway.clock()
    (bundle,) = gateway.directory.partners.stated()
    pin, since = bundle.tls_pins[0].hex(), (now - timedelta(hours=1)).isoformat()
    key_operations.do("keys.compromised", key=pin, since=since, partner="AUS")
    (found,) = _open(gateway, now)
    assert "keys unblock" in found.remedy("can")

    key_operations.do("keys.believe", key_operations.two, key=pin, partner="AUS", reason="found")

    assert _open(gateway, now) == ()


def test_a_refused_key_is_an_alarm_while_the_partners_bundle_still_states_it(
    gateway: Any, key_operations_of: Any
) -> None:
    key_operations = key_operations_of(gateway)
    (bundle,) = gateway.directory.partners.stated()
    pin = bundle.tls_pins[0]
    since = (gateway.clock() - timedelta(hours=1)).isoformat()
    key_operations.do("keys.compromised", key=pin.hex(), since=since, partner="AUS")

    with gateway.database.reader() as reader:
        (found,) = find_open(reader, None, [bundle], NOW)
        renewed = find_open(reader, None, [SimpleNamespace(**_without_pins(bundle))], NOW)
    assert (found.kind, found.name) == (AlarmKind.PARTNER_KEY_REFUSED, f"AUS {short(pin)}")
    assert renewed == ()


def _without_pins(bundle: Any) -> dict[str, Any]:
    names = ("party", "signing", "kem", "tls_ca_pem")
    return {**{name: getattr(bundle, name) for name in names}, "tls_pins": ()}


@pytest.mark.parametrize(
    ("phases", "kinds"),
    [
        ((CorrectionPhase.OPEN, CorrectionPhase.ACKNOWLEDGED), []),
        ((CorrectionPhase.LATE, CorrectionPhase.UNSENT), [AlarmKind.CORRECTION]),
        ((CorrectionPhase.REFUSED, CorrectionPhase.REFUSED), [AlarmKind.CORRECTION_REFUSED]),
    ],
)
def test_corrections_are_one_alarm_a_partner_and_kind_and_who_is_refused_wakes_nobody(
    gateway: Any, phases: tuple[CorrectionPhase, ...], kinds: list[AlarmKind]
) -> None:
    for number, phase in enumerate(phases):
        row = {
            "id": bytes([number]) * 16,
            "partner": "AUS",
            "direction": 1,
            "number": "CAN-1",
            "kind": 2,
            "state": int(phase),
            "opened_by": "AUS",
            "open_ms": 0,
            "attempts": 0,
            "due_ms": milliseconds(NOW) + number,
            "open_index": 0,
        }
        gateway.sequencer.commit((), (Effect(insert(rows).values(**row), rows=1),))

    with gateway.database.reader() as reader:
        found = find_open(reader, None, (), NOW)
    assert [(one.kind, one.name) for one in found] == [(kind, "AUS") for kind in kinds]
    assert all(one.pages == (one.kind is AlarmKind.CORRECTION) for one in found)
    assert {one.since for one in found} <= {NOW}  # the earliest


def test_an_alarm_that_a_restart_finds_open_is_said_in_the_new_log(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    latched = LatchedAlarms(gateway.database, gateway.sequencer, gateway.clock)
    latched.raise_once("AGREEMENTS", events.alarm("AGREEMENTS", SECRET))
    watch = open_alarms.OpenAlarms(
        *(gateway.database, gateway.keys.active.in_force),
        *(gateway.directory.partners, gateway.clock),
    )
    capsys.readouterr()

    watch.round()

    assert _lines(capsys) == [("error", "alarm_open", "AGREEMENTS")]
    assert _gauge("AGREEMENTS") == 1


def test_an_end_that_comes_nearer_is_one_alarm_and_said_again_when_somebody_has_to_act(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gauge is what pages people: the notice of an end two months away is not in it."""
    watch = open_alarms.OpenAlarms(
        *(gateway.database, gateway.keys.active.in_force),
        *(gateway.directory.partners, gateway.clock),
    )
    capsys.readouterr()
    lines, gauges, before = [], [], ()
    for number, step in enumerate(("NOTICE", "WARNING", "PAGE", "ENDED-1", "ENDED-2", "")):
        name = f"EXPIRY/SIGNING/AUS/0123/{step}"
        raised = alarms.raise_alarm(name, NOW + timedelta(days=number)) if step else ()
        gateway.sequencer.commit((), (*before, *raised))
        before = alarms.clear_alarm(name)
        watch.round()
        lines.append(_lines(capsys))
        gauges.append(_gauge("EXPIRY"))

    assert lines == [
        *([("warning", "alarm_open", "EXPIRY")], []),
        *([("error", "alarm_open", "EXPIRY")], [], []),
        [("info", "alarm_over", "EXPIRY")],
    ]
    assert gauges == [0, 0, 1, 1, 1, 0]


def test_one_of_two_late_corrections_that_goes_ends_no_alarm() -> None:
    first, second = (OpenAlarm(AlarmKind.CORRECTION, "AUS", NOW + timedelta(d)) for d in (0, 1))

    assert first.identity == second.identity
    assert first.identity != OpenAlarm(AlarmKind.CORRECTION, "NZL", NOW).identity


@pytest.mark.parametrize(
    "name",
    [
        "WATCHDOG",
        "JOB/tiles",
        "OUTGOING/AUS",
        "PARTNER_FILE/AUS.json",
        "AGREEMENTS",
        "EVIDENCE_WITNESSES",
        "DATA_KEY",
    ],
)
def test_a_stopped_gateway_passes_the_check_with_alarms_that_only_serving_ends(
    homes: Any, secret: Any, name: str
) -> None:
    """Else `check DIR && serve DIR` never starts it again; what a command can end fails all the same."""
    with Gateway.open(homes[0], secret) as gateway:
        gateway.sequencer.commit((), alarms.raise_alarm(name, NOW))
    found = {one.name: one for one in self_check.check(homes[0], secret, datetime.now(UTC))}
    kind = name.partition("/")[0]
    assert all(one.ok for one in found.values())
    assert "since" in found[f"alarm: {kind}"].detail

    with Gateway.open(homes[0], secret) as gateway:
        gateway.sequencer.commit((), alarms.raise_alarm("ROUNDS", NOW))
    found = {one.name: one for one in self_check.check(homes[0], secret, datetime.now(UTC))}
    assert not found["alarm: RETENTION"].ok


def test_a_serving_gateway_fails_the_check_with_an_alarm_of_its_own(pair: Any, secret: Any) -> None:
    pair.gateway.sequencer.commit((), alarms.raise_alarm("WATCHDOG", NOW))
    found = {one.name: one for one in self_check.check(pair.home, secret, datetime.now(UTC))}

    assert not found["alarm: WATCHDOG"].ok


def test_the_newest_alarm_is_not_the_end_of_one(gateway: Any) -> None:
    latched = LatchedAlarms(gateway.database, gateway.sequencer, gateway.clock)
    latched.raise_once("AGREEMENTS", events.alarm("AGREEMENTS", SECRET))
    with gateway.database.reader() as reader:
        raised = stored_ledger.newest_alarm(reader)
    latched.end("AGREEMENTS")

    with gateway.database.reader() as reader:
        assert stored_ledger.newest_alarm(reader) == raised
        newest = stored_ledger.last(reader, EntryType.ALARM)
    assert raised is not None
    assert newest is not None
    assert newest.index > raised.index


def _gauge(kind: str) -> float | None:
    return telemetry.REGISTRY.get_sample_value("passerelle_alarms_open", {"kind": kind})


def _lines(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """Return level, event and kind of the lines about alarms since the last look; nothing sealed is in any line."""
    text = capsys.readouterr().err
    assert SECRET not in text
    lines = [json.loads(line) for line in text.splitlines() if '"logger": "alarms"' in line]
    return [(line["level"], line["event"], line["state"]) for line in lines]


def test_the_operators_page_names_every_kind() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "operators.md").read_text()
    table = page.partition("### Kinds of open alarms")[2].partition("\n## ")[0]

    named = re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))

    assert sorted(named) == sorted(AlarmKind.__members__)
