"""Our caseworkers ask partners: what is stated of the person decides first, and what comes back is recorded first."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Protocol

from gateway.casework import Details, FieldCode, Status, SubjectKind
from gateway.errands import Asking, Errand, Seeking
from gateway.errors import Refusal, Remedy
from gateway.office.acts import Act, Answer, Officer, Role
from gateway.office.arguments import Arguments
from gateway.office.duties import Files
from gateway.office.reading import NUMBER, PARTY
from gateway.store import subjects
from gateway.terms import Biometrics, Modality, PriorTransaction, Purpose, RecordFormat, Sample
from matcher import fmr
from matcher.template import MalformedRecord

AGREEMENT = re.compile(r"[a-z][a-z0-9-]{0,31}@[1-9][0-9]{0,8}")
COUNTRIES = re.compile(r"[A-Z]{3}(,[A-Z]{3}){0,15}")
EXTRACTOR = re.compile(r"[A-Za-z0-9._-]{1,48}")
MOST_FINGERS = 10
_CASEWORKERS = frozenset({Role.CASEWORKER})


class Asker(Protocol):
    """Who carries questions; each method returns when what came of it is durable."""

    def ask(self, asking: Asking) -> Errand:
        """Ask; raises the Refusal of our own law, or Remedy."""

    def seek(self, errand: Errand, seeking: Seeking) -> Details:
        """Ask for details of a match; raises Remedy."""


class Blocked(Remedy):
    """Our own law stopped it: nothing left the house."""


class AskingDesk:
    """Where partners are asked."""

    def __init__(self, files: Files, asker: Asker) -> None:
        self._files, self._asker = files, asker

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (Act("ask", _CASEWORKERS, self._ask),)

    def _ask(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        partner = arguments.text("partner", PARTY)
        agreement, _, version = arguments.text("agreement", AGREEMENT).partition("@")
        purpose = arguments.choice("purpose", Purpose)
        case, unit = arguments.text("case"), arguments.text("unit")
        status = Status(
            kind=arguments.choice("status", SubjectKind),
            nationalities=_countries(arguments, "nationalities"),
            persecutors=_countries(arguments, "alleged_persecution_region_codes"),
            confirmed=self._files.clock(),  # the case system states it now
        )
        claimant = arguments.flag("claimant") or status.kind is SubjectKind.CLAIMANT
        prior = arguments.optional("prior", NUMBER)
        reference = arguments.optional("subject")
        samples = self._samples(arguments)
        if bool(samples) == bool(prior):
            raise Remedy("give either fingers or the number of a query received from this partner")

        def do() -> Answer:
            asking = Asking(
                partner=partner,
                agreement=(agreement, int(version)),
                purpose=purpose,
                case=case,
                unit=unit,
                person=officer.person,
                status=status,
                probe=PriorTransaction(prior) if prior else Biometrics(samples),
                claimant=claimant,
                subject=self._subject(reference),
            )
            try:
                return told(self._asker.ask(asking))
            except Refusal as refusal:
                raise Blocked(f"{refusal.reason}: {refusal} Nothing was sent.") from None

        return do

    def _subject(self, reference: str) -> int | None:
        if not reference:
            return None
        with self._files.database.reader() as reader:
            subject = subjects.find(reader, reference)
        if subject is None:
            raise Remedy("no subject has this file number; leave it out, or enrol the person first")
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
        octets = base64.b64decode(record, validate=True)
        read = fmr.read(octets)
    except (binascii.Error, MalformedRecord):
        raise Remedy(f"finger_{number}: no record that partners could read") from None
    if len(read.views) != 1 or read.views[0].position not in (0, number):
        raise Remedy(f"finger_{number}: the record is of another finger, or of several")
    return Sample(
        modality=Modality.FINGER,
        position=number,
        format=RecordFormat(int(read.format)),
        extractor=extractor,
        data=octets,
        impression=read.views[0].impression,
    )


def _countries(arguments: Arguments, name: str) -> frozenset[str]:
    """Take ISO 3166-1 alpha-3 codes, comma between."""
    stated = arguments.optional(name, COUNTRIES)
    return frozenset(stated.split(",")) if stated else frozenset()


def told(errand: Errand) -> dict[str, object]:
    """Return where something that we asked stands; the outcome is shown by `asked.show` alone."""
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
        raise Remedy("fields: name at least one; ask for what the case needs")
    return codes
