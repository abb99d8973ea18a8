"""`passerelle serve` and `passerelle check`: run the gateway, or find out whether it would run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.output import Code, Home, PassphraseFile
from gateway.cli.passphrase import effective, passphrase_of
from gateway.cli.plain_command import plain_command

if TYPE_CHECKING:
    from gateway.server.process import Addresses

app = typer.Typer()


@plain_command(
    app,
    "passerelle serve can --passphrase-file can.pass",
    "passerelle serve can --maintenance   # for what has to be set right first",
)
def serve(
    context: typer.Context,
    home: Home,
    maintenance: Annotated[
        bool,
        typer.Option(
            "--maintenance",
            help="Open the admin listener alone: officers can act, no partner is answered, nothing is sent or due.",
        ),
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Answer partners until SIGTERM or Ctrl-C; calls under way are finished first.

    Exit code 74: the ledger could not be written. 75: a thread stood still. After both a supervisor starts it again.
    """
    from gateway.server.application import Gateway
    from gateway.server.lifecycle import Serving
    from gateway.server.maintenance import Maintenance

    def ready(addresses: Addresses) -> None:
        document = {
            "ok": True,
            "party": gateway.party,
            "exchange": addresses.exchange,
            "health": addresses.health,
            "metrics": addresses.metrics,
            "admin": addresses.admin,
        }
        shown = (
            f"{gateway.party} serves  exchange :{addresses.exchange}  health :{addresses.health}"
            f"  metrics :{addresses.metrics}  admin :{addresses.admin}  → Ctrl-C ends it"
        )
        output.emit(context, document, shown)

    def maintained(addresses: Addresses) -> None:
        document = {"ok": True, "party": gateway.party, "admin": addresses.admin}
        shown = f"{gateway.party} is under maintenance  admin :{addresses.admin}  → Ctrl-C ends it"
        output.emit(context, document, shown)

    with Gateway.open(home, passphrase_of(home, passphrase_file)) as gateway:
        code = Maintenance(gateway).run(maintained) if maintenance else Serving(gateway).run(ready)
    if code:
        raise typer.Exit(code)


@plain_command(
    app, "passerelle check can", "passerelle check can --json", "passerelle check can --partner AUS"
)
def check(
    context: typer.Context,
    home: Home,
    partner: Annotated[
        str,
        typer.Option(
            metavar="PARTY",
            help="Try a real exchange with this partner instead, step by step, up to the first that fails.",
        ),
    ] = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Print the effective settings, run the self-tests, and say what keeps the gateway from serving or soon will.

    Exit code 1: something fails, or somebody has to act now: on an end (within a week for most things, 24 hours for a KEM
    key, 6 hours for the snapshot and timestamp of a directory) or on an open alarm. Of a gateway that is stopped, alarms
    that only a serving one can end are named and do not count.
    """
    if partner:
        _reach(context, home, partner, passphrase_file)
        return
    from rich.table import Table
    from rich.text import Text

    from gateway.server import self_check

    found = self_check.check(home, passphrase_of(home, passphrase_file), datetime.now(UTC))
    ok = all(one.ok for one in found)
    settings = effective(home)
    table = Table("check", "", "detail", box=None)
    for one in found:
        said = one.level.name if one.level else "ok" if one.ok else "FAILS"
        table.add_row(one.name, Text(said, one.level.colour), one.detail)
    document = {
        "ok": ok,
        "checks": [
            {"name": one.name, "ok": one.ok, "detail": one.detail, "level": one.level.name}
            for one in found
        ],
        "settings": settings,
    }
    lines = (
        f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()
    )
    output.emit(context, document, *lines, table, code=Code.DONE if ok else Code.NO)


def _reach(context: typer.Context, home: Path, partner: str, passphrase_file: Path | None) -> None:
    """Say what came of each step of an exchange with a partner."""
    from rich.table import Table

    from gateway.server import partner_check

    found = partner_check.reach(home, partner, passphrase_of(home, passphrase_file))
    table = Table("step", "", "detail", box=None)
    for one in found:
        table.add_row(one.name, "ok" if one.ok else "FAILS", one.detail)
    left = [step for step in partner_check.STEPS if step not in {one.name for one in found}]
    for step in left:
        table.add_row(step, "-", "not known")
    ok = all(one.ok for one in found)
    document = {
        "ok": ok,
        "partner": partner,
        "steps": [{"name": one.name, "ok": one.ok, "detail": one.detail} for one in found],
        "not_known": left,
    }
    output.emit(context, document, table, code=Code.DONE if ok else Code.NO)
