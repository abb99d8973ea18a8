"""`passerelle demo` and `passerelle bench`: see it work, and how fast, on this machine."""

from __future__ import annotations

import signal
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

    _end_in_order()
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
        float | None,
        typer.Option(min=0.5, max=3600, help="Seconds under load that count. Default: 10."),
    ] = None,
    gallery: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="People enrolled, two fingers each. Default: 50."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure sealed, recorded, searched and verified queries per second through a real server on loopback."""
    del as_json
    from rich.console import Console

    from gateway.kit.bench import Load, measure
    from gateway.kit.scoreboard import Bar, board, line

    _end_in_order()
    stated: dict[str, Any] = {"clients": clients, "seconds": seconds, "gallery": gallery}
    load = replace(Load(), **{name: value for name, value in stated.items() if value is not None})
    with Bar(Console(stderr=True)) as bar:
        figures = measure(load, bar)
    code = Code.NO if figures.errors or not figures.queries else Code.DONE
    console.emit(context, asdict(figures), board(figures), line(figures), code=code)


def _end_in_order() -> None:
    """Let SIGTERM end us as an exception does, so that the server that we started ends too."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
