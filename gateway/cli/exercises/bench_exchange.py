"""`passerelle bench exchange`: questions a second through a real server."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.exercises.bench_turns import TurnsOptions
from gateway.cli.exercises.shared_options import end_in_order
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command

app = typer.Typer()

FIGURES = (
    *("qps", "quiet_p50_ms", "p50_ms", "p95_ms", "quiet_search_ms", "search_ms", "quiet_crypto_ms"),
    *("crypto_ms", "quiet_server_cpu_ms", "server_cpu_ms", "quiet_askers_cpu_ms", "askers_cpu_ms"),
    "busy_cores",
)


@plain_command(
    app,
    "passerelle bench exchange",
    "passerelle bench exchange --seconds 30 --profile",
    "passerelle bench exchange --against ../passerelle-before --rounds 5 --json",
)
def exchange(
    context: typer.Context,
    *,
    clients: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Askers side by side. Default: four for each core."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.5, max=3600, help="Seconds under load that count. Default: 10."),
    ] = None,
    gallery: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="People enrolled, two fingers each. Default: 50."),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Show where the time of one question goes, by stage; --json always has it.",
        ),
    ] = False,
    turns: TurnsOptions,
) -> None:
    """Measure sealed, recorded, searched and verified queries per second through a real server on loopback.

    Beside them the processor time of one question, in the server with all its processes and in the askers.
    """
    from rich.console import Console

    from gateway.exercises.bench.exchange import Load, measure
    from gateway.exercises.bench.output import Bar, board, line, shares

    stated: dict[str, Any] = {"clients": clients, "seconds": seconds, "gallery": gallery}
    load = replace(Load(), **{name: value for name, value in stated.items() if value is not None})
    if turns.wanted:
        if profile:
            raise typer.BadParameter(
                "by turns no shares are shown; leave it out", param_hint="--profile"
            )
        sizes = "--clients", load.clients, "--gallery", load.gallery
        words = "exchange", "--seconds", load.seconds, *sizes
        turns.run(context, words, FIGURES, people=load.gallery, seconds=load.seconds)
        return
    end_in_order()
    with Bar(Console(stderr=True)) as bar:
        figures = measure(load, bar)
    code = Code.NO if figures.errors or not figures.queries else Code.DONE
    tables = (board(figures), *((shares(figures),) if profile else ()))
    output.emit(context, asdict(figures), *tables, line(figures), code=code)
