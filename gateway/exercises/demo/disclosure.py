"""The second step: what may be said of a person who matched, each datum beside its paragraph, and nothing else."""

from __future__ import annotations

from gateway.client import Answer, Partner, Refused
from gateway.domain.person import TEXT, Details, DetailsOutcome, Field, FieldCode
from gateway.exercises.demo.check import Promise, refusal
from gateway.exercises.demo.queries import AskedQuery, details_matter

# One at least of each of the three paragraphs of Division 3.
WANTED = (
    FieldCode.LAST_NAME,
    FieldCode.FIRST_NAME,
    FieldCode.DATE_OF_BIRTH,
    FieldCode.PHOTOGRAPH,
    FieldCode.IMMIGRATION_STATUS,
)
UNAGREED = FieldCode.FINGERPRINTS  # no agreement of Division 3 lets prints out


def disclosed(
    partner: Partner, one: AskedQuery
) -> tuple[tuple[Field, ...], tuple[Promise, Promise]]:
    """Ask of a hit for a field that nobody agreed, then for those that the case needs; return what came of it."""
    if one.answer is None:
        raise ValueError("a question without an answer has no details")
    person = one.person.pseudonym
    refused = _unagreed(partner, one.answer, person)
    told = partner.details(
        one.answer.transaction_number,
        one.answer.result.hit_reference,
        WANTED,
        **details_matter(person),
    ).details
    says = f"{len(WANTED)} fields are disclosed, each beside its paragraph, with its caveat"
    return told.fields, (refused, Promise(says, _seen(told), _whole(told)))


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
