"""What a record of features is, in words, for whoever looks at a file of them: no number of a vector leaves the port."""

from __future__ import annotations

from gateway.domain.messages import RecordFormat
from gateway.matching.engine import UnreadableSample
from matcher.face import record as face_record
from matcher.finger.template import MalformedRecord


def features_of(form: RecordFormat, data: bytes) -> str:
    """Return what a record of features holds; empty for a format that has none. Raises UnreadableSample."""
    if form is not RecordFormat.FACE_VECTOR:
        return ""
    try:
        face = face_record.read(data)
    except MalformedRecord as fault:
        raise UnreadableSample(str(fault)) from None
    return f"{len(face)} numbers of the model {face.model}"
