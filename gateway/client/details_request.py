"""The second question: details of the person of an earlier match, and how it is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Required, TypedDict

from gateway.client.request_builder import Author, Outgoing, Unaskable, refuse_names, refuse_number
from gateway.domain.messages import About, Operation, Purpose, Receipt, ServiceLevel
from gateway.domain.person import Details, DetailsRequest, FieldCode
from gateway.wire import disclosure_payload as details


class DetailsMatter(TypedDict, total=False):
    """What a request for details is about, beside reference and fields.

    purpose, agreement   those of the query; for another purpose another query is asked
    case, unit, person   pseudonyms, [A-Za-z0-9._-]{1,64}; never a name
    transaction_number   ours, [A-Za-z0-9-]{8,64}, used once; made up where none is given
    """

    purpose: Required[Purpose]
    agreement: Required[tuple[str, int]]
    case: Required[str]
    unit: Required[str]
    person: Required[str]
    service_level: ServiceLevel
    transaction_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed:
    """What a peer disclosed, after every check.

    transaction_number  of this request
    envelope_size       bytes; the same whatever is disclosed
    """

    details: Details = field(repr=False)
    transaction_number: str
    receipt: Receipt = field(repr=False)
    receipt_index: int
    checkpoint_size: int
    envelope_size: int


def compose_details(
    author: Author,
    number: str,
    hit_reference: bytes,
    fields: Collection[FieldCode],
    matter: DetailsMatter,
    *,
    floor: int,
) -> Outgoing:
    """Return the question for fields of the match of our query `number`.

    Raises `Unaskable` before anything is sealed where the peer would have to refuse it.
    """
    refuse_names(matter["case"], matter["unit"], matter["person"])
    refuse_number(matter.get("transaction_number"))
    refuse_number(number, "number")
    if len(hit_reference) != details.HIT_REFERENCE:
        raise Unaskable("hit_reference", f"must have {details.HIT_REFERENCE} bytes, as the match")
    if not fields:
        raise Unaskable("fields", "must name at least one field")

    def payload(reply_key: bytes) -> bytes:
        return details.details_request_bytes(
            DetailsRequest(
                reply_key=reply_key,
                hit_reference=hit_reference,
                fields=tuple(sorted(set(fields))),
                case=matter["case"],
                unit=matter["unit"],
                person=matter["person"],
            )
        )

    about = About(
        number=matter.get("transaction_number") or author.number(),
        reference=number,
        agreement=matter["agreement"],
        purpose=matter["purpose"],
        service_level=matter.get("service_level", ServiceLevel.REAL_TIME),
    )
    return author.compose(Operation.REQUEST_HIT_DETAILS, payload, about, floor=floor)
