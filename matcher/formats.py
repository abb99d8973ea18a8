"""Any file of minutiae that we read → its views: the four binary layouts and the transaction file."""

from __future__ import annotations

from matcher import ansinist, fmr
from matcher.record import View


def read_views(data: bytes) -> tuple[str, tuple[View, ...]]:
    """Return the name of the format that the bytes are of, and their views.

    Raises MalformedRecord; its kind DescriptiveText for a transaction file with text about a person.
    """
    if ansinist.is_transaction(data):
        return "ANSI_NIST_TYPE_9", ansinist.read(data)
    record = fmr.read(data)
    return record.format.name, record.views
