"""`passerelle decisions`: what an official refuses to disclose of a person, to whom, on which ground."""

from __future__ import annotations

import typer

from gateway.cli.operation_command import Call, command
from gateway.domain.person import Scope
from gateway.operations import decisions

app = typer.Typer()


@command(app, decisions.Refuse)
def refuse(call: Call) -> None:
    """Refuse the fields that are named, else all."""
    fields: tuple[str, ...] = tuple(call.values.get("fields", ()))
    done = call.perform(scope=(Scope.PART if fields else Scope.ALL).name)
    call.emit(
        done,
        f"decision  {done['decision']}  {', '.join(sorted({*fields})) or 'everything'} refused"
        f" to {call.values.get('partner', 'every partner')}: {done['ground']}",
    )


@command(app, decisions.Lift)
def lift(call: Call) -> None:
    """Lift a decision."""
    done = call.perform()
    call.emit(done, f"decision  {done['decision']}  lifted")


@command(app, decisions.List)
def list_(call: Call) -> None:
    """Show decisions in a table."""
    from rich.table import Column, Table

    found = call.perform_all("decisions")
    table = Table(
        Column("decision", no_wrap=True),
        "person",
        "partner",
        "refused",
        "ground",
        "since",
        "by",
        "",
        box=None,
    )
    for row in found["decisions"]:
        table.add_row(
            row["decision"],
            row["person"],
            row["partner"] or "every",
            ", ".join(row["fields"]) or "everything",
            row["ground"],
            row["since"][:16],
            row["by"],
            f"lifted {row['lifted'][:16]}" if row["lifted"] else "",
        )
    call.emit(found, table if found["decisions"] else "nothing is refused")
