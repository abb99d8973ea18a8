"""`passerelle drill`: what operators rehearse in staging, on a scratch gateway of the drill's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.exercises.shared_options import Workdir
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command

app = typer.Typer()


@plain_command(
    app, "passerelle drill rotation", "passerelle drill rotation --clients 4 --seconds 60 --json"
)
def rotation(
    context: typer.Context,
    *,
    clients: Annotated[
        int, typer.Option(min=1, max=16, help="Partners' clients that ask without pause.")
    ] = 4,
    seconds: Annotated[
        float,
        typer.Option(
            min=0, max=3600, help="How long to go on; every kind is rotated once in any case."
        ),
    ] = 60.0,
    workdir: Workdir = Path(".drill"),
) -> None:
    """Rotate every kind of key while partners ask; exit 0 only if nothing failed and nothing old opens.

    Rotations are asked for, not awaited, by the operations that operators use; what takes two persons, an audit key and
    the key above the keys, is done by two names in one process. The partners read the gateway's directory every
    second, not every ten minutes, and the periodic jobs' rounds come every half second, not every 30. The
    directory's own keys are not among them: its root key holders rotate those.

    The 48 hours of a sealing key, and the week of a data key, pass on a copy of the home directory that is opened by a
    clock that is ahead; only there are old keys destroyed.
    """
    from rich.console import Console
    from rich.table import Table

    from gateway.exercises.drill.rotation import drill

    screen = Console(stderr=True)
    with screen.status("founding the parties") as status:
        figures = drill(workdir, clients=clients, seconds=seconds, tell=status.update)
    table = Table(box=None, show_header=False)
    for name, value in asdict(figures).items():
        table.add_row(name, str(value))
    verdict = "nothing was lost" if figures.ok else "something was LOST"
    code = Code.DONE if figures.ok else Code.NO
    document = {"ok": figures.ok, **asdict(figures)}
    output.emit(context, document, table, verdict, code=code)


@plain_command(app, "passerelle drill compromise", "passerelle drill compromise --json")
def compromise(
    context: typer.Context,
    *,
    workdir: Workdir = Path(".drill"),
) -> None:
    """Name keys as stolen while a partner asks; exit 0 only if nothing got through, and the list was exact.

    The gateway's sealing key, the partner's signing key and TLS leaf, then the gateway's signing key: each order is
    the command of the key compromise, given to a gateway that serves.
    """
    from rich.console import Console
    from rich.table import Table

    from gateway.exercises.drill.compromise import drill

    with Console(stderr=True).status("founding the parties") as status:
        figures = drill(workdir, tell=status.update)
    table = Table(box=None, show_header=False)
    for name, value in asdict(figures).items():
        table.add_row(name, str(value))
    verdict = "nothing got through" if figures.ok else "something GOT THROUGH"
    code = Code.DONE if figures.ok else Code.NO
    output.emit(context, {"ok": figures.ok, **asdict(figures)}, table, verdict, code=code)


@plain_command(app, "passerelle drill restore", "passerelle drill restore --json")
def restore(
    context: typer.Context,
    *,
    workdir: Workdir = Path(".drill"),
) -> None:
    """Lose a gateway and bring it back from its backup; exit 0 only if it is whole and says what it lost.

    Damaged copies and a foreign recovery key must be refused, and so must a backup that a partner's witness has
    outgrown, until the loss is accepted. The recovery key is set by two names in one process.
    """
    from rich.console import Console
    from rich.table import Table

    from gateway.exercises.drill.restore import drill

    with Console(stderr=True).status("founding the parties") as status:
        figures = drill(workdir, tell=status.update)
    table = Table(box=None, show_header=False)
    for name, value in asdict(figures).items():
        table.add_row(name, str(value))
    verdict = (
        "the gateway came back" if figures.ok else "the gateway did NOT come back as it should"
    )
    code = Code.DONE if figures.ok else Code.NO
    output.emit(context, {"ok": figures.ok, **asdict(figures)}, table, verdict, code=code)
