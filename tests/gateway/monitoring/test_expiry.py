"""What ends is said in time, once, and with the command that resolves it (keys.md section 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import telemetry
from gateway.errors import UserError
from gateway.ledger import events
from gateway.ledger.entry import EntryType, decode
from gateway.monitoring import expiry
from gateway.monitoring.expiry import Expiring, Kind, Level
from gateway.monitoring.expiry_alerts import ExpiryAlerts
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store import alarms
from gateway.store.keys import kek_custody
from gateway.store.ledger import stored_ledger
from gateway.store.people.staff import Member
from gateway.trust.partners import own_bundle
from keys.custody import open_custody
from keys.keyset import KeyKind, Keyset, KeyState

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LONG = [kind for kind in Kind if expiry.levels(kind)[0][0] == timedelta(days=60)]


def thing(kind: Kind, left: timedelta, **other: Any) -> Expiring:
    return Expiring("0123456789abcdef", kind, "", NOW + left, "a command", **other)


@pytest.fixture
def keyset(homes: Any, secret: Any) -> Keyset:
    home = homes[0]
    return Keyset.load(
        home / "keys" / "keyset.json", open_custody(f"file:{home}/keys/kek.json", secret)
    )


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize(
    ("days", "reached"),
    [
        (61, Level.FINE),
        (60, Level.NOTICE),
        (31, Level.NOTICE),
        (30, Level.WARNING),
        (8, Level.WARNING),
        (7, Level.PAGE),
        (2, Level.PAGE),
        (1, Level.LAST),
        (0, Level.ENDED),
        (-400, Level.ENDED),
    ],
)
def test_what_lives_long_is_told_at_60_30_7_and_1_days(
    kind: Kind, days: int, reached: Level
) -> None:
    assert expiry.level_of(thing(kind, timedelta(days=days)), NOW) is reached


def test_every_kind_of_key_and_role_is_in_the_table() -> None:
    """A kind that nobody thought of is told like what lives long, never not at all."""
    assert {kind.value for kind in KeyKind} <= {kind.value for kind in Kind}
    assert {Kind.SIGNING, Kind.LOG, Kind.TLS_CA, Kind.TLS_LEAF, Kind.AGREEMENT} <= set(LONG)
    assert {Kind.TUF_ROOT, Kind.TUF_TARGETS, Kind.TUF_DELEGATION, Kind.PARTNER_SIGNING} <= set(LONG)
    assert all(expiry.levels(kind) for kind in Kind)


@pytest.mark.parametrize("kind", Kind)
def test_the_levels_of_a_kind_only_rise_as_its_end_comes_nearer(kind: Kind) -> None:
    steps = expiry.levels(kind)

    assert [before for before, _ in steps] == sorted((b for b, _ in steps), reverse=True)
    assert [level for _, level in steps] == sorted(level for _, level in steps)


@pytest.mark.parametrize(
    ("kind", "hours", "reached"),
    [
        (Kind.KEM, 73, Level.FINE),
        (Kind.KEM, 72, Level.WARNING),
        (Kind.KEM, 24, Level.PAGE),
        (Kind.TUF_TIMESTAMP, 13, Level.FINE),
        (Kind.TUF_TIMESTAMP, 12, Level.WARNING),
        (Kind.TUF_SNAPSHOT, 6, Level.PAGE),
        (Kind.TUF_TIMESTAMP, 1, Level.LAST),
        (Kind.KEK, -24 * 30, Level.PAGE),
    ],
)
def test_what_lives_shortly_is_told_in_hours(kind: Kind, hours: int, reached: Level) -> None:
    assert expiry.level_of(thing(kind, timedelta(hours=hours)), NOW) is reached


def test_an_epoch_whose_successor_is_announced_is_told_only_at_its_end(keyset: Keyset) -> None:
    end = keyset.kem().not_after
    followed, _ = keyset.generate(KeyKind.KEM, end - timedelta(days=3), reason="", actor="")

    assert expiry.level(keyset, keyset.kem(), end - timedelta(hours=2)) is Level.PAGE
    assert expiry.level(followed, keyset.kem(), end - timedelta(hours=2)) is Level.FINE
    assert expiry.level(followed, keyset.kem(), end) is Level.ENDED


def test_an_ended_epoch_is_told_again_every_day() -> None:
    def told(days: float) -> str:
        return expiry.outlook(NOW, [thing(Kind.KEM, timedelta(days=-days))])[0].step

    assert [told(0.5), told(1.5), told(1.9), told(2)] == [
        "ENDED-0",
        "ENDED-1",
        "ENDED-1",
        "ENDED-2",
    ]


def test_a_key_that_is_not_in_use_ends_without_a_word(keyset: Keyset) -> None:
    old = keyset.primary(KeyKind.SIGNING)
    later = old.created + timedelta(days=340)
    renewed, made = keyset.generate(KeyKind.SIGNING, later, reason="", actor="")
    renewed, _ = renewed.transition(made.kid, KeyState.ACTIVE, later, "", "")

    assert expiry.level(keyset, old, later) is Level.WARNING
    assert expiry.level(renewed, old, later) is Level.FINE
    assert expiry.level(renewed, renewed.record(made.kid), later) is Level.FINE


def test_of_a_keyset_each_kind_in_use_is_told_once(keyset: Keyset) -> None:
    told = list(expiry.of_keyset(keyset))

    assert sorted(one.kind.value for one in told) == sorted(kind.value for kind in KeyKind)
    assert all(len(one.name) == expiry.SHOWN and one.remedy for one in told)


def test_the_key_above_the_keys_is_told_by_its_age(homes: Any, secret: Any) -> None:
    """keys.md 10: eleven months warn, thirteen page; a change of custody begins the year anew."""

    def reached(days: int) -> Level:
        with Gateway.open(homes[0], secret) as gateway:
            (told,) = [t.thing for t in gateway.expiry_alerts.look() if t.thing.kind is Kind.KEK]
            born = min(record.created for record in gateway.keyset.records)
            return expiry.level_of(told, born + timedelta(days=days))

    assert [reached(days) for days in (330, 340, 380, 396)] == [
        Level.FINE,
        Level.WARNING,
        Level.WARNING,
        Level.PAGE,
    ]
    with Gateway.open(homes[0], secret) as gateway:
        later = gateway.clock() + timedelta(days=300)
        leaf = events.custody_change("file:x", "DONE", {})
        gateway.keys.active.note(leaf, kek_custody.changed(later))
    assert reached(396) is Level.FINE


def test_a_suspended_key_has_no_end_to_tell(keyset: Keyset) -> None:
    kid = keyset.primary(KeyKind.SIGNING).kid
    suspended, _ = keyset.transition(kid, KeyState.SUSPENDED, keyset.kem().created, "", "")

    assert Kind.SIGNING not in {one.kind for one in expiry.of_keyset(suspended)}


def test_of_a_partner_the_key_that_lasts_longest_is_told(homes: Any) -> None:
    """Overlapping windows: the older key is meant to end."""
    bundle = own_bundle(homes[0])
    key = bundle.signing[0]
    older = replace(key, not_after=key.not_after - timedelta(days=200))
    told = {one.kind: one for one in expiry.of_partner(replace(bundle, signing=(older, key)))}

    assert told[Kind.PARTNER_SIGNING].ends == key.not_after
    assert set(told) == {Kind.PARTNER_SIGNING, Kind.PARTNER_KEM, Kind.PARTNER_CA}
    assert {one.partner for one in told.values()} == {bundle.party}


def test_of_a_person_the_last_badge_in_force_is_told() -> None:
    def badge(pin: int, days: int, ended: datetime | None = None) -> Member:
        return Member(bytes([pin]) * 32, "P-1", ("operator",), NOW, NOW + timedelta(days), ended)

    told = list(expiry.of_staff([badge(1, 5), badge(2, 80), badge(3, 90, NOW)], NOW))

    assert [(one.name, one.kind) for one in told] == [("02" * 8, Kind.BADGE)]
    assert "P-1" not in str(told)  # metrics name no person


def test_an_agreement_with_a_successor_is_not_told(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        agreement = gateway.agreements["au"][0]
    now = agreement.in_force + timedelta(days=1)
    ending = replace(agreement, until=now + timedelta(days=20))
    followed = replace(ending, superseded=now + timedelta(days=10))

    told = list(expiry.of_agreements({"au": (ending,)}, now))
    assert [(one.name, one.partner) for one in told] == [(agreement.name, agreement.partner)]
    assert not list(expiry.of_agreements({"au": (agreement,)}, now))  # open-ended
    assert not list(expiry.of_agreements({"au": (followed,)}, now))


def test_a_long_name_keeps_its_version() -> None:
    role = expiry.of_role(Kind.TUF_ROOT, "a-very-long-name-of-an-agreement@12", NOW, "x")

    assert len(role.name) <= expiry.LONGEST_NAME
    assert role.name.endswith("@12")


class Watched:
    """Alerts over one thing whose end and clock the test sets."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.now = gateway, NOW
        self.things: list[Expiring] = []
        self.expiry_alerts = self.again()

    def again(self) -> ExpiryAlerts:
        """Return the alerts as a restart makes it."""
        self.expiry_alerts = ExpiryAlerts(
            self.gateway.database, self.gateway.sequencer, lambda: self.now, [self]
        )
        return self.expiry_alerts

    def expiring(self, _: datetime) -> list[Expiring]:
        return self.things

    def entries(self) -> list[str]:
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(self.gateway.database)]
        return [each.subject_reference for each in frames if each.type is EntryType.ALARM]

    def standing(self) -> list[str]:
        with self.gateway.database.reader() as reader:
            return sorted(name for name in alarms.raised(reader) if name.startswith("EXPIRY/"))


@pytest.fixture
def watched(homes: Any, secret: Any) -> Iterator[Watched]:
    with Gateway.open(homes[0], secret) as gateway:
        yield Watched(gateway)


def test_an_alarm_is_raised_once_for_each_level_and_cleared_by_a_renewal(watched: Watched) -> None:
    name = "EXPIRY/SIGNING/0123456789abcdef"
    watched.things = [thing(Kind.SIGNING, timedelta(days=61))]

    watched.expiry_alerts.round()
    assert watched.entries() == []
    for days in (59, 58, 31, 29, 6, 0.5, -1):
        watched.things = [thing(Kind.SIGNING, timedelta(days=days))]
        watched.expiry_alerts.round()
        watched.expiry_alerts.round()
    steps = ("NOTICE", "WARNING", "PAGE", "LAST", "ENDED")
    assert watched.entries() == [f"RAISE/{name}/{step}" for step in steps]
    assert len(watched.standing()) == 1

    watched.things = []  # another key is in use
    watched.expiry_alerts.round()
    assert watched.entries()[-1] == f"CLEAR/{name}/ENDED"
    assert watched.standing() == []


def test_a_restart_repeats_no_alarm(watched: Watched) -> None:
    watched.things = [thing(Kind.LOG, timedelta(days=6))]

    watched.expiry_alerts.round()
    watched.again().round()

    assert len(watched.entries()) == 1


def test_a_source_that_cannot_be_read_ends_no_alarm(watched: Watched) -> None:
    """A damaged folder must not look like a renewed key."""
    watched.things = [thing(Kind.TUF_ROOT, timedelta(days=6))]
    broken: list[Callable[[], None]] = []

    class Source:
        def expiring(self, now: datetime) -> list[Expiring]:
            for act in broken:
                act()
            return watched.expiring(now)

    watched.expiry_alerts = ExpiryAlerts(
        watched.gateway.database, watched.gateway.sequencer, lambda: watched.now, [Source()]
    )
    watched.expiry_alerts.round()

    def fail() -> None:
        raise UserError("the folder is gone")

    broken.append(fail)
    watched.expiry_alerts.round()
    assert len(watched.entries()) == 1
    assert len(watched.standing()) == 1


def test_the_ledger_with_alarms_verifies(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        watched = Watched(gateway)
        for days in (5, 0.5, 400):
            watched.things = [thing(Kind.PARTNER_SIGNING, timedelta(days=days))]
            watched.expiry_alerts.round()

    assert self_check.verify_ledger(homes[0]).ok


def test_a_gauge_tells_the_seconds_and_forgets_what_was_renewed(watched: Watched) -> None:
    def shown() -> list[str]:
        lines = telemetry.exposition().decode().splitlines()
        return [line for line in lines if line.startswith("passerelle_expiry_seconds{")]

    watched.things = [thing(Kind.SIGNING, timedelta(seconds=90))]
    watched.expiry_alerts.round()
    line = 'passerelle_expiry_seconds{kind="SIGNING",name="0123456789abcdef",partner=""} 90.0'
    assert shown() == [line]

    watched.things = []
    watched.expiry_alerts.round()
    assert shown() == []


def test_a_thousand_partners_do_not_make_a_thousand_gauges(watched: Watched) -> None:
    base = thing(Kind.PARTNER_CA, timedelta(days=400))
    watched.things = [replace(base, name=f"{n:016x}", partner=f"P-{n}") for n in range(1000)]

    watched.expiry_alerts.round()

    shown = telemetry.exposition().decode().count("\npasserelle_expiry_seconds{")
    watched.things = []
    watched.expiry_alerts.round()
    assert shown == 256


def ends(home: Path, secret: Any, now: datetime) -> dict[str, self_check.Check]:
    found = self_check.check(home, secret, now)
    return {one.name: one for one in found if one.name.startswith("ends")}


def test_check_says_what_ends_with_the_command_and_fails_at_page_level(
    homes: Any, secret: Any
) -> None:
    now = datetime.now(UTC)

    fresh = ends(homes[0], secret, now)
    assert list(fresh) == ["ends"]
    assert fresh["ends"].ok

    soon = ends(homes[0], secret, now + timedelta(days=340))["ends: SIGNING"]
    assert (soon.ok, soon.level) == (True, Level.WARNING)
    page = ends(homes[0], secret, now + timedelta(days=360))["ends: SIGNING"]
    assert (page.ok, page.level) == (False, Level.PAGE)
    assert "passerelle keys" in page.detail
    assert (
        "AUS" in ends(homes[0], secret, now + timedelta(days=360))["ends: PARTNER_SIGNING"].detail
    )


def test_the_colour_of_a_level_grows_with_it() -> None:
    assert Level.FINE.colour == ""
    assert len({level.colour for level in Level}) == 5
    assert [level.pages for level in Level] == [False, False, False, True, True, True]


def test_a_directory_that_nobody_signs_anew_is_told_by_check(homes: Any, secret: Any) -> None:
    """The timestamp lives for a day; a gateway that does not serve lets it lapse."""
    later = ends(homes[0], secret, datetime.now(UTC) + timedelta(days=2))

    assert later["ends: TUF_TIMESTAMP"].level is Level.ENDED
    assert not later["ends: TUF_TIMESTAMP"].ok
