"""Two persons at one gateway, with their own keys: what is proposed, approved, done, and what never is."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer
from gateway.admin.staff import CUSTODY
from gateway.errors import AuditUnavailable, UserError
from gateway.law.agreement_library import packaged
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
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

    def propose(self, gateway: Gateway, action: str, values: dict[str, object]) -> str:
        drafted = gateway.admin.perform(
            self.officer, "proposals.draft", {"action": action, "values": values}
        )
        return self.submit(gateway, str(drafted["text"]))

    def submit(self, gateway: Gateway, text: str) -> str:
        signature = self.key.sign(text.encode(), signatures.PROPOSAL).hex()
        filed = gateway.admin.perform(
            self.officer, "proposals.submit", {"text": text, "signature": signature}
        )
        return str(filed["id"])

    def approve(self, gateway: Gateway, identifier: str, **more: Any) -> Any:
        signature = self.answer(gateway, identifier, Verdict.APPROVE, **more)
        return gateway.admin.perform(
            self.officer, "proposals.approve", {"id": identifier, "signature": signature}
        )

    def reject(self, gateway: Gateway, identifier: str) -> Any:
        signature = self.answer(gateway, identifier, Verdict.REJECT)
        values = {"id": identifier, "signature": signature, "reason": "not agreed"}
        return gateway.admin.perform(self.officer, "proposals.reject", values)

    def answer(
        self,
        gateway: Gateway,
        identifier: str,
        verdict: Verdict,
        *,
        alter: Callable[[bytes], bytes] = bytes,
        person: str = "",
        context: bytes = signatures.APPROVAL,
    ) -> str:
        shown = gateway.admin.perform(self.officer, "proposals.show", {"id": identifier})
        text = alter(str(shown["text"]).encode())
        said = approval_text(text, person or self.officer.person, verdict)
        return self.key.sign(said, context).hex()


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def enter(gateway: Gateway, person: str, *roles: Role, by: Officer = CUSTODY) -> Person:
    keys = OfficerKeys(person, secrets.token_bytes(40), secrets.token_bytes(signatures.SEED_BYTES))
    values = {**keys.request().values(), "roles": [role.value for role in roles]}
    gateway.admin.perform(by, "staff.add", values)
    return Person(Officer(person, frozenset(roles)), keys.approving)


@pytest.fixture
def one(gateway: Gateway) -> Person:
    return enter(gateway, "P-1", Role.OPERATOR)


@pytest.fixture
def two(gateway: Gateway) -> Person:
    return enter(gateway, "P-2", Role.OPERATOR)


def placed(gateway: Gateway, one: Person) -> dict[str, object]:
    hold = gateway.admin.perform(one.officer, "hold.place", HOLD)["hold"]
    return {"hold": hold, "reason": "closed"}


def verbs(gateway: Gateway) -> list[str]:
    frames = map(decode, stored_ledger.iter_leaves(gateway.database))
    return [
        frame.subject_reference.partition("/")[0]
        for frame in frames
        if frame.type is EntryType.PROPOSAL
    ]


def state(gateway: Gateway, person: Person, identifier: str) -> object:
    return gateway.admin.perform(person.officer, "proposals.show", {"id": identifier})["state"]


def test_what_one_proposes_and_another_approves_is_done(
    gateway: Gateway, one: Person, two: Person
) -> None:
    values = placed(gateway, one)
    identifier = one.propose(gateway, "hold.release", values)

    shown = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})
    assert shown["values"] == values
    assert shown["objection"] == ""
    assert "partner AUS" in str(shown["plan"])
    done = two.approve(gateway, identifier)

    assert done["answer"] == {"hold": values["hold"], "released": True}
    assert gateway.admin.perform(one.officer, "hold.list", {})["holds"] == []
    assert state(gateway, one, identifier) == "EXECUTED"
    assert verbs(gateway) == ["PROPOSED", "APPROVED", "EXECUTED"]
    assert self_check.verify_ledger(gateway.home).ok


def test_a_proposal_says_whose_hold_it_releases_and_leaves_who_was_shown_it(
    gateway: Gateway, one: Person, two: Person, readings: Any
) -> None:
    """The id of a hold tells nobody whom it keeps; released or not, whoever looks is told, and that is recorded."""
    hold = {"kind": "person", "reference": "P-1", "reason": "access request 14"}
    values = {
        "hold": gateway.admin.perform(one.officer, "hold.place", hold)["hold"],
        "reason": "closed",
    }
    with gateway.database.reader() as reader:
        subject = str(subjects.find(reader, "P-1"))
    identifier = one.propose(gateway, "hold.release", values)
    auditor = Officer("P-9", frozenset({Role.AUDITOR}))

    waiting = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})
    hidden = gateway.admin.perform(auditor, "proposals.show", {"id": identifier})
    two.approve(gateway, identifier)
    done = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})

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


def test_every_kind_of_proposal_says_what_it_is_about(gateway: Gateway, one: Person) -> None:
    acts = [
        gateway.admin.operations.handler(Officer("P-1", frozenset(Role)), name)
        for name in gateway.admin.operations.handlers
    ]
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
    gateway: Gateway, one: Person, two: Person, action: str
) -> None:
    key = OpeningKey.generate()
    identifier = one.propose(gateway, action, {"public": key.public.hex(), "reason": "yearly"})

    shown = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})

    assert shown["about"] == f"key {key.key_id.hex()}"


def test_an_agreement_that_is_to_be_signed_is_shown_by_its_name(
    gateway: Gateway, one: Person, two: Person
) -> None:
    text = packaged()["au.toml"].decode()
    values = {"file": "ours.toml", "text": text, "reason": "signed"}
    identifier = one.propose(gateway, "agreements.sign", values)

    shown = gateway.admin.perform(two.officer, "proposals.show", {"id": identifier})

    assert str(shown["about"]).startswith("au@1 with AUS, in force from 20")


def test_what_one_person_may_do_is_not_proposed(gateway: Gateway, one: Person) -> None:
    with pytest.raises(UserError, match="takes one person"):
        one.propose(gateway, "hold.place", dict(HOLD))


def test_a_proposal_with_a_wrong_argument_is_none(gateway: Gateway, one: Person) -> None:
    with pytest.raises(UserError, match="hold: write H- and 16 digits"):
        one.propose(gateway, "hold.release", {"hold": "x", "reason": "closed"})
    with pytest.raises(UserError, match="no such argument"):
        one.propose(gateway, "hold.release", {**placed(gateway, one), "also": 1})

    assert verbs(gateway) == []


def test_a_role_that_may_not_do_it_neither_proposes_nor_approves(
    gateway: Gateway, one: Person
) -> None:
    other = enter(gateway, "P-7", Role.EXAMINER)
    values = placed(gateway, one)
    with pytest.raises(NotAllowed):
        other.propose(gateway, "hold.release", values)
    identifier = one.propose(gateway, "hold.release", values)

    with pytest.raises(NotAllowed, match="a role that the operation asks for"):
        other.approve(gateway, identifier)
    assert state(gateway, one, identifier) == "OPEN"
    assert verbs(gateway) == ["PROPOSED", "REFUSED"]


def test_another_person_rejects_and_the_proposer_withdraws(
    gateway: Gateway, one: Person, two: Person
) -> None:
    first, second = (one.propose(gateway, "hold.release", placed(gateway, one)) for _ in range(2))

    with pytest.raises(UserError, match="withdraws it"):
        one.reject(gateway, first)
    with pytest.raises(NotAllowed):
        gateway.admin.perform(two.officer, "proposals.withdraw", {"id": second})
    two.reject(gateway, first)
    gateway.admin.perform(one.officer, "proposals.withdraw", {"id": second})

    for identifier in (first, second):
        with pytest.raises(UserError, match="is used once"):
            two.approve(gateway, identifier)
    assert verbs(gateway)[-2:] == ["REJECTED", "WITHDRAWN"]
    assert gateway.admin.perform(one.officer, "proposals.list", {})["proposals"] == []
    assert (
        len(gateway.admin.perform(one.officer, "proposals.list", {"all": True})["proposals"]) == 2
    )


def test_what_nobody_approves_in_an_hour_expires(
    gateway: Gateway, one: Person, two: Person
) -> None:
    identifier = one.propose(gateway, "hold.release", placed(gateway, one))
    now = gateway.clock()
    gateway.admin.approvals._clock = lambda: now + timedelta(hours=1)

    with pytest.raises(NotAllowed, match="in its time"):
        two.approve(gateway, identifier)
    gateway.admin.approvals.expire()
    gateway.admin.approvals.expire()

    assert state(gateway, one, identifier) == "EXPIRED"
    assert verbs(gateway) == ["PROPOSED", "REFUSED", "EXPIRED"]


def test_an_act_that_cannot_go_on_is_failed_and_says_why(
    gateway: Gateway, one: Person, two: Person
) -> None:
    """Between proposal and approval another file took the name: that is found only when the act is done."""
    text = next(iter(packaged().values())).decode()
    values = {"file": "ours.toml", "text": text, "reason": "signed"}
    identifier = one.propose(gateway, "agreements.sign", values)
    (gateway.settings.agreements.folder / "ours.toml").write_text("# something else\n")

    with pytest.raises(UserError, match="other content"):
        two.approve(gateway, identifier)

    assert state(gateway, one, identifier) == "FAILED"
    assert verbs(gateway) == ["PROPOSED", "APPROVED", "FAILED"]


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
            "none to unblock",
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
    gateway: Gateway, one: Person, action: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        one.propose(gateway, action, values)

    assert verbs(gateway) == []


def test_a_move_that_no_key_makes_is_not_proposed(gateway: Gateway, one: Person) -> None:
    """What --dry-run says is refused, is."""
    key = gateway.keyset.kem().kid.hex()
    with pytest.raises(UserError, match="what is SUSPENDED resumes"):
        one.propose(gateway, "keys.resume", {"key": key, "reason": "found"})
    with pytest.raises(UserError, match="promote a successor"):
        one.propose(gateway, "keys.destroy", {"key": key, "reason": "old", "days": 7})

    assert verbs(gateway) == []


def test_what_was_approved_when_the_gateway_stopped_is_failed_and_never_repeated(
    homes: Any, secret: Any
) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        one, two = (enter(gateway, person, Role.OPERATOR) for person in ("P-1", "P-2"))
        values = placed(gateway, one)
        identifier = one.propose(gateway, "hold.release", values)

        def stops(*_: object) -> None:
            raise KeyboardInterrupt

        gateway.admin.approvals._operations = Halting(gateway.admin.operations, stops)  # type: ignore[assignment]
        moved = gateway.admin.approvals._moved
        gateway.admin.approvals._moved = lambda kept, target, *rest, **more: (  # type: ignore[method-assign]
            moved(kept, target, *rest, **more) if target.value == "APPROVED" else kept
        )
        with pytest.raises(KeyboardInterrupt):
            two.approve(gateway, identifier)

    with Gateway.open(homes[0], secret) as again:
        assert state(again, one, identifier) == "FAILED"
        assert len(again.admin.perform(one.officer, "hold.list", {})["holds"]) == 1
        with pytest.raises(UserError, match=r"is used once.*may have been done: see the ledger"):
            two.approve(again, identifier)
        shown = again.admin.perform(two.officer, "proposals.show", {"id": identifier})
        assert "may have been done: see the ledger" in shown["objection"]


class Halting:
    """A table of operations that never return."""

    def __init__(self, operations: Any, perform: Callable[..., None]) -> None:
        self.handler, self.perform = operations.handler, perform


def test_a_ledger_that_cannot_record_lets_nothing_happen(
    gateway: Gateway, one: Person, two: Person, monkeypatch: Any
) -> None:
    identifier = one.propose(gateway, "hold.release", placed(gateway, one))

    def refuse(*_: object) -> None:
        raise AuditUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(gateway.sequencer, "commit", refuse)
        with pytest.raises(AuditUnavailable):
            two.approve(gateway, identifier)

    assert len(gateway.admin.perform(one.officer, "hold.list", {})["holds"]) == 1
    assert state(gateway, one, identifier) == "OPEN"


def test_the_same_words_are_filed_once(gateway: Gateway, one: Person) -> None:
    values = placed(gateway, one)
    drafted = gateway.admin.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values}
    )
    one.submit(gateway, str(drafted["text"]))

    with pytest.raises(UserError, match="proposed before"):
        one.submit(gateway, str(drafted["text"]))


def test_a_longer_life_than_an_hour_is_no_proposal(gateway: Gateway, one: Person) -> None:
    values = placed(gateway, one)
    drafted = gateway.admin.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values}
    )
    proposal = Proposal.parse(str(drafted["text"]).encode())
    longer = replace(proposal, expires=proposal.expires + timedelta(milliseconds=1))

    with pytest.raises(UserError, match="not a proposal"):
        one.submit(gateway, longer.text().decode())


def test_only_its_own_proposer_submits_it(gateway: Gateway, one: Person, two: Person) -> None:
    values = placed(gateway, one)
    drafted = gateway.admin.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values}
    )

    with pytest.raises(NotAllowed, match="its proposer's own"):
        two.submit(gateway, str(drafted["text"]))


def test_a_draft_leaves_nothing_behind(gateway: Gateway, one: Person) -> None:
    values = placed(gateway, one)
    size = gateway.sequencer.size

    drafted = gateway.admin.perform(
        one.officer, "proposals.draft", {"action": "hold.release", "values": values, "minutes": 5}
    )

    assert gateway.sequencer.size == size
    assert json.loads(str(drafted["text"]))["values"] == values


def test_proposals_are_listed_in_pages(gateway: Gateway, one: Person) -> None:
    for _ in range(5):
        one.propose(gateway, "hold.release", placed(gateway, one))

    demand_pages(gateway, one.officer, "proposals.list", "proposals")


def test_the_same_is_proposed_once_whoever_proposes_it_and_for_whichever_reason(
    gateway: Gateway, one: Person, two: Person
) -> None:
    values = placed(gateway, one)
    first = one.propose(gateway, "hold.release", values)

    with pytest.raises(UserError, match=f"{first} proposes the same"):
        two.propose(gateway, "hold.release", {**values, "reason": "said otherwise"})
    assert verbs(gateway) == ["PROPOSED"]

    gateway.admin.perform(one.officer, "proposals.withdraw", {"id": first})
    assert two.propose(gateway, "hold.release", values) != first


def test_a_proposal_that_nobody_can_approve_any_more_keeps_no_other_from_being_made(
    gateway: Gateway, one: Person
) -> None:
    values = placed(gateway, one)
    first = one.propose(gateway, "hold.release", values)
    gateway.admin.perform(one.officer, "hold.place", {**HOLD, "reason": "another"})

    assert one.propose(gateway, "hold.release", values) != first
