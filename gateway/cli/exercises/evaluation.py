"""`passerelle eval`: how the matcher fares on your records, and why two of them score as they do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from gateway import user_files
from gateway.cli import output
from gateway.cli.exercises import image_options, set_evaluation
from gateway.cli.exercises.image_options import SHOWN, ImageOptions, Kind
from gateway.cli.output import Code, note
from gateway.cli.plain_command import plain_command
from gateway.cli.subjects import biometric_files as records
from gateway.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.exercises.evaluation.error_rates import Comparisons
    from gateway.exercises.evaluation.evaluate import Judged, Side

ERRORS = ("eer", "fnmr_100", "fnmr_1000", "fnmr_zero")
WHOLE = "folder"  # the command that `passerelle eval DIR` means


class _Default(TyperGroup):
    """`eval DIR` and `eval explain A B` are one word's two senses: a word that names no command is a place."""

    default = WHOLE

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own types
        """Take options and places for those of the default command."""
        if args and args[0] not in self.commands:
            args = [WHOLE, *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


app = typer.Typer(cls=_Default)

Place = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="Folder of records named <finger>_<impression>.<suffix>; each subfolder is a set of its own."
        " Or a CSV: path,finger,impression[,set]. With --extractor images of the same names. Of faces a NumPy archive:"
        " vectors, person, model; of irises: code, mask, eye, shape; or images, with --extractor.",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        help="Probes compared, and images extracted, side by side. Default: one for each core; of images at most eight.",
    ),
]
Run = tuple[str, "Comparisons"]
Svg = typer.Option(metavar="FILE.svg", show_default=False)


@plain_command(
    app,
    "passerelle eval prints/",
    "passerelle eval prints/ --scores ours.npz --plot det.svg --run other=other.npz",
    "passerelle eval probes/ --gallery other-extractor/ --json",
    "passerelle eval images/ --extractor leader --ppi 500",
    "passerelle eval faces.npz --modality face --calibrate faces.json",
    "passerelle eval explain 101_1.fmr 101_2.fmr --plot why.svg",
    name=WHOLE,
)
def folder(
    context: typer.Context,
    *,
    place: Place,
    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Compare with the records of this folder, of the same sets and fingers, instead of with"
            " each other: another extractor's, another sensor's.",
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Write names and scores, n×n float32: row i, column j is probe i against gallery record j;"
            " nan = not enrolled.",
        ),
    ] = None,
    plot: Annotated[Path | None, Svg] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE.npz", help="Scores of another run, to be drawn beside this one."
        ),
    ] = None,
    threads: Threads = None,
    images: ImageOptions,
    modality: Annotated[Kind, typer.Option(help="What the samples are of.")] = Kind.FINGER,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Fit a calibration to half of the people and judge it on the others; not of fingers.",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Judge by this calibration, one that was adopted, say, instead of the shipped one; not of fingers.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure the matcher on samples of known people, in the terms of ISO/IEC 19795-1.

    EER as FVC defines it, FNMR at FMR, FNIR at FPIR; 95 % intervals by drawing fingers again. A record that
    cannot be enrolled counts as an error of every comparison that it is in, and so does an image of which no record
    can be made.
    """
    output.one_blas_thread()
    images.demand_sense(modality)
    user_files.demand_new(scores, plot, calibrate)
    _demand_one(modality, calibrate, calibration)
    from gateway.exercises.evaluation import evaluate
    from gateway.exercises.evaluation.scores import load_run

    others = [load_run(stated) for stated in run or []]
    if modality is not Kind.FINGER:
        if gallery is not None or threads is not None:
            raise typer.BadParameter("--gallery and --threads are for fingers")
        name, pairs = set_evaluation.evaluate(
            context,
            modality,
            place,
            images,
            scores=scores,
            calibrate=calibrate,
            calibration=calibration,
        )
        if plot is not None:
            _draw(plot, [(name, pairs)], others)
        return
    probes, enrolled, extraction = _sides(place, gallery, images, threads)
    for where, side in ((place, probes), (gallery, enrolled)):
        if not any(each.minutiae is not None for each in side.records):
            reason = side.records[0].reason
            raise UserError(f"{where}: none of the records can be enrolled: {reason}")
    with output.bar("compare", len(probes.records)) as advance:
        side_by_side = threads or os.cpu_count() or 1
        found = evaluate.score_all(
            probes, enrolled, advance, threads=side_by_side, across=scores is not None
        )
    sets = evaluate.judge(probes, enrolled, found)
    if not sets:
        raise UserError(f"{gallery}: no set in it has the name of one in {place}")
    if scores is not None:
        evaluate.save(scores, probes, enrolled, found)
    if plot is not None:
        _draw_sets(plot, place.resolve().stem, sets, others)
    _tell(context, probes, enrolled, sets, extraction)


def _demand_one(modality: Kind, calibrate: Path | None, calibration: Path | None) -> None:
    """Raise BadParameter for a calibration of fingers, or for two."""
    if calibrate is not None and calibration is not None:
        raise typer.BadParameter("fit one or judge by one: not --calibrate and --calibration")
    for option, given in (("--calibrate", calibrate), ("--calibration", calibration)):
        if given is not None and modality is Kind.FINGER:
            raise typer.BadParameter(
                "fingers need no calibration of yours; leave it out", param_hint=option
            )


@plain_command(
    app,
    "passerelle eval explain 101_1.fmr 101_2.fmr",
    "passerelle eval explain 101_1.fmr 101_2.fmr --plot why.svg --json",
)
def explain(
    context: typer.Context,
    *,
    probe: Annotated[Path, typer.Argument(metavar="A", help="Record of the probe.")],
    gallery: Annotated[Path, typer.Argument(metavar="B", help="Record that it is compared with.")],
    plot: Annotated[Path | None, Svg] = None,
) -> None:
    """Show which minutiae of two records agreed, and what each stage gave to their score."""
    output.one_blas_thread()
    from gateway.exercises.evaluation.explain import explained, one

    user_files.demand_new(plot)
    first, second = one(probe), one(gallery)
    for each in (first, second):
        if each.minutiae is None:
            raise UserError(f"{each.specimen.name}: not usable: {each.reason}")
    if first.minutiae is None or second.minutiae is None:
        return
    found = explained(first.minutiae, second.minutiae, (probe.name, gallery.name))
    if plot is not None:
        user_files.create(plot, found.picture.encode())
    output.emit(context, found.document, *_explained(found.document, plot))


def _explained(document: dict[str, Any], plot: Path | None) -> Iterator[Any]:
    sizes = document["probe"]["minutiae"], document["gallery"]["minutiae"]
    yield f"ratio      {document['log10_likelihood_ratio']:.2f}  log10; 0 says nothing"
    few = "  few: they decide little" if document["few"] else ""
    yield f"agreeing   {document['agreeing']} minutiae of {sizes[0]} and {sizes[1]}{few}"
    stages = document["stages"]
    yield f"local      {stages['local_likeness']:.2f}  likeness of the best surroundings, unaligned"
    yield f"bias       {stages['bias_log10']:+.2f}"
    for name, value in stages["contributions_log10"].items():
        yield f"{name:<10} {value:+.2f}  from {stages['features'][name]:.2f}"
    alignment = document["alignment"]
    x, y = alignment["shift_pixels"]
    yield f"alignment  {alignment['turn_degrees']:+.1f}°, {x:+.0f} px right, {y:+.0f} px down"
    yield f"picture    {plot}" if plot else "picture    → --plot FILE.svg"


def _sides(
    place: Path, gallery: Path | None, images: ImageOptions, threads: int | None
) -> tuple[Side, Side, dict[str, Any]]:
    """Return probes and gallery, the same where no other is named, and the document's part on what was extracted."""
    from gateway.exercises.evaluation import evaluate

    places = [place] if gallery is None else [place, gallery]
    if images.extractor is None:
        sides, extraction = [evaluate.load(each) for each in places], {}
    else:
        with images.reader(Kind.FINGER, threads) as reader:
            every = [reader.find(each) for each in places]
            if not any(every):
                raise image_options.no_images(place)
            made = [
                () if found is None else image_options.extracted(reader, found) for found in every
            ]
            extraction = {"extraction": reader.told([one for some in made for one in some])}
        sides = [
            evaluate.load(each) if found is None else evaluate.of_images(some, found.ignored)
            for each, found, some in zip(places, every, made, strict=True)
        ]
    return sides[0], sides[-1], extraction


def _draw_sets(plot: Path, name: str, sets: Sequence[Judged], others: Sequence[Run]) -> None:
    from gateway.exercises.evaluation.error_rates import pooled

    whole = [each for each in sets if each.comparisons.complete]
    together = [(name, pooled([each.comparisons for each in whole]))] if whole else []
    apart = [(each.name, each.comparisons) for each in whole] if len(whole) > 1 else []
    _draw(plot, together, others or apart)


def _draw(plot: Path, own: Sequence[Run], others: Sequence[Run]) -> None:
    from gateway.exercises.evaluation.det_plot import det_plot
    from gateway.exercises.evaluation.scores import curve

    whole = [(name, pairs) for name, pairs in own if pairs.complete]
    if not whole:
        raise UserError("nothing to draw: no set has mated and non-mated pairs")
    curves = [curve(name, pairs) for name, pairs in [*whole, *others]]
    user_files.create(plot, det_plot(curves).encode())


def _tell(
    context: typer.Context,
    probes: Side,
    gallery: Side,
    sets: list[Judged],
    extraction: dict[str, Any],
) -> None:
    from gateway.exercises.evaluation import evaluate

    if extraction:
        image_options.tell(extraction["extraction"])
    failed = evaluate.failures(probes)
    if gallery is not probes:
        failed += evaluate.failures(gallery)
    for one in failed[:SHOWN]:
        note(f"not enrolled: {one['file']}: {one['reason']}")
    if len(failed) > SHOWN:
        note(f"not enrolled: {len(failed) - SHOWN} more  → --json names them all")
    repaired = [
        *evaluate.repaired(probes),
        *(evaluate.repaired(gallery) if gallery is not probes else []),
    ]
    for each in repaired[:SHOWN]:
        records.tell_repairs(each["file"], each["repairs"])
    for name in probes.ignored[:SHOWN]:
        note(f"not a record's name: {name}")
    total = len(probes.records) + (0 if gallery is probes else len(gallery.records))
    document = {
        "ok": True,
        "records": len(probes.records),
        "formats": evaluate.formats(probes),
        "failure_to_enrol": len(failed) / total,
        "not_enrolled": failed,
        "repaired": repaired,
        "ignored": list(probes.ignored),
        "sets": [each.figures for each in sets],
        **extraction,
        **evaluate.summarise(sets),
    }
    shown = [image_options.line(document["extraction"])] if extraction else []
    output.emit(context, document, *shown, _table(document), _searches(document), code=Code.DONE)


def _table(document: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("all pairs", overflow="fold")
    for heading in ("records", "mated", "others", "EER", "FNMR@1 %", "@0.1 %", "@0"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in document["sets"]:
        missing = one["not_enrolled"] + one["not_extracted"]
        failed = f" (-{missing})" if missing else ""
        _add(table, one["set"], f"{one['records']}{failed}", one["all_pairs"])
    if len(document["sets"]) > 1 and document["mean"]:
        _add(table, "mean", "", {"mated": "", "non_mated": "", **document["mean"]})
        _add(table, "pooled", "", document["pooled"])
    return table


def _add(table: Table, name: str, records: str, pairs: dict[str, Any] | None) -> None:
    """Add a row of percentages, and one with the ends of their intervals."""
    from rich.text import Text

    if pairs is None:
        table.add_row(name, records, "0", "0")
        return
    shown = [f"{pairs[error] * 100:.2f} %" for error in ERRORS]
    table.add_row(name, records, str(pairs["mated"]), str(pairs["non_mated"]), *shown)
    between = pairs.get("interval_95")
    if between:
        ends = [between[error] for error in ERRORS]
        spans = [Text(f"{low * 100:.1f}–{high * 100:.1f}", style="dim") for low, high in ends]
        table.add_row("", "", "", Text("95 %", style="dim"), *spans)


def _searches(document: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("searches", overflow="fold")
    for heading in ("gallery", "probes", "rank 1", "FNIR@10 %", "@1 %", "@0", "FVC EER"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in document["sets"]:
        found, fvc = one["identification"], one["fvc"]
        if found is not None:
            rates = [found["rank_1"], *found["fnir_at_fpir"].values()]
            shown = [f"{rate * 100:.2f} %" for rate in rates]
            last = "–" if fvc is None else f"{fvc['eer'] * 100:.2f} %"
            sizes = str(found["gallery"]), str(found["searches"])
            table.add_row(one["set"], *sizes, *shown, last)
    return table
