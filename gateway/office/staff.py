"""Our people: who they are, who lets them in, who shows them out.

A badge opens the door when our authority issued it, when its key is in the staff table, not ended and not
past its end, and when both say the same person and roles. It is asked on every act.

Nobody adds to himself or ends himself: an operator does it for another person. While the house is closed,
whoever can open its keys may make or end officers as CUSTODY, for there must be a first one and a way back;
where an operator could have done it instead, that is an ALARM.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.errors import Remedy, StaffUnknown
from gateway.office.acts import Act, Answer, NotAllowed, Officer, Role
from gateway.office.arguments import Arguments
from gateway.store import staff
from gateway.store.database import Database
from gateway.store.sequencer import Effect, Leaf, Sequencer
from gateway.store.staff import Member
from keys import certificates
from keys.badge import MOST_DAYS, badge, issue_badge, read_badge
from keys.errors import CertificateFault
from keys.keyset import KeyKind, Keyset

CUSTODY = Officer("custody", frozenset({Role.OPERATOR}))  # whoever holds the keys' passphrase
# All that CUSTODY may do: let people in and out, and see.
CUSTODIAL = frozenset({"staff.add", "staff.end", "staff.list", "keys.list", "keys.show"})
PUBLIC_BYTES = 91  # SubjectPublicKeyInfo of a P-256 key (RFC 5480)
DENIALS = timedelta(minutes=1)  # one ALARM a person in this time says that acts were denied

_ROLES = {role.value: role for role in Role}
_OPERATORS = frozenset({Role.OPERATOR})


class Staff:
    """The list of our people, and the acts that change it."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        keyset: Callable[[], Keyset],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._keyset = keyset
        self._clock = clock
        self._denied: dict[str, datetime] = {}

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done to the list."""
        return (
            Act("staff.add", _OPERATORS, self._add),
            Act("staff.end", _OPERATORS, self._end),
            Act("staff.list", frozenset({Role.OPERATOR, Role.AUDITOR}), self._list),
        )

    def officer(self, certificate: bytes) -> Officer:
        """Return who bears a badge, PEM or DER; raises StaffUnknown, which does not say why not."""
        now = self._clock()
        try:
            said = read_badge(certificate, self._keyset().badge_ca_pem, now)
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

    def denied(self, officer: Officer, act: str) -> None:
        """Record that somebody tried what his roles do not allow; once a minute says it all."""
        now = self._clock()
        last = self._denied.get(officer.person)
        if last is not None and now - last < DENIALS:
            return
        self._denied[officer.person] = now
        facts = {"actor": officer.person, "operation": act, "reason": "ROLE_REQUIRED"}
        self._sequencer.commit((Leaf(_frame(EntryType.ALARM), facts),))

    def _add(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        person = arguments.text("person")
        roles = arguments.words("roles", _ROLES)
        public = arguments.octets("public", PUBLIC_BYTES)
        days = arguments.number("days", 1, MOST_DAYS, MOST_DAYS)
        _demand_other(officer, person)

        def do() -> Answer:
            now = self._clock()
            keyset = self._keyset()
            authority = keyset.primary(KeyKind.TLS_CA).certificate
            try:
                pem = issue_badge(
                    badge(person, roles), authority, keyset.tls_ca(), public, now, days=days
                )
                expires = certificates.validity(pem)[1]
            except CertificateFault as fault:
                raise Remedy(str(fault)) from None
            new = Member(sha256(public).digest(), person, roles, now, expires)
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
            now = self._clock()
            live = [each for each in self.members() if each.person == person and each.live(now)]
            if not live:
                raise Remedy("nobody of that name has a key in force; see `passerelle staff list`")
            for each in live:
                self._commit(officer, each, "ENDED", staff.end(each.pin, now))
            return {"person": person, "ended": len(live)}

        return do

    def _list(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        del officer, arguments

        def do() -> Answer:
            now = self._clock()
            return {"staff": [_plain(each, now) for each in self.members()]}

        return do

    def members(self) -> list[Member]:
        """Return every badge ever granted."""
        with self._database.reader() as reader:
            return staff.members(reader)

    def _commit(self, officer: Officer, of: Member, state: str, effect: Effect) -> None:
        facts = {
            "actor": officer.person,
            "person": of.person,
            "roles": ",".join(of.roles),
            "state_after": state,
            "due": of.expires.isoformat(timespec="seconds"),
        }
        leaves = [Leaf(_frame(EntryType.STAFF, of.pin), facts)]
        if officer is CUSTODY and self._operated():
            why = {"actor": officer.person, "reason": "CUSTODY_INSTEAD_OF_OPERATOR"}
            leaves.append(Leaf(_frame(EntryType.ALARM, of.pin), why))
        self._sequencer.commit(leaves, (effect,))

    def _operated(self) -> bool:
        now = self._clock()
        return any(m.live(now) and Role.OPERATOR.value in m.roles for m in self.members())


def _demand_other(officer: Officer, person: str) -> None:
    if person == CUSTODY.person:
        raise Remedy("person: that name is kept for whoever holds the keys' passphrase")
    if person == officer.person:
        raise NotAllowed("nobody adds to himself or ends himself; ask another operator")


def _frame(kind: EntryType, pin: bytes = b"") -> Frame:
    return Frame(type=kind, entry_class=EntryClass.OTHER, subject_reference=pin.hex()[:32])


def _plain(of: Member, now: datetime) -> dict[str, object]:
    return {
        "person": of.person,
        "roles": list(of.roles),
        "pin": of.pin.hex(),
        "granted": of.granted.isoformat(timespec="seconds"),
        "expires": of.expires.isoformat(timespec="seconds"),
        "ended": None if of.ended is None else of.ended.isoformat(timespec="seconds"),
        "in_force": of.live(now),
    }
