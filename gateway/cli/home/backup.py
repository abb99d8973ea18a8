"""`passerelle backup`, `restore`, `recovery`: the gateway in one sealed file, and the key that opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import PassphraseFile
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations.backup import Begin, Recipient

SHOWN = 16  # digits of a key id that are enough to tell ours apart

RecoveryPassphrase = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the recovery key's passphrase; else a prompt."),
]

app = typer.Typer()
recovery_app = typer.Typer()


@command(app, Begin)
def backup(
    call: Call,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; it must not exist.")],
) -> None:
    """Have the gateway say for whom and as of when, then write the file from here."""
    from gateway import config
    from gateway.backup.archive import write
    from gateway.backup.detail_keys import beside
    from keys.envelope import SealingKey

    told = call.perform()
    recipient = SealingKey(bytes.fromhex(told["recipient"]))
    with output.bar("sealing", 1) as advance:
        manifest = write(config.load(call.home), recipient, told["made"], file.absolute())
        advance(1)
    size = file.stat().st_size
    document = {
        "file": str(file),
        "keys": str(beside(file)),
        "bytes": size,
        "made": manifest.made,
        "files": len(manifest.items),
        "recovery_key": recipient.key_id.hex(),
    }
    call.emit(
        document,
        f"backup    {file}  {size:,} bytes, {len(manifest.items)} files, as of {manifest.made}",
        f"sealed    for the recovery key {recipient.key_id.hex()[:SHOWN]}",
        f"keys      {beside(file)}  → destroy it when the next backup is made: it opens what is shredded since",
        "next      take it to another place; try it: passerelle drill restore",
    )


@plain_command(
    app,
    "passerelle restore can.backup can2 --recovery recovery --checkpoint CAN.checkpoint",
    "passerelle restore can.backup can2 --recovery recovery --checkpoint CAN.checkpoint"
    " --accept-loss 'disk lost, newest backup of Monday'",
)
def restore(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Backup to restore.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to make; it must not exist, or be empty.")
    ],
    recovery: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the recovery key.")],
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Newest checkpoint of ours that a partner kept, from their folder witness/; may be repeated.",
        ),
    ] = None,
    accept_loss: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Restore although a partner saw more entries than the backup has; recorded, an ALARM.",
        ),
    ] = "",
    without_detail_keys: Annotated[
        bool,
        typer.Option(
            "--without-detail-keys",
            help="Restore although FILE.keys is gone: auditors cannot read what was sealed before; recorded.",
        ),
    ] = False,
    recovery_passphrase_file: RecoveryPassphrase = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Bring a gateway back from its backup into a new home directory; it says so in its ledger before anything else.

    Ask each partner for the checkpoint it kept: without one, entries since the backup can be lost unseen.
    """
    from gateway import telemetry
    from gateway.server.process_hardening import forbid_core
    from gateway.server.restore import restore as bring_back
    from keys import recovery as recoveries

    forbid_core()
    asked = output.passphrase_from(
        recovery_passphrase_file, "the recovery key", option="--recovery-passphrase-file"
    )
    with telemetry.sentences():
        done = bring_back(
            file,
            folder,
            recoveries.open_key(recovery, asked()),
            output.passphrase_from(passphrase_file, "the gateway's keys, as at the backup"),
            checkpoints=checkpoint or (),
            accept_loss=accept_loss,
            without_keys=without_detail_keys,
        )
    document = {
        "ok": True,
        "home": str(folder),
        "party": done.party,
        "made": done.made,
        "entries": done.entries,
        "lost": done.lost,
        "version": done.version,
        "checkpoints": len(checkpoint or ()),
    }
    lines = [
        f"restored  {done.party} as of {done.made}: {done.entries} entries  → {folder}",
        f"version   {done.version} of our public entry → every partner imports it",
    ]
    if not checkpoint:
        lines.append("witness   no partner's checkpoint was compared: what came after is not known")
    if done.lost:
        lines.append(f"LOST      {done.lost}: tell every partner; their witnesses will refuse")
    lines.append(f"next      passerelle check {folder}; then passerelle serve {folder}")
    output.emit(context, document, *lines)


@plain_command(recovery_app, "passerelle recovery new recovery   # on another machine, kept there")
def new(
    context: typer.Context,
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to make.")],
    recovery_passphrase_file: RecoveryPassphrase = None,
) -> None:
    """Make a recovery key. Its folder is kept away from the gateway; recipient.json is for the gateway."""
    from gateway.server.process_hardening import forbid_core
    from keys import recovery

    forbid_core()
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; make the recovery key in a folder of its own")
    ask = output.passphrase_from(
        recovery_passphrase_file, "the recovery key", new=True, option="--recovery-passphrase-file"
    )
    key = recovery.create(folder, ask())
    _told(context, folder, key.key_id.hex())


@plain_command(recovery_app, "passerelle recovery show recovery")
def show(
    context: typer.Context,
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the key.")],
) -> None:
    """Say which recovery key a folder holds; no passphrase is needed."""
    from keys import recovery

    _told(context, folder, recovery.read_recipient(folder / recovery.PUBLIC).key_id.hex())


@command(recovery_app, Recipient)
def use(
    call: Call,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="recipient.json of the recovery key's folder.")
    ],
) -> None:
    """Hand in the public half in a file."""
    from keys import recovery

    told = call.perform(public=recovery.read_recipient(file).public.hex())
    call.emit(told, f"recovery key  {told['recipient']}")


def _told(context: typer.Context, folder: Path, kid: str) -> None:
    output.emit(
        context,
        {"ok": True, "folder": str(folder), "kid": kid},
        f"recovery key  {kid}",
        f"folder        {folder}  → keep it elsewhere, and its passphrase apart from it",
        f"next          passerelle recovery use DIR {folder}/recipient.json: two operators",
    )
