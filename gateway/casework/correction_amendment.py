"""What is left of received information once a notice has been heeded: a stored answer in, a stored answer out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gateway.domain.correction import CorrectionKind, CorrectionNotice
from gateway.domain.outbound_query import StoredAnswer
from gateway.domain.person import Details, Field, FieldCode
from gateway.wire import disclosure_payload as wire
from gateway.wire.received_fields import fields_in


def without(stored: StoredAnswer, notice: CorrectionNotice) -> StoredAnswer:
    """Return the stored answer without what the notice calls inaccurate; corrected values are in its place.

    A notice that names no field speaks of the match itself: nothing is left. One of another person leaves
    nothing either, whatever it names. Notices may overtake each other: one that is older than what is held by the
    sender's own count of versions puts nothing back.
    """
    if notice.kind is CorrectionKind.WRONG_PERSON or not notice.fields:
        return StoredAnswer()
    return replace(stored, details=tuple(_amended(each, notice) for each in stored.details))


def _amended(payload: bytes, notice: CorrectionNotice) -> bytes:
    details = wire.read_details(payload)
    right = {each.code: each for each in notice.corrected}
    fields = tuple(
        each if _newer(each, right.get(each.code)) else right.get(each.code, each)
        for each in details.fields
        if each.code not in notice.fields or each.code in right
    )
    if fields == details.fields:
        return payload
    return wire.details_bytes(Details(details.outcome, fields, details.withholding))


def about(held: Collection[FieldCode], notice: CorrectionNotice) -> CorrectionNotice | None:
    """Return what a notice says of fields that are held; None where it says nothing of them.

    Nothing else enters a file: what was asked for and never came was neither received nor used.
    """
    named = tuple(code for code in notice.fields if code in held)
    if notice.fields and not named:
        return None
    right = tuple(each for each in notice.corrected if each.code in held)
    kind = notice.kind
    if kind is CorrectionKind.WRONG_VALUE and not right:
        kind = CorrectionKind.WITHDRAWN  # wrong, and corrected values came for other fields only
    return replace(notice, kind=kind, fields=named, corrected=right)


def right_already(stored: StoredAnswer, notice: CorrectionNotice) -> bool:
    """Whether a stored answer holds, of what a notice sets right, the values of the notice or newer ones."""
    right = {each.code: each for each in notice.corrected}
    held = [each for each in fields_in(stored) if each.code in right]
    return bool(held) and all(
        each.value == right[each.code].value or _newer(each, right[each.code]) for each in held
    )


def _newer(held: Field, told: Field | None) -> bool:
    """Whether what is held is of a later version than what the notice states; unknown if either is not a number."""
    if told is None:
        return False
    versions = held.source_version, told.source_version
    if not all(each.isascii() and each.isdigit() for each in versions):
        return False
    return int(versions[0]) > int(versions[1])
