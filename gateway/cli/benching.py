"""`passerelle bench finger`: how fast one finger is searched in a large gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import console
from gateway.cli.console import Json


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
    with console.bar("enrol and search", gallery + probes) as advance:
        figures = asdict(measured(order, advance))
    console.emit(context, {"ok": True, **figures}, *_lines(figures))


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
