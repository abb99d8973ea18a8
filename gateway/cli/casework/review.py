"""`passerelle review`: the queries that wait for an examiner, and what he sees and says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import user_files as files
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.errors import UserError

URGENT = 900  # seconds left, below which a case is shown in red
SOON = 3600  # seconds; below, in yellow

app = typer.Typer(
    help="See what waits for an examiner, look at it, and decide.", no_args_is_help=True
)

CaseName = Annotated[
    str, typer.Argument(metavar="CASE", help="Name of the case, from `review list`.")
]


@app.command(
    name="list",
    epilog=example("passerelle review list can", "passerelle review list can --as p7 --json"),
)
def list_(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List the cases that wait, the most urgent first; exit code 1 where one has less than a quarter of an hour."""
    del as_json
    from rich.table import Table

    found: Any = admin_session.perform_all(
        home,
        "review.list",
        {},
        "cases",
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    table = Table("case", "time left", "state", "verdicts", "in hand of", box=None)
    for each in found["cases"]:
        table.add_row(
            each["case"],
            _left(each["seconds_left"]),
            each["state"],
            f"{each['verdicts']} of {each['persons']}",
            each["held_by"] or "",
        )
    late = any(each["seconds_left"] < URGENT for each in found["cases"])
    shown = table if found["cases"] else "nothing waits"
    output.emit(context, {"ok": True, **found}, shown, code=Code.NO if late else Code.DONE)


@app.command(
    epilog=example(
        "passerelle review show can R-0123456789abcdef --as p7 --out overlay.svg",
        "passerelle review show can R-0123456789abcdef --as p7 --json",
    )
)
def show(
    context: typer.Context,
    *,
    home: Home,
    case: CaseName,
    out: Annotated[
        Path | None,
        typer.Option(metavar="SVG", help="File for the picture; of several fingers, one each."),
    ] = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Take a case in hand for a quarter of an hour and look: minutiae of both, and which agree; no score.

    Show it again to have it longer. Delete the pictures when you have decided.
    """
    del as_json
    from rich.table import Table

    found = _do(home, "review.lease", {"case": case}, officer, passphrase_file)
    files = [] if out is None else _draw(found, out)
    table = Table("finger", "probe", "record", "agree", box=None)
    for each in found["fingers"]:
        counts = (len(each["probe"]), len(each["record"]), len(each["pairs"]))
        table.add_row(str(each["position"]), *map(str, counts))
    output.emit(
        context,
        {"ok": True, **found, "pictures": [str(file) for file in files]},
        table,
        *(f"picture  {file}" for file in files),
        f"in hand until {found['held_until']}  → passerelle review decide {home} {case} --verdict …",
    )


@app.command(
    epilog=example(
        "passerelle review decide can R-0123456789abcdef --as p7 --verdict SAME --reason '14 agree'"
    )
)
def decide(
    context: typer.Context,
    *,
    home: Home,
    case: CaseName,
    verdict: Annotated[str, typer.Option(metavar="WORD", help="SAME, DIFFERENT or INCONCLUSIVE.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; it goes into the ledger.")],
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Give the verdict on a case in hand; the prints are destroyed with the last one.

    Where the agreement asks for two persons, the second is not told what the first said.
    """
    del as_json
    values = {"case": case, "verdict": verdict.upper(), "reason": reason}
    found = _do(home, "review.decide", values, officer, passphrase_file)
    told = "closed; prints destroyed" if found["closed"] else "noted; another person must look"
    receipt = f"  receipt {found['destruction_receipt']}" if found["closed"] else ""
    output.emit(context, {"ok": True, **found}, f"{case}  {told}{receipt}")


@app.command(epilog=example("passerelle review release can R-0123456789abcdef --as p7"))
def release(
    context: typer.Context,
    *,
    home: Home,
    case: CaseName,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Lay a case down again without a verdict, for somebody else."""
    del as_json
    found = _do(home, "review.release", {"case": case}, officer, passphrase_file)
    output.emit(
        context, {"ok": True, **found}, f"{case}  {found['state']}  {_left(found['seconds_left'])}"
    )


def _do(
    home: Path,
    act: str,
    values: Mapping[str, object],
    officer: Path | None,
    passphrase_file: Path | None,
) -> dict[str, Any]:
    passphrase = passphrase_of(home, passphrase_file)
    return admin_session.perform(home, act, values, officer=officer, passphrase=passphrase)


def _left(seconds: int) -> Any:  # noqa: ANN401 - rich is met lazily
    from rich.text import Text

    colour = "red" if seconds < URGENT else "yellow" if seconds < SOON else ""
    return Text(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}", style=colour)


def _draw(found: Mapping[str, Any], out: Path) -> list[Path]:
    """Write a picture of each finger; where there are several, the finger's number is in its file's name."""
    import math

    from gateway.svg import Mark, overlay

    written = []
    for each in found["fingers"]:
        several = len(found["fingers"]) > 1
        file = out.with_stem(f"{out.stem}-{each['position']}") if several else out
        if file.exists():
            raise UserError(f"{file} exists; name another file")
        agreeing = [{pair[side] for pair in each["pairs"]} for side in (0, 1)]
        probe, record = (
            [
                Mark(m["x"], m["y"], math.radians(m["degrees"]), at in agreeing[side])
                for at, m in enumerate(each[name])
            ]
            for side, name in enumerate(("probe", "record"))
        )
        ties = [(a, b) for a, b in each["pairs"]]
        title = f"{found['case']}, finger {each['position']}"
        picture = overlay(probe, record, ties, (title, f"due {found['due']}"))
        files.create(file, picture.encode())
        written.append(file)
    return written
