"""One person who would be two: by himself, by a second key, by another's words, by an old yes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.admin.staff import CUSTODY
from gateway.errors import UserError
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.store.people.staff import Member, grant
from keys import signatures
from keys.approval import Proposal, Verdict, approval_text
from keys.officer_keys import OfficerKeys
from keys.signatures import SigningKey

OPERATORS = frozenset({Role.OPERATOR})


def keys_of(person: str) -> OfficerKeys:
    return OfficerKeys(person, secrets.token_bytes(40), secrets.token_bytes(signatures.SEED_BYTES))


def wish(keys: OfficerKeys, *roles: str) -> dict[str, Any]:
    return {**keys.request().values(), "roles": list(roles)}


class TwoOperators:
    """A gateway with two operators, a hold, and a proposal to release it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.keys = {name: self.enter(name) for name in ("P-1", "P-2")}
        hold = {"kind": "partner", "reference": "AUS", "reason": "an access request"}
        placed = self.do("P-1", "hold.place", **hold)
        self.values = {"hold": placed["hold"], "reason": "closed"}
        self.id = self.propose()

    def enter(self, name: str) -> SigningKey:
        keys = keys_of(name)
        self.gateway.admin.perform(CUSTODY, "staff.add", wish(keys, "operator"))
        return keys.approving

    def do(self, name: str, act: str, **values: object) -> dict[str, Any]:
        return dict(self.gateway.admin.perform(Officer(name, OPERATORS), act, values))

    def propose(self) -> str:
        text = self.do("P-1", "proposals.draft", action="hold.release", values=self.values)["text"]
        signature = self.keys["P-1"].sign(text.encode(), signatures.PROPOSAL).hex()
        return str(self.do("P-1", "proposals.submit", text=text, signature=signature)["id"])

    def words(self) -> bytes:
        return str(self.do("P-1", "proposals.show", id=self.id)["text"]).encode()

    def yes(self, name: str, key: SigningKey, text: bytes = b"", **how: Any) -> dict[str, Any]:
        said = approval_text(text or self.words(), how.get("person", name), Verdict.APPROVE)
        signature = key.sign(said, how.get("context", signatures.APPROVAL)).hex()
        return self.do(name, "proposals.approve", id=self.id, signature=signature)

    @property
    def held(self) -> bool:
        return bool(self.do("P-1", "hold.list")["holds"])


@pytest.fixture
def two_operators(homes: Any, secret: Any) -> Iterator[TwoOperators]:
    with Gateway.open(homes[0], secret) as gateway:
        yield TwoOperators(gateway)


def test_nobody_approves_his_own_proposal(two_operators: TwoOperators) -> None:
    with pytest.raises(NotAllowed, match="nobody approves their own proposal") as refused:
        two_operators.yes("P-1", two_operators.keys["P-1"])
    assert two_operators.held
    assert refused.value.why == "SAME_PERSON"  # what the ALARM says of it


def test_two_keys_of_one_person_are_one_person(two_operators: TwoOperators) -> None:
    second = two_operators.enter("P-1")

    with pytest.raises(NotAllowed, match="nobody approves their own proposal"):
        two_operators.yes("P-1", second)
    assert two_operators.held


def test_a_second_persons_yes_takes_the_second_persons_key(two_operators: TwoOperators) -> None:
    """P-1 in P-2's session, with their own key; and P-2's officer certificate with a key that nobody granted."""
    for key in (two_operators.keys["P-1"], SigningKey.generate()):
        with pytest.raises(NotAllowed, match="no key in force of that person"):
            two_operators.yes("P-2", key)
    assert two_operators.held


def test_altered_parameters_are_not_what_was_approved(two_operators: TwoOperators) -> None:
    proposal = Proposal.parse(two_operators.words())
    other = replace(proposal, values=proposal.values.replace("closed", "because"))

    with pytest.raises(NotAllowed, match="no key in force"):
        two_operators.yes("P-2", two_operators.keys["P-2"], other.text())
    assert two_operators.held


def test_a_row_altered_in_the_store_no_longer_has_its_proposers_signature(
    two_operators: TwoOperators,
) -> None:
    from sqlalchemy import update

    from gateway.store.effects import Effect
    from gateway.store.schema import proposals

    proposal = Proposal.parse(two_operators.words())
    other = replace(proposal, values=proposal.values.replace("closed", "because")).text()
    two_operators.gateway.sequencer.commit((), (Effect(update(proposals).values(text=other)),))

    with pytest.raises(NotAllowed, match="no key in force"):
        two_operators.yes("P-2", two_operators.keys["P-2"])
    assert two_operators.held


def test_a_no_is_not_a_yes(two_operators: TwoOperators) -> None:
    said = approval_text(two_operators.words(), "P-2", Verdict.REJECT)
    signature = two_operators.keys["P-2"].sign(said, signatures.APPROVAL).hex()

    with pytest.raises(NotAllowed):
        two_operators.do("P-2", "proposals.approve", id=two_operators.id, signature=signature)
    assert two_operators.held


def test_a_signature_for_a_message_or_a_proposal_is_no_approval(
    two_operators: TwoOperators,
) -> None:
    for context in (
        signatures.PROPOSAL,
        signatures.REQUEST,
        signatures.RESPONSE,
        signatures.AGREEMENT,
    ):
        with pytest.raises(NotAllowed):
            two_operators.yes("P-2", two_operators.keys["P-2"], context=context)
    assert two_operators.held


def test_an_approval_for_a_changed_state_is_refused(two_operators: TwoOperators) -> None:
    two_operators.do("P-2", "hold.place", kind="everything", reason="a court order")

    with pytest.raises(NotAllowed, match="has changed since"):
        two_operators.yes("P-2", two_operators.keys["P-2"])
    assert two_operators.held


def test_an_approval_under_a_newer_directory_version_is_refused(
    two_operators: TwoOperators,
) -> None:
    two_operators.gateway.admin.approvals._own = SimpleNamespace(version=99)

    with pytest.raises(NotAllowed, match="has changed since"):
        two_operators.yes("P-2", two_operators.keys["P-2"])


def test_an_expired_proposal_is_not_approved(two_operators: TwoOperators) -> None:
    now = two_operators.gateway.clock()
    two_operators.gateway.admin.approvals._clock = lambda: now + timedelta(minutes=60)

    with pytest.raises(NotAllowed, match="in its time"):
        two_operators.yes("P-2", two_operators.keys["P-2"])


def test_a_clock_stepped_back_brings_no_proposal_forward(two_operators: TwoOperators) -> None:
    now = two_operators.gateway.clock()
    two_operators.gateway.admin.approvals._clock = lambda: now - timedelta(hours=1)

    with pytest.raises(NotAllowed, match="set the clocks right"):
        two_operators.yes("P-2", two_operators.keys["P-2"])


def test_a_replayed_approval_does_nothing_again(two_operators: TwoOperators) -> None:
    said = approval_text(two_operators.words(), "P-2", Verdict.APPROVE)
    signature = two_operators.keys["P-2"].sign(said, signatures.APPROVAL).hex()
    two_operators.do("P-2", "proposals.approve", id=two_operators.id, signature=signature)
    two_operators.do("P-1", "hold.place", kind="partner", reference="AUS", reason="again")

    with pytest.raises(UserError, match="is used once"):
        two_operators.do("P-2", "proposals.approve", id=two_operators.id, signature=signature)
    two_operators.values = {
        **two_operators.values,
        "hold": two_operators.do("P-1", "hold.list")["holds"][0]["hold"],
    }
    two_operators.id = two_operators.propose()
    with pytest.raises(NotAllowed):
        two_operators.do("P-2", "proposals.approve", id=two_operators.id, signature=signature)
    assert two_operators.held


def test_who_was_shown_out_or_suspended_approves_nothing(two_operators: TwoOperators) -> None:
    two_operators.do("P-1", "staff.suspend", person="P-2", reason="lost badge")

    with pytest.raises(NotAllowed, match="a role that the operation asks for"):
        two_operators.yes("P-2", two_operators.keys["P-2"])
    assert two_operators.held


def test_what_somebody_proposed_who_was_shown_out_is_not_approved(
    two_operators: TwoOperators,
) -> None:
    """The staff is not part of what a hold depends on, so that the proposer's own rule decides."""
    two_operators.do("P-2", "staff.suspend", person="P-1", reason="lost badge")

    with pytest.raises(NotAllowed, match="who proposed this may no longer"):
        two_operators.yes("P-2", two_operators.keys["P-2"])
    with pytest.raises(TwoPersons):
        two_operators.do("P-2", "hold.release", **two_operators.values)


def test_an_officer_whose_badge_has_no_approving_key_does_not_count(
    two_operators: TwoOperators,
) -> None:
    """Of a version that made none; `staff.add` lets nobody in any more without it."""
    now = two_operators.gateway.clock()
    row = Member(bytes(32), "P-3", ("operator",), now, now + timedelta(days=9), approving=b"")
    two_operators.gateway.sequencer.commit((), (grant(row),))
    without = wish(keys_of("P-4"), "operator")
    del without["approving"]
    with pytest.raises(UserError, match="approving"):
        two_operators.gateway.admin.perform(CUSTODY, "staff.add", without)

    with pytest.raises(NotAllowed, match="a role that the operation asks for"):
        two_operators.yes("P-3", SigningKey.generate())


def test_what_changes_while_the_claim_is_recorded_is_not_done(two_operators: TwoOperators) -> None:
    """The state is asked once more between the claim and the act."""
    approvals, moved = (
        two_operators.gateway.admin.approvals,
        two_operators.gateway.admin.approvals._moved,
    )

    def meanwhile(kept: Any, target: Any, *rest: Any, **more: Any) -> Any:
        done = moved(kept, target, *rest, **more)
        if target.value == "APPROVED":
            two_operators.do("P-2", "hold.place", kind="everything", reason="a court order")
        return done

    approvals._moved = meanwhile  # type: ignore[method-assign]
    with pytest.raises(NotAllowed, match="has changed since"):
        two_operators.yes("P-2", two_operators.keys["P-2"])

    assert two_operators.held
    shown = two_operators.do("P-1", "proposals.show", id=two_operators.id)
    assert (shown["state"], shown["note"]) == ("FAILED", "STATE_CHANGED")


@pytest.mark.parametrize(("ended", "says"), [("P-2", "a role that"), ("P-1", "may no longer")])
def test_who_was_shown_out_for_good_takes_no_part(
    two_operators: TwoOperators, ended: str, says: str
) -> None:
    two_operators.gateway.admin.perform(CUSTODY, "staff.end", {"person": ended})

    with pytest.raises(NotAllowed, match=says):
        two_operators.yes("P-2", two_operators.keys["P-2"])
    assert two_operators.held


def test_nobody_whom_one_operator_let_in_can_be_the_second_person(
    two_operators: TwoOperators,
) -> None:
    """A colleague of one's own invention, under a name and keys of one's own."""
    keys = keys_of("P-7")
    two_operators.do("P-1", "staff.add", **wish(keys, "caseworker"))
    puppet = Officer("P-7", frozenset({Role.CASEWORKER}))
    said = approval_text(two_operators.words(), "P-7", Verdict.APPROVE)
    yes = {
        "id": two_operators.id,
        "signature": keys.approving.sign(said, signatures.APPROVAL).hex(),
    }
    wanted = {"action": "hold.release", "values": two_operators.values}

    for act, arguments in (("proposals.approve", yes), ("proposals.draft", wanted)):
        with pytest.raises(NotAllowed):
            two_operators.gateway.admin.perform(puppet, act, arguments)
    for name, one in two_operators.gateway.admin.operations._handlers.items():
        if one.request.declaration.two_persons:
            assert one.roles == OPERATORS, name


@pytest.mark.parametrize("there", [True, False], ids=["an-operator", "a-name-to-come"])
def test_no_operator_alone_lets_a_key_of_his_own_in_under_anothers_name(
    two_operators: TwoOperators, there: bool
) -> None:
    """P-1 gives P-2, or whoever two will make an operator later, a lesser officer certificate with a key that P-1 holds."""
    name = "P-2" if there else "P-3"
    mine = keys_of(name)
    try:
        two_operators.do("P-1", "staff.add", **wish(mine, "caseworker"))
    except TwoPersons:
        assert there
    if not there:
        two_operators.enter(name)
    said = approval_text(two_operators.words(), name, Verdict.APPROVE)
    yes = {
        "id": two_operators.id,
        "signature": mine.approving.sign(said, signatures.APPROVAL).hex(),
    }

    for roles in (frozenset({Role.CASEWORKER}), OPERATORS):
        with pytest.raises(NotAllowed, match="no key in force of that person"):
            two_operators.gateway.admin.perform(Officer(name, roles), "proposals.approve", yes)
    assert two_operators.held


def test_two_approvals_at_once_do_it_once(two_operators: TwoOperators) -> None:
    third = two_operators.enter("P-3")
    done: list[str] = []
    refused: list[Exception] = []
    begin = threading.Barrier(2)

    def approve(name: str, key: SigningKey) -> None:
        begin.wait()
        try:
            done.append(str(two_operators.yes(name, key)["state"]))
        except UserError as fault:
            refused.append(fault)

    threads = [
        threading.Thread(target=approve, args=each)
        for each in (("P-2", two_operators.keys["P-2"]), ("P-3", third))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done == ["EXECUTED"]
    assert len(refused) == 1
    assert not two_operators.held
