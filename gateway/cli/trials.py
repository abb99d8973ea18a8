"""`passerelle drill powercut` and `drill tamper`: what must never happen, tried many times."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import console
from gateway.cli.console import Code, Json, example
from gateway.errors import Remedy

Workdir = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Scratch folder; emptied at the start, removed at the end."),
]


def powercut(
    context: typer.Context,
    *,
    trials: Annotated[
        int, typer.Option(min=1, max=100_000, help="Power cuts; ten a second.")
    ] = 300,
    workdir: Workdir = Path(".drill"),
    as_json: Json = False,
) -> None:
    """Cut the power while entries are written; exit 0 only if no acknowledged entry is ever lost.

    The real sequencer and tables on a disk in memory that forgets what was not flushed, and tears what it was
    writing. A tenth as many trials with SQLite told not to flush each commit must lose, or the drill proves nothing.
    """
    del as_json
    from gateway.kit.scratch import Scratch

    try:
        from gateway.store.trial.powercut import drill, weakened
    except ImportError:
        raise Remedy("this drill needs apsw: pip install 'passerelle[auditor]'") from None
    with (
        Scratch(workdir) as scratch,
        console.bar("cutting the power", trials + weakened(trials)) as advance,
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
    console.emit(context, document, *lines, verdict, code=Code.DONE if result.ok else Code.NO)


POWERCUT = example("passerelle drill powercut", "passerelle drill powercut --trials 1000 --json")
