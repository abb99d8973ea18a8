"""Our people: who they are, who lets them in, who shows them out.

An officer certificate is accepted at the admin listener when our authority issued it, when its key is in the staff table, not ended and not
past its end, and when both say the same person and roles. It is asked on every operation.

Nobody adds to or ends their own access: an operator does it for another person, and two do it where that person is
an operator, or becomes one, or becomes an examiner: two examiners decide who was found, and one person could
otherwise invent both. One alone may suspend anybody else, which is an ALARM; two let in again.

Who is added made the keys on their own machine, and their request, which goes with the operation, shows that they hold both
private halves and ask as this person. So nobody adds a key that is another's, or that nobody has.

While the gateway is closed, whoever can open its keys may make or end officers as CUSTODY, for there must be first
ones and a way back. It is silent only while it founds (`founds`); ever after it is an ALARM too, whoever is in force
at that moment: to end, suspend or outlive the operators first changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from gateway.admin.operation import Answer, Handler, NotAllowed, Officer, of_all
from gateway.admin.pages import Page
from gateway.errors import StaffUnknown, UserError
from gateway.ledger import events
from gateway.monitoring import alarms
from gateway.operations.declaration import Role
from gateway.operations.staff import ROLES, Add, Collect, End, List, Resume, Suspend
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.store.people import staff
from gateway.store.people.staff import Member
from gateway.trust.bundle import fingerprint
from keys import certificates
from keys import officer_keys as officers
from keys.errors import CertificateFault, SignatureRefused
from keys.keyset import KeyKind, Keyset, KeysetInForce
from keys.officer_certificate import badge, issue_badge, read_badge

CUSTODY = Officer(
    "custody", frozenset({Role.OPERATOR}), custodial=True
)  # whoever holds the keys' passphrase
ENOUGH = 2  # operators who can do all of it by themselves
DENIALS = timedelta(
    minutes=1
)  # one ALARM a person and reason in this time says that operations were denied

_WEIGHTY = (Role.OPERATOR.value, Role.EXAMINER.value)  # nobody becomes one by one person's word


class Staff:
    """The list of our people, and the operations that change it."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        keyset: KeysetInForce,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._keyset = keyset
        self._clock = clock
        self._denied = alarms.OnceInAWhile(DENIALS)

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done to the list."""
        return (
            Handler(
                request=Add,
                do=self._add,
                check=_check_request,
                two=self._adds_two,
                state=of_all(self._state),
                plan=self._plan_add,
            ),
            Handler(
                request=End,
                do=self._end,
                check=_check_other,
                two=self._operates,
                state=of_all(self._state),
                plan=self._plan_end,
            ),
            Handler(request=Suspend, do=self._suspend, check=_check_other),
            Handler(
                request=Resume,
                do=self._resume,
                check=_check_other,
                state=of_all(self._state),
                plan=self._plan_resume,
            ),
            Handler(request=Collect, do=self._collect),
            Handler(request=List, do=self._list),
        )

    def officer(self, certificate: bytes) -> Officer:
        """Return who bears an officer certificate, PEM or DER; raises StaffUnknown, which does not say why not."""
        now = self._clock()
        try:
            said = read_badge(certificate, self._keyset.current.badge_ca_pem, now)
            pin = certificates.pin(certificate)
        except CertificateFault:
            raise StaffUnknown from None
        with self._database.reader() as reader:
            held = staff.member(reader, pin)
        if (
            held is None
            or not held.live(now)
            or (held.person, held.roles) != (said.person, said.roles)
        ):
            raise StaffUnknown
        return Officer(held.person, frozenset(ROLES[name] for name in held.roles))

    def record_request(self, officer: Officer, operation: str) -> None:
        """Record that somebody of ours asks for an operation, and as which of us."""
        roles = sorted(role.value for role in officer.roles)
        self._sequencer.commit((events.order(operation, roles, officer.facts),))

    def denied(self, officer: Officer, operation: str, why: str) -> None:
        """Record that somebody tried what they may not do, and why they may not; once a minute of each reason."""
        if self._denied.due(f"{officer.person}/{why}", self._clock()):
            self._sequencer.commit((events.denial_alarm(officer.person, operation, why),))

    def _add(self, officer: Officer, request: Add) -> Answer:
        now, keyset = self._clock(), self._keyset.current
        self._demand_new(request)
        pem = _issued(
            keyset,
            request.public,
            now,
            person=request.person,
            roles=request.roles,
            days=request.days,
        )
        new = Member(
            sha256(request.public).digest(),
            request.person,
            request.roles,
            now,
            certificates.validity(pem)[1],
            approving=request.approving,
        )
        self._commit(officer, new, "GRANTED", staff.grant(new))
        return _with_certificate(new, pem, keyset, now)

    def _end(self, officer: Officer, request: End) -> Answer:
        now, held = self._clock(), self._endable(request.person)
        for each in held:
            self._commit(officer, each, "ENDED", staff.end(each.pin, now))
        return {"person": request.person, "ended": len(held)}

    def _collect(self, officer: Officer, request: Collect) -> Answer:
        """Issue the officer certificate of a key that is in force already: what two persons granted, nothing else."""
        del officer
        now, keyset = self._clock(), self._keyset.current
        with self._database.reader() as reader:
            held = staff.member(reader, sha256(request.public).digest())
        if held is None or not held.live(now):
            raise UserError("this key is not in force: has another operator approved it?")
        days = max(1, (held.expires - now) // timedelta(days=1))
        pem = _issued(keyset, request.public, now, person=held.person, roles=held.roles, days=days)
        return _with_certificate(held, pem, keyset, now)

    def _suspend(self, officer: Officer, request: Suspend) -> Answer:
        now, live = self._clock(), self._live(request.person)
        facts = {**officer.facts, "person": request.person, "reason": request.reason}
        leaves = [
            leaf
            for each in live
            for leaf in (
                events.staff(each.pin, "SUSPENDED", facts),
                events.staff_alarm(each.pin, {**facts, "operation": "SUSPEND"}),
            )
        ]
        self._sequencer.commit(leaves, [staff.suspend(each.pin, now) for each in live])
        return {"person": request.person, "suspended": len(live)}

    def _resume(self, officer: Officer, request: Resume) -> Answer:
        out = self._out(request.person)
        facts = {**officer.facts, "person": request.person, "reason": request.reason}
        leaves = [events.staff(each.pin, "GRANTED", facts) for each in out]
        self._sequencer.commit(leaves, [staff.resume(each.pin) for each in out])
        return {"person": request.person, "resumed": len(out)}

    def _live(self, person: str) -> list[Member]:
        """Return what is in force of a person; raises UserError for nothing."""
        now = self._clock()
        live = [each for each in self.members() if each.person == person and each.live(now)]
        if not live:
            raise UserError(
                f"nobody of the name {person} has a key in force; see `passerelle staff list`"
            )
        return live

    def _endable(self, person: str) -> list[Member]:
        """Return what a person has that opens the admin listener, or would if it were resumed; raises UserError for nothing."""
        now = self._clock()
        found = [each for each in self.members() if each.person == person and each.endable(now)]
        if not found:
            raise UserError(
                f"nobody of the name {person} has a key to end; see `passerelle staff list`"
            )
        return found

    def _out(self, person: str) -> list[Member]:
        """Return what is suspended of a person; raises UserError for nothing."""
        out = [
            each
            for each in self.members()
            if each.person == person and each.suspended is not None and each.ended is None
        ]
        if not out:
            raise UserError(
                f"nobody of the name {person} is suspended; see `passerelle staff list`"
            )
        return out

    def _demand_new(self, request: Add) -> None:
        """Raise UserError for keys that are somebody's already, whoever asks with them."""
        if any(
            m.approving == request.approving and m.person != request.person for m in self.members()
        ):
            raise UserError("this key is another person's; have the person make a request anew")
        pin = sha256(request.public).digest()
        if any(m.pin == pin for m in self.members()):
            raise UserError(staff.KNOWN)

    def _plan_add(self, request: Add) -> tuple[str, ...]:
        self._demand_new(request)
        person, printed = request.person, fingerprint(_own(request).content())
        return (
            f"{person} is granted access, as {', '.join(request.roles)}, for {request.days} days.",
            f"The keys' fingerprint is {printed}. Have {person} read it out before you approve.",
        )

    def _plan_end(self, request: End) -> tuple[str, ...]:
        self._endable(request.person)
        return (f"Every officer certificate of {request.person} ends at once and for good.",)

    def _plan_resume(self, request: Resume) -> tuple[str, ...]:
        self._out(request.person)
        return (f"The officer certificates of {request.person} are valid again.",)

    def people(self, roles: frozenset[Role]) -> frozenset[str]:
        """Return who has one of these roles in force, and a key to sign proposals and approvals with."""
        now, names = self._clock(), {role.value for role in roles}
        return frozenset(
            each.person
            for each in self.members()
            if each.live(now) and each.approving and names & set(each.roles)
        )

    def standing(self, person: str) -> frozenset[Role]:
        """Return the roles that a person has in force."""
        now = self._clock()
        live = [each for each in self.members() if each.person == person and each.live(now)]
        return frozenset(ROLES[name] for each in live for name in each.roles)

    def approving(self, person: str, roles: frozenset[Role]) -> tuple[bytes, ...]:
        """Return the public halves, in force, by which a person in one of these roles proposes and approves.

        Each counts for the roles that it was granted with: one operator alone grants the lesser ones, to any name.
        """
        now, names = self._clock(), {role.value for role in roles}
        return tuple(
            each.approving
            for each in self.members()
            if each.person == person
            and each.live(now)
            and each.approving
            and names & set(each.roles)
        )

    def _adds_two(self, request: Add) -> bool:
        """Tell whether the person becomes an operator or examiner, or has an operator's officer certificate not ended."""
        return any(role in _WEIGHTY for role in request.roles) or any(
            each.person == request.person
            and each.ended is None
            and Role.OPERATOR.value in each.roles
            for each in self.members()
        )

    def _operates(self, request: End) -> bool:
        """Tell whether the person is an operator, suspended or not: one who may suspend alone may not end alone."""
        now, name = self._clock(), Role.OPERATOR.value
        return any(
            each.person == request.person and each.endable(now) and name in each.roles
            for each in self.members()
        )

    def _state(self) -> object:
        """Return who is in, as which: an approval counts for no other staff than its proposal."""
        now = self._clock()
        return [[each.pin.hex(), *each.roles] for each in self.members() if each.live(now)]

    def _list(self, officer: Officer, request: List) -> Answer:
        del officer
        now = self._clock()
        shown, more = Page(request).slice(self.members())
        return {"staff": [_plain(each, now) for each in shown], "next_page_token": more}

    def members(self) -> list[Member]:
        """Return every officer certificate ever granted."""
        with self._database.reader() as reader:
            return staff.members(reader)

    def _commit(self, officer: Officer, of: Member, state: str, effect: Effect) -> None:
        facts = {**officer.facts, "person": of.person}
        leaves = [events.staff(of.pin, state, facts, roles=of.roles, due=of.expires)]
        if officer.custodial and not founds(self.members(), of, ends=state == "ENDED"):
            why = {"actor": officer.person, "reason": "CUSTODY_INSTEAD_OF_OPERATOR"}
            leaves.append(events.staff_alarm(of.pin, why))
        self._sequencer.commit(leaves, (effect,))


def founds(known: Collection[Member], of: Member, *, ends: bool) -> bool:
    """Tell whether CUSTODY may do this without an alarm: only the first and the second operator come in by it.

    known   every certificate ever granted, ended ones too: what once was an operator counts for ever, so no order of
            acts, no suspension and no clock that is set brings the silence of the first day back
    of      who is let in, or out where `ends`; who comes in as more than an operator, or as something else, is no
            founder, also where there never was an operator
    """
    name = Role.OPERATOR.value
    ever = {each.person for each in known if name in each.roles}
    return not ends and of.roles == (name,) and of.person not in ever and len(ever) < ENOUGH


def _issued(
    keyset: Keyset, public: bytes, now: datetime, *, person: str, roles: tuple[str, ...], days: int
) -> bytes:
    """Return the certificate of a key, PEM; raises UserError where none can be issued."""
    authority = keyset.primary(KeyKind.TLS_CA).certificate
    try:
        return issue_badge(badge(person, roles), authority, keyset.tls_ca(), public, now, days=days)
    except CertificateFault as fault:
        raise UserError(str(fault)) from None


def _with_certificate(of: Member, pem: bytes, keyset: Keyset, now: datetime) -> Answer:
    return {
        **_plain(of, now),
        "certificate": pem.decode("ascii"),
        "authority": keyset.tls_ca_pem.decode("ascii"),
    }


def _own(request: Add) -> officers.Request:
    """Return the request that the person made on their own machine."""
    return officers.Request(request.person, request.public, request.approving, request.proof)


def _check_request(officer: Officer, request: Add) -> None:
    _check_other(officer, request)
    try:
        _own(request).demand_proof()
    except SignatureRefused:
        raise UserError(
            "proof: not signed by both keys of the request for this person; have the person make it anew:"
            " passerelle staff request"
        ) from None


def _check_other(officer: Officer, request: Add | End | Suspend | Resume) -> None:
    if request.person == CUSTODY.person:
        raise UserError("person: that name is kept for whoever holds the keys' passphrase")
    if request.person == officer.person:
        raise NotAllowed(
            "nobody adds to or ends their own access; ask another operator", "SAME_PERSON"
        )


def _plain(of: Member, now: datetime) -> dict[str, object]:
    return {
        "person": of.person,
        "roles": list(of.roles),
        "pin": of.pin.hex(),
        "granted": of.granted.isoformat(timespec="seconds"),
        "expires": of.expires.isoformat(timespec="seconds"),
        "ended": None if of.ended is None else of.ended.isoformat(timespec="seconds"),
        "suspended": None if of.suspended is None else of.suspended.isoformat(timespec="seconds"),
        "may_approve": bool(of.approving),
        "in_force": of.live(now),
    }
