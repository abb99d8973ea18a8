"""`passerelle retention`: what is kept and for how long, what is due, and what must not go."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of

BATCHES = 25  # of each class at a time, so that the bar moves every few seconds

app = typer.Typer(
    help="See what is kept, erase what is due, hold what must not go.", no_args_is_help=True
)
hold = typer.Typer(help="Legal holds: what they name is not erased.", no_args_is_help=True)
app.add_typer(hold, name="hold")

Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why, in a sentence; it goes into the ledger.")
]


@app.command(
    epilog=example("passerelle retention status can", "passerelle retention status can --json")
)
def status(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say by class what is kept, what is due, what is overdue, and what a hold keeps.

    Exit code 1 where something is overdue: then no query is answered until it is erased.
    """
    del as_json
    found = admin_session.perform(
        home,
        "retention.status",
        {},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    overdue: Any = found["overdue"]
    output.emit(
        context,
        {"ok": not overdue, **found},
        _table(found["classes"]),
        *(f"overdue  {', '.join(overdue)}  → passerelle retention run {home}" for _ in overdue[:1]),
        code=Code.NO if overdue else Code.DONE,
    )


@app.command(
    epilog=example("passerelle retention run can --dry-run", "passerelle retention run can")
)
def run(
    context: typer.Context,
    *,
    home: Home,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and erase nothing.")
    ] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Erase what is due now and nothing holds; each batch is one entry of the ledger.

    The gateway does the same every ten minutes while it serves. Interrupted, run it again: what was erased is
    erased, and nothing is half. Exit code 1 where something stays overdue.
    """
    del as_json
    with admin_session.at_desk(
        home, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    ) as do:
        before: Any = do("retention.status", {})["classes"]
        due = {row["class"]: row["due"] for row in before if row["due"]}
        if dry_run:
            lines = [_sentence(row) for row in before if row["due"] or row["held"]]
            document = {"ok": True, "would_erase": due, "classes": before}
            output.emit(context, document, *(lines or ["nothing is due"]))
            return
        erased: dict[str, int] = {}
        with output.bar("erasing", sum(due.values())) as advance:
            more: object = True
            while more:
                done: Any = do("retention.run", {"batches": BATCHES})
                for name, count in done["erased"].items():
                    erased[name] = erased.get(name, 0) + count
                advance(sum(done["erased"].values()))
                more = done["more"]
    overdue: list[str] = done["overdue"]
    lines = [f"{name:16} {count} erased" for name, count in sorted(erased.items())]
    if overdue:
        lines.append(f"overdue          {', '.join(overdue)}  → passerelle retention status {home}")
    output.emit(
        context,
        {
            "ok": not overdue,
            "erased": erased,
            "journal_empty": done["journal_empty"],
            "overdue": overdue,
        },
        *(lines or ["nothing was due"]),
        code=Code.NO if overdue else Code.DONE,
    )


@hold.command(
    epilog=example(
        "passerelle retention hold place can --subject 1024-77 --reason 'access request 14'",
        "passerelle retention hold place can --transaction AUS/20260301-0123456789abcdef0123"
        " --reason 'court file 9'",
        "passerelle retention hold place can --everything --reason 'inquiry'",
    )
)
def place(
    context: typer.Context,
    *,
    home: Home,
    reason: Reason,
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
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Hold something: nothing of it is erased until the hold is released.

    The prints of a query are no matter of holds: they are destroyed when the search is over (IRPR 315.43(2)).
    """
    del as_json
    named = {"person": subject, "transaction": transaction, "partner": partner}
    given = [(kind, reference) for kind, reference in named.items() if reference]
    given += [("everything", "")] if everything else []
    if len(given) != 1:
        raise typer.BadParameter("name one of --subject, --transaction, --partner, --everything")
    kind, reference = given[0]
    values = {"kind": kind, "reason": reason} | ({"reference": reference} if reference else {})
    done = admin_session.perform(
        home,
        "hold.place",
        values,
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(
        context, {"ok": True, **done}, f"hold  {done['hold']}  stands on {kind} {reference}"
    )


@hold.command(
    epilog=example("passerelle retention hold release can H-0123456789abcdef --reason 'closed'")
)
def release(
    context: typer.Context,
    *,
    home: Home,
    identifier: Annotated[str, typer.Argument(metavar="HOLD", help="The hold, H-….")],
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Release a hold: what it kept and is due goes with the next run. It takes two; this proposes it."""
    del as_json
    done = admin_session.perform_or_propose(
        home,
        "hold.release",
        {"hold": identifier, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    if not admin_session.said(context, home, done):
        output.emit(context, {"ok": True, **done}, f"hold  {done['hold']}  released")


@hold.command(name="list", epilog=example("passerelle retention hold list can --released"))
def list_(
    context: typer.Context,
    *,
    home: Home,
    released: Annotated[bool, typer.Option("--released", help="Those too that ended.")] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List the holds that stand: on what, since when, by whom and why."""
    del as_json
    from rich.table import Column, Table

    found = admin_session.perform_all(
        home,
        "hold.list",
        {"released": released},
        "holds",
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    rows: Any = found["holds"]
    table = Table(Column("hold", no_wrap=True), "on", "since", "by", "why", "", box=None)
    for row in rows:
        ended = f"released {row['released'][:16]}" if row["released"] else ""
        on = f"{row['kind']} {row['reference']}".strip()
        table.add_row(row["hold"], on, row["since"][:16], row["by"], row["reason"], ended)
    output.emit(context, {"ok": True, **found}, table)


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
            f"{days:g} days" if days else "",
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
