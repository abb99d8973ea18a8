"""`passerelle keys custody|rewrap|recover`: the key above our keys, its successor, and the way back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Home, PassphraseFile
from gateway.cli.passphrase import passphrase_of
from gateway.cli.plain_command import plain_command
from gateway.operations.custody import Rewrap, Show

app = typer.Typer()


@command(app, Show)
def custody(call: Call) -> None:
    """Show the key above our keys."""
    found = call.perform()
    call.emit(
        found,
        f"custody    {found['custody']}",
        f"setting    {found['setting']}",
        f"seeds      {found['seeds']}",
        f"last good  {found['last_good'] or 'no copy yet; the next change of a key makes it'}",
    )


@command(app, Rewrap)
def rewrap(
    call: Call,
    *,
    new_passphrase_file: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File with the new passphrase, or the token's PIN; the gateway itself reads it.",
        ),
    ],
) -> None:
    """Have the seeds wrapped anew."""
    found = call.perform(passphrase_file=str(new_passphrase_file.absolute()))
    call.emit(found, f"custody  {found['custody']}")


@plain_command(app, "passerelle keys recover can   # what a damaged keyset names")
def recover(
    context: typer.Context,
    *,
    home: Home,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Put the last good keyset in the place of a damaged one, if no key in it is behind the ledger.

    The gateway is stopped. The damaged file stays beside, as keyset.json.damaged.
    """
    import functools

    from gateway import config, telemetry
    from gateway.keymanagement import custody as room
    from gateway.server.application import Gateway
    from gateway.store.address import open_store

    passphrase = functools.cache(passphrase_of(home, passphrase_file))
    settings = config.load(home)
    with closing(open_store(settings.store.path)) as database:
        when = room.recover(settings, database, passphrase)
    with telemetry.sentences(), Gateway.open(home, passphrase) as gateway:
        room.recovered(gateway.keys.active, when)
    output.emit(
        context,
        {"ok": True, "keyset": str(settings.keys.keyset), "newest_change": when},
        f"keyset  {settings.keys.keyset.name}.last of {when} is in force again; the ledger agrees",
        f"next    passerelle check {home}; then find out what damaged the file",
    )
