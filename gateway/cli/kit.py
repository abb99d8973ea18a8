"""`passerelle demo` and `passerelle bench`: see it work, and how fast, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import console
from gateway.cli.console import Code, Json, example, manner

bench = typer.Typer(help="Measure it on this machine.", no_args_is_help=True)


def demo(
    context: typer.Context,
    *,
    workdir: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Scratch folder; emptied at the start, removed at the end."
        ),
    ] = Path(".demo"),
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of fingerprint records, files <finger>_<impression>.<suffix>. Default:"
            " shared/data/fingerprint beside this folder or one above it; else people are invented.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the scratch folder to be looked at.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the main job on this machine: two parties, real TLS, real searches, refusals, a verified ledger."""
    del as_json
    from rich.console import Console

    from gateway.kit.demo import demonstrate
    from gateway.kit.telling import Telling

    telling = Telling(Console(stderr=manner(context).as_json))
    summary = demonstrate(telling, workdir=workdir, records=records, keep=keep)
    verdict = "every promise held" if summary.ok else f"a promise was BROKEN  → {workdir}"
    console.emit(context, asdict(summary), verdict, code=Code.DONE if summary.ok else Code.NO)


@bench.command(
    epilog=example("passerelle bench exchange", "passerelle bench exchange --seconds 30 --json")
)
def exchange(
    context: typer.Context,
    *,
    clients: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Askers side by side. Default: four for each core."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=3600, help="Seconds under load that count.")
    ] = 10.0,
    gallery: Annotated[
        int, typer.Option(min=1, max=100_000, help="People enrolled, two fingers each.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Measure sealed, recorded, searched and verified queries per second through a real server on loopback."""
    del as_json
    from rich.console import Console

    from gateway.kit.bench import Load, measure
    from gateway.kit.scoreboard import Bar, board, line

    load = Load(seconds=seconds, gallery=gallery)
    if clients is not None:
        load = replace(load, clients=clients)
    with Bar(Console(stderr=True)) as bar:
        figures = measure(load, bar)
    code = Code.NO if figures.errors or not figures.queries else Code.DONE
    console.emit(context, asdict(figures), board(figures), line(figures), code=code)


@bench.command(
    epilog=example(
        "passerelle bench finger",
        "passerelle bench finger --gallery 100000 --probes 64 --threads 4 --json",
    )
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
    fpir: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, help="False alarms per search at the threshold used."),
    ] = 0.01,
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Search for real people among the invented: <finger>_<impression>.<suffix>.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure searches for one finger in a large gallery, on this machine, beside a matrix product."""
    del as_json
    console.one_blas_thread()
    from gateway.kit.bench_finger import Order, measured

    if probes > gallery:
        raise typer.BadParameter("more probes than people enrolled", param_hint="--probes")
    order = Order(gallery, probes, threads, fpir, records)
    with console.bar("enrol and search", gallery) as advance:
        figures = measured(order, advance)
    console.emit(context, {"ok": True, **asdict(figures)}, *_lines(asdict(figures)))


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    share = figures["cascade_loss"]
    loss = "no mate is accepted" if share is None else f"{share:.2%} of {figures['mates_accepted']}"
    between = figures["cascade_interval_95"]
    ends = f" ({between[0]:.2%}–{between[1]:.2%})" if between else ""
    gflops = figures["sgemm_gflops_1"], figures["sgemm_gflops_t"]
    batch = "" if figures["batched"] else "  one after the other: there are no batches yet"
    yield f"gallery  {figures['gallery']} fingers of {figures['minutiae_mean']} minutiae, {figures['bytes_per_finger']} bytes each"
    yield f"prepare  {figures['prepare_ms']} ms a record"
    yield f"single   {figures['single_cps']:,} comparisons/s  {figures['single_ms']} ms a search  {figures['threads']} threads"
    yield f"batch    {figures['batch_cps']:,} comparisons/s{batch}"
    yield f"sgemm    {gflops[0]} GFLOP/s on one thread, {gflops[1]} on {figures['threads']}"
    yield f"ratio    {figures['single_cps'] / gflops[0]:,.0f} comparisons/s per one-thread GFLOP/s, batch {figures['batch_cps'] / gflops[0]:,.0f}"
    yield f"loss     {loss} {figures['mates']} mates accepted at {figures['threshold']}{ends}"
