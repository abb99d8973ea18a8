"""Two persons: one proposes, another approves, and only then it is done (keys 7).

    (1) draft      the gateway writes what would be asked, bound to the state now, and says what it would do;
                   what would be refused when it is done is refused now, by its plan
    (2) submit     the proposer's own key has signed it; it is kept, and in the ledger
    (3) approve    another person's own key has signed for the very same bytes; everything is asked again:
                   time, state, persons, roles, both signatures
    (4) claimed    the proposal is APPROVED in one commit, so it can be used once
    (5) done       the operation itself, with both names; then EXECUTED, or FAILED and why

A gateway that stops between (4) and (5) finds the proposal APPROVED when it opens: it is FAILED then, never repeated. It
may have been done before the stop; whoever looks at the proposal is told so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from gateway.admin.operation import (
    Answer,
    Handler,
    NotAllowed,
    Officer,
    OperationRegistry,
)
from gateway.admin.pages import Page
from gateway.admin.staff import Staff
from gateway.errors import UserError
from gateway.isolated_loop import each
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.operations.declaration import REFUSED, Role
from gateway.operations.proposals import (
    Approve,
    Draft,
    List,
    Reject,
    Show,
    Submit,
    Withdraw,
)
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people import proposals
from gateway.store.people.proposals import Kept
from gateway.trust.partners import OwnEntry
from keys import approval, signatures
from keys.approval import (
    ApprovalRefused,
    Circumstances,
    MalformedProposal,
    Proposal,
    State,
    Verdict,
)
from keys.errors import SignatureRefused
from keys.signatures import VerifyingKey

STOPPED = "STOPPED"  # note of what was approved, and of which nothing says that it was done before the gateway stopped
_UNKNOWN = "the gateway stopped while this was done, so it may have been done: see the ledger before it is proposed anew"
_EVERYBODY = frozenset(Role)


class Approvals:
    """Where two persons meet. `operations` is the table of all operations, to which these are added."""

    def __init__(  # noqa: PLR0917 - a gateway is made of these
        self,
        party: str,
        operations: OperationRegistry,
        staff: Staff,
        database: StorageEngine,
        sequencer: Sequencer,
        own: OwnEntry,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        self._party = party
        self._operations = operations
        self._staff = staff
        self._database = database
        self._sequencer = sequencer
        self._own = own
        self._clock = clock
        self._random = random
        # One at a time of each operation: what an approval is judged beside still stands when it is done.
        self._doing: dict[str, Lock] = {}

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here; whose role allows an operation may propose and approve it."""
        return (
            Handler(request=Draft, do=self._draft),
            Handler(request=Submit, do=self._submit),
            Handler(request=List, do=self._list),
            Handler(request=Show, do=self._show),
            Handler(request=Approve, do=self._approve),
            Handler(request=Reject, do=self._reject),
            Handler(request=Withdraw, do=self._withdraw),
        )

    def recover(self) -> None:
        """Say of what was approved, and not said to be done when the gateway stopped, that it FAILED; it may have been done."""
        with self._database.reader() as reader:
            found = [
                k for k in proposals.every(reader, open_only=False) if k.state is State.APPROVED
            ]
        # One that cannot be moved stays as it is: what it decided is not done, and the gateway opens.
        with suppress(Exception):
            each(found, lambda k: self._moved(k, State.FAILED, k.decider, note=STOPPED), "stopped")

    def expire(self) -> None:
        """End what nobody approved in its time."""
        with self._database.reader() as reader:
            found = proposals.expired(reader, self._clock())
        each(found, lambda kept: self._moved(kept, State.EXPIRED, ""), "proposals")

    # Proposing

    def _draft(self, officer: Officer, request: Draft) -> Answer:
        handler = self._operations.handler(officer, request.action)
        plan = self._feasible(handler, officer, request.values)
        self._demand_new(handler, request.values)
        self._about(officer, request.action, request.values)  # the plan names it too
        now = self._clock()
        proposal = Proposal(
            party=self._party,
            action=request.action,
            values=approval.canonical(request.values).decode("ascii"),
            state=approval.state_digest(handler.bind(officer, request.values).state),
            version=self._own.version,
            nonce=self._random(approval.NONCE_BYTES).hex(),
            created=now,
            expires=now + timedelta(minutes=request.minutes),
            proposer=officer.person,
        )
        return {
            "id": proposal.id,
            "text": proposal.text().decode("ascii"),
            "plan": plan,
            "expires": proposal.expires.isoformat(timespec="seconds"),
        }

    def _submit(self, officer: Officer, request: Submit) -> Answer:
        text, signature = request.text.encode("ascii"), request.signature
        with _refusing():
            proposal = Proposal.parse(text)
            if proposal.proposer != officer.person:
                raise NotAllowed(
                    "a proposal is its proposer's own; draft it yourself", "NOT_PROPOSER"
                )
            values = json.loads(proposal.values)
            handler = self._operations.handler(officer, proposal.action)
            self._feasible(handler, officer, values)
            approval.demand_current(proposal, self._circumstances(handler, officer, values))
            self._demand_new(handler, values, proposal.id)
            self._demand_signed(officer.person, handler, text, signature, signatures.PROPOSAL)
        kept = Kept(
            id=proposal.id,
            action=proposal.action,
            text=text,
            signature=signature,
            proposer=officer.person,
            state=State.OPEN,
            created=proposal.created,
            expires=proposal.expires,
        )
        leaf = events.proposal(
            f"PROPOSED/{kept.id}",
            kept.action,
            officer.person,
            state_digest=proposal.state,
            expires=proposal.expires,
        )
        self._sequencer.commit((leaf,), (proposals.file(kept),))
        return {"id": kept.id, "expires": _iso(kept.expires)}

    # Looking

    def _list(self, officer: Officer, request: List) -> Answer:
        del officer
        with self._database.reader() as reader:
            found = proposals.every(reader, open_only=not request.all)
        shown, more = Page(request).slice(found)
        return {"proposals": [_told(kept) for kept in shown], "next_page_token": more}

    def _show(self, officer: Officer, request: Show) -> Answer:
        kept = self._kept(request.id)
        proposal = Proposal.parse(kept.text)
        values = json.loads(proposal.values)
        plan: list[str] = []
        stands = _UNKNOWN if _is_stopped(kept) else ""
        if kept.state is State.OPEN:
            try:
                handler = self._operations.handler(officer, kept.action)
                plan = [*handler.bind(officer, values).plan]
                _demand_feasible(plan)
                approval.demand_current(proposal, self._circumstances(handler, officer, values))
            except (ApprovalRefused, UserError) as refused:
                stands = str(refused)
        return {
            **_told(kept),
            "values": values,
            "about": self._about(officer, kept.action, values),
            "plan": plan,
            "objection": stands,
            "text": kept.text.decode("ascii"),
        }

    # Deciding

    def _approve(self, officer: Officer, request: Approve) -> Answer:
        kept = self._open(request.id)
        try:
            with _refusing():
                self._judged(officer, kept, request.signature, Verdict.APPROVE)
        except UserError as refused:
            self._refuse(kept, officer, refused)
            raise
        proposal = Proposal.parse(kept.text)
        values = json.loads(proposal.values)
        claimed = self._moved(kept, State.APPROVED, officer.person, request.signature)
        proposer = self._staff.standing(kept.proposer)
        try:
            # Of two approvals at once the second is asked again when the first is done, and finds what that changed.
            with self._doing.setdefault(kept.action, Lock()):
                with _refusing():
                    everybody = Officer(officer.person, _EVERYBODY)
                    handler = self._operations.handler(everybody, kept.action)
                    found = self._circumstances(handler, everybody, values)
                    approval.demand_current(proposal, found)
                answer = self._operations.perform(
                    Officer(kept.proposer, proposer, second=officer.person),
                    kept.action,
                    values,
                )
        except BaseException as fault:
            # Where the ledger itself failed, this fails too; the next opening says FAILED then.
            why = getattr(fault.__cause__, "reason", "") or type(fault).__name__
            self._moved(claimed, State.FAILED, officer.person, note=why)
            raise
        self._moved(claimed, State.EXECUTED, officer.person)
        return {"id": kept.id, "state": State.EXECUTED.value, "answer": dict(answer)}

    def _reject(self, officer: Officer, request: Reject) -> Answer:
        kept = self._open(request.id)
        handler = self._operations.handler(officer, kept.action)
        if officer.person == kept.proposer:
            raise UserError("who proposed it withdraws it: passerelle proposals withdraw")
        text = approval.approval_text(kept.text, officer.person, Verdict.REJECT)
        with _refusing():
            self._demand_signed(
                officer.person, handler, text, request.signature, signatures.APPROVAL
            )
        self._moved(kept, State.REJECTED, officer.person, request.signature, request.reason)
        return {"id": kept.id, "state": State.REJECTED.value}

    def _withdraw(self, officer: Officer, request: Withdraw) -> Answer:
        kept = self._open(request.id)
        if officer.person != kept.proposer:
            raise NotAllowed("only who proposed it withdraws it; others reject it", "NOT_PROPOSER")
        self._moved(kept, State.WITHDRAWN, officer.person)
        return {"id": kept.id, "state": State.WITHDRAWN.value}

    def _judged(self, officer: Officer, kept: Kept, signature: bytes, verdict: Verdict) -> None:
        """Ask everything anew. Raises what refuses it."""
        proposal = Proposal.parse(kept.text)
        everybody = Officer(officer.person, _EVERYBODY)
        handler = self._operations.handler(everybody, kept.action)
        found = self._circumstances(handler, everybody, json.loads(proposal.values))
        approval.demand_two(proposal, officer.person, found)
        approval.demand_current(proposal, found)
        self._demand_signed(kept.proposer, handler, kept.text, kept.signature, signatures.PROPOSAL)
        text = approval.approval_text(kept.text, officer.person, verdict)
        self._demand_signed(officer.person, handler, text, signature, signatures.APPROVAL)

    def _circumstances(
        self, handler: Handler[Any], officer: Officer, values: Mapping[str, object]
    ) -> Circumstances:
        return Circumstances(
            now=self._clock(),
            party=self._party,
            state=approval.state_digest(handler.bind(officer, values).state),
            version=self._own.version,
            people=self._staff.people(handler.roles),
        )

    def _feasible(
        self, handler: Handler[Any], officer: Officer, values: Mapping[str, object]
    ) -> list[str]:
        """Return what it would do; raises UserError for what one person may do, or what would be refused."""
        asked = handler.bind(officer, values)
        asked.check()
        if not asked.takes_two:
            raise UserError(f"{handler.name} takes one person; do it, there is nothing to propose")
        plan = [*asked.plan]
        _demand_feasible(plan)
        return plan

    def _demand_new(
        self, handler: Handler[Any], values: Mapping[str, object], but: str = ""
    ) -> None:
        """Raise UserError where the same is proposed already and can still be approved, for whichever reason.

        Else two approvals would be asked for, and the second would fail when the first was done. Two that are filed at
        the same moment are both kept, and that is what becomes of them.

        but   the id of the proposal itself, whose words are filed once for another reason
        """
        people = self._staff.people(handler.roles)
        everybody = Officer("", _EVERYBODY)
        with self._database.reader() as reader:
            waiting = proposals.every(reader, open_only=True)
        for kept in waiting:
            if kept.id == but or kept.action != handler.name or kept.proposer not in people:
                continue
            try:
                other = Proposal.parse(kept.text)
                theirs = json.loads(other.values)
                approval.demand_current(other, self._circumstances(handler, everybody, theirs))
            except (ApprovalRefused, UserError):
                continue  # nobody can approve it any more
            if _apart_from_reason(theirs) == _apart_from_reason(values):
                raise UserError(
                    f"{kept.id} proposes the same, until {kept.expires:%Y-%m-%d %H:%M} UTC: have another person approve"
                    " or reject it (`passerelle proposals show`), or its proposer withdraw it"
                )

    def _demand_signed(
        self, person: str, handler: Handler[Any], text: bytes, signature: bytes, context: bytes
    ) -> None:
        """Raise SignatureRefused unless that person has signed, by a key in force for a role of the operation."""
        for public in self._staff.approving(person, handler.roles):
            try:
                VerifyingKey(public).verify(signature, text, context)
            except SignatureRefused:
                continue
            return
        raise SignatureRefused

    # Keeping

    def _kept(self, identifier: str) -> Kept:
        with self._database.reader() as reader:
            kept = proposals.find(reader, identifier)
        if kept is None:
            raise UserError("there is no such proposal; see `passerelle proposals list --all`")
        return kept

    def _open(self, identifier: str) -> Kept:
        kept = self._kept(identifier)
        if kept.state is not State.OPEN:
            again = (
                "" if kept.state is State.EXECUTED else "; propose it anew where it is still wanted"
            )
            if _is_stopped(kept):
                again = f"; {_UNKNOWN}"
            raise UserError(f"this proposal is {kept.state.value}, and is used once{again}")
        return kept

    def _moved(
        self, kept: Kept, target: State, by: str, signature: bytes = b"", note: str = ""
    ) -> Kept:
        now = self._clock()
        leaf = _leaf(kept, target.value, by, note)
        effect = proposals.decide(kept, target, now, by, signature, note)
        self._sequencer.commit((leaf,), (effect,))
        return self._kept(kept.id)

    def _refuse(self, kept: Kept, officer: Officer, refused: UserError) -> None:
        """Record an approval that did not count; the proposal stays as it is."""
        # What no rule of approvals refused has values that do not fit any more.
        reason = getattr(refused, "why", "") or "MALFORMED"
        leaf = _leaf(kept, "REFUSED", officer.person, reason)
        self._sequencer.commit((leaf,), ())

    def _about(self, officer: Officer, action: str, values: Mapping[str, object]) -> str:
        """Return whom or what a proposal is about, where the officer may know, once it is recorded that they do."""
        try:
            words, leaves = self._operations.handler(officer, action).bind(officer, values).about
        except UserError:  # for another role, or its arguments are no more what they were
            return ""
        if leaves:
            self._sequencer.commit(leaves, ())
        return words


def _apart_from_reason(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != "reason"}


def _demand_feasible(plan: list[str]) -> None:
    """Raise UserError where a plan says that the operation would be refused: nobody is asked to approve what cannot be done."""
    for sentence in plan:
        if sentence.startswith(REFUSED):
            raise UserError(sentence.removeprefix(REFUSED))


@contextmanager
def _refusing() -> Iterator[None]:
    """Tell officers what the rules refuse as any operation does."""
    try:
        yield
    except SignatureRefused as refused:
        raise NotAllowed(
            "the signature is of no key in force of that person; use the credential that belongs to the officer certificate",
            "SIGNATURE",
        ) from refused
    except ApprovalRefused as refused:
        raise NotAllowed(str(refused), refused.reason) from refused
    except MalformedProposal as refused:
        raise UserError(str(refused)) from refused


def _leaf(kept: Kept, verb: str, by: str, reason: str) -> Leaf:
    reference = f"{verb}/{kept.id}"
    return events.proposal(reference, kept.action, kept.proposer, approver=by, reason=reason)


def _is_stopped(kept: Kept) -> bool:
    """Return whether nobody knows if what was approved was done."""
    return kept.state is State.FAILED and kept.note == STOPPED


def _told(kept: Kept) -> dict[str, object]:
    return {
        "id": kept.id,
        "action": kept.action,
        "state": kept.state.value,
        "proposer": kept.proposer,
        "created": _iso(kept.created),
        "expires": _iso(kept.expires),
        "decider": kept.decider,
        "decided": None if kept.decided is None else _iso(kept.decided),
        "note": kept.note,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
