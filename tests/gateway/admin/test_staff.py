"""Our people: who may let whom in, and that nobody does it for himself."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.admin.staff import CUSTODY, founds
from gateway.errors import StaffUnknown, UserError
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.store.people.staff import Member
from keys import signatures
from keys.certificates import SEED_BYTES, TlsKey
from keys.officer_keys import PROOF_BYTES, OfficerKeys

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def keys_of(person: str, seed: int = 0, approving: int = 0) -> OfficerKeys:
    """Return the keys of a person: of numbers, for the same again, or by chance."""
    seeds = (
        number.to_bytes(size, "big") if number else secrets.token_bytes(size)
        for number, size in ((seed, SEED_BYTES), (approving, signatures.SEED_BYTES))
    )
    return OfficerKeys(person, *seeds)


def wish(person: str, *roles: str, **numbers: int) -> dict[str, Any]:
    return {**keys_of(person, **numbers).request().values(), "roles": list(roles)}


def add(
    gateway: Gateway,
    person: str,
    *roles: str,
    by: Officer = OPERATOR,
    keys: OfficerKeys | None = None,
    **more: Any,
) -> bytes:
    values = {**(keys or keys_of(person)).request().values(), "roles": list(roles)}
    return str(gateway.admin.perform(by, "staff.add", {**values, **more})["certificate"]).encode()


def kinds(gateway: Gateway) -> list[EntryType]:
    return [decode(leaf).type for leaf in stored_ledger.iter_leaves(gateway.database)]


def test_a_badge_makes_an_officer(gateway: Gateway) -> None:
    badge = add(gateway, "P-7", "caseworker", "auditor")

    assert gateway.admin.staff.officer(badge) == Officer(
        "P-7", frozenset({Role.CASEWORKER, Role.AUDITOR})
    )
    assert kinds(gateway)[-1] is EntryType.STAFF


def test_nobody_adds_to_himself_or_ends_himself(gateway: Gateway) -> None:
    for act, more in (
        ("staff.add", wish("P-1", "auditor")),
        ("staff.end", {}),
    ):
        with pytest.raises(NotAllowed, match="another operator"):
            gateway.admin.perform(OPERATOR, act, {"person": "P-1", **more})


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.OPERATOR}, key=lambda role: role.value))
def test_only_an_operator_lets_people_in(gateway: Gateway, role: Role) -> None:
    with pytest.raises(NotAllowed):
        add(gateway, "P-7", "caseworker", by=Officer("P-2", frozenset({role})))

    assert kinds(gateway)[-1] is EntryType.ALARM


def test_what_was_denied_is_an_alarm_once_a_minute(gateway: Gateway) -> None:
    before = len(kinds(gateway))
    for _ in range(3):
        with pytest.raises(NotAllowed):
            gateway.admin.perform(Officer("P-2", frozenset({Role.EXAMINER})), "staff.list", {})

    assert kinds(gateway)[before:] == [EntryType.ALARM]


def test_who_was_shown_out_stays_out(gateway: Gateway) -> None:
    badge = add(gateway, "P-7", "caseworker")
    gateway.admin.perform(OPERATOR, "staff.end", {"person": "P-7"})

    with pytest.raises(StaffUnknown):
        gateway.admin.staff.officer(badge)
    with pytest.raises(UserError, match="nobody of the name P-7"):
        gateway.admin.perform(OPERATOR, "staff.end", {"person": "P-7"})


def test_a_badge_ends_with_its_days(gateway: Gateway) -> None:
    badge, now = add(gateway, "P-7", "caseworker", days=2), gateway.clock()
    gateway.admin.staff._clock = lambda: now + timedelta(days=3)

    with pytest.raises(StaffUnknown):
        gateway.admin.staff.officer(badge)


def test_a_badge_that_the_table_does_not_know_opens_nothing(gateway: Gateway) -> None:
    """An officer certificate that our own authority issued past the office, with whatever roles."""
    from keys.keyset import KeyKind
    from keys.officer_certificate import badge, issue_badge

    forged = issue_badge(
        badge("P-1", ["operator"]),
        gateway.keyset.primary(KeyKind.TLS_CA).certificate,
        gateway.keyset.tls_ca(),
        TlsKey.generate().public,
        gateway.clock(),
    )
    with pytest.raises(StaffUnknown):
        gateway.admin.staff.officer(forged)


def test_a_badge_with_other_roles_for_a_known_key_opens_nothing(gateway: Gateway) -> None:
    from keys.keyset import KeyKind
    from keys.officer_certificate import badge, issue_badge

    keys = keys_of("P-7")
    add(gateway, "P-7", "caseworker", keys=keys)
    risen = issue_badge(
        badge("P-7", ["caseworker", "operator"]),
        gateway.keyset.primary(KeyKind.TLS_CA).certificate,
        gateway.keyset.tls_ca(),
        keys.tls.public,
        gateway.clock(),
    )
    with pytest.raises(StaffUnknown):
        gateway.admin.staff.officer(risen)


def test_a_key_is_granted_once(gateway: Gateway) -> None:
    add(gateway, "P-7", "caseworker", keys=keys_of("P-7", seed=1))

    for person in ("P-7", "P-8"):
        with pytest.raises(UserError, match="granted before"):
            add(gateway, person, "auditor", keys=keys_of(person, seed=1))


def test_custody_instead_of_an_operator_is_an_alarm(gateway: Gateway) -> None:
    """The first two come in by custody, since one alone lets no operator in; from then on operators could."""
    for person in ("P-1", "P-2"):
        add(gateway, person, "operator", by=CUSTODY)
        assert kinds(gateway)[-1] is EntryType.STAFF

    add(gateway, "P-3", "operator", by=CUSTODY)
    assert kinds(gateway)[-2:] == [EntryType.STAFF, EntryType.ALARM]


CUSTODIAL_ACTS = (
    ("add", "P-1", "operator"),
    ("add", "P-2", "operator"),
    ("add", "P-3", "operator"),
    ("add", "P-7", "caseworker"),
    ("add", "E-1", "examiner"),
    ("end", "P-1", "operator"),
    ("end", "P-2", "operator"),
    # Not by custody: an operator suspended the other, or somebody set the clock forward.
    ("suspend", "P-1", ""),
    ("expire", "", ""),
)


def silent(order: tuple[tuple[str, str, str], ...]) -> list[tuple[str, str, str]]:
    """Return which acts of custody pass without an alarm where they come in this order."""
    table: list[Member] = []
    quiet = []
    now = datetime(2026, 3, 1, tzinfo=UTC)
    for place, (verb, person, role) in enumerate(order):
        new = Member(bytes([place]), person, (role,), now, now + timedelta(days=90))
        if verb in {"add", "end"} and founds(table, new, ends=verb == "end"):
            quiet.append((verb, person, role))
        match verb:
            case "add":
                table.append(new)
            case "end":
                table = [replace(m, ended=now) if m.person == person else m for m in table]
            case "suspend":
                table = [replace(m, suspended=now) if m.person == person else m for m in table]
            case "expire":
                now += timedelta(days=91)
    return quiet


def test_no_order_of_acts_lets_custody_do_more_in_silence_than_to_found() -> None:
    """All orders of five acts: what is silent is the coming in of two operators, and nothing else."""
    longest = 0
    for order in product(CUSTODIAL_ACTS, repeat=5):
        quiet = silent(order)
        assert all((verb, role) == ("add", "operator") for verb, _, role in quiet)
        assert len({person for _, person, _ in quiet}) == len(quiet) <= 2
        longest = max(longest, len(quiet))
    assert longest == 2  # and founding itself is no alarm


@pytest.mark.parametrize("first", ["end", "suspend", "wait"])
def test_who_puts_the_operators_away_first_is_as_loud(gateway: Gateway, first: str) -> None:
    for person in ("P-1", "P-2"):
        add(gateway, person, "operator", by=CUSTODY)
    for person, other in (("P-2", "P-1"), ("P-1", "P-2")):
        if first == "end":
            gateway.admin.perform(CUSTODY, "staff.end", {"person": person})
            assert kinds(gateway)[-2:] == [EntryType.STAFF, EntryType.ALARM]
        if first == "suspend":
            values = {"person": person, "reason": "lost"}
            gateway.admin.perform(
                Officer(other, frozenset({Role.OPERATOR})), "staff.suspend", values
            )
    if first == "wait":
        now = gateway.clock()
        gateway.admin.staff._clock = lambda: now + timedelta(days=91)

    add(gateway, "P-3", "operator", by=CUSTODY)

    assert kinds(gateway)[-2:] == [EntryType.STAFF, EntryType.ALARM]


def test_nobody_is_added_with_a_key_that_signs_for_another(gateway: Gateway) -> None:
    """P-1's own second self: another name and another TLS key over the same approving key."""
    add(gateway, "P-7", "caseworker", keys=keys_of("P-7", approving=5))

    with pytest.raises(UserError, match="another person's"):
        add(gateway, "P-8", "auditor", keys=keys_of("P-8", approving=5))
    add(gateway, "P-7", "auditor", keys=keys_of("P-7", approving=5))


def test_one_person_makes_or_ends_no_operator(gateway: Gateway) -> None:
    add(gateway, "P-8", "operator", by=CUSTODY)

    with pytest.raises(TwoPersons):
        add(gateway, "P-7", "operator", "auditor")
    with pytest.raises(TwoPersons):
        gateway.admin.perform(OPERATOR, "staff.end", {"person": "P-8"})
    assert gateway.admin.perform(replace(OPERATOR, second="P-9"), "staff.end", {"person": "P-8"})[
        "ended"
    ]


def test_one_person_who_suspends_an_operator_does_not_end_them_alone(gateway: Gateway) -> None:
    """Suspension takes one operator and an end takes two, also in this order."""
    add(gateway, "P-8", "operator", by=CUSTODY)
    gateway.admin.perform(OPERATOR, "staff.suspend", {"person": "P-8", "reason": "lost"})

    with pytest.raises(TwoPersons):
        gateway.admin.perform(OPERATOR, "staff.end", {"person": "P-8"})
    two = replace(OPERATOR, second="P-9")
    assert gateway.admin.perform(two, "staff.end", {"person": "P-8"})["ended"] == 1
    with pytest.raises(UserError, match="nobody of the name P-8 is suspended"):
        gateway.admin.perform(two, "staff.resume", {"person": "P-8", "reason": "found"})


def test_one_person_makes_no_examiner(gateway: Gateway) -> None:
    """Two examiners decide who was found, and one operator could invent both of them."""
    add(gateway, "P-8", "caseworker")

    for person in ("P-7", "P-8"):
        with pytest.raises(TwoPersons):
            add(gateway, person, "caseworker", "examiner")
    badge = add(gateway, "P-7", "examiner", by=replace(OPERATOR, second="P-9"))
    assert gateway.admin.staff.officer(badge).roles == {Role.EXAMINER}


def test_one_person_suspends_loudly_and_two_let_in_again(gateway: Gateway) -> None:
    badge = add(gateway, "P-8", "operator", by=CUSTODY)
    values = {"person": "P-8", "reason": "lost on the train"}
    gateway.admin.perform(OPERATOR, "staff.suspend", values)

    assert kinds(gateway)[-2:] == [EntryType.STAFF, EntryType.ALARM]
    with pytest.raises(StaffUnknown):
        gateway.admin.staff.officer(badge)
    with pytest.raises(TwoPersons):
        gateway.admin.perform(OPERATOR, "staff.resume", values)
    gateway.admin.perform(replace(OPERATOR, second="P-9"), "staff.resume", values)
    assert gateway.admin.staff.officer(badge).person == "P-8"
    with pytest.raises(UserError, match="nobody of the name P-8 is suspended"):
        gateway.admin.perform(replace(OPERATOR, second="P-9"), "staff.resume", values)


def test_the_badge_of_a_key_in_force_is_stated_again_and_no_other(gateway: Gateway) -> None:
    keys = keys_of("P-7")
    key = keys.tls.public.hex()
    add(gateway, "P-7", "caseworker", keys=keys)

    again = gateway.admin.perform(OPERATOR, "staff.badge", {"public": key})
    assert gateway.admin.staff.officer(str(again["certificate"]).encode()).person == "P-7"
    gateway.admin.perform(OPERATOR, "staff.end", {"person": "P-7"})
    for public in (key, TlsKey.generate().public.hex()):
        with pytest.raises(UserError, match="not in force"):
            gateway.admin.perform(OPERATOR, "staff.badge", {"public": public})


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
        {"public": TlsKey.generate().public.hex()},
        {"approving": ""},
        {"approving": "00" * signatures.PUBLIC_BYTES},
        {"proof": "00" * PROOF_BYTES},
        {"proof": ""},
        {"person": "P-8"},
    ],
)
def test_a_wrong_argument_lets_nobody_in(gateway: Gateway, values: dict[str, Any]) -> None:
    before = gateway.admin.perform(OPERATOR, "staff.list", {})
    good = wish("P-7", "caseworker")

    with pytest.raises(UserError):
        gateway.admin.perform(OPERATOR, "staff.add", {**good, **values})

    assert gateway.admin.perform(OPERATOR, "staff.list", {}) == before
