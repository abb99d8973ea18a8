"""`passerelle calibrations`: what scores of faces and irises are worth here, whether a file can be taken, and its adoption."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Home, No
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations.calibrations import LONGEST, Adopt

if TYPE_CHECKING:
    from gateway.calibrations.counting import Counting
    from gateway.matching.calibrations import Calibration

app = typer.Typer()

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="A calibration, as `passerelle eval --calibrate` writes it.",
    ),
]


@plain_command(app, "passerelle calibrations list can", name="list")
def list_(context: typer.Context, home: Home) -> None:
    """List what counts for each face model and iris coder, shipped or adopted; needs no passphrase.

    Exit code 1 where an adopted calibration is not as it was adopted: then none of its model counts.
    """
    from gateway.server import calibrations_of_folder

    found = calibrations_of_folder.calibrations(home)
    rows = [_row(each, found) for each in found.calibrations.each()]
    faults = list(found.faults.values())
    for fault in faults:
        output.note(f"not counted: {fault}")
    output.emit(
        context,
        {"ok": not faults, "calibrations": rows, "faults": faults},
        *(
            f"{row['modality']:5} {row['model']:24} {row['calibration']}  {row['stands']}"
            for row in rows
        ),
        code=output.Code.NO if faults else output.Code.DONE,
    )


@plain_command(
    app,
    "passerelle calibrations show can facenet512",
    "passerelle calibrations show can facenet512 --shipped --save facenet512.json",
)
def show(
    context: typer.Context,
    home: Home,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As `list` shows it.")],
    shipped: Annotated[
        bool,
        typer.Option("--shipped", help="The one that travels with Passerelle, whatever counts."),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="FILE", help="Write its file, byte for byte; not over another."
        ),
    ] = None,
) -> None:
    """Show what a calibration was fitted on and what a hit needs by it; needs no passphrase."""
    from gateway.matching import calibrations
    from gateway.server import calibrations_of_folder

    found = calibrations_of_folder.calibrations(home)
    one = (calibrations.shipped() if shipped else found.calibrations).of(model)
    if one is None:
        raise UserError(
            f"{_missing(model, found)}: `passerelle calibrations list` shows what counts"
        )
    if save is not None:
        adopted = found.texts.get(model)
        text = calibrations.shipped_text(one) if shipped or adopted is None else adopted
        user_files.create(save, text)
    row = _row(one, None if shipped else found)
    output.emit(context, {"ok": True, **row}, *(f"{name:12} {said}" for name, said in row.items()))


@plain_command(
    app,
    "passerelle calibrations check model.json",
    "passerelle calibrations check model.json --for can",
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
            help="Home directory of the gateway that would take it; what does not fit its model there is refused.",
        ),
    ] = None,
) -> None:
    """Read a file as a gateway would; what is wrong with it is said (exit code 1)."""
    from gateway.matching import calibrations

    try:
        one = calibrations.read(user_files.named(file, LONGEST))
        if home is not None:
            from gateway.calibrations.adopted import demand_adoptable
            from gateway.server import calibrations_of_folder

            demand_adoptable(one, calibrations_of_folder.calibrations(home).calibrations)
    except UserError as fault:
        raise No(f"{file.name}: {fault}") from None
    row = _row(one, None)
    output.emit(context, {"ok": True, **row}, *(f"{name:12} {said}" for name, said in row.items()))


@command(app, Adopt)
def adopt(call: Call, *, file: File) -> None:
    """Hand in the text of a file; two operators adopt it, so there is nothing to show but the proposal."""
    try:
        text = user_files.named(file, LONGEST).decode()
    except UnicodeDecodeError:
        raise UserError(
            f"{file}: not UTF-8; write it again by `passerelle eval --calibrate`"
        ) from None
    call.perform(text=text)


def _missing(model: str, found: Counting) -> str:
    return found.faults.get(model, "no calibration of such a model or coder counts here")


def _row(one: Calibration, found: Counting | None) -> dict[str, object]:
    """Return what is told of a calibration; `found`: what counts at the gateway whose it is."""
    from gateway.calibrations.adopted import FPIR, PEOPLE, needed

    adoption = None if found is None else found.adoptions.get(one.model)
    row: dict[str, object] = {
        "modality": one.modality.name,
        "model": one.model,
        "calibration": one.id,
        "data": one.data,
        "split": one.split,
        "hit": f"by one sample, at an FPIR of {FPIR:g} among {PEOPLE:,} people: {needed(one)}",
        "digest": one.digest,
    }
    if one.dimension:
        row["dimension"] = one.dimension
    if found is not None:
        row["stands"] = (
            "shipped"
            if adoption is None
            else f"adopted {adoption.time:%Y-%m-%d %H:%M} UTC, entry {adoption.index}"
        )
    return row
