"""`passerelle keys custody|rewrap|recover`: the key above our keys, its successor, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of

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
    told = admin_session.perform(
        home,
        "custody.show",
        {},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(
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

    Once another operator approves, every seed is wrapped anew, unwrapped again and compared, and then the new key
    is in force: from there on the gateway starts with the new passphrase. Interrupted, propose it again. It may
    serve meanwhile; keys and data stay what they are. Take a backup afterwards: older ones need the old passphrase.
    """
    del as_json
    values = {"passphrase_file": str(new_passphrase_file.absolute()), "reason": reason, "to": to}
    with watched():
        told = admin_session.perform_or_propose(
            home,
            "custody.rewrap",
            values,
            officer=officer,
            passphrase=passphrase_of(home, passphrase_file),
        )
    if not admin_session.said(context, home, told):
        output.emit(context, {"ok": True, **told}, f"custody  {told['custody']}")


@contextmanager
def watched() -> Iterator[None]:
    """Show a bar on stderr while seeds are wrapped in this process: where an approval does it at a closed gateway."""
    from gateway.keymanagement.custody import watcher

    with ExitStack() as stack:
        shown: list[tuple[Callable[[float], None], int]] = []

        def watch(done: int, total: int) -> None:
            if not shown:
                shown.append((stack.enter_context(output.bar("wrapping seeds", total)), 0))
            advance, before = shown.pop()
            advance(done - before)
            shown.append((advance, done))

        token = watcher.set(watch)
        try:
            yield
        finally:
            watcher.reset(token)


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
    from gateway.keymanagement import custody as room
    from gateway.server.application import Gateway
    from gateway.store.sqlite import open_store

    passphrase = functools.cache(passphrase_of(home, passphrase_file))
    settings = config.load(home)
    database = open_store(settings.store.path)
    try:
        when = room.recover(settings, database, passphrase)
    finally:
        database.close()
    with Gateway.open(home, passphrase) as gateway:
        room.recovered(gateway.keys.active, when)
    output.emit(
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
