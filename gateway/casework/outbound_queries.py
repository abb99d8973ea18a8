"""Our caseworkers ask partners: what is stated of the person decides first, and what comes back is recorded first."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from gateway.admin.arguments import FILE_NUMBER, Arguments
from gateway.admin.operation import Act, Answer, Officer
from gateway.casework.correction_settlement import Files
from gateway.casework.unanswered_queries import denials
from gateway.domain.messages import Biometrics, PriorTransaction, Purpose, Sample
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest, Seeking
from gateway.domain.person import Details, FieldCode, Status, SubjectKind
from gateway.errors import UserError
from gateway.law import countries
from gateway.law.countries import UnknownCode
from gateway.ledger_ops.audit_access import NUMBER, PARTY
from gateway.operations.declaration import Role
from gateway.store.casework import issued_numbers, outbound_queries
from gateway.store.people import subjects
from gateway.store.people.person_records import StoredPeople
from gateway.wire.sample import stated
from matcher.finger.template import MalformedRecord

AGREEMENT = re.compile(r"[a-z][a-z0-9-]{0,31}@[1-9][0-9]{0,8}")
COUNTRIES = re.compile(r"[A-Za-z]{1,8}(,[A-Za-z]{1,8}){0,15}")  # codes are looked up, word for word
EXTRACTOR = re.compile(r"[A-Za-z0-9._-]{1,48}")
MOST_FINGERS = 10
_CASEWORKERS = frozenset({Role.CASEWORKER})
# Our record decides, whatever an officer says: who is no third country's national, and who has claimed refuge.
_SETTLED = frozenset({SubjectKind.CITIZEN, SubjectKind.PERMANENT_RESIDENT, SubjectKind.CLAIMANT})


class Asker(Protocol):
    """Who carries questions; each method returns when what came of it is durable."""

    def ask(self, asking: OutboundRequest) -> OutboundQuery:
        """Ask; what our own law stops is STOPPED. Raises UserError."""

    def seek(self, errand: OutboundQuery, seeking: Seeking) -> Details:
        """Ask for details of a match; raises UserError."""


class OutboundQueryOperations:
    """Where partners are asked."""

    def __init__(self, files: Files, asker: Asker, people: StoredPeople) -> None:
        self._files, self._asker, self._people = files, asker, people

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (Act("ask", _CASEWORKERS, self._ask),)

    def _ask(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        partner = arguments.text("partner", PARTY)
        agreement, _, version = arguments.text("agreement", AGREEMENT).partition("@")
        purpose = arguments.choice("purpose", Purpose)
        case, unit = arguments.text("case"), arguments.text("unit")
        persecutors, none = _persecutors(arguments)
        status = Status(
            kind=arguments.choice("status", SubjectKind),
            nationalities=_listed(
                arguments.optional("nationalities", COUNTRIES),
                "nationalities",
                countries.demand_nationalities,
            ),
            persecutors=persecutors,
            no_persecutor=none,
            confirmed=self._files.clock(),  # the case system states it now
        )
        claimant = arguments.flag("claimant")
        prior = arguments.optional("prior", NUMBER)
        reference = arguments.optional("subject", FILE_NUMBER)
        samples = self._samples(arguments)
        if bool(samples) == bool(prior):
            raise UserError(
                "give either fingers or the number of a query received from this partner"
            )

        def do() -> Answer:
            ours = {self._subject(reference), self._known(partner, prior)} - {None}
            known = self._narrowed(status, ours)
            asking = OutboundRequest(
                partner=partner,
                agreement=(agreement, int(version)),
                purpose=purpose,
                case=case,
                unit=unit,
                person=officer.person,
                status=known,
                probe=PriorTransaction(prior) if prior else Biometrics(samples),
                claimant=claimant or known.kind is SubjectKind.CLAIMANT,
                subject=self._subject(reference),
            )
            errand = self._asker.ask(asking)
            return {**told(errand), **denials(self._files, (errand,))[0]}

        return do

    def _known(self, partner: str, prior: str) -> int | None:
        """Return whom a number given instead of fingers is about; raises UserError for one that would reveal something.

        It is the number of a query of this partner's that was answered with a match which is still valid. Any other would
        reveal to a partner another's query, or that we know a person of whom we answered that we do not (315.38). Whether one of ours
        may be given instead of fingers is decided by the law.
        """
        if not prior:
            return None
        with self._files.database.reader() as reader:
            theirs = issued_numbers.shown_match(reader, self._files.data_key, partner, prior)
            own = outbound_queries.outline(reader, partner, prior)
        if theirs is not None:
            return theirs.subject
        if own is None:
            raise UserError(
                "prior: no query of this partner by that number was answered with a match"
            )
        return own.subject

    def _narrowed(self, stated: Status, ours: Collection[int | None]) -> Status:
        """Return what an officer states, and what our own records say that bars more: they are not asked around."""
        for subject in ours:
            held = self._people.record(subject or 0).status
            persecutors = stated.persecutors | held.persecutors
            stated = replace(
                stated,
                kind=held.kind if held.kind in _SETTLED else stated.kind,
                nationalities=stated.nationalities | held.nationalities,
                persecutors=persecutors,
                no_persecutor=not persecutors and (stated.no_persecutor or held.no_persecutor),
            )
        return stated

    def _subject(self, reference: str) -> int | None:
        if not reference:
            return None
        with self._files.database.reader() as reader:
            subject = subjects.find(reader, reference)
        if subject is None:
            raise UserError(
                "no subject has this file number; leave it out, or enrol the person first"
            )
        return subject

    def _samples(self, arguments: Arguments) -> tuple[Sample, ...]:
        """Take fingers: position, record in base64, extractor."""
        fingers = []
        for number in range(1, MOST_FINGERS + 1):
            record = arguments.optional(f"finger_{number}", re.compile(r"[A-Za-z0-9+/=]{1,90000}"))
            if record:
                fingers.append((number, record))
        extractor = arguments.text("extractor", EXTRACTOR, "unstated")
        return tuple(_sample(number, record, extractor) for number, record in fingers)


def _sample(number: int, record: str, extractor: str) -> Sample:
    try:
        return stated(base64.b64decode(record, validate=True), number, extractor)
    except (binascii.Error, MalformedRecord) as fault:
        raise UserError(f"finger_{number}: no record that partners could read: {fault}") from None


def _persecutors(arguments: Arguments) -> tuple[frozenset[str], bool]:
    """Take countries of alleged persecution, and whether it is said that there are none."""
    name = "alleged_persecution_region_codes"
    said = arguments.optional(name, COUNTRIES)
    if said == countries.NONE:
        return frozenset(), True
    return _listed(said, name, countries.demand_states), False


def _listed(said: str, name: str, demand: Callable[[Collection[str]], None]) -> frozenset[str]:
    """Return country codes; raises UserError for one that is on no list."""
    codes = said.split(",") if said else []
    try:
        demand(codes)
    except UnknownCode as fault:
        raise UserError(f"{name}: {fault}") from None
    return frozenset(codes)


def told(errand: OutboundQuery) -> dict[str, object]:
    """Return the state of a query of ours; the outcome is shown by `asked.show` alone."""
    return {
        "partner": errand.partner,
        "number": errand.number,
        "purpose": errand.purpose.name,
        "agreement": f"{errand.agreement[0]}@{errand.agreement[1]}",
        "case": errand.case,
        "state": errand.state.name,
        "asked": errand.ask.isoformat(),
        "answered": errand.answer.isoformat() if errand.answer else "",
        "used": errand.used.isoformat() if errand.used else "",
        "used_in": errand.used_in,
    }


def field_codes(arguments: Arguments) -> tuple[FieldCode, ...]:
    """Take the fields that are necessary for the case; at least one."""
    codes = arguments.choices("fields", FieldCode)
    if not codes:
        raise UserError("fields: name at least one; ask for what the case needs")
    return codes
