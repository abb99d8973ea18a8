"""`passerelle bench alike`: whether time or size tells a masked match from none, or a hit from either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command

if TYPE_CHECKING:
    from gateway.exercises.bench.side_channel import Compared, Figures

app = typer.Typer()


@plain_command(app, "passerelle bench alike", "passerelle bench alike --queries 10000 --json")
def alike(
    context: typer.Context,
    *,
    queries: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Queries of all three kinds together.")
    ] = 3000,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads that ask.")] = 4,
) -> None:
    """Ask about hits, masked citizens and unknown people by turns, and try to tell them apart by time and size.

    Exit code 0: they look alike. 1: something tells them apart at p < 0.01, twice in a row.
    """
    from gateway.exercises.bench.side_channel import measure

    with output.bar("asking", queries) as advance:
        figures = measure(queries, threads, advance)
    output.emit(
        context,
        {"ok": figures.alike, **asdict(figures)},
        *_lines(figures),
        code=Code.DONE if figures.alike else Code.NO,
    )


def _lines(figures: Figures) -> Iterator[str]:
    yield f"asked    {figures.queries:,} queries in {figures.rounds} rounds, {figures.seconds} s"
    for name, count in figures.counted.items():
        sizes = ", ".join(f"{size:,}" for size in figures.sizes[name])
        yield f"{name:<8} {count:,} answers  p50 {figures.p50_ms[name]} ms  {sizes} bytes"
    yield f"masked   {_said(figures.masked)}"
    if figures.hit is not None:
        yield f"hit      {_said(figures.hit)}"
    yield "alike" if figures.alike else "TOLD APART  → do not serve until the cause is found"


def _said(found: Compared) -> str:
    low, high = found.auc_95
    verdict = "told apart" if found.told_apart else "not told apart"
    return f"against unknown people: AUC {found.auc} ({low}–{high}), KS {found.ks}, p {found.p}: {verdict}"
