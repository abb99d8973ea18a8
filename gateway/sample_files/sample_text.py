"""Text about a person within one sample, whatever its format: what a query must not carry (IRPR 315.38).

Asked twice: by the partner's client before anything leaves, and by the gateway of whatever arrives.
"""

from __future__ import annotations

from gateway.domain.messages import RecordFormat
from gateway.sample_files import ansi_nist, ansi_nist_text, picture_text, record_text
from gateway.sample_files.errors import MalformedFile


def text_in(form: RecordFormat, data: bytes) -> tuple[str, ...]:
    """Return what in a sample is text about a person, each by its name and without a value; none = nothing is.

    Raises MalformedFile for a transaction that is none, and a picture that cannot be looked through. Our own formats of features
    have no place for text, and of a record of a finger that is none its reader says so.
    """
    if form is RecordFormat.ANSI_NIST:
        return tuple(str(each) for each in ansi_nist_text.descriptive(ansi_nist.read(data)))
    if form in picture_text.FINDERS:
        return picture_text.names(data)
    if form in record_text.FORMATS:
        try:
            return record_text.names(form, data)
        except MalformedFile:  # its reader refuses it, with the reason
            return ()
    return ()
