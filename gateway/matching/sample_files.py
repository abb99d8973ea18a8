"""Any file of samples that an operator has → each sample in it as codecs read it, whatever the modality.

A file is a record of one sample, a record of several fingers, an ANSI/NIST transaction, a CBEFF packet or a PIV card's object. Nothing that a
partner sends is read here: its samples come one by one, each with its modality, position and format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gateway.domain.messages import TEMPLATES, Modality, RecordFormat
from gateway.matching import open_iris_file
from gateway.matching.engine import UnreadableSample
from gateway.matching.modality import TABLE
from gateway.sample_files import (
    ansi_nist,
    ansi_nist_images,
    ansi_nist_text,
    cbeff_xml,
    piv_card,
    record_text,
)
from gateway.sample_files.ansi_nist import LogicalRecord
from gateway.sample_files.ansi_nist_images import EYES, FINGERS, ImageRecord
from gateway.sample_files.ansi_nist_text import Descriptive
from gateway.sample_files.cbeff_xml import SEVERAL
from gateway.sample_files.containers import codestream, formats
from gateway.sample_files.containers.image import UnreadableImage
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.sample_text import text_in
from gateway.sample_files.starts import MINUTIAE, start_of
from matcher.errors import MalformedRecord
from matcher.finger import record_ansi_nist, record_fmr, record_formats, record_repair
from matcher.finger.record_type9 import named


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a file states of an image: pixels, pixels per inch (0 = not stated), how compressed, bits a pixel, how taken."""

    width: int
    height: int
    ppi: int
    compression: str
    depth: int = 0
    impression: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSample:
    """One sample in a file.

    where      which record of the file it is; empty where the file is that record
    modality   None: a picture that does not say of what it is; whoever names the file does
    position   one of the modality's; 0 of a finger or an eye = not said
    format     of `data`
    quality    0-100 as stated; None = not stated
    data       the record
    image      what the file states of a picture, where it does
    """

    where: str = ""
    modality: Modality | None
    position: int = 0
    format: RecordFormat
    quality: int | None = None
    image: Stated | None = None
    data: bytes = field(repr=False)

    @property
    def what(self) -> str:
        """What it is of, in words."""
        if self.modality is None:
            return "a picture that does not say of what"
        return _in_words(self.modality, self.position)


@dataclass(frozen=True, slots=True)
class Unread:
    """A sample that breaks its format: which record of the file it is, why, and of what, where the file says so."""

    where: str
    reason: str
    modality: Modality | None = None
    position: int = 0

    def __str__(self) -> str:
        """Say where and why, never with a value."""
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """What a file holds.

    kind        what the file is, in words
    person      the fields of its Type-2 record, by number
    described   what else in it is no sample but text about a person, each by its name and without a value
    case        fields of Type-1 that lead to the case that the file is of, by number; no sample takes them along
    notes       what was repaired or left out, in words that hold nothing of the file
    missing     what could not be captured, as the file says: of the person, so that it is told and never recorded
    unread      samples that break their format; what text they hold is not known
    """

    kind: str
    samples: tuple[FoundSample, ...]
    person: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    described: tuple[str, ...] = ()
    case: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def text(self) -> tuple[str, ...]:
        """All in it that is text about a person, by its name and without a value."""
        fields = ", ".join(f"2.{each:03d}" for each in self.person if each > ansi_nist.IDC)
        return (f"record Type-2 ({fields})", *self.described) if self.person else self.described


def opened(octets: bytes) -> SampleFile:
    """Return the samples of a file; raises UnreadableSample, which says what the file is where that is known."""
    if not octets:
        raise UnreadableSample("the file is empty")
    try:
        if ansi_nist.is_transaction(octets):
            return _of_transaction(octets)
        if cbeff_xml.is_cbeff(octets):
            return _of_packet(octets)
        if piv_card.is_card_object(octets):
            return _of_card(octets)
        return _of_record(octets)
    except (MalformedFile, MalformedRecord) as fault:
        raise UnreadableSample(str(fault)) from None


def _of_record(octets: bytes) -> SampleFile:
    """Return the samples of a record of one modality, or of a picture alone."""
    if octets.startswith(MINUTIAE):
        return _of_minutiae(octets)
    if open_iris_file.is_template(octets):
        eye, record = open_iris_file.opened(octets)
        sample = FoundSample(
            modality=Modality.IRIS, position=eye, format=RecordFormat.IRIS_CODE, data=record
        )
        beside = open_iris_file.text_beside(octets)
        return SampleFile(kind="a template of open-iris", samples=(sample,), described=beside)
    start = start_of(octets)
    if start is None:
        raise UnreadableSample("no file of samples that is known here")
    form = formats.detect(octets)
    if form is not None:
        return _of_image(octets, form, start.words)
    if start.format is None:
        known = "" if start.modality is None else " of an edition that is read here"
        raise UnreadableSample(f"{start.words}, no file of samples{known}")
    position = _own_position(octets, start.modality, start.format)
    sample = FoundSample(
        modality=start.modality, position=position, format=start.format, data=octets
    )
    return SampleFile(kind=start.words, samples=(sample,))


def _of_minutiae(octets: bytes) -> SampleFile:
    found = record_formats.opened(octets)
    prints = tuple(
        FoundSample(
            where=f"view {number}" if len(found.prints) > 1 else "",
            modality=Modality.FINGER,
            position=each.position,
            format=RecordFormat(int(each.form)),
            quality=each.view.quality or None,
            data=each.record,
        )
        for number, each in enumerate(found.prints, 1)
    )
    described = [name for each in prints for name in record_text.names(each.format, each.data)]
    return SampleFile(
        kind="a finger minutiae record",
        samples=prints,
        described=tuple(dict.fromkeys(described)),
        notes=found.repairs,
    )


def minutiae_alone(octets: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a record of minutiae without extended data, and what of them was text; the same where none was.

    What is cut is repaired first, as `opened` repairs it. Raises UnreadableSample.
    """
    try:
        record = record_repair.mend(octets).record
        form = RecordFormat(int(record_fmr.detect(record)))
        stripped, removed = record_text.stripped(form, record)
    except (MalformedFile, MalformedRecord) as fault:
        raise UnreadableSample(str(fault)) from None
    return (stripped if removed else octets), removed


def _of_image(octets: bytes, form: RecordFormat, words: str) -> SampleFile:
    """Return the one image of a record or a picture, as its headers state it."""
    modality = _of_whom(form)
    try:
        if modality is None:
            image, picture = None, codestream.read(octets)
        else:
            image = formats.read(octets, form, modality)
            picture = image.picture
    except UnreadableImage as fault:
        raise UnreadableSample(f"{words}: {fault}") from None
    sample = FoundSample(
        modality=modality,
        position=0 if image is None else image.position,
        format=form,
        quality=image.quality[0].score if image is not None and image.quality else None,
        image=Stated(
            width=picture.width,
            height=picture.height,
            ppi=picture.ppi if image is None else image.ppi,
            compression=picture.compression.name,
            impression=0 if image is None else image.impression,
        ),
        data=octets,
    )
    return SampleFile(kind=words, samples=(sample,), described=text_in(form, octets))


def _of_whom(form: RecordFormat) -> Modality | None:
    """Return of which modality alone a format of images is; None: somebody must say."""
    of = [each for each in Modality if form in formats.formats_of(each)]
    return of[0] if len(of) == 1 else None


def _own_position(octets: bytes, modality: Modality | None, form: RecordFormat) -> int:
    """Return the position that a record of features states, which its codec reads; 0 of a picture."""
    known = None if modality is None else TABLE.get(modality)
    if known is None or form not in TEMPLATES or form not in known.codec.formats:
        return 0
    ((position, _),) = known.codec.open_file(octets).records
    return position


def _of_transaction(octets: bytes) -> SampleFile:
    records = ansi_nist.read(octets)
    first = records[0]
    notes, unread = list[str](), list[Unread]()
    images = list(_images_read(records, unread))
    samples = [*_of_type_9(records, images, notes, unread)]
    taken = {(each.idc, sample.position) for each, sample in samples}
    samples += _of_images(first, images, taken, notes)
    if not samples:
        told = ["a transaction without a sample that is read", *notes, *map(str, unread)]
        raise UnreadableSample("; ".join(told))
    people = [each for each in records if each.kind == ansi_nist.TEXT]
    # Of an unread image what it says is not told: that it is unread says enough.
    read = {id(each) for each, _ in images}
    known = [
        each for each in records if each.kind not in ansi_nist_images.KINDS or id(each) in read
    ]
    texts = ansi_nist_text.descriptive(known)
    if len(people) > 1:
        raise UnreadableSample("a transaction with two Type-2 records: of whom is not said")
    return SampleFile(
        kind="an ANSI/NIST transaction",
        samples=tuple(sample for _, sample in samples),
        described=tuple(_described(texts)),
        case=tuple(_case(texts)),
        person={n: text for n, (_, text) in people[0].fields.items()} if people else {},
        notes=tuple(notes),
        missing=tuple(
            f"{_where(record)}: {FINGERS[at]} could not be taken  → query --missing {at}={why.name}"
            for record, _ in images
            for at, why in ansi_nist_images.missing(record)
        ),
        unread=tuple(unread),
    )


def _described(texts: Iterable[Descriptive]) -> Iterator[str]:
    """Yield what of a transaction but its Type-2, and what leads to its case, is text about a person."""
    for each in texts:
        kept = each
        if each.kind == ansi_nist.TRANSACTION:
            fields = (one for one in each.fields if one not in ansi_nist_text.CASE_FIELDS)
            kept = replace(each, fields=tuple(fields))
        if each.kind != ansi_nist.TEXT and (kept.fields or kept.picture or kept.whole):
            yield str(kept)


def _case(texts: Iterable[Descriptive]) -> Iterator[str]:
    """Yield the fields of Type-1 that lead to the case, by number."""
    for each in texts:
        for field_number in each.fields if each.kind == ansi_nist.TRANSACTION else ():
            if field_number in ansi_nist_text.CASE_FIELDS:
                yield f"{each.kind}.{field_number:03d}"


def _images_read(
    records: Sequence[LogicalRecord], unread: list[Unread]
) -> Iterator[tuple[LogicalRecord, ImageRecord]]:
    """Yield the image records of which all that is asked here can be told; those that are bad are unread."""
    for each in records:
        if each.kind not in ansi_nist_images.KINDS:
            continue
        try:
            image = ansi_nist_images.read(each, records[0])
            ansi_nist_images.missing(each)
            ansi_nist_text.descriptive([each])
        except MalformedFile as fault:
            where = _where(each)
            unread.append(Unread(where, fault.reason.removeprefix(f"{where}: ")))
        else:
            yield each, image


def _of_type_9(
    records: Sequence[LogicalRecord],
    images: Sequence[tuple[LogicalRecord, ImageRecord]],
    notes: list[str],
    unread: list[Unread],
) -> Iterator[tuple[LogicalRecord, FoundSample]]:
    """Yield the minutiae of Type-9 records; a position that they lack is that of the image with their IDC."""
    places = {record.idc: image.position for record, image in images}
    for each in records:
        if each.kind != ansi_nist.MINUTIAE:
            continue
        if not record_ansi_nist.is_read(each.fields):
            notes.append(f"{_where(each)}: {named(each.fields)}, not read")
            continue
        try:
            view = record_ansi_nist.view(each.fields, each.start)
            found = record_formats.of_view(view)
        except MalformedRecord as fault:
            unread.append(Unread(_where(each), str(fault)))
            continue
        sample = FoundSample(
            where=_where(each),
            modality=Modality.FINGER,
            position=found.position or places.get(each.idc, 0),
            format=RecordFormat(int(found.form)),
            quality=view.quality or None,
            data=found.record,
        )
        yield each, sample


def _of_images(
    first: LogicalRecord,
    images: Sequence[tuple[LogicalRecord, ImageRecord]],
    taken: set[tuple[int, int]],
    notes: list[str],
) -> Iterator[tuple[LogicalRecord, FoundSample]]:
    """Yield the pictures, but those of which the minutiae were taken, and of nothing that is exchanged.

    A ten-print card shows each thumb rolled and, at a position of its own, plain: of the two the rolled one is taken, which
    has more of the finger.
    """
    fingers = {position for _, position in taken}
    fingers |= {
        each.position for _, each in images if each.modality is Modality.FINGER and not each.plain
    }
    for record, image in images:
        if image.plain and image.position in fingers:
            notes.append(f"{_where(record)}: a plain {image.what} beside the rolled one, left out")
            continue
        if (record.idc, image.position) in taken:
            notes.append(f"{_where(record)}: a picture whose minutiae were taken, left out")
            continue
        if image.modality is None:
            notes.append(f"{_where(record)}: {image.what}, left out")
            continue
        # Of what is enrolled or sent from a file no comment is kept either.
        clean = ansi_nist_text.sample_only(record)
        form, data = RecordFormat.ANSI_NIST, ansi_nist.alone(first, clean)
        bare = ansi_nist_images.FORMATS.get(image.compression)
        if image.modality is Modality.FACE and bare in formats.BARE_OF[Modality.FACE]:
            form, data = bare, clean.fields[ansi_nist.DATA][1]  # its record says no more
        sample = FoundSample(
            where=_where(record),
            modality=image.modality,
            position=image.position,
            format=form,
            quality=image.quality,
            image=Stated(
                width=image.width,
                height=image.height,
                ppi=image.ppi,
                compression=image.compression,
                depth=image.depth,
                impression=image.impression,
            ),
            data=data,
        )
        yield record, sample


def _of_what(block: cbeff_xml.Block) -> str:
    if block.modality is None or block.position == SEVERAL:
        return "something"
    return _in_words(block.modality, block.position)


def _in_words(modality: Modality, position: int) -> str:
    """Return a place on the body in words."""
    if modality is Modality.FACE:
        return "face"
    return (FINGERS if modality is Modality.FINGER else EYES)[position]


def _where(record: LogicalRecord) -> str:
    return f"record Type-{record.kind} with IDC {record.idc}"


def _of_packet(octets: bytes) -> SampleFile:
    packet = cbeff_xml.read(octets)
    samples, described = [], [str(each) for each in packet.described]
    notes, missing, unread = [], [], []
    for block in packet.blocks:
        where = f"data block {block.number}"
        if block.fault:
            unread.append(Unread(where, block.fault))
        elif not block.data:
            missing.append(f"{where}: {_of_what(block)} could not be captured, as the file says")
        elif block.modality is None:
            notes.append(f"{where}: of nothing that is exchanged, left out")
        elif block.position == SEVERAL:
            notes.append(f"{where}: several fingers, left out")
        else:
            try:
                found = _of_record(block.data)
                samples.append(_of_block(block, found, where))
            except (UnreadableSample, MalformedFile, MalformedRecord) as fault:
                unread.append(Unread(where, str(fault), block.modality, block.position))
                continue
            described += [f"{where}: {each}" for each in found.described]
    if packet.signed:
        notes.append("signatures of devices (SB) were not checked")
    if not samples:
        told = ["a packet of BIRs without a sample that is read", *notes, *map(str, unread)]
        raise UnreadableSample("; ".join(told))
    return SampleFile(
        kind="CBEFF records in XML",
        samples=tuple(samples),
        described=tuple(described),
        notes=tuple(notes),
        missing=tuple(missing),
        unread=tuple(unread),
    )


def _of_block(block: cbeff_xml.Block, inner: SampleFile, where: str) -> FoundSample:
    """Return the sample of a data block, which must be of what is said of it."""
    if len(inner.samples) != 1:
        raise UnreadableSample(f"holds {len(inner.samples)} samples")
    (found,) = inner.samples
    if found.modality not in {None, block.modality}:
        raise UnreadableSample(f"{inner.kind}, where the file says something else")
    if found.position and block.position and found.position != block.position:
        raise UnreadableSample("its record says another position than the file")
    return FoundSample(
        where=where,
        modality=block.modality,
        position=block.position or found.position,
        format=found.format,
        quality=block.quality if block.quality is not None else found.quality,
        image=found.image,
        data=found.data,
    )


def _of_card(octets: bytes) -> SampleFile:
    """Return the samples of a PIV card's object: two fingers in one record, as SP 800-76-2 has them."""
    card = piv_card.read(octets)
    inner = _of_record(card.block)
    if any(each.modality is not card.modality for each in inner.samples):
        raise UnreadableSample(f"a card's object that holds {inner.kind} and says something else")
    return replace(
        inner,
        kind="an object of a PIV card",
        described=(*card.described, *inner.described),
        notes=(*inner.notes, "the signature of the card's issuer was not checked"),
    )
