"""Our caseworkers ask partners: what is stated of the person decides first, and what comes back is recorded first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Protocol

from gateway.admin.operation import Answer, Handler, Officer
from gateway.casework.correction_settlement import Files
from gateway.casework.unanswered_queries import denials
from gateway.domain.messages import Biometrics, PriorTransaction
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest, Seeking
from gateway.domain.person import Details, Status, SubjectKind
from gateway.errors import UserError
from gateway.law import countries
from gateway.law.countries import UnknownCode
from gateway.matching.engine import UnreadableSample
from gateway.matching.sample_to_ask import sample_to_ask
from gateway.operations.outbound import Ask
from gateway.store.casework import issued_numbers, outbound_queries
from gateway.store.people import subjects
from gateway.store.people.person_records import StoredPeople

# Our record decides, whatever an officer says: who is no third country's national, and who has claimed refuge.
_SETTLED = frozenset({SubjectKind.CITIZEN, SubjectKind.PERMANENT_RESIDENT, SubjectKind.CLAIMANT})


class Asker(Protocol):
    """Who carries questions; each method returns when what came of it is durable."""

    def ask(self, asking: OutboundRequest) -> OutboundQuery:
        """Ask; what our own law stops is STOPPED. Raises UserError."""

    def seek(self, query: OutboundQuery, seeking: Seeking) -> Details:
        """Ask for details of a match; raises UserError."""


class OutboundQueryOperations:
    """Where partners are asked."""

    def __init__(self, files: Files, asker: Asker, people: StoredPeople) -> None:
        self._files, self._asker, self._people = files, asker, people

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (Handler(request=Ask, do=self._ask),)

    def _ask(self, officer: Officer, request: Ask) -> Answer:
        status, probe = self._status(request), _probe(request)
        agreement, _, version = request.agreement.partition("@")
        subject = self._subject(request.subject)
        ours = {subject, self._known(request.partner, request.prior)} - {None}
        known = self._narrowed(status, ours)
        asking = OutboundRequest(
            partner=request.partner,
            agreement=(agreement, int(version)),
            purpose=request.purpose,
            case=request.case,
            unit=request.unit,
            person=officer.person,
            status=known,
            probe=probe,
            claimant=request.claimant or known.kind is SubjectKind.CLAIMANT,
            subject=subject,
            service_level=request.service_level,
        )
        query = self._asker.ask(asking)
        return {**query_state(query), **denials(self._files, (query,))[0]}

    def _status(self, request: Ask) -> Status:
        """Return what the officer states of the person; raises UserError for a country that is on no list."""
        none = request.alleged_persecution_region_codes == countries.NONE
        return Status(
            kind=request.status,
            nationalities=_listed(
                request.nationalities, "nationalities", countries.demand_nationalities
            ),
            persecutors=_listed(
                "" if none else request.alleged_persecution_region_codes,
                "alleged_persecution_region_codes",
                countries.demand_states,
            ),
            no_persecutor=none,
            confirmed=self._files.clock(),  # the case system states it now
        )

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


def _probe(request: Ask) -> Biometrics | PriorTransaction:
    """Return what is asked with; raises UserError for a record or an image that partners could not read."""
    if request.prior:
        return PriorTransaction(request.prior)
    samples = []
    for index, each in enumerate(request.samples):
        try:
            sample = sample_to_ask(
                each.data, each.modality, each.position, each.extractor, each.ppi
            )
        except UnreadableSample as fault:
            raise UserError(
                f"samples[{index}]: no record that partners could read: {fault}"
            ) from None
        samples.append(sample)
    return Biometrics(tuple(samples), request.missing)


def _listed(said: str, name: str, demand: Callable[[Collection[str]], None]) -> frozenset[str]:
    """Return country codes; raises UserError for one that is on no list."""
    codes = said.split(",") if said else []
    try:
        demand(codes)
    except UnknownCode as fault:
        raise UserError(f"{name}: {fault}") from None
    return frozenset(codes)


def query_state(query: OutboundQuery) -> dict[str, object]:
    """Return the state of a query of ours; the outcome is shown by `asked.show` alone."""
    return {
        "partner": query.partner,
        "number": query.number,
        "purpose": query.purpose.name,
        "agreement": f"{query.agreement[0]}@{query.agreement[1]}",
        "case": query.case,
        "state": query.state.name,
        "asked": query.ask.isoformat(),
        "answered": query.answer.isoformat() if query.answer else "",
        "used": query.used.isoformat() if query.used else "",
        "used_in": query.used_in,
    }
