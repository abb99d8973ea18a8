"""Our people: who may let whom in, and that nobody does it for himself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.audit.entry import EntryType, decode
from gateway.errors import Remedy, StaffUnknown
from gateway.office.acts import NotAllowed, Officer, Role, TwoPersons
from gateway.office.staff import CUSTODY
from gateway.server.house import House
from gateway.store import ledger
from keys.certificates import TlsKey

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))


@pytest.fixture
def house(homes: Any, secret: Any) -> Iterator[House]:
    with House.open(homes[0], secret) as opened:
        yield opened


def add(house: House, person: str, *roles: str, by: Officer = OPERATOR, **more: Any) -> bytes:
    values = {"person": person, "roles": list(roles), "public": TlsKey.generate().public.hex()}
    return str(house.perform(by, "staff.add", {**values, **more})["certificate"]).encode()


def kinds(house: House) -> list[EntryType]:
    return [decode(leaf).type for leaf in ledger.iter_leaves(house.database)]


def test_a_badge_makes_an_officer(house: House) -> None:
    badge = add(house, "P-7", "caseworker", "auditor")

    assert house.staff.officer(badge) == Officer("P-7", frozenset({Role.CASEWORKER, Role.AUDITOR}))
    assert kinds(house)[-1] is EntryType.STAFF


def test_nobody_adds_to_himself_or_ends_himself(house: House) -> None:
    for act, more in (
        ("staff.add", {"roles": ["auditor"], "public": "00" * 91}),
        ("staff.end", {}),
    ):
        with pytest.raises(NotAllowed, match="another operator"):
            house.perform(OPERATOR, act, {"person": "P-1", **more})


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.OPERATOR}, key=lambda role: role.value))
def test_only_an_operator_lets_people_in(house: House, role: Role) -> None:
    with pytest.raises(NotAllowed):
        add(house, "P-7", "caseworker", by=Officer("P-2", frozenset({role})))

    assert kinds(house)[-1] is EntryType.ALARM


def test_what_was_denied_is_an_alarm_once_a_minute(house: House) -> None:
    before = len(kinds(house))
    for _ in range(3):
        with pytest.raises(NotAllowed):
            house.perform(Officer("P-2", frozenset({Role.EXAMINER})), "staff.list", {})

    assert kinds(house)[before:] == [EntryType.ALARM]


def test_who_was_shown_out_stays_out(house: House) -> None:
    badge = add(house, "P-7", "caseworker")
    house.perform(OPERATOR, "staff.end", {"person": "P-7"})

    with pytest.raises(StaffUnknown):
        house.staff.officer(badge)
    with pytest.raises(Remedy, match="nobody of that name"):
        house.perform(OPERATOR, "staff.end", {"person": "P-7"})


def test_a_badge_ends_with_its_days(house: House) -> None:
    badge, now = add(house, "P-7", "caseworker", days=2), house.clock()
    house.staff._clock = lambda: now + timedelta(days=3)

    with pytest.raises(StaffUnknown):
        house.staff.officer(badge)


def test_a_badge_that_the_table_does_not_know_opens_nothing(house: House) -> None:
    """A badge that our own authority issued past the office, with whatever roles."""
    from keys.badge import badge, issue_badge
    from keys.keyset import KeyKind

    forged = issue_badge(
        badge("P-1", ["operator"]),
        house.keyset.primary(KeyKind.TLS_CA).certificate,
        house.keyset.tls_ca(),
        TlsKey.generate().public,
        house.clock(),
    )
    with pytest.raises(StaffUnknown):
        house.staff.officer(forged)


def test_a_badge_with_other_roles_for_a_known_key_opens_nothing(house: House) -> None:
    from keys.badge import badge, issue_badge
    from keys.keyset import KeyKind

    key = TlsKey.generate()
    add(house, "P-7", "caseworker", public=key.public.hex())
    risen = issue_badge(
        badge("P-7", ["caseworker", "operator"]),
        house.keyset.primary(KeyKind.TLS_CA).certificate,
        house.keyset.tls_ca(),
        key.public,
        house.clock(),
    )
    with pytest.raises(StaffUnknown):
        house.staff.officer(risen)


def test_a_key_is_granted_once(house: House) -> None:
    key = TlsKey.generate().public.hex()
    add(house, "P-7", "caseworker", public=key)

    with pytest.raises(Remedy, match="granted before"):
        add(house, "P-8", "auditor", public=key)


def test_custody_instead_of_an_operator_is_an_alarm(house: House) -> None:
    """The first two come in by custody, since one alone lets no operator in; from then on operators could."""
    for person in ("P-1", "P-2"):
        add(house, person, "operator", by=CUSTODY)
        assert kinds(house)[-1] is EntryType.STAFF

    add(house, "P-3", "operator", by=CUSTODY)
    assert kinds(house)[-2:] == [EntryType.STAFF, EntryType.ALARM]


def test_one_person_makes_or_ends_no_operator(house: House) -> None:
    add(house, "P-8", "operator", by=CUSTODY)

    with pytest.raises(TwoPersons):
        add(house, "P-7", "operator", "auditor")
    with pytest.raises(TwoPersons):
        house.perform(OPERATOR, "staff.end", {"person": "P-8"})
    assert house.perform(replace(OPERATOR, second="P-9"), "staff.end", {"person": "P-8"})["ended"]


def test_one_person_makes_no_examiner(house: House) -> None:
    """Two examiners decide who was found, and one operator could invent both of them."""
    add(house, "P-8", "caseworker")

    for person in ("P-7", "P-8"):
        with pytest.raises(TwoPersons):
            add(house, person, "caseworker", "examiner")
    badge = add(house, "P-7", "examiner", by=replace(OPERATOR, second="P-9"))
    assert house.staff.officer(badge).roles == {Role.EXAMINER}


def test_one_person_suspends_loudly_and_two_let_in_again(house: House) -> None:
    badge = add(house, "P-8", "operator", by=CUSTODY)
    values = {"person": "P-8", "reason": "lost on the train"}
    house.perform(OPERATOR, "staff.suspend", values)

    assert kinds(house)[-2:] == [EntryType.STAFF, EntryType.ALARM]
    with pytest.raises(StaffUnknown):
        house.staff.officer(badge)
    with pytest.raises(TwoPersons):
        house.perform(OPERATOR, "staff.resume", values)
    house.perform(replace(OPERATOR, second="P-9"), "staff.resume", values)
    assert house.staff.officer(badge).person == "P-8"
    with pytest.raises(Remedy, match="nobody of that name is suspended"):
        house.perform(replace(OPERATOR, second="P-9"), "staff.resume", values)


def test_the_badge_of_a_key_in_force_is_stated_again_and_no_other(house: House) -> None:
    key = TlsKey.generate().public.hex()
    add(house, "P-7", "caseworker", public=key)

    again = house.perform(OPERATOR, "staff.badge", {"public": key})
    assert house.staff.officer(str(again["certificate"]).encode()).person == "P-7"
    house.perform(OPERATOR, "staff.end", {"person": "P-7"})
    for public in (key, TlsKey.generate().public.hex()):
        with pytest.raises(Remedy, match="not in force"):
            house.perform(OPERATOR, "staff.badge", {"public": public})


@pytest.mark.parametrize(
    "values",
    [
        {"person": "custody"},
        {"person": "a name"},
        {"roles": []},
        {"roles": ["king"]},
        {"roles": [["operator"]]},
        {"roles": "operator"},
        {"days": 91},
        {"public": "00" * 91},
        {"public": "zz"},
    ],
)
def test_a_wrong_argument_lets_nobody_in(house: House, values: dict[str, Any]) -> None:
    before = house.perform(OPERATOR, "staff.list", {})
    good = {"person": "P-7", "roles": ["caseworker"], "public": TlsKey.generate().public.hex()}

    with pytest.raises(Remedy):
        house.perform(OPERATOR, "staff.add", {**good, **values})

    assert house.perform(OPERATOR, "staff.list", {}) == before
