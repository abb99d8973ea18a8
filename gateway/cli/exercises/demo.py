"""`passerelle demo`: see it work on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.exercises.shared_options import Workdir, end_in_order
from gateway.cli.output import Code, manner
from gateway.cli.plain_command import plain_command

app = typer.Typer()


@plain_command(app, "passerelle demo", "passerelle demo --records prints/ --json")
def demo(
    context: typer.Context,
    *,
    workdir: Workdir = Path(".demo"),
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
) -> None:
    """Show the main job on this machine: two parties, real TLS, real searches, refusals, a verified ledger."""
    from rich.console import Console

    from gateway.exercises.demo.output import DemoOutput
    from gateway.exercises.demo.scenario import demonstrate

    end_in_order()
    telling = DemoOutput(Console(stderr=manner(context).as_json))
    summary = demonstrate(telling, workdir=workdir, records=records, keep=keep)
    verdict = "every promise held" if summary.ok else f"a promise was BROKEN  → {workdir}"
    output.emit(context, asdict(summary), verdict, code=Code.DONE if summary.ok else Code.NO)
