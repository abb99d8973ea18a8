"""`passerelle bench finger`, `ten`, `face`, `iris`: a search in a large gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.exercises.bench_turns import TurnsOptions
from gateway.cli.exercises.shared_options import Fpir, Peers, demand_enrolled
from gateway.cli.plain_command import plain_command

app = typer.Typer()

FIGURES = (
    *("single_cps", "single_cps / sgemm_gflops_1", "batch_cps", "batch_cps / sgemm_gflops_1"),
    *("single_ms", "prepare_ms", "bytes_per_finger", "cascade_loss"),
)
TEN_FIGURES = (
    *("search_p50_ms", "search_p95_ms", "search_cpu_ms", "batch_people_per_s"),
    *("bytes_per_person", "enrol_cpu_ms", "prepare_ms", "mates_accepted", "lost", "wrong"),
)


@plain_command(
    app,
    "passerelle bench finger",
    "passerelle bench finger --gallery 100000 --probes 64 --threads 4 --json",
    "passerelle bench finger --against ../passerelle-before --rounds 5 --json",
)
def finger(
    context: typer.Context,
    *,
    gallery: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="People enrolled, one finger each.")
    ] = 10_000,
    probes: Annotated[
        int, typer.Option(min=1, max=10_000, help="Searches, each for somebody enrolled.")
    ] = 64,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of one search.")] = 1,
    fpir: Fpir = 0.01,
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Search for real people among the invented: <finger>_<impression>.<suffix>.",
        ),
    ] = None,
    turns: TurnsOptions,
) -> None:
    """Measure searches for one finger in a large gallery, on this machine, beside a matrix product."""
    output.one_blas_thread()
    from gateway.exercises.bench.finger import Order, measured

    demand_enrolled(probes, gallery)
    if turns.wanted:
        own = () if records is None else ("--records", records.resolve())
        sizes = "--gallery", gallery, "--probes", probes
        words = "finger", *sizes, "--threads", threads, "--fpir", fpir, *own
        turns.run(context, words, FIGURES, people=gallery + probes)
        return
    order = Order(gallery, probes, threads, fpir, records)
    with output.bar("enrol and search", gallery + probes) as advance:
        figures = asdict(measured(order, advance))
    output.emit(context, {"ok": True, **figures}, *_lines(figures))


@plain_command(
    app,
    "passerelle bench ten",
    "passerelle bench ten --people 20000 --fingers 10 --searches 200 --threads 2 --json",
    "passerelle bench ten --against ../passerelle-before --rounds 5 --json",
)
def ten(
    context: typer.Context,
    *,
    people: Annotated[int, typer.Option(min=10, max=5_000_000, help="People enrolled.")] = 1000,
    fingers: Annotated[int, typer.Option(min=1, max=10, help="Fingers of each.")] = 10,
    searches: Annotated[
        int, typer.Option(min=1, max=10_000, help="Searches, each for somebody enrolled.")
    ] = 64,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of one search.")] = 1,
    fpir: Fpir = 1e-4,
    turns: TurnsOptions,
) -> None:
    """Measure searches for people of several fingers, and which mates they lose beside exact scores.

    A person of ten fingers takes about 28 kB, and 30 ms of a processor to be invented and enrolled.
    """
    if searches > people:
        raise typer.BadParameter("more searches than people enrolled", param_hint="--searches")
    if turns.wanted:
        sizes = "--people", people, "--fingers", fingers, "--searches", searches
        words = "ten", *sizes, "--threads", threads, "--fpir", fpir
        turns.run(context, words, TEN_FIGURES, people=people + searches)
        return
    output.one_blas_thread()
    from gateway.exercises.bench.ten import Order, measured

    order = Order(people, fingers, searches, threads, fpir)
    with output.bar("enrol and search", people + searches) as advance:
        figures = asdict(measured(order, advance))
    output.emit(context, {"ok": True, **figures}, *_people(figures))


def _people(figures: dict[str, Any]) -> Iterator[str]:
    yield f"gallery  {figures['people']:,} people of {figures['fingers']} fingers, {figures['bytes_per_person']:,} bytes each"
    yield f"prepare  {figures['enrol_cpu_ms']} ms of a processor to enrol, {figures['prepare_ms']} ms a probe"
    yield (
        f"search   p50 {figures['search_p50_ms']} ms  p95 {figures['search_p95_ms']} ms  {figures['search_cpu_ms']} ms of"
        f" a processor  {figures['threads']} threads"
    )
    yield f"batch    {figures['batch_people_per_s']} people/s"
    high = figures["lost_interval_95"]
    told = "" if high is None else f" (at most {high[1]:.2%})"
    yield (
        f"mates    {figures['mates_accepted']} accepted by exact scores, {figures['lost']} lost{told}; somebody else named"
        f" in {figures['wrong']} of {figures['searches']} searches"
    )
    yield f"machine  sgemm {figures['sgemm_gflops']} GFLOP/s, {figures['signatures_per_s']} composite signatures/s"


@plain_command(
    app,
    "passerelle bench face",
    "passerelle bench face --gallery 200000 --probes 64 --json",
)
def face(
    context: typer.Context,
    *,
    gallery: Annotated[
        int, typer.Option(min=100, max=2_000_000, help="People enrolled, one face each.")
    ] = 20_000,
    probes: Annotated[
        int, typer.Option(min=8, max=1_000, help="Faces that a batch asks with at once.")
    ] = 64,
    peers: Peers = True,
) -> None:
    """Measure exact searches for a face in a large gallery, on one thread, by turns with other libraries.

    Each face takes about 10 kB while all libraries hold it: 200,000 faces need 2 GB.
    """
    output.one_blas_thread()
    from gateway.exercises.bench.face import KINDS, Order, measured
    from matcher.face.gallery_block import Storage

    enrolled = gallery // 1000 * 1000 * len(KINDS) * len(Storage)
    with output.bar("enrol", enrolled) as advance:
        figures = measured(Order(gallery, probes, peers), advance)
    output.emit(context, {"ok": True, **figures}, *_faces(figures))


def _faces(figures: dict[str, Any]) -> Iterator[Any]:
    from rich.table import Table

    for kind in figures["kinds"]:
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        table.add_column(kind["vectors"].replace("_", " "))
        for heading in ("one, ms", "ratio", "batch, ms", "ratio", "same ten best", "bytes a face"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in kind["rows"]:
            table.add_row(
                row["name"],
                *(f"{row['single_ms']:.1f}", f"{row['single_ratio']:.2f}"),
                *(f"{row['batch_ms']:.0f}", f"{row['batch_ratio']:.2f}"),
                *(f"{row['same_ten_best']:.0%}", f"{row['bytes_per_face']:,}"),
            )
        yield table
    yield f"gallery  {figures['gallery']:,} faces of {figures['dimension']} numbers, batches of {figures['probes']}"
    yield f"sgemm    {figures['sgemm_gflops_1']} GFLOP/s on one thread"


@plain_command(
    app,
    "passerelle bench iris",
    "passerelle bench iris --gallery 50000 --probes 64 --json",
)
def iris(
    context: typer.Context,
    *,
    gallery: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="People enrolled, one eye each.")
    ] = 10_000,
    probes: Annotated[
        int, typer.Option(min=2, max=1_000, help="Searches, every other for somebody enrolled.")
    ] = 16,
    fpir: Fpir = 0.001,
    peers: Peers = True,
) -> None:
    """Measure searches for an iris in a large gallery, on one thread, by turns with other libraries.

    The decisions are judged by comparing everybody in full. A person takes two milliseconds to invent.
    """
    output.one_blas_thread()
    from gateway.exercises.bench.iris import Order, measured

    demand_enrolled(probes, gallery)
    with output.bar("enrol and search", gallery + probes) as advance:
        figures = measured(Order(gallery, probes, fpir, peers), advance)
    output.emit(context, {"ok": True, **figures}, *_irises(figures))


def _irises(figures: dict[str, Any]) -> Iterator[str]:
    yield f"gallery   {figures['gallery']:,} codes of {figures['bits']:,} bits, {figures['bytes_per_eye']:,} bytes an eye"
    for row in figures["rows"]:
        yield f"{row['name']:<25} {row['ms']:9.1f} ms a probe  {row['ratio']:.3f}"
    accepted = figures["mates_accepted"]
    yield f"decisions {'as' if figures['decisions_equal'] else 'NOT as'} by full comparison at {figures['threshold']}"
    if accepted:
        high = figures["lost_interval_95"][1]
        yield f"mates     {accepted} accepted, {figures['mates_lost']} lost (at most {high:.1%})"


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    threads, alone = figures["threads"], figures["sgemm_gflops_1"]
    ratios = [figures[name] / alone for name in ("single_cps", "batch_cps")]
    yield f"gallery  {figures['gallery']:,} fingers of {figures['minutiae_mean']} minutiae"
    yield f"memory   {figures['bytes_per_finger']:,} bytes a finger"
    yield f"prepare  {figures['prepare_ms']} ms a record"
    yield f"single   {figures['single_cps']:,} comparisons/s  {figures['single_ms']} ms a search  {threads} threads"
    yield f"batch    {figures['batch_cps']:,} comparisons/s"
    yield f"sgemm    {alone} GFLOP/s on one thread, {figures['sgemm_gflops_t']} on {threads}"
    yield f"ratio    {ratios[0]:,.0f} comparisons/s per one-thread GFLOP/s, in batches {ratios[1]:,.0f}"
    yield f"loss     {_loss(figures)}"


def _loss(figures: dict[str, Any]) -> str:
    if figures["cascade_loss"] is None:
        return "unknown: alignment accepts no mate at this threshold"
    low, high = figures["cascade_interval_95"]
    return (
        f"{figures['cascade_loss']:.2%} of {figures['mates_accepted']} {figures['mates']} mates that alignment"
        f" accepts at {figures['threshold']} ({low:.2%}–{high:.2%})"
    )
