"""The second step: what may be said of a person who matched, each datum beside its paragraph, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.casework import TEXT, Details, DetailsOutcome, Field, FieldCode
from gateway.client import Answer, Partner, Refused
from gateway.kit.asking import Asked, details_matter
from gateway.kit.promise import Promise, refusal
from gateway.terms import Outcome

# One at least of each of the three paragraphs of Division 3.
WANTED = (
    FieldCode.LAST_NAME,
    FieldCode.FIRST_NAME,
    FieldCode.DATE_OF_BIRTH,
    FieldCode.PHOTOGRAPH,
    FieldCode.IMMIGRATION_STATUS,
)
UNAGREED = FieldCode.FINGERPRINTS  # no agreement of Division 3 lets prints out


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was disclosed of whom, and the promises about it."""

    person: str
    fields: tuple[Field, ...]
    promises: tuple[Promise, ...]


def disclosed(partner: Partner, asked: Sequence[Asked]) -> Spoken:
    """Ask of one hit for a field that nobody agreed, then for those that the case needs."""
    hits = [one for one in asked if one.answer and one.outcome is Outcome.MATCH]
    says = f"{len(WANTED)} fields are disclosed, each beside its paragraph, with its caveat"
    if not hits or hits[0].answer is None:
        return Spoken("", (), (Promise(says, "there was no hit to ask about", kept=False),))
    person, answer = hits[0].person.pseudonym, hits[0].answer
    refused = _unagreed(partner, answer, person)
    told = partner.details(
        answer.transaction_number, answer.result.hit_reference, WANTED, **details_matter(person)
    ).details
    return Spoken(person, told.fields, (refused, Promise(says, _seen(told), _whole(told))))


def shown(field: Field) -> str:
    """Return a datum as a person reads it."""
    if field.mime_type == TEXT:
        return field.value.decode()
    return f"{field.mime_type}, {len(field.value)} bytes"


def _unagreed(partner: Partner, answer: Answer, person: str) -> Promise:
    says = f"a field outside the agreement ({UNAGREED.name}) is refused"
    wanted = (*WANTED, UNAGREED)
    try:
        partner.details(
            answer.transaction_number, answer.result.hit_reference, wanted, **details_matter(person)
        )
    except Refused as refused:
        return refusal(says, refused.reason, "FIELD_NOT_PERMITTED")
    return refusal(says, "", "FIELD_NOT_PERMITTED")


def _whole(told: Details) -> bool:
    """Return whether what was asked for came, and none of it without authority and caveat."""
    codes = tuple(each.code for each in told.fields)
    owned = all(each.authority and each.caveats for each in told.fields)
    return told.outcome is DetailsOutcome.DISCLOSED and codes == WANTED and owned


def _seen(told: Details) -> str:
    cited = ", ".join(sorted({each.authority for each in told.fields}))
    return f"{told.outcome.name}: {len(told.fields)} fields by {cited or 'nothing'}"
