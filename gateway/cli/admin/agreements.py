"""`passerelle agreements`: what was agreed, whether a file can be taken, and our signature under it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Home, No
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations.agreements import Sign

if TYPE_CHECKING:
    from gateway.law.agreement import Agreement

app = typer.Typer()

File = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An agreement, TOML.")
]


@plain_command(app, "passerelle agreements list can", name="list")
def list_(context: typer.Context, home: Home) -> None:
    """List the agreements of the gateway and which are in force; needs no passphrase."""
    from gateway.server import expiry_of_folder

    now = datetime.now(UTC)
    found = expiry_of_folder.agreements(home, now)
    held = (each for versions in found.agreements.values() for each in versions)
    rows = [_row(agreement, now) for agreement in held]
    faults = [str(fault) for fault in found.faults]
    for fault in faults:
        output.note(f"not counted: {fault}")
    output.emit(
        context,
        {"ok": not faults, "agreements": rows, "faults": faults},
        *(f"{row['agreement']:14} {row['partner']:10} {row['stands']}" for row in rows),
        code=output.Code.NO if faults else output.Code.DONE,
    )


@plain_command(app, "passerelle agreements show can au@1")
def show(
    context: typer.Context,
    home: Home,
    name: Annotated[str, typer.Argument(metavar="ID@VERSION", help="As `list` shows it.")],
) -> None:
    """Show an agreement of the gateway, each rule beside its paragraph; needs no passphrase."""
    from gateway.law.agreement_display import lines
    from gateway.server import expiry_of_folder

    now = datetime.now(UTC)
    for versions in expiry_of_folder.agreements(home, now).agreements.values():
        for agreement in versions:
            if agreement.name == name:
                told = lines(agreement, now)
                rules = [{"rule": rule, "paragraph": paragraph} for rule, paragraph in told]
                output.emit(
                    context,
                    {"ok": True, **_row(agreement, now), "rules": rules},
                    f"{agreement.name}  {agreement.title}",
                    *(f"{paragraph:20} {rule}" for rule, paragraph in told),
                )
                return
    raise UserError(
        "the gateway has no such agreement: `passerelle agreements list` shows what it has"
    )


@plain_command(
    app, "passerelle agreements check au-2.toml", "passerelle agreements check au-2.toml --for can"
)
def check(
    context: typer.Context,
    file: File,
    home: Annotated[
        Path | None,
        typer.Option(
            "--for",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Home directory of the gateway that would take it; a file of another party is refused.",
        ),
    ] = None,
) -> None:
    """Read a file as a gateway would; a complaint names the line (exit code 1). Says nothing of its signature."""
    from gateway import config
    from gateway.law.agreement_parser import parse
    from gateway.law.toml_reader import MAX_BYTES, MalformedAgreement

    try:
        agreement = parse(user_files.named(file, MAX_BYTES), file.name)
    except MalformedAgreement as fault:
        raise No(str(fault)) from None
    if home is not None:
        from gateway.agreements.signatures import not_ours

        if why := not_ours(agreement, config.load(home).gateway.party):
            raise No(f"{file.name}: agreement.home: {why}")
    row = _row(agreement, datetime.now(UTC))
    counts = f"counts at the gateway of {agreement.home} alone, once it is signed there"
    shown = f"{agreement.name}  {agreement.title}", counts
    output.emit(context, {"ok": True, **row}, *shown)


@command(app, Sign)
def sign(call: Call, *, file: File) -> None:
    """Hand in the text of a file; two operators sign it, so there is nothing to show but the proposal."""
    call.perform(file=file.name, text=_text(file))


def _text(file: Path) -> str:
    from gateway.law.toml_reader import MAX_BYTES

    try:
        return user_files.named(file, MAX_BYTES).decode()
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8; save it so") from None


def _row(agreement: Agreement, now: datetime) -> dict[str, str]:
    if agreement.covers(now):
        stands = "in force"
    elif now < agreement.in_force:
        stands = f"from {agreement.in_force:%Y-%m-%d}"
    else:
        stands = "ended"
    return {
        "agreement": agreement.name,
        "title": agreement.title,
        "home": agreement.home,
        "partner": agreement.partner,
        "partner_name": agreement.partner_name(now),
        "in_force": f"{agreement.in_force:%Y-%m-%d}",
        "stands": stands,
        "digest": agreement.digest,
    }
