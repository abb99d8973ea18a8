"""`passerelle directory`: how our directory stands, and what its root key holders sign."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway import user_files
from gateway.cli import admin_session
from gateway.cli import output as console
from gateway.cli.admin_session import As
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Home, PassphraseFile
from gateway.cli.passphrase import passphrase_of
from gateway.cli.plain_command import plain_command
from gateway.operations.directory import Adopt, Draft, Status

app = typer.Typer()

RootKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-key",
        "--keeper",
        metavar="FOLDER",
        help="A root key holder's folder; repeat it for each.",
    ),
]
RootKeysPassphrase = Annotated[
    Path | None,
    typer.Option(
        "--root-keys-passphrase-file",
        "--keepers-passphrase-file",
        metavar="FILE",
        help="File with the root key holders' passphrase; else a prompt for each.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the draft here for root key holders elsewhere to sign.",
    ),
]
Signed = Annotated[
    Path | None, typer.Option("--signed", metavar="FILE", help="Bring in a draft that was signed.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What the root key holders' signing takes: their keys or their signatures, and whom the gateway hears."""

    root_keys: RootKeys = None
    output: Output = None
    signed: Signed = None
    root_keys_passphrase_file: RootKeysPassphrase = None
    officer: As = None
    passphrase_file: PassphraseFile = None


@command(app, Status)
def status(call: Call) -> None:
    """Show each role."""
    from rich.table import Table

    found = call.perform()
    table = Table("role", "version", "ends", "keys", box=None)
    for role in found["roles"]:
        quorum = f"{role['threshold']} of {role['keys']}"
        table.add_row(role["role"], str(role["version"]), role["expires"][:16], quorum)
    call.emit(found, table)


@plain_command(
    app,
    "passerelle directory renew can --root-key keepers/1 --root-key keepers/2",
    "passerelle directory renew can -o next.targets.json   # then: sign it, then --signed",
)
def renew(context: typer.Context, home: Home, ceremony: Ceremony) -> None:
    """Have two of three root key holders sign for 90 days more that this gateway speaks for its party."""
    _sign_and_adopt(context, home, "targets", ceremony)


@plain_command(
    app,
    "passerelle directory root can --root-key keepers/1 --root-key keepers/2 --root-key keepers/3",
    "passerelle directory root can -o next.root.json   # then: sign it, then --signed",
)
def root(context: typer.Context, home: Home, ceremony: Ceremony) -> None:
    """Have three of five root key holders sign the next root: a year more, and the pairs that the gateway signs with now."""
    _sign_and_adopt(context, home, "root", ceremony)


@plain_command(app, "passerelle directory sign next.root.json --root-key keepers/4")
def sign(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The draft; the signature is added to it.")],
    root_key: Annotated[
        Path,
        typer.Option(
            "--root-key", "--keeper", metavar="FOLDER", help="The root key holder's folder."
        ),
    ],
    root_keys_passphrase_file: RootKeysPassphrase = None,
) -> None:
    """Add a root key holder's signature to a draft, on any machine; it needs no gateway."""
    from gateway.client.directory_client import LARGEST

    content = _with_signatures(
        user_files.named(file, LARGEST), [root_key], root_keys_passphrase_file
    )
    user_files.write(file, content)
    console.emit(context, {"ok": True, "file": str(file)}, f"signed       {file}")


@plain_command(
    app, "passerelle directory root-key can/keepers/3 --to /media/stick/root-key", name="root-key"
)
def root_key(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder as it was handed out.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to make; keep it yourself.")],
    root_keys_passphrase_file: RootKeysPassphrase = None,
    new_passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with your own passphrase.")
    ] = None,
) -> None:
    """Take a root key holder's folder: the same keys under a passphrase that only this person knows."""
    from keys.tuf_root_key import rewrap

    given = _passphrase(root_keys_passphrase_file, folder)
    own = console.passphrase_from(
        new_passphrase_file, "this root key holder alone", new=True, option="--new-passphrase-file"
    )()
    taken = rewrap(folder, given, to, own)
    console.emit(
        context,
        {"ok": True, "party": taken.party, "keeper": taken.name, "folder": str(to)},
        f"root key     {taken.name} of {taken.party}  {to}  → delete {folder}",
    )


def _sign_and_adopt(context: typer.Context, home: Path, role: str, ceremony: Ceremony) -> None:
    from gateway.client.directory_client import LARGEST

    user_files.demand_new(ceremony.output)
    passphrase = passphrase_of(home, ceremony.passphrase_file)
    with admin_session.open_session(home, officer=ceremony.officer, passphrase=passphrase) as do:
        if ceremony.signed is not None:
            content = user_files.named(ceremony.signed, LARGEST)
        else:
            content = base64.b64decode(str(do(Draft.declaration.name, {"role": role})["metadata"]))
        content = _with_signatures(
            content, ceremony.root_keys or [], ceremony.root_keys_passphrase_file
        )
        output = ceremony.output
        if output is not None:
            user_files.create(output, content)
            console.emit(
                context,
                {"ok": True, "role": role, "file": str(output), "adopted": False},
                f"draft        {output}  → passerelle directory sign, then --signed {output}",
            )
            return
        text = base64.b64encode(content).decode("ascii")
        done = do(Adopt.declaration.name, {"metadata": text})
    console.emit(
        context,
        {"ok": True, "adopted": True, **done},
        f"{role:12} version {done['version']}  our entry: version {done['entry_version']}",
    )


def _with_signatures(content: bytes, keepers: list[Path], passphrase_file: Path | None) -> bytes:
    from gateway.directory.sign_draft import sign_as

    for folder in keepers:
        content = sign_as(content, folder, _passphrase(passphrase_file, folder))
    return content


def _passphrase(file: Path | None, folder: Path) -> bytes:
    return console.passphrase_from(
        file, f"the root key holder {folder}", option="--root-keys-passphrase-file"
    )()
