"""A record of a finger → the sample of a query, which states of the record what the record itself states."""

from __future__ import annotations

from gateway.domain.messages import Modality, RecordFormat, Sample
from matcher.finger import record_fmr
from matcher.finger.template import MalformedRecord


def stated(record: bytes, position: int, extractor: str) -> Sample:
    """Return the sample of one finger, 1-10, with the format and the impression that its record names.

    Raises MalformedRecord for a record that breaks its standard, is of several fingers or of another one.
    """
    read = record_fmr.read(record)
    if len(read.views) != 1 or read.views[0].position not in (0, position):
        raise MalformedRecord("the record is of another finger, or of several", 0)
    return Sample(
        modality=Modality.FINGER,
        position=position,
        format=RecordFormat(int(read.format)),
        extractor=extractor,
        data=record,
        impression=read.views[0].impression,
    )
