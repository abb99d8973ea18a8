"""What the stored answer of a query of ours holds of the person: the fields that the partner disclosed to us."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.outbound_query import StoredAnswer
from gateway.domain.person import Field, FieldCode
from gateway.errors import Refusal
from gateway.wire import query_payload
from gateway.wire.disclosure_payload import details_bytes, read_details


def with_details_apart(stored: StoredAnswer) -> StoredAnswer:
    """Return the stored answer with details that came together with the answer where those of the second step lie.

    Answers are kept so since the release that added this; an older row has them inside the answer.
    """
    try:
        result = query_payload.read_result(stored.answer) if stored.answer else None
    except Refusal:
        return stored  # kept as it came; nothing in it is a field
    if result is None or result.details is None:
        return stored
    details = (details_bytes(result.details), *stored.details)
    return replace(
        stored, answer=query_payload.result_bytes(replace(result, details=None)), details=details
    )


def fields_in(stored: StoredAnswer) -> tuple[Field, ...]:
    """Return every datum that a stored answer holds, in the order in which it came."""
    held = with_details_apart(stored)
    return tuple(each for payload in held.details for each in read_details(payload).fields)


def codes_in(stored: StoredAnswer) -> frozenset[FieldCode]:
    """Return of which fields a stored answer holds something."""
    return frozenset(each.code for each in fields_in(stored))
