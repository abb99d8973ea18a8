"""`passerelle review`: the queries that wait for an examiner, and what he sees and says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import user_files
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code
from gateway.errors import UserError
from gateway.operations import review

# What a modality says by itself, where several were searched.
_SAYS = {
    "SUPPORTS": "supports that it is one person",
    "UNDECIDED": "says neither",
    "CONTRADICTS": "contradicts that it is one person",
    "NOT_COMPARED": "not compared: too poor, or the record has none",
}
URGENT = 900  # seconds left, below which a case is shown in red
SOON = 3600  # seconds; below, in yellow

app = typer.Typer()


@command(app, review.List)
def list_(call: Call) -> None:
    """Show the cases that wait."""
    from rich.table import Table

    found = call.perform_all("cases")
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
    # What waits was shown, so it is no failure: `ok` stays, the exit code alone says that it is urgent.
    call.emit({"ok": True, **found}, shown, code=Code.NO if late else Code.DONE)


@command(app, review.Lease)
def show(
    call: Call,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="SVG", help="File for the picture; of several fingers, one each."),
    ] = None,
) -> None:
    """Show a case, and draw it where a file is named."""
    from rich.table import Table

    found = call.perform()
    pictures = [] if out is None else _draw(found, out)
    table = Table("finger", "asked as", "probe", "record", "agree", box=None)
    for each in found["fingers"]:
        counts = (len(each["probe"]), len(each["record"]), len(each["pairs"]))
        stated = str(each["stated"] or "unknown")
        table.add_row(str(each["position"]), stated, *map(str, counts))
    call.emit(
        {**found, "pictures": [str(file) for file in pictures]},
        *([table] if found["fingers"] else []),
        *described(found),
        *(f"picture  {file}" for file in pictures),
        f"in hand until {found['held_until']}"
        f"  → passerelle review decide {call.home} {found['case']} --verdict …",
    )


@command(app, review.Decide)
def decide(call: Call) -> None:
    """Give a verdict, in letters of either size."""
    found = call.perform(verdict=str(call.values.get("verdict", "")).upper())
    outcome = "closed; prints destroyed" if found["closed"] else "noted; another person must look"
    receipt = f"  receipt {found['destruction_receipt']}" if found["closed"] else ""
    call.emit(found, f"{found['case']}  {outcome}{receipt}")


@command(app, review.Release)
def release(call: Call) -> None:
    """Lay a case down."""
    found = call.perform()
    call.emit(found, f"{found['case']}  {found['state']}  {_left(found['seconds_left'])}")


def described(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of what a case shows beside fingers: samples of other modalities, and what each modality says."""
    seen = [line for each in found["samples"] for line in _seen(each)]
    says = [f"{each['modality'].lower():8} {_SAYS[each['says']]}" for each in found["modalities"]]
    return seen + says


def _seen(sample: Mapping[str, Any]) -> list[str]:
    """Return the lines of a sample that is no finger: what its modality has to show of probe and record."""
    place = f" {sample['position']}" if sample["position"] else ""
    name = f"{sample['modality'].lower()}{place}"
    return [f"{name:8} {key}  {_words(value)}" for key, value in sample["compared"].items()]


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


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
        user_files.create(file, picture.encode())
        written.append(file)
    return written
