"""`passerelle corrections`: what went out wrong, where it went, and who has not yet put it right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway import user_files
from gateway.cli.casework import corrections_graph
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code, No
from gateway.operations import corrections

app = typer.Typer()


@command(app, corrections.Open)
def open_(call: Call) -> None:
    """Open corrections, and say which notices go out."""
    found = call.perform()
    lines = [
        f"{each['correction']}  {each['partner']}  {each['number']}" for each in found["opened"]
    ]
    already = found["already_open"]
    call.emit(
        found,
        *lines,
        f"opened   {len(lines)} notices  → passerelle corrections list {call.home} --open",
        *([f"already  {already} were open"] if already else []),
    )


@command(app, corrections.List)
def list_(call: Call) -> None:
    """Show corrections in a table."""
    from rich.table import Table

    found = call.perform_all("corrections")
    table = Table("correction", "way", "partner", "query", "kind", "state", "due", box=None)
    for each in found["corrections"]:
        way = "out" if each["direction"] == "OUTBOUND" else "in"
        state = each["outcome"] or each["state"]
        table.add_row(
            *(each["correction"], way, each["partner"], each["number"], each["kind"]),
            f"{state} LATE" if each["late"] else state,
            each["due"][:16],
        )
    bad = any(each["late"] or each["state"] == "REFUSED" for each in found["corrections"])
    shown = table if found["corrections"] else "no corrections"
    call.emit(found, shown, code=Code.NO if bad else Code.DONE)


@command(app, corrections.Trace)
def trace(
    call: Call,
    *,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it, as SVG.")] = None,
    dot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it in Graphviz' language.")
    ] = None,
) -> None:
    """Show the graph of a mistake, and draw it where a file is named."""
    user_files.demand_new(svg, dot)
    found = call.perform_all("disclosed")
    root = corrections_graph.of_trace(found)
    if not root.below:
        raise No("nothing of this was disclosed or received")
    for path, drawn in ((svg, corrections_graph.svg), (dot, corrections_graph.dot)):
        if path is not None:
            user_files.create(path, drawn(root).encode())
    call.emit(found, *corrections_graph.tree(root))


@command(app, corrections.Settle)
def settle(call: Call) -> None:
    """Settle a correction, and show the note to file where there is one."""
    found = call.perform()
    notes = [found[key] for key in ("note_en", "note_fr") if key in found]
    call.emit(found, f"outcome  {found['outcome']}", *notes)


@command(app, corrections.Retry)
def retry(call: Call) -> None:
    """Send a correction again."""
    found = call.perform()
    call.emit(found, f"state  {found['state']}")
