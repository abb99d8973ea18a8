"""Two persons at one desk, with their own keys: what is proposed, approved, done, and what never is."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, Role
from gateway.admin.staff import CUSTODY
from gateway.errors import AuditUnavailable, UserError
from gateway.law.agreement_library import packaged
from gateway.ledger.entry import EntryType, decode
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.store.people import subjects
from keys import signatures
from keys.approval import Proposal, Verdict, approval_text
from keys.envelope import OpeningKey
from keys.officer_keys import OfficerKeys
from keys.signatures import SigningKey
from tests.pages import demand_pages

HOLD = {"kind": "partner", "reference": "AUS", "reason": "an access request"}


@dataclass(frozen=True)
class Person:
    """One of our people, with the key that signs proposals."""

    officer: Officer
    key: SigningKey

    def propose(self, house: Gateway, action: str, values: dict[str, object]) -> str:
        drafted = house.perform(
            self.officer, "proposals.draft", {"action": action, "values": values}
        )
        return self.submit(house, str(drafted["text"]))

    def submit(self, house: Gateway, text: str) -> str:
        signature = self.key.sign(text.encode(), signatures.PROPOSAL).hex()
        filed = house.perform(
            self.officer, "proposals.submit", {"text": text, "signature": signature}
        )
        return str(filed["id"])

    def approve(self, house: Gateway, identifier: str, **more: Any) -> Any:
        signature = self.answer(house, identifier, Verdict.APPROVE, **more)
        return house.perform(
            self.officer, "proposals.approve", {"id": identifier, "signature": signature}
        )

    def reject(self, house: Gateway, identifier: str) -> Any:
        signature = self.answer(house, identifier, Verdict.REJECT)
        values = {"id": identifier, "signature": signature, "reason": "not agreed"}
        return house.perform(self.officer, "proposals.reject", values)

    def answer(
        self,
        house: Gateway,
        identifier: str,
        verdict: Verdict,
        *,
        alter: Callable[[bytes], bytes] = bytes,
        person: str = "",
        context: bytes = signatures.APPROVAL,
    ) -> str:
        shown = house.perform(self.officer, "proposals.show", {"id": identifier})
        text = alter(str(shown["text"]).encode())
        said = approval_text(text, person or self.officer.person, verdict)
        return self.key.sign(said, context).hex()


@pytest.fixture
def house(homes: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def enter(house: Gateway, person: str, *roles: Role, by: Officer = CUSTODY) -> Person:
    keys = OfficerKeys(person, secrets.token_bytes(40), secrets.token_bytes(signatures.SEED_BYTES))
    values = {**keys.request().values(), "roles": [role.value for role in roles]}
    house.perform(by, "staff.add", values)
    return Person(Officer(person, frozenset(roles)), keys.approving)


@pytest.fixture
def one(house: Gateway) -> Person:
    return enter(house, "P-1", Role.OPERATOR)


@pytest.fixture
def two(house: Gateway) -> Person:
    return enter(house, "P-2", Role.OPERATOR)


def placed(house: Gateway, one: Person) -> dict[str, object]:
    hold = house.perform(one.officer, "hold.place", HOLD)["hold"]
    return {"hold": hold, "reason": "closed"}


def verbs(house: Gateway) -> list[str]:
    frames = map(decode, stored_ledger.iter_leaves(house.database))
    return [
        frame.subject_reference.partition("/")[0]
        for frame in frames
        if frame.type is EntryType.PROPOSAL
    ]


def state(house: Gateway, person: Person, identifier: str) -> object:
    return house.perform(person.officer, "proposals.show", {"id": identifier})["state"]


def test_what_one_proposes_and_another_approves_is_done(
    house: Gateway, one: Person, two: Person
) -> None:
    values = placed(house, one)
    identifier = one.propose(house, "hold.release", values)

    shown = house.perform(two.officer, "proposals.show", {"id": identifier})
    assert shown["values"] == values
    assert shown["objection"] == ""
    assert "partner AUS" in str(shown["plan"])
    done = two.approve(house, identifier)

    assert done["answer"] == {"hold": values["hold"], "released": True}
    assert house.perform(one.officer, "hold.list", {})["holds"] == []
    assert state(house, one, identifier) == "EXECUTED"
    assert verbs(house) == ["PROPOSED", "APPROVED", "EXECUTED"]
    assert self_check.verify_ledger(house.home).ok


def test_a_proposal_says_whose_hold_it_releases_and_leaves_who_was_shown_it(
    house: Gateway, one: Person, two: Person, readings: Any
) -> None:
    """The id of a hold tells nobody whom it keeps; released or not, whoever looks is told, and that is recorded."""
    hold = {"kind": "person", "reference": "P-1", "reason": "access request 14"}
    values = {"hold": house.perform(one.officer, "hold.place", hold)["hold"], "reason": "closed"}
    with house.database.reader() as reader:
        subject = str(subjects.find(reader, "P-1"))
    identifier = one.propose(house, "hold.release", values)
    auditor = Officer("P-9", frozenset({Role.AUDITOR}))

    waiting = house.perform(two.officer, "proposals.show", {"id": identifier})
    hidden = house.perform(auditor, "proposals.show", {"id": identifier})
    two.approve(house, identifier)
    done = house.perform(two.officer, "proposals.show", {"id": identifier})

    assert str(waiting["about"]).startswith("person P-1, held since ")
    assert str(waiting["about"]).endswith("by P-1: access request 14")
    assert done["about"] == waiting["about"]
    assert hidden["about"] == ""  # an auditor reads the ledger
    assert [(leaf.detail["actor"], leaf.detail["source"]) for leaf in readings] == [
        ("P-1", "proposal"),  # the draft names the person to whoever proposes
        ("P-2", "proposal"),
        ("P-2", "proposal"),  # whoever approves looks first
        ("P-2", "proposal"),
    ]
    assert {leaf.detail["subject"] for leaf in readings} == {subject}
    assert all(subject not in repr(leaf.frame) for leaf in readings)


# What names, among its arguments, whom or what an act is about; of the others the act itself says it.
NAMED_BY = {
    "staff.": "person",
    "keys.promote": "key",
    "keys.resume": "key",
    "keys.deactivate": "key",
    "keys.revoke": "key",
    "keys.destroy": "key",
    "keys.believe": "key",
    "custody.rewrap": "passphrase_file",
}


def test_every_kind_of_proposal_says_what_it_is_about(house: Gateway, one: Person) -> None:
    acts = [house.desk.act(Officer("P-1", frozenset(Role)), name) for name in house.desk.acts]
    silent = [
        act.name
        for act in acts
        if act.plan is not None and act.about is None and not act.name.startswith(tuple(NAMED_BY))
    ]

    # These keys' acts take one person, and are never proposed.
    single = {"generate", "publish", "suspend", "cancel", "rotate", "schedule"}
    assert set(silent) == {f"keys.{name}" for name in single}


@pytest.mark.parametrize("action", ["keys.adopt", "backup.recipient"])
def test_a_key_that_is_handed_in_is_shown_by_its_id(
    house: Gateway, one: Person, two: Person, action: str
) -> None:
    key = OpeningKey.generate()
    identifier = one.propose(house, action, {"public": key.public.hex(), "reason": "yearly"})

    shown = house.perform(two.officer, "proposals.show", {"id": identifier})

    assert shown["about"] == f"key {key.key_id.hex()}"


def test_an_agreement_that_is_to_be_signed_is_shown_by_its_name(
    house: Gateway, one: Person, two: Person
) -> None:
    text = packaged()["au.toml"].decode()
    values = {"file": "ours.toml", "text": text, "reason": "signed"}
    identifier = one.propose(house, "agreements.sign", values)

    shown = house.perform(two.officer, "proposals.show", {"id": identifier})

    assert str(shown["about"]).startswith("au@1 with AUS, in force from 20")


def test_what_one_person_may_do_is_not_proposed(house: Gateway, one: Person) -> None:
    with pytest.raises(UserError, match="takes one person"):
        one.propose(house, "hold.place", dict(HOLD))


def test_a_proposal_with_a_wrong_argument_is_none(house: Gateway, one: Person) -> None:
    with pytest.raises(UserError, match="hold: write H- and 16 digits"):
        one.propose(house, "hold.release", {"hold": "x", "reason": "closed"})
    with pytest.raises(UserError, match="no such argument"):
        one.propose(house, "hold.release", {**placed(house, one), "also": 1})

    assert verbs(house) == []


def test_a_role_that_may_not_do_it_neither_proposes_nor_approves(
    house: Gateway, one: Person
) -> None:
    other = enter(house, "P-7", Role.EXAMINER)
    values = placed(house, one)
    with pytest.raises(NotAllowed):
        other.propose(house, "hold.release", values)
    identifier = one.propose(house, "hold.release", values)

    with pytest.raises(NotAllowed, match="a role that the act asks for"):
        other.approve(house, identifier)
    assert state(house, one, identifier) == "OPEN"
    assert verbs(house) == ["PROPOSED", "REFUSED"]


def test_another_person_rejects_and_the_proposer_withdraws(
    house: Gateway, one: Person, two: Person
) -> None:
    values = placed(house, one)
    first, second = (one.propose(house, "hold.release", values) for _ in range(2))

    with pytest.raises(UserError, match="withdraws it"):
        one.reject(house, first)
    with pytest.raises(NotAllowed):
        house.perform(two.officer, "proposals.withdraw", {"id": second})
    two.reject(house, first)
    house.perform(one.officer, "proposals.withdraw", {"id": second})

    for identifier in (first, second):
        with pytest.raises(UserError, match="is used once"):
            two.approve(house, identifier)
    assert verbs(house)[-2:] == ["REJECTED", "WITHDRAWN"]
    assert house.perform(one.officer, "proposals.list", {})["proposals"] == []
    assert len(house.perform(one.officer, "proposals.list", {"all": True})["proposals"]) == 2


def test_what_nobody_approves_in_an_hour_expires(house: Gateway, one: Person, two: Person) -> None:
    identifier = one.propose(house, "hold.release", placed(house, one))
    now = house.clock()
    house.ceremony._clock = lambda: now + timedelta(hours=1)

    with pytest.raises(NotAllowed, match="in its time"):
        two.approve(house, identifier)
    house.ceremony.expire()
    house.ceremony.expire()

    assert state(house, one, identifier) == "EXPIRED"
    assert verbs(house) == ["PROPOSED", "REFUSED", "EXPIRED"]


def test_an_act_that_cannot_go_on_is_failed_and_says_why(
    house: Gateway, one: Person, two: Person
) -> None:
    """Between proposal and approval another file took the name: that is found only when the act is done."""
    text = next(iter(packaged().values())).decode()
    values = {"file": "ours.toml", "text": text, "reason": "signed"}
    identifier = one.propose(house, "agreements.sign", values)
    (house.settings.agreements.folder / "ours.toml").write_text("# something else\n")

    with pytest.raises(UserError, match="other content"):
        two.approve(house, identifier)

    assert state(house, one, identifier) == "FAILED"
    assert verbs(house) == ["PROPOSED", "APPROVED", "FAILED"]


@pytest.mark.parametrize(
    ("action", "values", "said"),
    [
        (
            "agreements.sign",
            {"file": "au-2.toml", "text": "[agreement", "reason": "signed"},
            "au-2.toml line",
        ),
        ("hold.release", {"hold": "H-0123456789abcdef", "reason": "over"}, "no such hold stands"),
        ("staff.resume", {"person": "P-404", "reason": "found"}, "nobody of the name P-404"),
        ("keys.resume", {"key": "0123456789ab", "reason": "found"}, "no key of ours"),
        (
            "keys.believe",
            {"key": "ab" * 32, "partner": "AUS", "reason": "a false alarm"},
            "none to believe",
        ),
        ("keys.adopt", {"public": "00" * 1216, "reason": "yearly"}, "public"),
        (
            "custody.rewrap",
            {"passphrase_file": "/nowhere/pass", "reason": "yearly"},
            "/nowhere/pass",
        ),
    ],
)
def test_what_can_be_known_to_fail_is_refused_before_a_second_person_is_asked(
    house: Gateway, one: Person, action: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        one.propose(house, action, values)

    assert verbs(house) == []


def test_a_move_that_no_key_makes_is_not_proposed(house: Gateway, one: Person) -> None:
    """What --dry-run says is refused, is."""
    key = house.keyset.kem().kid.hex()
    with pytest.raises(UserError, match="what is SUSPENDED resumes"):
        one.propose(house, "keys.resume", {"key": key, "reason": "found"})
    with pytest.raises(UserError, match="promote a successor"):
        one.propose(house, "keys.destroy", {"key": key, "reason": "old", "days": 7})

    assert verbs(house) == []


def test_what_was_approved_when_the_house_stopped_is_failed_and_never_repeated(
    homes: Any, secret: Any
) -> None:
    with Gateway.open(homes[0], secret) as house:
        one, two = (enter(house, person, Role.OPERATOR) for person in ("P-1", "P-2"))
        values = placed(house, one)
        identifier = one.propose(house, "hold.release", values)

        def stops(*_: object) -> None:
            raise KeyboardInterrupt

        house.ceremony._desk = lambda: Halting(house.desk, stops)  # type: ignore[assignment,return-value]
        moved = house.ceremony._moved
        house.ceremony._moved = lambda kept, target, *rest, **more: (  # type: ignore[method-assign]
            moved(kept, target, *rest, **more) if target.value == "APPROVED" else kept
        )
        with pytest.raises(KeyboardInterrupt):
            two.approve(house, identifier)

    with Gateway.open(homes[0], secret) as again:
        assert state(again, one, identifier) == "FAILED"
        assert len(again.perform(one.officer, "hold.list", {})["holds"]) == 1
        with pytest.raises(UserError, match="is used once"):
            two.approve(again, identifier)


class Halting:
    """A desk whose acts never return."""

    def __init__(self, desk: Any, perform: Callable[..., None]) -> None:
        self.act, self.perform = desk.act, perform


def test_a_ledger_that_cannot_record_lets_nothing_happen(
    house: Gateway, one: Person, two: Person, monkeypatch: Any
) -> None:
    identifier = one.propose(house, "hold.release", placed(house, one))

    def refuse(*_: object) -> None:
        raise AuditUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(house.sequencer, "commit", refuse)
        with pytest.raises(AuditUnavailable):
            two.approve(house, identifier)

    assert len(house.perform(one.officer, "hold.list", {})["holds"]) == 1
    assert state(house, one, identifier) == "OPEN"


def test_the_same_words_are_filed_once(house: Gateway, one: Person) -> None:
    values = placed(house, one)
    drafted = house.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values}
    )
    one.submit(house, str(drafted["text"]))

    with pytest.raises(UserError, match="proposed before"):
        one.submit(house, str(drafted["text"]))


def test_a_longer_life_than_an_hour_is_no_proposal(house: Gateway, one: Person) -> None:
    values = placed(house, one)
    drafted = house.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values}
    )
    proposal = Proposal.parse(str(drafted["text"]).encode())
    longer = replace(proposal, expires=proposal.expires + timedelta(milliseconds=1))

    with pytest.raises(UserError, match="not a proposal"):
        one.submit(house, longer.text().decode())


def test_only_its_own_proposer_submits_it(house: Gateway, one: Person, two: Person) -> None:
    values = placed(house, one)
    drafted = house.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values}
    )

    with pytest.raises(NotAllowed, match="its proposer's own"):
        two.submit(house, str(drafted["text"]))


def test_a_draft_leaves_nothing_behind(house: Gateway, one: Person) -> None:
    values = placed(house, one)
    size = house.sequencer.size

    drafted = house.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values, "minutes": 5}
    )

    assert house.sequencer.size == size
    assert json.loads(str(drafted["text"]))["values"] == values


def test_proposals_are_listed_in_pages(house: Gateway, one: Person) -> None:
    for _ in range(5):
        one.propose(house, "hold.release", placed(house, one))

    demand_pages(house, one.officer, "proposals.list", "proposals")
