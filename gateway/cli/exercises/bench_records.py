"""`passerelle bench ledger` and `bench year`: what is recorded, and an auditor's questions on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.exercises.shared_options import Workdir
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command

app = typer.Typer()


@plain_command(app, "passerelle bench ledger", "passerelle bench ledger --entries 1000000 --json")
def ledger(
    context: typer.Context,
    *,
    entries: Annotated[
        int, typer.Option(min=60, max=10_000_000, help="Entries verified; a million need 6 GB.")
    ] = 100_000,
    seconds: Annotated[
        float, typer.Option(min=0.2, max=600, help="Seconds for each of three ways to write.")
    ] = 3.0,
    workdir: Workdir = Path(".bench"),
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


@plain_command(
    app, "passerelle bench year invented", "passerelle bench year invented --entries 1000000 --json"
)
def year(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New folder; it keeps the bundle and its keys.")
    ],
    *,
    entries: Annotated[
        int, typer.Option(min=1000, max=10_000_000, help="Entries of the invented year.")
    ] = 100_000,
) -> None:
    """Invent a year of exchanges, and measure how long an auditor waits for each of the questions.

    The folder is kept: an invented ledger to try every command of `passerelle audit` and `ledger` on. A million
    entries take 4 GB and some minutes.
    """
    from gateway.exercises.bench.audit import measured

    with output.bar("invent and index", 2 * entries) as advance:
        figures = asdict(measured(folder, entries, advance))
    output.emit(context, {"ok": True, **figures}, *_waits(folder, figures))


def _waits(folder: Path, figures: dict[str, Any]) -> Iterator[str]:
    yield f"bundle   {figures['entries']:,} entries  {figures['bytes']:,} bytes  made in {figures['make_s']} s"
    yield f"index    {figures['index_s']} s once  {figures['peak_mib']} MiB at most"
    for name, timed in figures["questions"].items():
        verdict = "with findings" if timed["exit_code"] else "clean"
        yield f"question {name:<16} {timed['seconds']:.2f} s  {timed['cpu_seconds']:.2f} s cpu  {verdict}"
    yield f"kept     {folder}  → passerelle audit refusals --bundle {folder}/year.bundle --key {folder}/auditor"
