"""Our people: who they are, who lets them in, who shows them out.

An officer certificate is accepted at the admin listener when our authority issued it, when its key is in the staff table, not ended and not
past its end, and when both say the same person and roles. It is asked on every act.

Nobody adds to or ends their own access: an operator does it for another person, and two do it where that person is
an operator, or becomes one, or becomes an examiner: two examiners decide who was found, and one person could
otherwise invent both. One alone may suspend anybody else, which is an ALARM; two let in again.

Who is added made the keys on their own machine, and their request, which goes with the act, shows that they hold both
private halves and ask as this person. So nobody adds a key that is another's, or that nobody has.

While the gateway is closed, whoever can open its keys may make or end officers as CUSTODY, for there must be first
ones and a way back. It is silent only while it founds (`founds`); ever after it is an ALARM too, whoever is in force
at that moment: to end, suspend or outlive the operators first changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, NotAllowed, Officer, always
from gateway.admin.pages import Page
from gateway.errors import StaffUnknown, UserError
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.monitoring import alarms
from gateway.operations.declaration import Role
from gateway.store.ledger.sequencer import Effect, Leaf, Sequencer
from gateway.store.people import staff
from gateway.store.people.staff import Member
from gateway.store.sqlite import Database
from gateway.trust.bundle import fingerprint
from keys import certificates, signatures
from keys import officer_keys as officers
from keys.errors import CertificateFault, SignatureRefused
from keys.keyset import KeyKind, KeysetInForce
from keys.officer_certificate import MOST_DAYS, badge, issue_badge, read_badge
from keys.officer_keys import PROOF_BYTES, PUBLIC_BYTES, Request

CUSTODY = Officer(
    "custody", frozenset({Role.OPERATOR}), custodial=True
)  # whoever holds the keys' passphrase
# All that CUSTODY may do: let people in and out, and see.
FOUNDING = frozenset({"staff.add", "staff.end"})
CUSTODIAL = FOUNDING | {"staff.list", "keys.list", "keys.show"}
ENOUGH = 2  # operators who can do all of it by themselves
DENIALS = timedelta(minutes=1)  # one ALARM a person in this time says that acts were denied

_ROLES = {role.value: role for role in Role}
_OPERATORS = frozenset({Role.OPERATOR})
_WEIGHTY = (Role.OPERATOR.value, Role.EXAMINER.value)  # nobody becomes one by one person's word


class Staff:
    """The list of our people, and the acts that change it."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        keyset: KeysetInForce,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._keyset = keyset
        self._clock = clock
        self._denied = alarms.OnceInAWhile(DENIALS)

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done to the list."""
        return (
            Act("staff.add", _OPERATORS, self._add, self._adds_two, self._state, self._plan_add),
            Act("staff.end", _OPERATORS, self._end, self._operates, self._state, self._plan_end),
            Act("staff.suspend", _OPERATORS, self._suspend),
            Act("staff.resume", _OPERATORS, self._resume, always, self._state, self._plan_resume),
            Act("staff.badge", _OPERATORS, self._badge),
            Act("staff.list", frozenset({Role.OPERATOR, Role.AUDITOR}), self._list),
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
        return Officer(held.person, frozenset(_ROLES[name] for name in held.roles))

    def present(self, certificate: bytes, shows: Callable[[bytes], bytes], nonce: bytes) -> Officer:
        """Return who bears a certificate whose key is there too: `shows` signs the challenge of this nonce.

        For whoever opens a stopped gateway; at the listener TLS has asked the same. Raises StaffUnknown.
        """
        found = self.officer(certificate)
        try:
            public = certificates.public_of(certificate)
            officers.demand_signed(public, shows(nonce), officers.challenge(nonce))
        except (CertificateFault, SignatureRefused):
            raise StaffUnknown from None
        return found

    def asked(self, officer: Officer, act: str) -> None:
        """Record that somebody of ours asks for an act, and as which of us."""
        facts = {
            **officer.facts,
            "operation": act,
            "roles": ",".join(sorted(role.value for role in officer.roles)),
        }
        self._sequencer.commit((Leaf(_frame(EntryType.ADMIN), facts),))

    def denied(self, officer: Officer, act: str) -> None:
        """Record that somebody tried what his roles do not allow; once a minute says it all."""
        if self._denied.due(officer.person, self._clock()):
            facts = {"actor": officer.person, "operation": act, "reason": "ROLE_REQUIRED"}
            self._sequencer.commit((alarms.entry(facts),))

    def _add(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        request = Request(
            arguments.text("person"),
            arguments.octets("public", PUBLIC_BYTES),
            arguments.octets("approving", signatures.PUBLIC_BYTES),
            arguments.octets("proof", PROOF_BYTES),
        )
        roles = arguments.words("roles", _ROLES)
        days = arguments.number("days", 1, MOST_DAYS, MOST_DAYS)
        person, public = request.person, request.public
        _demand_other(officer, person)
        try:
            request.demand_proof()
        except SignatureRefused:
            raise UserError(
                "proof: not signed by both keys of the request for this person; have the person make it anew:"
                " passerelle staff request"
            ) from None

        def do() -> Answer:
            now = self._clock()
            self._demand_new(person, public, request.approving)
            keyset = self._keyset.current
            authority = keyset.primary(KeyKind.TLS_CA).certificate
            try:
                pem = issue_badge(
                    badge(person, roles), authority, keyset.tls_ca(), public, now, days=days
                )
                expires = certificates.validity(pem)[1]
            except CertificateFault as fault:
                raise UserError(str(fault)) from None
            pin = sha256(public).digest()
            new = Member(pin, person, roles, now, expires, approving=request.approving)
            self._commit(officer, new, "GRANTED", staff.grant(new))
            return {
                **_plain(new, now),
                "certificate": pem.decode("ascii"),
                "authority": keyset.tls_ca_pem.decode("ascii"),
            }

        return do

    def _end(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        person = arguments.text("person")
        _demand_other(officer, person)

        def do() -> Answer:
            now, live = self._clock(), self._live(person)
            for each in live:
                self._commit(officer, each, "ENDED", staff.end(each.pin, now))
            return {"person": person, "ended": len(live)}

        return do

    def _badge(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        """Issue the officer certificate of a key that is in force already: what two persons granted, nothing else."""
        del officer
        public = arguments.octets("public", PUBLIC_BYTES)

        def do() -> Answer:
            now, keyset = self._clock(), self._keyset.current
            with self._database.reader() as reader:
                held = staff.member(reader, sha256(public).digest())
            if held is None or not held.live(now):
                raise UserError("this key is not in force: has another operator approved it?")
            days = max(1, (held.expires - now) // timedelta(days=1))
            try:
                pem = issue_badge(
                    badge(held.person, held.roles),
                    keyset.primary(KeyKind.TLS_CA).certificate,
                    keyset.tls_ca(),
                    public,
                    now,
                    days=days,
                )
            except CertificateFault as fault:
                raise UserError(str(fault)) from None
            return {
                **_plain(held, now),
                "certificate": pem.decode("ascii"),
                "authority": keyset.tls_ca_pem.decode("ascii"),
            }

        return do

    def _suspend(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        person, reason = arguments.text("person"), arguments.reason()
        _demand_other(officer, person)

        def do() -> Answer:
            now, live = self._clock(), self._live(person)
            facts = {**officer.facts, "person": person, "reason": reason}
            leaves = [
                leaf
                for each in live
                for leaf in (
                    Leaf(_frame(EntryType.STAFF, each.pin), {**facts, "state_after": "SUSPENDED"}),
                    _alarm(each.pin, {**facts, "operation": "SUSPEND"}),
                )
            ]
            self._sequencer.commit(leaves, [staff.suspend(each.pin, now) for each in live])
            return {"person": person, "suspended": len(live)}

        return do

    def _resume(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        person, reason = arguments.text("person"), arguments.reason()
        _demand_other(officer, person)

        def do() -> Answer:
            out = self._out(person)
            facts = {**officer.facts, "person": person, "reason": reason, "state_after": "GRANTED"}
            leaves = [Leaf(_frame(EntryType.STAFF, each.pin), facts) for each in out]
            self._sequencer.commit(leaves, [staff.resume(each.pin) for each in out])
            return {"person": person, "resumed": len(out)}

        return do

    def _live(self, person: str) -> list[Member]:
        """Return what is in force of a person; raises UserError for nothing."""
        now = self._clock()
        live = [each for each in self.members() if each.person == person and each.live(now)]
        if not live:
            raise UserError(
                f"nobody of the name {person} has a key in force; see `passerelle staff list`"
            )
        return live

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

    def _demand_new(self, person: str, public: bytes, approving: bytes) -> None:
        """Raise UserError for keys that are somebody's already, whoever asks with them."""
        if any(m.approving == approving and m.person != person for m in self.members()):
            raise UserError("this key is another person's; have the person make a request anew")
        pin = sha256(public).digest()
        if any(m.pin == pin for m in self.members()):
            raise UserError(staff.KNOWN)

    def _plan_add(self, values: Mapping[str, object]) -> tuple[str, ...]:
        public, approving = (bytes.fromhex(str(values.get(n, ""))) for n in ("public", "approving"))
        self._demand_new(str(values.get("person")), public, approving)
        return _said_of_adding(values)

    def _plan_end(self, values: Mapping[str, object]) -> tuple[str, ...]:
        self._live(str(values.get("person")))
        return (f"Every officer certificate of {values.get('person')} ends at once and for good.",)

    def _plan_resume(self, values: Mapping[str, object]) -> tuple[str, ...]:
        self._out(str(values.get("person")))
        return (f"The officer certificates of {values.get('person')} are valid again.",)

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
        return frozenset(_ROLES[name] for each in live for name in each.roles)

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

    def _adds_two(self, values: Mapping[str, object]) -> bool:
        """Tell whether the person of an act becomes an operator or examiner, or has an operator's officer certificate not ended."""
        return _weighs(values) or any(
            each.person == values.get("person")
            and each.ended is None
            and Role.OPERATOR.value in each.roles
            for each in self.members()
        )

    def _operates(self, values: Mapping[str, object]) -> bool:
        """Tell whether the person of an act is an operator now."""
        now, name = self._clock(), Role.OPERATOR.value
        return any(
            each.person == values.get("person") and each.live(now) and name in each.roles
            for each in self.members()
        )

    def _state(self) -> object:
        """Return who is in, as which: an approval counts for no other staff than its proposal."""
        now = self._clock()
        return [[each.pin.hex(), *each.roles] for each in self.members() if each.live(now)]

    def _list(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        del officer
        page = Page(arguments)

        def do() -> Answer:
            now = self._clock()
            shown, more = page.slice(self.members())
            return {"staff": [_plain(each, now) for each in shown], "next_page_token": more}

        return do

    def members(self) -> list[Member]:
        """Return every officer certificate ever granted."""
        with self._database.reader() as reader:
            return staff.members(reader)

    def _commit(self, officer: Officer, of: Member, state: str, effect: Effect) -> None:
        facts = {
            **officer.facts,
            "person": of.person,
            "roles": ",".join(of.roles),
            "state_after": state,
            "due": of.expires.isoformat(timespec="seconds"),
        }
        leaves = [Leaf(_frame(EntryType.STAFF, of.pin), facts)]
        if officer.custodial and not founds(self.members(), of, ends=state == "ENDED"):
            why = {"actor": officer.person, "reason": "CUSTODY_INSTEAD_OF_OPERATOR"}
            leaves.append(_alarm(of.pin, why))
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


def _weighs(values: Mapping[str, object]) -> bool:
    roles = values.get("roles")
    return isinstance(roles, list) and any(role in roles for role in _WEIGHTY)


def _said_of_adding(values: Mapping[str, object]) -> tuple[str, ...]:
    roles = values.get("roles")
    named = ", ".join(map(str, roles)) if isinstance(roles, list) else ""
    days = values.get("days", MOST_DAYS)
    return (
        f"{values.get('person')} is granted access, as {named}, for {days} days.",
        f"The keys' fingerprint is {_fingerprint(values)}. Have {values.get('person')} read it out before you approve.",
    )


def _fingerprint(values: Mapping[str, object]) -> str:
    """Return the fingerprint of the request in an act's arguments, which were read before."""
    public, approving = (bytes.fromhex(str(values.get(n, ""))) for n in ("public", "approving"))
    return fingerprint(Request(str(values.get("person")), public, approving, b"").content())


def _demand_other(officer: Officer, person: str) -> None:
    if person == CUSTODY.person:
        raise UserError("person: that name is kept for whoever holds the keys' passphrase")
    if person == officer.person:
        raise NotAllowed("nobody adds to or ends their own access; ask another operator")


def _frame(kind: EntryType, pin: bytes = b"") -> Frame:
    return Frame(type=kind, entry_class=EntryClass.OTHER, subject_reference=_short(pin))


def _alarm(pin: bytes, facts: Mapping[str, str]) -> Leaf:
    return alarms.entry(facts, subject_reference=_short(pin))


def _short(pin: bytes) -> str:
    """Return what an entry calls a certificate: the first half of its pin."""
    return pin.hex()[:32]


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
