"""A file of minutiae that an operator has → the record of each finger in it, as every strict reader reads it."""

from __future__ import annotations

from gateway.matching.engine import UnreadableSample
from gateway.sample_files import ansi_nist
from gateway.sample_files.errors import MalformedFile
from matcher.finger import record_ansi_nist, record_formats
from matcher.finger.record import MOST_VIEWS
from matcher.finger.record_formats import Opened
from matcher.finger.template import MalformedRecord

TRANSACTION = "ANSI_NIST_TYPE_9"


def opened(octets: bytes) -> Opened:
    """Return the fingers of a file: a record of one of the four layouts, or a transaction with Type-9 records.

    Raises UnreadableSample, which says what the file is where that is known; for a transaction with a Type-2 record,
    whatever it says: text about a person has no place beside a print.
    """
    try:
        if ansi_nist.is_transaction(octets):
            return _of_transaction(octets)
        return record_formats.opened(octets)
    except (MalformedFile, MalformedRecord) as fault:
        raise UnreadableSample(str(fault)) from None


def _of_transaction(octets: bytes) -> Opened:
    records = ansi_nist.read(octets)
    if any(each.kind == ansi_nist.TEXT for each in records):
        raise UnreadableSample("a Type-2 record: descriptive text does not belong here")
    of_minutiae = [each for each in records if each.kind == ansi_nist.MINUTIAE]
    if not of_minutiae:
        raise UnreadableSample("a transaction without a Type-9 record")
    if len(of_minutiae) > MOST_VIEWS:
        raise UnreadableSample("more than ten Type-9 records")
    views = (record_ansi_nist.view(each.fields, each.start) for each in of_minutiae)
    return Opened(TRANSACTION, tuple(record_formats.of_view(each) for each in views))
