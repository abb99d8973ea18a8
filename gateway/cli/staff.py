"""`passerelle staff`: who our officers are, who lets them in, and who shows them out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import console, desk
from gateway.cli.console import Home, Json, PassphraseFile, example
from gateway.cli.desk import As
from gateway.cli.opening import passphrase_of
from gateway.errors import Remedy

app = typer.Typer(
    help="See who may act for us, let a person in, show one out.", no_args_is_help=True
)

Person = Annotated[
    str, typer.Option(metavar="ID", help="The person's pseudonym, e.g. P-7; never a name.")
]

Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why, in a sentence; it goes into the ledger.")
]


@app.command(
    epilog=example(
        "passerelle staff add can --person P-1 --role operator -o can/staff/me   # the first, house closed",
        "passerelle staff add can --person P-2 --role operator -o p2 --custody   # the second",
        "passerelle staff add can --person P-7 --role caseworker -o p7   # later ones, by an operator",
    )
)
def add(
    context: typer.Context,
    *,
    home: Home,
    person: Person,
    role: Annotated[
        list[str],
        typer.Option(
            metavar="ROLE",
            help="operator, registrar, caseworker, examiner or auditor; may be repeated.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for key and badge; new.")
    ],
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the badge lives.")] = 90,
    custody: Annotated[
        bool,
        typer.Option(
            "--custody",
            help="At a stopped gateway: as whoever holds the keys' passphrase, not as an operator. It is how"
            " the second operator comes in; where two could do it, it is an ALARM.",
        ),
    ] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Let a person in: make a key and have our authority issue a badge for it, of some roles.

    Hand the folder to the person. Nobody adds to himself. An operator or an examiner is let in by two: this proposes it, and after
    another's approval `passerelle staff collect` puts the badge into the folder. Without --as, and while the gateway is stopped, whoever
    holds the keys' passphrase may do it: that is how the first operator is made.
    """
    del as_json
    given = enlist(
        home,
        person,
        role,
        out,
        days=days,
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
        custody=custody,
    )
    if desk.said(context, home, {**given, "folder": str(out)}):
        return
    console.emit(
        context,
        {"ok": True, **given, "folder": str(out)},
        f"person   {person}",
        f"roles    {', '.join(sorted(set(role)))}",
        f"until    {given['expires']}",
        f"folder   {out}  → hand it to the person; it holds the key",
    )


def enlist(
    home: Path,
    person: str,
    roles: list[str],
    out: Path,
    *,
    days: int = 90,
    officer: Path | None = None,
    passphrase: Callable[[], bytes] | None = None,
    custody: bool = False,
) -> dict[str, object]:
    """Make a key, have a badge issued for it and keep both in `out`; return what was granted."""
    from gateway.client import credential
    from keys import sign
    from keys.certificates import SEED_BYTES, TlsKey

    if (out / credential.FILE).exists() or (out / credential.ASKED).exists():
        raise Remedy(f"{out} holds a credential already; take another folder, or move it away")
    seed, approving = secrets.token_bytes(SEED_BYTES), secrets.token_bytes(sign.SEED_BYTES)
    values = {
        "person": person,
        "roles": roles,
        "days": days,
        "public": TlsKey.from_seed(seed).public.hex(),
        "approving": sign.SigningKey.from_seed(approving).public.hex(),
    }
    try:
        granted = desk.perform(
            home, "staff.add", values, officer=officer, passphrase=passphrase, custody=custody
        )
    except desk.TwoNeeded:
        # The keys are kept first; `staff collect` puts the badge beside them once it is approved.
        credential.ask(out, seed, approving)
        return desk.perform_or_propose(
            home, "staff.add", values, officer=officer, passphrase=passphrase
        )
    chain, authority = str(granted.pop("certificate")), str(granted.pop("authority"))
    credential.write(out, seed, approving, chain.encode(), authority.encode())
    return granted


@app.command(epilog=example("passerelle staff end can --person P-7"))
def end(
    context: typer.Context,
    *,
    home: Home,
    person: Person,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show a person out: every badge of hers ends at once, also in the middle of a connection."""
    del as_json
    done = desk.perform_or_propose(
        home,
        "staff.end",
        {"person": person},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    if desk.said(context, home, done):
        return
    console.emit(context, {"ok": True, **done}, f"{person}  {done['ended']} badges ended")


@app.command(
    epilog=example("passerelle staff collect can p8   # after another operator approved it")
)
def collect(
    context: typer.Context,
    *,
    home: Home,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder that `staff add` made for the person.")
    ],
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Put the badge of a person whom two let in beside the keys that were made for it."""
    del as_json
    from gateway.client import credential
    from keys.certificates import TlsKey

    seed, approving = credential.asked(folder)
    given = desk.perform(
        home,
        "staff.badge",
        {"public": TlsKey.from_seed(seed).public.hex()},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    chain, authority = str(given.pop("certificate")), str(given.pop("authority"))
    credential.write(folder, seed, approving, chain.encode(), authority.encode())
    (folder / credential.ASKED).unlink()
    console.emit(
        context,
        {"ok": True, **given, "folder": str(folder)},
        f"person   {given['person']}",
        f"until    {given['expires']}",
        f"folder   {folder}  → hand it to the person; it holds the keys",
    )


@app.command(
    epilog=example("passerelle staff suspend can --person P-7 --reason 'badge lost on the train'")
)
def suspend(
    context: typer.Context,
    *,
    home: Home,
    person: Person,
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Keep a person out at once, until two let her in again. One operator may; it is an ALARM."""
    del as_json
    done = desk.perform(
        home,
        "staff.suspend",
        {"person": person, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    console.emit(context, {"ok": True, **done}, f"{person}  {done['suspended']} badges suspended")


@app.command(
    epilog=example("passerelle staff resume can --person P-7 --reason 'found, never out of sight'")
)
def resume(
    context: typer.Context,
    *,
    home: Home,
    person: Person,
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Let a suspended person in again; two operators do it, and this proposes it."""
    del as_json
    done = desk.perform_or_propose(
        home,
        "staff.resume",
        {"person": person, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    if not desk.said(context, home, done):
        console.emit(context, {"ok": True, **done}, f"{person}  {done['resumed']} badges resumed")


@app.command(name="list", epilog=example("passerelle staff list can"))
def list_(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List who was let in, with which roles, until when."""
    del as_json
    from rich.table import Table

    found = desk.perform(
        home, "staff.list", {}, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    )
    table = Table("person", "roles", "until", "", box=None)
    rows = found["staff"]
    for row in rows if isinstance(rows, list) else []:
        ended = f"ended {row['ended'][:16]}" if row["ended"] else "out of date"
        ended = f"suspended {row['suspended'][:16]}" if row["suspended"] else ended
        state = "in force" if row["in_force"] else ended
        table.add_row(row["person"], ", ".join(row["roles"]), row["expires"][:16], state)
    console.emit(context, {"ok": True, **found}, table)
