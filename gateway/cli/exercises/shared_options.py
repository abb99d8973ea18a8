"""Options that several exercises have, and how all of them end on a signal."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

Workdir = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Scratch folder; emptied at the start, removed at the end."),
]
Fpir = Annotated[
    float, typer.Option(min=1e-6, max=0.5, help="False alarms per search at the threshold used.")
]
Peers = Annotated[
    bool, typer.Option(help="Measure faiss-cpu and usearch in the same run; pip install both.")
]


def demand_enrolled(probes: int, people: int) -> None:
    """Raise BadParameter where more probes are asked for than there are people to be found."""
    if probes > people:
        raise typer.BadParameter("more probes than people enrolled", param_hint="--probes")


def end_in_order() -> None:
    """Let SIGTERM end us as an exception does, so that processes that we started end too."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
