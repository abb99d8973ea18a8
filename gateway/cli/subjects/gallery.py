"""`passerelle gallery`: who can be found."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.output import Code, Home, PassphraseFile
from gateway.cli.passphrase import passphrase_of
from gateway.cli.plain_command import plain_command
from gateway.cli.subjects import biometric_files, type2_map
from gateway.cli.subjects.biometric_files import Bad, Nameless, Source, Sources, Taken, Unusable
from gateway.cli.subjects.type2_map import Entry
from gateway.domain.messages import POSITIONS, TEMPLATES, UNSTATED, Modality
from gateway.errors import UserError

if TYPE_CHECKING:
    from gateway.domain.person import Record
    from gateway.subjects.enrolment import Report, Row

SHOWN = 20  # bad files printed for eyes on stdout; stderr names each as it is, --json has them all

MASKED = (
    "MASKED   {} people have no status: to partners they are no match  → passerelle registry import"
)

app = typer.Typer()

Position = Annotated[
    int,
    typer.Option(
        min=0,
        max=POSITIONS[Modality.FINGER][-1],
        help="Finger of all the files: 1-5 right thumb to little finger, 6-10 left. 0: the records say it.",
    ),
]
Ppi = Annotated[
    int,
    typer.Option(
        min=0, max=4_000, metavar="N", help="Pixels per inch of pictures that do not say it."
    ),
]
Extractor = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Software that made the records: vendor, algorithm, version."
    ),
]


@plain_command(
    app,
    "passerelle gallery enrol can prints/ --position 2",
    "passerelle gallery enrol can prints/ --position 2 --status FOREIGN_NATIONAL --nationality IND",
    "passerelle gallery enrol can --manifest people.csv   # path,subject,position[,extractor,status,nationalities,modality]",
    "passerelle gallery enrol can transactions/ --type2-map type2.toml --status FOREIGN_NATIONAL --nationality IND",
)
def enrol(
    context: typer.Context,
    *,
    home: Home,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH…", help="Record files, or folders of them.")
    ] = None,
    position: Position = 0,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Which file is whose: path,subject,position[,extractor,status,nationalities,modality].",
        ),
    ] = None,
    extractor: Extractor = UNSTATED,
    ppi: Ppi = 0,
    status: Annotated[
        str,
        typer.Option(
            help="What people without a record are to the law: CITIZEN, PERMANENT_RESIDENT,"
            " FOREIGN_NATIONAL or CLAIMANT. Without a status they are masked."
        ),
    ] = "",
    nationality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AAA", help="Their nationalities, as passports have them; may be repeated."
        ),
    ] = None,
    further_impressions: Annotated[
        bool,
        typer.Option(
            "--further-impressions",
            help="Another record of a finger that is enrolled is kept beside the first, up to four; else it is refused.",
        ),
    ] = False,
    type2: Annotated[
        Path | None,
        typer.Option(
            "--type2-map",
            metavar="TOML",
            help="Which field of a transaction's Type-2 record is which of the registry; without it Type-2 is dropped.",
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Enrol records; each bad file is named with its reason and the rest is enrolled (exit code 1).

    Files are records of ISO/IEC 19794-2 or INCITS 378, of one finger or several, ANSI/NIST transactions, CBEFF records in
    XML, or what else `passerelle samples show` knows. Of an image the record is enrolled that the extractor of the settings
    (`extraction`) makes of it, never the image. Each file is a person of its own, whose number is the file's name
    without suffix, however the path was typed. Two files of one name, or several files of one person, need a manifest. What
    is repaired in a record or left out of a file is told, file by file, and recorded. After Ctrl-C the same command
    continues.
    """
    named = biometric_files.with_ppi(_named(paths or [], position, manifest, extractor), ppi)
    if not named.good and not named.bad:
        raise UserError("no record in what was named; name files, or folders that hold some")
    from gateway import telemetry
    from gateway.server.application import Gateway
    from gateway.server.image_extraction import build_extraction
    from gateway.subjects import record_row

    entries = () if type2 is None else type2_map.read(type2)
    nationalities = " ".join(nationality or ())
    if (
        status or nationalities
    ) and not entries:  # with a map the file may say the other of the two
        record_row.read_status(
            {"status": status, "nationalities": nationalities}, datetime.now(UTC)
        )  # a slip of the hand is told once, not once a file
    bad, repaired = list(named.bad), list[Repaired]()
    with (
        telemetry.sentences(),
        Gateway.open(home, passphrase_of(home, passphrase_file)) as gateway,
        closing(build_extraction(gateway.settings.extraction)) as images,
        output.bar("enrol", len(named.good)) as advance,
        _heeding_ctrl_c() as broken_off,
    ):
        said = _Said(status, nationalities, gateway.clock(), entries)
        rows = _rows(named.good, (bad, repaired), advance, said)
        # Between two files it may end; what was read until then is still committed and counted.
        report = gateway.subjects.registry.enrol(
            takewhile(lambda _: not broken_off(), rows), images, further=further_impressions
        )
    bad += [Bad(one.label, one.reason) for one in report.bad]
    _tell(context, report, (bad, repaired), broken_off=broken_off())


@plain_command(app, "passerelle gallery stats can", "passerelle gallery stats can --json")
def stats(
    context: typer.Context,
    home: Home,
) -> None:
    """Count the people on file, those with samples, who alone can be found, and the records; needs no passphrase."""
    from gateway.server import self_check

    counts = self_check.stats(home)
    positions = {
        str(finger): count
        for finger, count in sorted(counts.by_position.get(Modality.FINGER, {}).items())
    }
    fingers = "  ".join(f"{finger}: {count}" for finger, count in positions.items())
    output.emit(
        context,
        {
            "ok": True,
            "people": counts.subjects,
            "with_prints": counts.with_prints,
            "records": counts.samples,
            "by_position": positions,
            "without_status": counts.without_status,
        },
        f"people   {counts.subjects} on file, {counts.with_prints} with samples to search",
        f"records  {counts.samples}",
        f"fingers  {fingers or 'none  → passerelle gallery enrol'}",
        *([MASKED.format(counts.without_status)] if counts.without_status else []),
    )


def _named(paths: list[Path], position: int, manifest: Path | None, extractor: str) -> Sources:
    if manifest is None:
        return biometric_files.from_paths(paths, position, extractor)
    if paths or position:
        raise typer.BadParameter(
            "a manifest names files and positions itself; leave PATH and --position out",
            param_hint="--manifest",
        )
    return biometric_files.from_manifest(manifest, extractor)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the command says of everybody of whom the manifest, or a Type-2 record by the map, says nothing."""

    status: str
    nationalities: str
    now: datetime
    type2: tuple[Entry, ...]

    def of(self, source: Source, taken: Taken) -> tuple[Record | None, tuple[str, ...]]:
        """Return what is recorded of a person, and in words what text was not taken; raises Unusable, naming the column."""
        from gateway.subjects import record_row

        texts = {
            "status": source.status or self.status,
            "nationalities": source.nationalities or self.nationalities,
        }
        left = taken.file.text
        mapped = type2_map.apply(self.type2, taken.file.person)
        if mapped.texts:
            # What the command or the manifest says is said by whoever enrols, and goes before what a file says.
            texts = {**mapped.texts, **{name: text for name, text in texts.items() if text}}
            left = (*mapped.left, *taken.file.described)
        notes = (f"text about a person dropped: {'; '.join(left)}",) if left else ()
        if not texts.get("status") and not mapped.texts:
            return None, notes
        try:
            return record_row.read_row({"reference": source.subject, **texts}, self.now)[1], notes
        except record_row.BadRow as fault:
            raise Unusable(str(fault)) from None


@dataclass(frozen=True, slots=True)
class Repaired:
    """A file that was read although its record broke its standard, and what was done to it."""

    label: str
    repairs: tuple[str, ...]


def _rows(
    sources: tuple[Source, ...],
    noted: tuple[list[Bad], list[Repaired]],
    advance: Callable[[int], None],
    said: _Said,
) -> Iterator[Row]:
    """Read file after file; what cannot be read is noted and passed over, what was repaired is noted."""
    from gateway.subjects.enrolment import Row

    bad, repaired = noted
    for source in sources:
        advance(1)
        try:
            taken = biometric_files.read(source)
            record, dropped = said.of(source, taken)
        except Unusable as fault:
            remedy = (
                "; say it by --position or in a manifest" if isinstance(fault, Nameless) else ""
            )
            bad.append(Bad(source.label, f"{fault}{remedy}"))
            continue
        bad += [Bad(f"{source.label}: {one.label}", one.reason) for one in taken.unread]
        repairs = (*taken.repairs, *dropped)
        if repairs:
            repaired.append(Repaired(source.label, repairs))
        for each in taken.samples:
            label = f"{source.label}: {each.where}" if each.where else source.label
            yield Row(
                label=label,
                subject=source.subject,
                position=each.position,
                extractor=source.extractor,
                data=each.data,
                status=record.status if record else None,
                repairs=repairs,
                modality=each.modality or Modality.FINGER,
                fields=record.data if record else {},
                image=each.format not in TEMPLATES,
                ppi=source.ppi,
            )


@contextmanager
def _heeding_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Have the first Ctrl-C asked for instead of raised; a second one ends the command at once."""
    heard = threading.Event()

    def hear(number: int, _: object) -> None:
        heard.set()
        signal.signal(number, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield heard.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(
    context: typer.Context,
    report: Report,
    noted: tuple[list[Bad], list[Repaired]],
    *,
    broken_off: bool,
) -> None:
    bad, repaired = noted
    for each in repaired[:SHOWN]:
        biometric_files.tell_repairs(each.label, each.repairs)
    if len(repaired) > SHOWN:
        output.note(f"repaired: {len(repaired) - SHOWN} more  → --json names them all")
    for one in bad[:SHOWN]:
        output.note(f"not enrolled: {one.label}: {one.reason}")
    if len(bad) > SHOWN:
        output.note(f"not enrolled: {len(bad) - SHOWN} more  → --json names them all")
    document = {
        "ok": not bad and not broken_off,
        "enrolled": report.enrolled,
        "unchanged": report.unchanged,
        "people": report.people,
        "extracted": [
            {
                "file": one.label,
                "modality": one.sample.modality.name,
                "position": one.sample.position,
                "extractor": one.extractor,
                "quality": one.sample.quality if one.sample.quality_algorithm else None,
            }
            for one in report.extracted
        ],
        "repaired": [{"file": one.label, "repairs": list(one.repairs)} for one in repaired],
        "bad": [{"file": one.label, "reason": one.reason} for one in bad],
    }
    lines = [
        f"enrolled   {report.enrolled} records of {report.people} people",
        *_extracted(report),
        f"unchanged  {report.unchanged}",
        f"repaired   {len(repaired)}",
        f"bad        {len(bad)}",
    ]
    code = Code.NO if bad else Code.DONE
    if broken_off:
        text = f"broken off after {report.enrolled} records; the same command continues"
        document["error"] = {"kind": "Interrupted", "message": text}
        lines.append(text)
        code = Code.INTERRUPTED
    output.emit(context, document, *lines, code=code)


def _extracted(report: Report) -> list[str]:
    """Return what was made of images, by which extractor and of which quality; nothing where there was none."""
    if not report.extracted:
        return []
    samples = [each.sample for each in report.extracted]
    by = ", ".join(sorted({each.extractor for each in report.extracted}))
    measured = [each.quality for each in samples if each.quality_algorithm]
    quality = f"; quality {min(measured)} to {max(measured)} of 100" if measured else ""
    return [f"extracted  {len(samples)} of images, by {by}{quality}"]
