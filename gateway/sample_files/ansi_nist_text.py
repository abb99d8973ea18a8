"""What in an ANSI/NIST-ITL transaction is no sample: text about a person, and what anybody may write there.

Denied by default: a record type, or a field, that is not listed here as what a sample needs is taken for text about a
person. Type-2 is such text by its definition (ANSI/NIST-ITL 1-2011: update 2013, clause 8.2); so is a comment, a place, an
agency's or an examiner's name, a colour of eyes or hair, and every field of a domain's own inside a record of an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from gateway.sample_files import ansi_nist, picture_text
from gateway.sample_files.ansi_nist import BINARY_HEADER, DATA, TRANSACTION, LogicalRecord
from gateway.sample_files.ansi_nist_images import COMPRESSION, COMPRESSIONS, GREY
from gateway.sample_files.ansi_nist_images import HEADER as GREY_HEADER
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import picture_format

HASH: Final = 996  # of the picture, in hexadecimal; no longer true of one that is changed
_FROM_A_DEVICE: Final = frozenset(
    {903, 904, 996, DATA}
)  # its identifier, make and serial number; a hash; the picture
# Of each record type that holds samples the fields that a sample needs: whose, how taken, how to read it, its quality.
# A binary record has none, and only of Type-4 is its picture looked at. Of Type-1 no field of `CASE_FIELDS` that says anything; 1.017 is names of agencies; 9.176-179 are a vendor's text with whom to call; 9.350, 9.353 and
# 9.362 name examiners; 9.351, 9.381, x.020 or x.038 are comments, 10.020-10.050 mostly what a person looks like.
SAMPLE_FIELDS: Final[Mapping[int, frozenset[int]]] = MappingProxyType(
    {
        1: frozenset({1, 2, 3, 5, 6, 11, 12, 14, 15, 18}),
        4: frozenset(),
        9: frozenset({*range(1, 176), *range(300, 381)} - {350, 351, 353, 362}),
        10: _FROM_A_DEVICE | {*range(1, 20), 21, 23, 24, 25, 29, 30, 32, 33},
        13: _FROM_A_DEVICE | {*range(1, 20), 24},
        14: _FROM_A_DEVICE | {*range(1, 19), *range(21, 28), 30, 31},
        15: _FROM_A_DEVICE | {*range(1, 19), 21, 24, 30},
        17: _FROM_A_DEVICE | {*range(1, 18), 19, *range(22, 29), *range(30, 38), 40, 41},
        19: _FROM_A_DEVICE | {*range(1, 20), 21, 24, 30},
    }
)
# Fields of Type-1 that lead to a case: kind of transaction, agencies, control numbers, the domain's and a profile's names. Every
# file has some, and no sample takes them along, so that they are told of a file and refused within a sample.
CASE_FIELDS: Final = frozenset({*ansi_nist.UNSAID, 10, 13, 16})
_NAMES: Final = MappingProxyType(
    {
        2: "text about a person",
        3: "a picture of low resolution, withdrawn",
        5: "a picture of two colours, withdrawn",
        6: "a picture of two colours, withdrawn",
        7: "a picture of a user's own kind",
        8: "a signature",
        11: "a voice recording",
        12: "a dental record",
        16: "a picture of a user's own kind",
        18: "a DNA record",
        20: "a source of samples",
        21: "context of a case",
        22: "a picture that is no photograph",
        98: "who changed what",
        99: "a record of another standard",
    }
)


@dataclass(frozen=True, slots=True)
class Descriptive:
    """What of one record is no sample.

    kind    the record's type
    idc     the record's IDC
    fields  numbers of its fields; of a record that is none at all every one of them, none where it is binary
    whole   whether the record is none at all
    picture what is written in its picture, by its name
    """

    kind: int
    idc: int
    fields: tuple[int, ...]
    whole: bool
    picture: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it by type and field number, never with a value."""
        fields = ", ".join(f"{self.kind}.{each:03d}" for each in self.fields)
        if not self.whole:
            found = [*([fields] if fields else []), *self.picture]
            return f"{', '.join(found)} in record Type-{self.kind}"
        name = _NAMES.get(self.kind, "a record of a kind that is not known")
        return f"record Type-{self.kind}, {name}" + (f" ({fields})" if fields else "")


def descriptive(records: Iterable[LogicalRecord]) -> tuple[Descriptive, ...]:
    """Return what of each record is no sample; nothing of the records that are samples and nothing else.

    Raises MalformedFile for a picture that cannot be looked through.
    """
    return tuple(found for each in records if (found := _descriptive(each)) is not None)


def stripped(data: bytes) -> tuple[bytes, tuple[Descriptive, ...]]:
    """Return a transaction file without what is no sample, and what that was; the same bytes where there is nothing.

    Records that hold samples alone stay byte for byte; of others the fields are gone, and comments within their pictures, and
    their length is put right; Type-1 counts what is left. Raises MalformedFile, also where no sample would be left.
    """
    first, *others = ansi_nist.read(data)
    found = descriptive((first, *others))
    if not found:
        return data, ()
    kept = [sample_only(each) for each in others if each.kind in SAMPLE_FIELDS]
    if not kept:
        raise MalformedFile("a transaction that holds no sample", 0)
    own = _descriptive(first)
    return ansi_nist.write(first, kept, own.fields if own is not None else ()), found


def _descriptive(record: LogicalRecord) -> Descriptive | None:
    if record.kind not in SAMPLE_FIELDS:
        fields = tuple(each for each in record.fields if each > ansi_nist.IDC)
        return Descriptive(record.kind, record.idc, fields, whole=True)
    allowed = SAMPLE_FIELDS[record.kind]
    more = tuple(
        each
        for each, (_, content) in record.fields.items()
        if each not in allowed
        and not (record.kind == TRANSACTION and ansi_nist.UNSAID.get(each) == content)
    )
    picture = _written_in(record)
    found = Descriptive(record.kind, record.idc, more, whole=False, picture=picture)
    return found if more or picture else None


def _written_in(record: LogicalRecord) -> tuple[str, ...]:
    """Return the names of what is written in a record's picture; raises MalformedFile, which names the record."""
    try:
        return picture_text.names(_picture(record))
    except MalformedFile as fault:
        if _is_uncompressed(record):  # pixels that happen to begin as a picture does
            return ()
        where = f"record Type-{record.kind} with IDC {record.idc}: {fault.reason}"
        raise MalformedFile(where, record.start) from None


def _is_uncompressed(record: LogicalRecord) -> bool:
    if record.kind == GREY:
        return record.data[GREY_HEADER.size - 1] == COMPRESSIONS.index("NONE")
    return record.fields.get(COMPRESSION, (0, b""))[1].strip().upper() == b"NONE"


def sample_only(record: LogicalRecord) -> LogicalRecord:
    """Return a record that holds samples without what is none; the same where there is nothing of that."""
    found = _descriptive(record)
    if found is None:
        return record
    picture = _picture(record)
    form = picture_format(picture)
    if found.picture and form is not None:
        picture, _ = picture_text.stripped(form, picture)
    if record.kind == GREY:
        rest = record.data[BINARY_HEADER.size : GREY_HEADER.size] + picture
        head = BINARY_HEADER.pack(BINARY_HEADER.size + len(rest), record.idc)
        return replace(record, data=head + rest)
    denied = {*found.fields, *([HASH] if found.picture else [])}
    changes: dict[int, bytes | None] = dict.fromkeys(denied)
    if found.picture:
        changes[DATA] = picture
    octets = ansi_nist.edited(record, changes)
    fields = {each: stated for each, stated in record.fields.items() if each not in denied}
    if found.picture:
        fields[DATA] = (fields[DATA][0], picture)
    return replace(record, data=octets, fields=fields)


def _picture(record: LogicalRecord) -> bytes:
    if record.kind == GREY:
        return record.data[GREY_HEADER.size :]
    return record.fields[DATA][1] if DATA in record.fields else b""
