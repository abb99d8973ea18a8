"""Text about a person within one sample, whatever its format: what a query must not carry (IRPR 315.38).

Asked twice: by the partner's client before anything leaves, and by the gateway of whatever arrives.
"""

from __future__ import annotations

from gateway.domain.messages import RecordFormat
from gateway.sample_files import (
    ansi_nist,
    ansi_nist_text,
    image_record_text,
    picture_text,
    record_text,
)
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import octets_of


def text_in(form: RecordFormat, data: bytes) -> tuple[str, ...]:
    """Return what in a sample is text about a person, each by its name and without a value; none = nothing is.

    Raises MalformedFile for a file that is none of its format, and one that cannot be looked through: it may hold text that nobody
    finds. Our own formats of features have no place for any.
    """
    if form is RecordFormat.ANSI_NIST:
        return tuple(str(each) for each in ansi_nist_text.descriptive(ansi_nist.read(data)))
    if form in picture_text.FINDERS:
        return tuple(str(each) for each in picture_text.written(form, data))
    if form in image_record_text.FORMATS:
        return image_record_text.names(form, data)
    if form in record_text.FORMATS:
        return record_text.names(form, data)
    if not data.startswith(octets_of(form)):
        raise MalformedFile("not of the format that is said", 0)
    return ()
