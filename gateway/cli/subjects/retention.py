"""`passerelle retention`: what is kept and for how long, what is due, and what must not go."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code
from gateway.operations import retention

_DATA_KEY = "DATA_KEY"  # the class of what no erasure ends, but the rotation of keys
BATCHES = 25  # of each class at a time, so that the bar moves every few seconds

app = typer.Typer()
hold = typer.Typer(help="Legal holds: what they name is not erased.", no_args_is_help=True)
app.add_typer(hold, name="hold")


@command(app, retention.Status)
def status(call: Call) -> None:
    """Show what is kept, by class."""
    found = call.perform()
    overdue = found["overdue"]
    call.emit(
        found,
        _table(found["classes"]),
        *_copies(found["copies"], call.home),
        *_remedies(overdue, call.home),
        code=Code.NO if overdue else Code.DONE,
    )


@command(app, retention.Run)
def run(
    call: Call,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and erase nothing.")
    ] = False,
) -> None:
    """Erase batch after batch, with a bar."""
    with call.session() as do:
        before: Any = do(retention.Status.declaration.name, {})["classes"]
        due = {row["class"]: row["due"] for row in before if row["due"]}
        if dry_run:
            lines = [_sentence(row) for row in before if row["due"] or row["held"]]
            call.emit({"would_erase": due, "classes": before}, *(lines or ["nothing is due"]))
            return
        erased: dict[str, int] = {}
        with output.bar("erasing", sum(due.values())) as advance:
            more: object = True
            while more:
                done: Any = do(call.operation.declaration.name, {"batches": BATCHES})
                for name, count in done["erased"].items():
                    erased[name] = erased.get(name, 0) + count
                advance(sum(done["erased"].values()))
                more = done["more"]
    overdue: list[str] = done["overdue"]
    lines = [f"{name:16} {count} erased" for name, count in sorted(erased.items())]
    if overdue:
        lines.append(
            f"overdue          {', '.join(overdue)}  → passerelle retention status {call.home}"
        )
    call.emit(
        {"erased": erased, "journal_empty": done["journal_empty"], "overdue": overdue},
        *(lines or ["nothing was due"]),
        code=Code.NO if overdue else Code.DONE,
    )


@command(hold, retention.Place)
def place(
    call: Call,
    *,
    subject: Annotated[
        str,
        typer.Option(
            "--subject", "--person", metavar="FILE-NUMBER", help="A person, by file number."
        ),
    ] = "",
    transaction: Annotated[
        str, typer.Option(metavar="PARTNER/TXN", help="A query, by partner and number.")
    ] = "",
    partner: Annotated[str, typer.Option(metavar="ID", help="All that is a partner's.")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="All there is.")] = False,
) -> None:
    """Hold the one thing that was named."""
    named = {"person": subject, "transaction": transaction, "partner": partner}
    options = {"person": "--subject", "transaction": "--transaction", "partner": "--partner"}
    given = [(kind, reference) for kind, reference in named.items() if reference]
    given += [("everything", "")] if everything else []
    if len(given) != 1:
        raise typer.BadParameter("name one of --subject, --transaction, --partner, --everything")
    kind, reference = given[0]
    call.options["reference"] = options.get(kind, "--everything")
    done = call.perform(kind=kind, reference=reference)
    call.emit(done, f"hold  {done['hold']}  stands on {kind} {reference}")


@command(hold, retention.Release)
def release(call: Call) -> None:
    """Release a hold."""
    done = call.perform()
    call.emit(done, f"hold  {done['hold']}  released")


@command(hold, retention.Holds)
def list_(call: Call) -> None:
    """Show the holds."""
    from rich.table import Column, Table

    found = call.perform_all("holds")
    table = Table(Column("hold", no_wrap=True), "on", "since", "by", "why", "", box=None)
    for row in found["holds"]:
        ended = f"released {row['released'][:16]}" if row["released"] else ""
        on = f"{row['kind']} {row['reference']}".strip()
        table.add_row(row["hold"], on, row["since"][:16], row["by"], row["reason"], ended)
    call.emit(found, table if found["holds"] else "nothing is held")


def _copies(found: Any, home: object) -> list[str]:  # noqa: ANN401 - plain values of an act
    """Say since when what was erased is erased in every copy of the database."""
    before, by = found["final_before"][:16], found["final_by"]
    lines = [
        f"copies   what was erased before {before} is unreadable in every copy of the database"
    ]
    if found["kept"]:
        kept = ", ".join(kid[:16] for kid in found["kept"])
        return [
            *lines,
            f"         when what is erased now will be is not known: DATA {kept} was stopped, or is past its end and in use",
            f"         → passerelle keys list {home}",
        ]
    if found["scheduled"]:
        return [*lines, f"         what is erased now will be from {by[:16]} on"]
    return [
        *lines,
        "         what was erased since can be read in copies: DATA keys do not rotate by themselves",
        f"         → passerelle keys schedule {home} DATA on --every 7 --reason WORDS",
    ]


def _remedies(overdue: list[str], home: object) -> list[str]:
    """Say what ends that something is overdue: an erasure, but for a data key, which the rotation destroys."""
    erased = [name for name in overdue if name != _DATA_KEY]
    lines = [f"overdue  {', '.join(erased)}  → passerelle retention run {home}"] if erased else []
    if len(erased) < len(overdue):
        lines.append(
            f"overdue  {_DATA_KEY}  → passerelle keys list {home}; the log says what keeps it"
        )
    return lines


def _table(rows: Any) -> Any:  # noqa: ANN401 - plain values of an act; rich is met lazily
    from rich.table import Column, Table

    table = Table(
        Column("class", no_wrap=True), "kept", "for", "due", "overdue", "held", "what", box=None
    )
    for row in rows:
        days = row["period_days"]
        table.add_row(
            row["class"],
            "" if row["total"] is None else str(row["total"]),
            "at once" if not days else "1 day" if days == 1 else f"{days:g} days",
            str(row["due"]),
            str(row["late"]),
            str(sum(row["held"].values())),
            row["what"],
        )
    return table


def _sentence(row: Any) -> str:  # noqa: ANN401 - plain values of an act
    held = sum(row["held"].values())
    kept = f"; {held} more are due and kept by {', '.join(row['held'])}" if held else ""
    return f"would erase {row['due']} {row['what']} ({row['ground']}){kept}"
