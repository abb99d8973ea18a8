"""`passerelle keys custody|rewrap|recover`: the key above our keys, its successor, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import console, desk
from gateway.cli.console import Home, Json, PassphraseFile, example
from gateway.cli.desk import As
from gateway.cli.opening import passphrase_of

Reason = Annotated[str, typer.Option(metavar="WORDS", help="Why; it goes into the ledger.")]


def custody(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say where the key above our keys is, how many seeds it wraps, and how old the last good copy is."""
    del as_json
    told = desk.perform(
        home,
        "custody.show",
        {},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    console.emit(
        context,
        {"ok": True, **told},
        f"custody    {told['custody']}",
        f"setting    {told['setting']}",
        f"seeds      {told['seeds']}",
        f"last good  {told['last_good'] or 'no copy yet; the next change of a key makes it'}",
    )


def rewrap(
    context: typer.Context,
    *,
    home: Home,
    new_passphrase_file: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File with the new passphrase, or the token's PIN; the gateway itself reads it.",
        ),
    ],
    reason: Reason,
    to: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="Where the new key is made: file:PATH, or"
            " pkcs11:token=LABEL;object=NAME?module-path=/path/to/module.so. Default: in the place of the"
            " present file.",
        ),
    ] = "",
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Bring all seeds under a new key: two persons. Stopped at any point, it is the old key or the new one.

    Every seed is unwrapped under the new key and compared before it comes into force. Run it again after an
    interruption. The gateway may serve meanwhile; keys and data stay what they are.
    """
    del as_json
    from gateway.office.custody import watcher

    values = {"passphrase_file": str(new_passphrase_file.absolute()), "reason": reason, "to": to}
    with console.bar("wrapping seeds", 1) as advance:
        told_before = 0

        def watch(done: int, total: int) -> None:
            nonlocal told_before
            advance((done - told_before) / total)
            told_before = done

        token = watcher.set(watch)
        try:
            told = desk.perform(
                home,
                "custody.rewrap",
                values,
                officer=officer,
                passphrase=passphrase_of(home, passphrase_file),
            )
        finally:
            watcher.reset(token)
    console.emit(
        context,
        {"ok": True, **told},
        f"custody  {told['custody']}",
        f"seeds    {told['seeds']}, each unwrapped and compared under the new key",
        f"next     start it from now on with the new passphrase: {new_passphrase_file}",
        "next     passerelle backup: older backups open with the old passphrase",
    )


def recover(
    context: typer.Context,
    *,
    home: Home,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Put the last good keyset in the place of a damaged one, if no key in it is behind the ledger.

    The gateway is stopped. The damaged file stays beside, as keyset.json.damaged.
    """
    del as_json
    import functools

    from gateway import config
    from gateway.office import custody as room
    from gateway.server.house import House
    from gateway.store.database import open_store

    passphrase = functools.cache(passphrase_of(home, passphrase_file))
    settings = config.load(home)
    database = open_store(settings.store.path)
    try:
        when = room.recover(settings, database, passphrase)
    finally:
        database.close()
    with House.open(home, passphrase) as house:
        room.recovered(house.keyroom, when)
    console.emit(
        context,
        {"ok": True, "keyset": str(settings.keys.keyset), "newest_change": when},
        f"keyset  {settings.keys.keyset.name}.last of {when} is in force again; the ledger agrees",
        f"next    passerelle check {home}; then find out what damaged the file",
    )


def register(app: typer.Typer) -> None:
    """Add these commands to those of the keys."""
    app.command(epilog=example("passerelle keys custody can"))(custody)
    app.command(
        epilog=example(
            "passerelle keys rewrap can --new-passphrase-file new.pass --reason 'yearly'",
            "passerelle keys rewrap can --new-passphrase-file pin --reason 'into the token'"
            " --to 'pkcs11:token=passerelle;object=kek-1?module-path=/usr/lib/softhsm/libsofthsm2.so'",
        )
    )(rewrap)
    app.command(epilog=example("passerelle keys recover can   # what a damaged keyset names"))(
        recover
    )
