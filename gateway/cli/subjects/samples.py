"""`passerelle samples`: what a file of samples holds, and the same file without text about a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.plain_command import plain_command
from gateway.cli.subjects.biometric_files import MAX_FILE
from gateway.domain.messages import TEMPLATES, Modality
from gateway.errors import UserError
from gateway.sample_files import (
    ansi_nist,
    ansi_nist_text,
    cbeff_xml,
    image_record_text,
    picture_text,
    piv_card,
)
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import MINUTIAE, start_of

if TYPE_CHECKING:
    from gateway.matching.finger_marks import Marks
    from gateway.matching.sample_files import FoundSample, SampleFile

PIXELS = (
    "pixels  decoded by an extractor alone, in a process of its own  → [extraction] in the settings"
)

_STRIP = "  → passerelle samples strip {} -o NEW"

app = typer.Typer()

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A record of minutiae, an image, an ANSI/NIST transaction, CBEFF records in XML, an object of a PIV card.",
    ),
]


@plain_command(
    app,
    "passerelle samples show person.an2",
    "passerelle samples show person.an2 --svg person.svg --json",
)
def show(
    context: typer.Context,
    *,
    file: File,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="New file for a picture: minutiae drawn, images framed."),
    ] = None,
    values: Annotated[
        bool,
        typer.Option(
            "--values",
            help="Show what a Type-2 record says of the person; else its field numbers alone.",
        ),
    ] = False,
) -> None:
    """Say what a file of samples holds: which fingers, faces and eyes, in which formats, and text about a person by name.

    Images are told by what their file states of them; no pixel is decoded. What a file says of a person is not repeated
    unless --values asks for it: terminals and logs remember. Needs no gateway. Exit code 2: no file of samples, and what
    it is instead.
    """
    octets = user_files.named(file, MAX_FILE)
    found = _read(file, octets)
    marks = [_marks(each) for each in found.samples]
    document: dict[str, object] = {
        "ok": True,
        "file": str(file),
        "kind": found.kind,
        "samples": [_document(each, mark) for each, mark in zip(found.samples, marks, strict=True)],
        "text": list(found.text),
        "case": list(found.case),
        "missing": list(found.missing),
        "notes": list(found.notes),
        "unread": [str(each) for each in found.unread],
    }
    said = _values(found) if values else {}
    if values:
        document["values"] = said
    if svg is not None:
        _draw(svg, file, found, marks)
        document["picture"] = str(svg)
    lines = [f"file    {file}: {found.kind}"]
    lines += [
        f"sample  {_told(each, mark)}" for each, mark in zip(found.samples, marks, strict=True)
    ]
    lines += [f"text    {each}: no sample, and never sent in a query" for each in found.text]
    if found.text and _strips(file, octets):
        lines[-1] += _STRIP.format(file)
    lines += [f"value   {number}  {value}" for number, value in said.items()]
    if found.case:
        lines.append(
            f"case    {', '.join(found.case)}: who asked and under which number, never sent in a query"
        )
    lines += [f"missing {each}" for each in found.missing]
    lines += [f"note    {each}" for each in found.notes]
    lines += [f"unread  {each}" for each in found.unread]
    if any(each.image is not None for each in found.samples):
        lines.append(PIXELS)
    output.emit(context, document, *lines, *([f"picture {svg}"] if svg is not None else []))


@plain_command(app, "passerelle samples strip person.an2 -o person-samples.an2")
def strip(
    context: typer.Context,
    *,
    file: File,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="New file; one that is there stays.")
    ],
) -> None:
    """Write a file of samples without text about a person: Type-2 and all else that is no sample; says what, never a value.

    Records that hold samples alone stay byte for byte, and Type-1 counts what is left. A comment or a field of a user's own
    inside a record of an image goes too, and what a camera or a program wrote into a picture (Exif, comments). Needs no
    gateway. Exit code 0 also where there was nothing to take out, as in a record of minutiae; 2 for text that cannot be cut
    from where it stands, and for a file without a sample: then nothing is written.
    """
    octets = user_files.named(file, MAX_FILE)
    try:
        stripped, removed = _stripped(file, octets)
    except MalformedFile as fault:
        raise UserError(f"{file}: {fault}") from None
    _demand_no_text(file, stripped)
    user_files.create(out, stripped)
    lines = [f"removed  {each}" for each in removed] or ["removed  nothing: the file is the same"]
    output.emit(
        context,
        {"ok": True, "file": str(file), "out": str(out), "removed": removed},
        *lines,
        f"written  {out}  {len(stripped)} bytes",
    )


def _stripped(file: Path, octets: bytes) -> tuple[bytes, list[str]]:
    if ansi_nist.is_transaction(octets):
        stripped, removed = ansi_nist_text.stripped(octets)
        return stripped, [str(each) for each in removed]
    if cbeff_xml.is_cbeff(octets):
        text, described = cbeff_xml.stripped(octets)
        return text, [str(each) for each in described]
    if piv_card.is_card_object(octets):
        block, named = piv_card.stripped(octets)
        record, inner = _stripped_record(file, block)
        return record, [*named, "header and signature of the card's object", *inner]
    return _stripped_record(file, octets)


def _stripped_record(file: Path, octets: bytes) -> tuple[bytes, list[str]]:
    if octets.startswith(MINUTIAE):
        return _minutiae_alone(file, octets)
    if octets.startswith(b"{"):  # of JSON: open-iris
        return _code_alone(file, octets)
    start = start_of(octets)
    form = None if start is None else start.format
    if form is None:
        return octets, []
    if form in image_record_text.FORMATS:
        record, removed = image_record_text.stripped(form, octets)
        return record, [*removed]
    if form in picture_text.FINDERS:
        picture, written = picture_text.stripped(form, octets)
        return picture, [str(each) for each in written]
    return octets, []


def _minutiae_alone(file: Path, octets: bytes) -> tuple[bytes, list[str]]:
    from gateway.matching.engine import UnreadableSample
    from gateway.matching.sample_files import minutiae_alone

    try:
        record, removed = minutiae_alone(octets)
    except UnreadableSample as fault:
        raise UserError(f"{file}: {fault}") from None
    return record, [*removed]


def _code_alone(file: Path, octets: bytes) -> tuple[bytes, list[str]]:
    """Return the record of a code where there is text beside it in a program's own output, which a search has no need of."""
    found = _opened(file, octets)
    if not found.described:
        return octets, []
    return found.samples[0].data, [*found.described, "the output of open-iris around the code"]


def _demand_no_text(file: Path, stripped: bytes) -> None:
    """Raise UserError where a stripped file still holds text about a person: it would pass for one that holds none."""
    found = _opened(file, stripped)
    if found.unread:  # what it holds nobody can tell
        raise UserError(f"{file}: {found.unread[0]}; write that sample anew, or leave it out")
    if found.text:
        what = "; ".join(found.text)
        raise UserError(
            f"{file}: {what}, which cannot be cut from there; write that sample anew without it"
        )


def _opened(file: Path, octets: bytes) -> SampleFile:
    from gateway.matching import sample_files
    from gateway.matching.engine import UnreadableSample

    try:
        return sample_files.opened(octets)
    except UnreadableSample as fault:
        raise UserError(f"{file}: {fault}") from None


def _read(file: Path, octets: bytes) -> SampleFile:
    """Return what a file holds; raises UserError, which names `strip` where that mends it."""
    try:
        return _opened(file, octets)
    except UserError as fault:
        remedy = _STRIP.format(file) if _strips(file, octets) else ""
        raise UserError(f"{fault}{remedy}") from None


def _strips(file: Path, octets: bytes) -> bool:
    """Return whether `strip` writes a file of this one: it can be read, and holds no text about a person any more."""
    from gateway.matching import sample_files
    from gateway.matching.engine import UnreadableSample

    try:
        stripped, removed = _stripped(file, octets)
        left = sample_files.opened(stripped)
    except (MalformedFile, UserError, UnreadableSample):
        return False
    return bool(removed) and not left.text and not left.unread


def _marks(sample: FoundSample) -> Marks | None:
    """Return the minutiae of a sample that holds some."""
    from gateway.matching.finger_marks import marks_of

    if sample.modality is Modality.FINGER and sample.format in TEMPLATES:
        return marks_of(sample.data)
    return None


def _document(sample: FoundSample, marks: Marks | None) -> dict[str, Any]:
    from gateway.matching.sample_features import features_of

    image = sample.image
    features = features_of(sample.format, sample.data)
    return {
        "where": sample.where,
        "modality": sample.modality.name if sample.modality else None,
        "position": sample.position,
        "what": sample.what,
        "format": sample.format.name,
        "bytes": len(sample.data),
        "quality": sample.quality,
        "minutiae": len(marks.minutiae) if marks is not None else None,
        "features": features.words if features is not None else None,
        "image": None
        if image is None
        else {
            "width": image.width,
            "height": image.height,
            "ppi": image.ppi or None,
            "compression": image.compression,
            "depth": image.depth or None,
            "impression": image.impression,
        },
    }


def _told(sample: FoundSample, marks: Marks | None) -> str:
    parts = [sample.what, sample.format.name, *_details(sample, marks)]
    return ", ".join([*parts, *([sample.where] if sample.where else [])])


def _details(sample: FoundSample, marks: Marks | None) -> list[str]:
    from gateway.matching.sample_features import features_of

    features = features_of(sample.format, sample.data)
    parts = [features.words] if features is not None else []
    if marks is not None:
        parts.append(f"{len(marks.minutiae)} minutiae")
    if sample.image is not None:
        image = sample.image
        ppi = f" at {image.ppi} ppi" if image.ppi else ", no resolution stated"
        parts.append(f"{image.width} × {image.height} pixels{ppi}, {image.compression}")
    if sample.quality is not None:
        parts.append(f"quality {sample.quality}")
    return [*parts, f"{len(sample.data)} bytes"]


def _values(found: SampleFile) -> dict[str, str]:
    """Return what a Type-2 record says, by field; subfields apart by a semicolon, items by a comma."""
    return {
        f"2.{number:03d}": text.replace(ansi_nist.RS, b"; ")
        .replace(ansi_nist.US, b", ")
        .decode("utf-8", "replace")
        for number, text in found.person.items()
        if number > ansi_nist.IDC
    }


def _draw(out: Path, file: Path, found: SampleFile, marks: list[Marks | None]) -> None:
    from gateway.cli.subjects.sample_sheet import Panel, sheet
    from gateway.matching.sample_features import features_of

    panels = []
    for each, mark in zip(found.samples, marks, strict=True):
        size = (0.0, 0.0)
        if mark is not None:
            size = mark.width, mark.height
        elif each.image is not None:
            size = each.image.width, each.image.height
        features = features_of(each.format, each.data)
        lines = (f"{each.what}, {each.format.name}", *_details(each, mark))
        panels.append(Panel(lines, *size, mark, () if features is None else features.rows))
    user_files.create(out, sheet(panels, f"{file.name}: {found.kind}").encode())
