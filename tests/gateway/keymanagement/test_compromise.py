"""One person stops a suspected key; the ledger says what it touched (keys.md section 5, emergency compromise)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.admin.pages import token
from gateway.admin.staff import CUSTODY
from gateway.errors import KeysUnavailable, StaffUnknown, UserError
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving
from gateway.store.ledger import affected_entries, stored_ledger
from gateway.store.ledger.affected_entries import Use, iter_affected
from gateway.trust.partners import Directory, own_bundle
from keys import atomic_file, certificates
from keys.errors import IllegalTransition, KeysError
from keys.keyset import KeyKind, KeyState
from keys.signatures import VerifyingKey
from tests.patience import CALL

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
EARLIER = timedelta(hours=1)


@contextmanager
def opened(home: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(home, secret) as gateway:
        yield gateway


def since(gateway: Gateway) -> str:
    return (gateway.clock() - EARLIER).isoformat()


def stop(gateway: Gateway, kid: bytes, officer: Officer = OPERATOR, **other: Any) -> Any:
    return gateway.admin.perform(
        officer, "keys.compromised", {"key": kid.hex(), "since": since(gateway), **other}
    )


def alarms(gateway: Gateway) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    return [each.subject_reference for each in frames if each.type is EntryType.ALARM]


def listed(gateway: Gateway, kid: bytes, **other: Any) -> list[dict[str, Any]]:
    values = {"key": kid.hex(), "since": since(gateway), **other}
    return gateway.admin.perform(OPERATOR, "keys.affected", values)["entries"]


@pytest.mark.parametrize(
    "kind", [KeyKind.KEM, KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_LEAF, KeyKind.TLS_CA]
)
def test_one_person_suspends_and_the_entry_is_published_without_the_key(
    homes: Any, secret: Any, kind: KeyKind
) -> None:
    with opened(homes[0], secret) as gateway:
        record, before = gateway.keyset.primary(kind), own_bundle(gateway.home)

        said = stop(gateway, record.kid)

        own = own_bundle(gateway.home)
        shown = {key.public for key in (*own.kem, *own.signing)}
        assert said["state"] == "SUSPENDED"
        assert gateway.keyset.record(record.kid).state is KeyState.SUSPENDED
        assert record.public not in shown
        assert kind is not KeyKind.TLS_LEAF or (
            certificates.pin(record.certificate) not in own.tls_pins
        )
        assert own.version == said["directory_version"] == before.version + 1
        assert alarms(gateway)[-1] == "COMPROMISED"


def test_a_suspended_authority_shuts_no_officer_out(homes: Any, secret: Any, wish: Any) -> None:
    """Else the order would shut out the two who have to promote its successor; the staff table still decides."""
    with opened(homes[0], secret) as gateway:
        added = gateway.admin.perform(CUSTODY, "staff.add", wish("P-2", "operator"))
        stop(gateway, gateway.keyset.primary(KeyKind.TLS_CA).kid)

        badge = str(added["certificate"]).encode()
        assert gateway.admin.staff.officer(badge).person == "P-2"
        gateway.admin.perform(CUSTODY, "staff.end", {"person": "P-2"})
        with pytest.raises(StaffUnknown):
            gateway.admin.staff.officer(badge)


def test_the_only_key_of_its_kind_gets_a_successor_that_produces_nothing(
    homes: Any, secret: Any
) -> None:
    """One person may stop and announce; that the successor signs takes two."""
    with opened(homes[0], secret) as gateway:
        said = stop(gateway, gateway.keyset.primary(KeyKind.SIGNING).kid)

        successor = gateway.keyset.record(bytes.fromhex(said["successor"]))
        assert successor.state is KeyState.PREACTIVE
        assert own_bundle(gateway.home).signing[0].public == successor.public
        with pytest.raises(KeysError):
            gateway.keyset.signing()


def test_where_another_key_is_known_to_partners_none_is_made(homes: Any, secret: Any) -> None:
    with opened(homes[0], secret) as gateway:
        old = gateway.keyset.kem().kid
        gateway.keys.active.change(
            lambda keyset, now: _pair(keyset.generate(KeyKind.KEM, now, reason="", actor="")),
            actor="P-1",
        )

        assert stop(gateway, old)["successor"] == ""


def _pair(done: Any) -> Any:
    return done[0], (done[1],)


def test_the_order_given_again_changes_nothing_and_publishes_nothing_new(
    homes: Any, secret: Any
) -> None:
    """After an interruption the same command is run again."""
    with opened(homes[0], secret) as gateway:
        kid = gateway.keyset.kem().kid
        first, keyset = stop(gateway, kid), gateway.keyset
        again = stop(gateway, kid)

        assert (first["new"], again["new"]) == (True, False)
        assert again["directory_version"] == first["directory_version"]
        assert gateway.keyset is keyset


def test_a_key_in_its_window_is_stopped_too(homes: Any, secret: Any) -> None:
    """A DEACTIVATED KEM key still opens for 48 hours; suspicion must end that at once."""
    with opened(homes[0], secret) as gateway:
        old = gateway.keyset.kem().kid

        def succeed(keyset: Any, now: datetime) -> Any:
            keyset, made = keyset.generate(KeyKind.KEM, now, reason="", actor="")
            keyset, led = keyset.transition(made.kid, KeyState.ACTIVE, now, "", "")
            keyset, left = keyset.transition(old, KeyState.DEACTIVATED, now, "", "")
            return keyset, (made, led, left)

        gateway.keys.active.change(succeed, actor="P-1")
        gateway.keyset.opening(old, gateway.clock())
        stop(gateway, old)

        with pytest.raises(KeysError):
            gateway.keyset.opening(old, gateway.clock())


def test_a_full_disk_at_publication_leaves_the_key_refused(
    homes: Any, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local refusal comes first; what could not be published is told, and the order given again."""
    with opened(homes[0], secret) as gateway:
        kid = gateway.keyset.kem().kid
        with monkeypatch.context() as patch:

            def full(*_: Any) -> None:
                raise OSError(28, "No space left on device")

            keep = atomic_file.replace
            patch.setattr(
                "keys.atomic_file.replace",
                lambda path, octets: full() if path.name == "party.json" else keep(path, octets),
            )
            said = stop(gateway, kid)

        assert not said["published"]
        assert "no space was left" in said["why_not"]
        assert gateway.keyset.record(kid).state is KeyState.SUSPENDED
        assert alarms(gateway)[-1] == "COMPROMISED"
        assert stop(gateway, kid)["published"]


def test_only_an_operator_stops_a_key(homes: Any, secret: Any) -> None:
    with opened(homes[0], secret) as gateway:
        examiner = Officer("P-7", frozenset({Role.EXAMINER}))
        with pytest.raises(NotAllowed):
            stop(gateway, gateway.keyset.kem().kid, examiner)
        assert gateway.keyset.kem().state is KeyState.ACTIVE


@pytest.mark.parametrize("kind", [KeyKind.DATA, KeyKind.AUDIT])
def test_a_key_that_only_we_would_miss_is_not_suspended(
    homes: Any, secret: Any, kind: KeyKind
) -> None:
    """It would lock us out of our own records, and stop nobody."""
    with (
        opened(homes[0], secret) as gateway,
        pytest.raises(UserError, match="not suspended"),
    ):
        stop(gateway, gateway.keyset.primary(kind).kid)


@pytest.mark.parametrize(
    "values",
    [
        {"key": "00" * 32},
        {"key": "0000000"},
        {"key": "00" * 8, "partner": "AUS"},
        {"key": "00" * 32, "partner": "AUS"},
        {"key": "00" * 32, "partner": "NZL"},
        {"key": "ab cd", "partner": "AUS"},
    ],
)
def test_a_key_that_nobody_knows_is_refused_with_what_to_do(
    homes: Any, secret: Any, values: dict[str, str]
) -> None:
    with opened(homes[0], secret) as gateway, pytest.raises(UserError):
        gateway.admin.perform(OPERATOR, "keys.compromised", {"since": since(gateway), **values})


def test_a_moment_in_the_future_is_refused(homes: Any, secret: Any) -> None:
    """It would list nothing, and look like good news."""
    with opened(homes[0], secret) as gateway:
        later = (gateway.clock() + EARLIER).isoformat()
        values = {"key": gateway.keyset.kem().kid.hex(), "since": later}
        with pytest.raises(UserError, match="past"):
            gateway.admin.perform(OPERATOR, "keys.compromised", values)


@pytest.mark.usefixtures("asked_once")
def test_a_gateway_without_a_signing_key_refuses_calls_and_says_why(
    pair: Any, people: Any, secret: Any
) -> None:
    """Readiness, not INTERNAL after a first commit; a restart says the same with the remedy."""
    partner = pair.partner()
    partner.query(people.samples(1), **people.matter())
    before = pair.gateway.sequencer.size

    stop(pair.gateway, pair.gateway.keyset.primary(KeyKind.SIGNING).kid)
    stopped = pair.gateway.sequencer.size
    with pytest.raises(people.refused) as refused:
        partner.query(people.samples(1), deadline=CALL, **people.matter())
    pair.serving.run_jobs()

    assert stopped > before
    assert refused.value.reason == KeysUnavailable.reason
    types = [
        decode(leaf).type for leaf in stored_ledger.iter_leaves(pair.gateway.database, stopped)
    ]
    assert EntryType.REQUEST not in types


def test_a_gateway_opens_without_a_signing_key_and_does_not_serve(homes: Any, secret: Any) -> None:
    """Else nobody could promote the successor."""
    with opened(homes[0], secret) as gateway:
        said = stop(gateway, gateway.keyset.primary(KeyKind.SIGNING).kid)
    with opened(homes[0], secret) as gateway:
        with pytest.raises(UserError, match="promote"):
            Serving(gateway).start()
        successor = bytes.fromhex(said["successor"])
        gateway.keys.active.change(
            lambda keyset, now: _pair(
                keyset.transition(successor, KeyState.ACTIVE, now, "override", "P-1")
            ),
            actor="P-1",
        )
        assert gateway.keyset.signing().key_id == successor
        self_check.demand_current(gateway.keyset, gateway.clock())


def test_the_ledger_lists_what_a_key_signed_and_what_was_sealed_to_it(
    pair: Any, people: Any
) -> None:
    """Both directions: the partner's request and our answer, by number, time and entry."""
    partner, gateway = pair.partner(), pair.gateway
    numbers = [
        partner.query(people.samples(1), **people.matter()).transaction_number for _ in range(3)
    ]
    ours = own_bundle(pair.home)
    theirs = own_bundle(pair.asker)

    sealed = listed(gateway, gateway.keyset.kem().kid)
    assert [row["transaction"] for row in sealed] == numbers
    assert {(row["type"], row["use"]) for row in sealed} == {("REQUEST", Use.SEALED.value)}
    signed = listed(gateway, VerifyingKey(ours.signing[0].public).key_id)
    assert [row["transaction"] for row in signed] == numbers
    assert {(row["type"], row["partner"]) for row in signed} == {("RESPONSE", "AUS")}
    asked = listed(gateway, VerifyingKey(theirs.signing[0].public).key_id, partner="AUS")
    assert {(row["type"], row["use"]) for row in asked} == {("REQUEST", Use.SIGNED.value)}
    assert [row["transaction"] for row in asked] == numbers


def test_only_what_came_since_is_listed_and_in_pages(
    pair: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long list comes page after page; each entry once."""
    monkeypatch.setattr(affected_entries, "STRIDE", 5)
    partner, gateway = pair.partner(), pair.gateway
    numbers = [
        partner.query(people.samples(1), **people.matter()).transaction_number for _ in range(5)
    ]
    kid = gateway.keyset.kem().kid
    whole = list(iter_affected(gateway.database, kid, gateway.clock() - EARLIER))
    assert [one.number for one in whole] == numbers

    values = {"key": kid.hex(), "since": whole[1].time.isoformat(), "page_size": 2}
    first = gateway.admin.perform(OPERATOR, "keys.affected", values)
    second = gateway.admin.perform(
        OPERATOR, "keys.affected", {**values, "page_token": first["next_page_token"]}
    )
    assert [row["transaction"] for row in (*first["entries"], *second["entries"])] == numbers[1:]
    assert [len(each["entries"]) for each in (first, second)] == [2, 2]
    assert second["next_page_token"] == ""
    later = datetime.now(UTC) + EARLIER
    assert list(iter_affected(gateway.database, kid, later)) == []


def test_each_page_of_the_list_is_a_reading(pair: Any) -> None:
    gateway = pair.gateway
    before = gateway.sequencer.size

    listed(gateway, gateway.keyset.kem().kid)
    listed(
        gateway, gateway.keyset.kem().kid, page_token=token(5)
    )  # whoever begins with the second page reads too

    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database, before)]
    assert [each.type for each in frames].count(EntryType.AUDIT_READ) == 2


def test_a_partners_key_is_believed_again_by_two_persons_only(homes: Any, secret: Any) -> None:
    kid = VerifyingKey(own_bundle(homes[1]).signing[0].public).key_id
    values = {"partner": "AUS", "key": kid.hex(), "reason": "a false alarm, see file 14"}
    with opened(homes[0], secret) as gateway:
        stop(gateway, kid, partner="AUS")
        with pytest.raises(TwoPersons):
            gateway.admin.perform(OPERATOR, "keys.believe", values)
        with pytest.raises(KeysError):
            gateway.directory.partners.signing_key("AUS", kid, gateway.clock())

        pair = Officer("P-1", OPERATOR.roles, second="P-2")
        gateway.admin.perform(pair, "keys.believe", values)
        gateway.directory.partners.signing_key("AUS", kid, gateway.clock())
        with pytest.raises(UserError, match="no such key of AUS is refused"):
            gateway.admin.perform(pair, "keys.believe", values)


def test_a_key_that_does_not_exist_is_never_said_to_be_refused(homes: Any, secret: Any) -> None:
    """A slip of one digit among 64 stops nothing; whoever ordered it has to learn that, and what there is."""
    kid = VerifyingKey(own_bundle(homes[1]).signing[0].public).key_id
    slip = bytes([kid[0] ^ 1, *kid[1:]])
    with opened(homes[0], secret) as gateway:
        size = gateway.sequencer.size
        with pytest.raises(
            UserError, match=f"AUS has no such key.*SIGNING {kid.hex()[:16]}.*TLS_CA"
        ):
            stop(gateway, slip, partner="AUS")
        with pytest.raises(UserError, match="key of ours; leave --partner out"):
            stop(gateway, gateway.keyset.kem().kid, partner="AUS")
        with pytest.raises(UserError, match="refused are: none"):
            believe(gateway, kid.hex())

        assert gateway.directory.blocklist.of("AUS") == frozenset()
        assert gateway.sequencer.size == size


def believe(gateway: Gateway, key: str) -> Any:
    officer = Officer("P-1", OPERATOR.roles, second="P-2")
    values = {"partner": "AUS", "key": key, "reason": "a false alarm"}
    return gateway.admin.perform(officer, "keys.believe", values)


@pytest.mark.parametrize("kind", [KeyKind.SIGNING, KeyKind.KEM, KeyKind.TLS_LEAF, KeyKind.TLS_CA])
def test_a_key_is_named_by_whatever_its_owners_tools_show(
    pair: Any, people: Any, secret: Any, kind: KeyKind
) -> None:
    """Key id, pin and serial number; with colons, in capitals, the first digits. Both orders take all of them."""
    partner, gateway = pair.partner(), pair.gateway
    partner.query(people.samples(1), **people.matter())  # its leaf was shown
    with opened(pair.asker, secret) as theirs:
        record = theirs.keyset.primary(kind)
        shown = theirs.admin.perform(OPERATOR, "keys.show", {"key": record.kid.hex()})
    ids = [str(shown[name]) for name in ("kid", "pin", "serial") if shown[name]]
    assert len(ids) == (3 if record.certificate else 1)

    spelt = [":".join(each.upper()[at : at + 2] for at in range(0, len(each), 2)) for each in ids]
    for each in (*ids, *spelt, *(one[:12] for one in ids), f"serial={ids[-1]}"):
        values = {"key": each, "partner": "AUS", "since": since(gateway)}
        said = gateway.admin.perform(OPERATOR, "keys.compromised", values)
        assert (said["kind"], said["new"]) == (kind.value, True), each
        assert said["key"] == (ids[1] if record.certificate else ids[0])
        assert believe(gateway, each)["key"] == said["key"]


def test_a_key_that_left_the_bundle_is_known_by_our_ledger(pair: Any, people: Any) -> None:
    """Its messages are there, and more of them may come; by its whole id."""
    partner, gateway = pair.partner(), pair.gateway
    partner.query(people.samples(1), **people.matter())
    kid = VerifyingKey(own_bundle(pair.asker).signing[0].public).key_id
    gateway.directory.partners.stated = lambda: tuple(  # as if their bundle had moved on
        replace(one, signing=()) for one in Directory.stated(gateway.directory.partners)
    )

    said = stop(gateway, kid, partner="AUS")

    assert (said["state"], said["new"]) == ("REFUSED", True)
    with pytest.raises(UserError, match="no such key"):
        stop(gateway, kid[:8], partner="AUS")


def test_what_is_refused_of_a_partner_outlives_a_restart(homes: Any, secret: Any) -> None:
    kid = VerifyingKey(own_bundle(homes[1]).signing[0].public).key_id
    with opened(homes[0], secret) as gateway:
        assert stop(gateway, kid[:8], partner="AUS")["key"] == kid.hex()
    with opened(homes[0], secret) as gateway:
        with pytest.raises(KeysError):
            gateway.directory.partners.signing_key("AUS", kid, gateway.clock())
        assert not stop(gateway, kid, partner="AUS")["new"]
    found = {one.name: one for one in self_check.check(homes[0], secret, datetime.now(UTC))}
    assert found["partners"].detail == "AUS (refused keys: 1)"


def test_the_ledger_of_the_worst_day_verifies(homes: Any, secret: Any) -> None:
    with opened(homes[0], secret) as gateway:
        stop(gateway, gateway.keyset.kem().kid)
        kid = VerifyingKey(own_bundle(homes[1]).signing[0].public).key_id
        stop(gateway, kid, partner="AUS")

    assert self_check.verify_ledger(homes[0]).ok


@pytest.mark.parametrize("kind", [KeyKind.KEM, KeyKind.SIGNING])
def test_a_deactivated_key_that_was_stopped_never_comes_back(
    homes: Any, secret: Any, kind: KeyKind
) -> None:
    """The edge that stops it is no way round its end."""
    with opened(homes[0], secret) as gateway:
        keyset, now = gateway.keyset, gateway.clock()
        old = keyset.primary(kind).kid
        keyset, made = keyset.generate(kind, now, reason="", actor="")
        keyset, _ = keyset.transition(made.kid, KeyState.ACTIVE, now, "", "")
        keyset, _ = keyset.transition(old, KeyState.DEACTIVATED, now, "", "")
        keyset, _ = keyset.transition(old, KeyState.SUSPENDED, now, "", "")

        with pytest.raises(IllegalTransition):
            keyset.transition(old, KeyState.ACTIVE, now, "", "")
