"""`passerelle eval FILE --modality face`: errors of faces or irises, and a calibration fitted to half of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.exercises import image_options
from gateway.cli.exercises.image_options import SHOWN, ImageOptions, Kind
from gateway.cli.output import note
from gateway.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.exercises.evaluation.error_rates import Comparisons
    from gateway.exercises.evaluation.labelled_set import LabelledSet

LONGEST_NAME = 50  # characters of a set's name in a calibration's version
SPLIT = (
    "by {unit}: fitted on every second one in ascending order of their numbers, from the first;"
    " the others were not seen"
)


def evaluate(
    context: typer.Context,
    kind: Kind,
    place: Path,
    options: ImageOptions,
    *,
    scores: Path | None,
    calibrate: Path | None,
    calibration: Path | None,
) -> tuple[str, Comparisons]:
    """Tell the figures of the samples of a file, or of a place of images, and return its name and comparisons.

    With `calibrate`, half of the people are fitted to and the figures are the other half's; `calibration` takes the place
    of the shipped one.
    """
    from gateway.exercises.evaluation import labelled_set

    whole, extraction = _read(kind, place, options)
    some, used = whole, whole.known
    document: dict[str, Any] = {"ok": True, "modality": kind.value}
    if calibration is not None:
        used = _named(calibration, whole)
    if calibrate is not None:
        seen, some = labelled_set.halves(whole)
        used = _calibrated(seen, kind, place, calibrate)
        document["calibrated"] = str(calibrate)
    figures, pairs = labelled_set.judged(some, used)
    if scores is not None:
        labelled_set.save(scores, some)
    for row, reason in whole.refused[:SHOWN]:
        note(f"not enrolled: row {row}: {reason}")
    total = len(whole.label) + len(whole.refused)
    document |= {
        **figures,
        "failure_to_enrol": len(whole.refused) / total,
        "not_enrolled": [{"row": row, "reason": reason} for row, reason in whole.refused],
        **extraction,
    }
    output.emit(context, document, *_told(document))
    return whole.name, pairs


def _read(kind: Kind, place: Path, options: ImageOptions) -> tuple[LabelledSet, dict[str, Any]]:
    """Return the samples of a file or of images, and of images the document's part on their extraction."""
    from gateway.exercises.evaluation.set_readers import READERS

    known = READERS[kind.value]
    if options.extractor is None:
        if place.is_dir():
            raise UserError(
                f"{place}: a folder; of a {kind.value} it holds images: name --extractor"
            )
        return known.file(place), {}
    with options.reader(kind) as reader:
        found = image_options.images_of(reader, place)
        if len(found.specimens) > known.most:
            raise UserError(f"{place}: more than {known.most} images; evaluate fewer at a time")
        made = image_options.extracted(reader, found)
        extraction = reader.told(made)
    image_options.tell(extraction)
    return known.images(place.resolve().stem, made), {"extraction": extraction}


def _named(file: Path, some: LabelledSet) -> Any:  # noqa: ANN401 - of a lower layer
    """Return the scores of the calibration in a file; raises UserError where it is of another model or coder."""
    from gateway.matching import calibrations

    octets = user_files.named(file, calibrations.MOST_BYTES)
    try:
        found = calibrations.read(octets)
    except UserError as fault:
        raise UserError(f"{file}: {fault}") from None
    if found.model != some.model:
        raise UserError(f"{file}: it is of {found.model}, the samples are of {some.model}")
    return found.scores


def _calibrated(seen: LabelledSet, kind: Kind, place: Path, written: Path) -> Any:  # noqa: ANN401 - of a lower layer
    from gateway.exercises.evaluation import labelled_set
    from gateway.matching import calibrations

    now = datetime.now(UTC)
    number, (unit, units) = len(set(seen.label.tolist())), _units(kind.value)
    try:
        fitted = labelled_set.fitted(
            seen,
            version=f"{_name(place)}-{now:%Y%m%d}",
            data=f"{place.name}: {len(seen.label)} samples of {number} {units}, model {seen.model}",
            split=SPLIT.format(unit=unit),
            date=f"{now:%Y-%m-%d}",
            code=f"passerelle {version('passerelle')}",
        )
    except ValueError as fault:
        raise UserError(f"{place}: {fault}") from None
    octets = (json.dumps(fitted, indent=1) + "\n").encode()
    try:
        found = calibrations.read(octets)  # what no gateway would take is not written
    except UserError as fault:
        raise UserError(f"{place}: {fault}") from None
    user_files.create(written, octets)
    return found.scores


def _name(place: Path) -> str:
    """Return a set's name as a calibration's version states it, which the ledger then repeats."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", place.stem)[:LONGEST_NAME]


def _units(modality: str) -> tuple[str, str]:
    """Return who is told apart in a set, one and several: of irises eyes, for a set need not say whose they are."""
    return ("eye", "eyes") if modality == Kind.IRIS.value else ("person", "people")


def _told(document: dict[str, Any]) -> Iterator[Any]:
    units = _units(document["modality"])[1]
    if "extraction" in document:
        yield image_options.line(document["extraction"])
    yield f"set      {document['set']}  {document['records']} samples of {document['people']} {units}, model {document['model']}"
    pairs = document["all_pairs"]
    if pairs is None:
        yield "errors   none: no person has two samples, or there is one person"
    else:
        yield f"pairs    {pairs['mated']:,} mated, {pairs['non_mated']:,} others"
        for name, said in (
            ("eer", "EER"),
            ("fnmr_100", "FNMR at FMR 1/100"),
            ("fnmr_1000", "FNMR at FMR 1/1000"),
        ):
            low, high = pairs["interval_95"][name]
            yield f"{said:<19} {pairs[name]:.2%}  ({low:.1%} to {high:.1%})"
    if document["identification"]:
        yield _searches(document["identification"])
    if document["calibration"] is None:
        yield "calibration  none of this model is known  → --calibrate FILE.json"
        return
    used = document["calibration"]
    yield f"calibration  {used['id']}  Cllr {used['cllr']:.3f} bits"
    yield f"fitted on    {used['data']}; {used['split']}"
    yield _promises(used["promises"])


def _searches(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for heading in ("people enrolled", "searches", "rank 1", "FNIR@10 %", "@1 %", "@0"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        rates = [row["rank_1"], *row["fnir_at_fpir"].values()]
        shown = [f"{rate:.1%}" for rate in rates]
        table.add_row(f"{row['gallery']:,}", f"{row['searches']:,}", *shown)
    return table


def _promises(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for heading in ("FPIR", "people", "threshold", "FMR modelled", "FMR seen", "FNMR"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        modelled = f"{row['fmr_modelled']:.1e}" + ("" if row["extrapolated"] else " (seen)")
        table.add_row(
            *(f"{row['fpir']:g}", f"{row['gallery']:,}", f"{row['threshold']:.2f}"),
            *(modelled, f"{row['fmr_seen']:.1e}", f"{row['fnmr']:.1%}"),
        )
    return table
