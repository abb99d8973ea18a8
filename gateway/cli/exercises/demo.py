"""`passerelle demo` and `passerelle bench`: see it work, and how fast, on this machine."""

from __future__ import annotations

import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.output import Code, manner
from gateway.cli.plain_command import plain_command

app = typer.Typer()

bench = typer.Typer()


@plain_command(app, "passerelle demo", "passerelle demo --records prints/ --json")
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
) -> None:
    """Show the main job on this machine: two parties, real TLS, real searches, refusals, a verified ledger."""
    from rich.console import Console

    from gateway.exercises.demo.output import DemoOutput
    from gateway.exercises.demo.scenario import demonstrate

    _end_in_order()
    telling = DemoOutput(Console(stderr=manner(context).as_json))
    summary = demonstrate(telling, workdir=workdir, records=records, keep=keep)
    verdict = "every promise held" if summary.ok else f"a promise was BROKEN  → {workdir}"
    output.emit(context, asdict(summary), verdict, code=Code.DONE if summary.ok else Code.NO)


@plain_command(bench, "passerelle bench exchange", "passerelle bench exchange --seconds 30 --json")
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
) -> None:
    """Measure sealed, recorded, searched and verified queries per second through a real server on loopback."""
    from rich.console import Console

    from gateway.exercises.bench.exchange import Load, measure
    from gateway.exercises.bench.output import Bar, board, line

    _end_in_order()
    stated: dict[str, Any] = {"clients": clients, "seconds": seconds, "gallery": gallery}
    load = replace(Load(), **{name: value for name, value in stated.items() if value is not None})
    with Bar(Console(stderr=True)) as bar:
        figures = measure(load, bar)
    code = Code.NO if figures.errors or not figures.queries else Code.DONE
    output.emit(context, asdict(figures), board(figures), line(figures), code=code)


@plain_command(bench, "passerelle bench ledger", "passerelle bench ledger --entries 1000000 --json")
def ledger(
    context: typer.Context,
    *,
    entries: Annotated[
        int, typer.Option(min=60, max=10_000_000, help="Entries verified; a million need 6 GB.")
    ] = 100_000,
    seconds: Annotated[
        float, typer.Option(min=0.2, max=600, help="Seconds for each of three ways to write.")
    ] = 3.0,
    workdir: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Scratch folder; emptied at the start, removed at the end."
        ),
    ] = Path(".bench"),
) -> None:
    """Measure the ledger: entries a second by groups and one by one, verifying it whole, one receipt."""
    from gateway.exercises.bench.ledger import measure
    from gateway.exercises.scratch_folder import Scratch

    with Scratch(workdir) as scratch, output.bar("ledger", 2 * entries) as advance:
        figures = measure(scratch.folder, entries, seconds, advance)
    lines = [
        f"append    {figures.append_per_s:>10,.0f} entries/s by groups, COMMIT {figures.commit_ms} ms",
        f"          {figures.per_row_per_s:>10,.0f} entries/s with a flush each, COMMIT {figures.per_row_commit_ms} ms",
        f"          {figures.plain_per_s:>10,.0f} rows/s in a plain table with a flush each",
        (
            f"verify    {figures.verify_seconds:>10,.1f} s for {figures.entries:,} entries,"
            f" {figures.verify_per_s:,.0f}/s, peak {figures.verify_peak_mib:,.0f} MiB"
        ),
        f"receipt   {figures.receipt_ms:>10} ms, {figures.receipt_bytes:,} bytes",
        (
            f"machine   {figures.signatures_per_s:,.0f} signatures/s, SHA-256 {figures.sha256_mb_per_s:,.0f} MB/s,"
            f" {figures.cores} cores"
        ),
    ]
    code = Code.DONE if figures.verified else Code.NO
    output.emit(context, {"ok": figures.verified, **asdict(figures)}, *lines, code=code)


def _end_in_order() -> None:
    """Let SIGTERM end us as an exception does, so that the server that we started ends too."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
