"""`passerelle bench population`: what so many people cost, from their records to a search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.exercises.bench_turns import TurnsOptions
from gateway.cli.exercises.shared_options import Fpir, end_in_order
from gateway.cli.plain_command import plain_command

if TYPE_CHECKING:
    from gateway.exercises.bench.population import Figures

app = typer.Typer()

FIGURES = (
    *("enrolled_per_s", "enrol_cpu_ms", "start_s", "empty_start_s", "load_s", "bytes_per_person"),
    *("prepare_ms", "search_p50_ms", "search_p95_ms", "search_cpu_ms", "missed", "wrong"),
)


@plain_command(
    app,
    "passerelle bench population",
    "passerelle bench population --people 20000 --fingers 10 --json",
    "passerelle bench population --against ../passerelle-before --rounds 3 --json",
)
def population(
    context: typer.Context,
    *,
    people: Annotated[int, typer.Option(min=10, max=5_000_000, help="People enrolled.")] = 1000,
    fingers: Annotated[int, typer.Option(min=1, max=10, help="Fingers of each.")] = 10,
    searches: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, help="Searches for enrolled people, and as many for others."
        ),
    ] = 20,
    fpir: Fpir = 0.001,
    turns: TurnsOptions,
) -> None:
    """Measure a population: enrolment from records, start, memory a person, and searches of whoever is prepared.

    The gateway is one of the measurement's own and the people are invented, each when it is enrolled.
    """
    if searches > people:
        raise typer.BadParameter("more searches than people enrolled", param_hint="--searches")
    if turns.wanted:
        sizes = "--people", people, "--fingers", fingers, "--searches", searches
        words = "population", *sizes, "--fpir", fpir
        turns.run(context, words, FIGURES, people=people + 2 * searches)
        return
    output.one_blas_thread()
    from gateway.exercises.bench.population import Order, measured

    end_in_order()
    order = Order(people, fingers, searches, fpir)
    with output.bar("enrol and search", people + 2 * searches) as advance:
        figures = measured(order, advance)
    output.emit(context, {"ok": True, **asdict(figures)}, *_lines(figures))


def _lines(figures: Figures) -> Iterator[str]:
    held = figures.bytes_per_person
    memory = "unknown here" if held is None else f"{held:,} bytes a person in the serving processes"
    yield f"people   {figures.people:,} of {figures.fingers} fingers; {figures.refused:,} records too poor to enrol"
    yield f"enrol    {figures.enrolled_per_s:,} people/s, {figures.enrol_cpu_ms} ms of a processor each"
    yield f"start    {figures.start_s} s to open listeners; with nobody {figures.empty_start_s} s; engines alone {figures.load_s} s"
    yield f"memory   {memory}"
    yield (
        f"search   p50 {figures.search_p50_ms} ms  p95 {figures.search_p95_ms} ms  {figures.search_cpu_ms} ms of a"
        f" processor; probe prepared in {figures.prepare_ms} ms"
    )
    yield f"found    {figures.found}, missed {figures.missed}, somebody else in {figures.wrong} of {figures.searches} searches"
    yield (
        f"machine  {figures.cores} cores, {figures.signatures_per_s} composite signatures/s,"
        f" sgemm {figures.sgemm_gflops} GFLOP/s"
    )
