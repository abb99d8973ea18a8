"""`passerelle drill powercut`, `drill tamper` and `drill pressure`: what must never happen, tried many times."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.exercises.shared_options import Workdir
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError

app = typer.Typer()


@plain_command(
    app,
    "passerelle drill pressure",
    "passerelle drill pressure --kind slow-readers --kind replay --questions 100 --json",
)
def pressure(
    context: typer.Context,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="One kind of pressure alone; may be repeated."),
    ] = None,
    questions: Annotated[
        int,
        typer.Option(min=5, max=1000, help="Another partner's questions under each; ten a second."),
    ] = 40,
    workdir: Workdir = Path(".drill"),
) -> None:
    """Press a gateway from outside while another partner asks; exit 0 only if that partner notices nothing.

    Kinds: silent-connections, slow-readers, many-streams, replay, poor-prints, corrections, broken-partner, bad-file,
    stuck-thread. Every question must be answered, 95 of 100 within 1.5 times what they take in quiet; memory and
    descriptors must be given back, stops be clean within 10 seconds, and the ledger hold. Five minutes; the gateway is one
    of the drill's own, on loopback, with 512 file descriptors.
    """
    from rich.console import Console
    from rich.table import Table

    from gateway.exercises.drill.pressure import drill
    from gateway.exercises.drill.pressure_kinds import Kind

    known = [each.value for each in Kind]
    if any(each not in known for each in kind or ()):
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint="--kind")
    with Console(stderr=True).status("founding the parties") as status:
        figures = drill(
            workdir,
            kinds=[Kind(each) for each in kind or known],
            questions=questions,
            tell=status.update,
        )
    table = Table(box=None)
    for name in ("kind", "asked", "unanswered", "p95 / quiet", "MiB kept", "descriptors kept"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for each in figures.by_kind:
        kept = f"{each.memory_kept_mib:.0f}", str(each.descriptors_kept)
        row = each.kind, str(each.asked), str(each.unanswered), f"{each.p95_ratio:.2f}", *kept
        table.add_row(*row)
    missed = [f"MISSED  {each.kind}: {what}" for each in figures.by_kind for what in each.missed]
    whole = "holds" if figures.ledger_ok else "does NOT hold"
    clean = "clean" if figures.clean_stops else "NOT clean"
    stops = f"stop within {figures.stop_s:.1f} s, {clean}; the ledger {whole}"
    verdict = "nobody outside could stop it" if figures.ok else "another partner was HELD UP"
    document = {"ok": figures.ok, **asdict(figures)}
    code = Code.DONE if figures.ok else Code.NO
    output.emit(context, document, table, *missed, stops, verdict, code=code)


@plain_command(app, "passerelle drill powercut", "passerelle drill powercut --trials 1000 --json")
def powercut(
    context: typer.Context,
    *,
    trials: Annotated[
        int, typer.Option(min=1, max=100_000, help="Power cuts; ten a second.")
    ] = 300,
    workdir: Workdir = Path(".drill"),
) -> None:
    """Cut the power while entries are written; exit 0 only if no acknowledged entry is ever lost.

    The real sequencer and tables on a disk in memory that forgets what was not flushed, and tears what it was
    writing. A tenth as many trials with SQLite told not to flush each commit must lose, or the drill proves nothing.
    """
    from gateway.exercises.scratch_folder import Scratch

    try:
        from gateway.exercises.crashtest.powercut import drill, weakened
    except ImportError:
        raise UserError("this drill needs apsw: pip install 'passerelle[auditor]'") from None
    with (
        Scratch(workdir) as scratch,
        output.bar("cutting the power", trials + weakened(trials)) as advance,
    ):
        result = drill(scratch.folder, trials, advance)
    lines = [
        f"trials        {result.trials}, {result.cut} of them cut while something was written",
        f"acknowledged  {result.acknowledged} entries, looked for on {result.images} disks afterwards",
        f"lost          {result.lost}; disks that were not whole: {result.broken}",
        f"test of test  without a flush for each commit, {result.weakened_trials} trials lost {result.weakened_lost}",
    ]
    verdict = "nothing acknowledged was lost" if result.ok else f"LOST  {result.first}"
    document = {"ok": result.ok, **asdict(result)}
    output.emit(context, document, *lines, verdict, code=Code.DONE if result.ok else Code.NO)


@plain_command(app, "passerelle drill tamper", "passerelle drill tamper --trials 5000 --json")
def tamper(
    context: typer.Context,
    *,
    trials: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Acts of tampering; ten a second.")
    ] = 300,
    workdir: Workdir = Path(".drill"),
) -> None:
    """Tamper with a ledger, its bundles, tiles and receipts; exit 0 only if all of it is found out.

    Rows flipped, deleted, repeated, exchanged, cut off, rewritten and signed again; ledgers spliced; two histories
    shown to two partners; yesterday's database; receipts with another index. Every kind is tried in turn.
    """
    from rich.table import Table

    from gateway.exercises.drill.tamper import drill
    from gateway.exercises.scratch_folder import Scratch

    with Scratch(workdir) as scratch, output.bar("tampering", trials) as advance:
        figures = drill(scratch.folder, trials, advance)
    table = Table(box=None)
    table.add_column("trials", justify="right")
    table.add_column("kind")
    for name, count in figures.tried.items():
        table.add_row(str(count), name)
    said = f"{figures.trials} trials of {figures.kinds} kinds, {figures.undetected} undetected"
    missed = [f"MISSED  {each}" for each in figures.missed]
    tried = all(figures.tried.values())
    verdict = said if tried else f"{said}; not every kind was tried: more --trials"
    document = {"ok": figures.ok, **asdict(figures)}
    code = Code.DONE if figures.ok else Code.NO
    output.emit(context, document, table, *missed, verdict, code=code)
