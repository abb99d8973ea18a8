"""`passerelle decisions`: what an official refuses to disclose of a person, to whom, on which ground."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.domain.person import FieldCode, Ground, Scope

app = typer.Typer(
    help="Refuse a partner all or part of what we hold of a person.", no_args_is_help=True
)

Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why, in a sentence; it goes into the ledger, sealed.")
]
GROUNDS = ", ".join(ground.name for ground in Ground)


@app.command(
    epilog=example(
        "passerelle decisions refuse can --subject 1024-77 --ground NATIONAL_SECURITY --reason 'file 12'",
        "passerelle decisions refuse can --subject 1024-77 --partner AUS --field PHOTOGRAPH"
        " --ground PUBLIC_POLICY --reason 'file 13'",
    )
)
def refuse(
    context: typer.Context,
    *,
    home: Home,
    subject: Annotated[
        str,
        typer.Option(
            "--subject", "--person", metavar="FILE-NUMBER", help="The person, by file number."
        ),
    ],
    ground: Annotated[str, typer.Option(metavar="GROUND", help=f"One of {GROUNDS}.")],
    reason: Reason,
    partner: Annotated[
        str, typer.Option(metavar="ID", help="The partner; without it, every partner.")
    ] = "",
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="A field that is refused; without any, all is refused."),
    ] = None,
    terms: Annotated[
        str,
        typer.Option(
            metavar="WORDS",
            help="Terms on which it may be had all the same, where the agreement knows terms.",
        ),
    ] = "",
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Refuse all, or the fields that are named, on one of the five grounds (IRPR 315.25(4), 315.41(3)).

    For a caseworker. It holds from now on until it is lifted; what was disclosed before stays disclosed.
    """
    del as_json
    fields = sorted(set(field or []))
    unknown = [name for name in fields if name not in FieldCode.__members__]
    if unknown:
        raise typer.BadParameter(f"--field: of {', '.join(FieldCode.__members__)}")
    scope = Scope.PART if fields else Scope.ALL
    done = admin_session.perform(
        home,
        "decision.refuse",
        {
            "person": subject,
            "partner": partner,
            "scope": scope.name,
            "fields": fields,
            "ground": ground,
            "reason": reason,
            "terms": terms,
        },
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(
        context,
        {"ok": True, **done},
        f"decision  {done['decision']}  {', '.join(fields) or 'everything'} refused"
        f" to {partner or 'every partner'}: {ground}",
    )


@app.command(epilog=example("passerelle decisions lift can R-0123456789abcdef --reason 'reviewed'"))
def lift(
    context: typer.Context,
    *,
    home: Home,
    identifier: Annotated[str, typer.Argument(metavar="DECISION", help="The decision, R-….")],
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Lift a decision: from now on the agreement alone says what may be disclosed."""
    del as_json
    done = admin_session.perform(
        home,
        "decision.lift",
        {"decision": identifier, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(context, {"ok": True, **done}, f"decision  {done['decision']}  lifted")


@app.command(name="list", epilog=example("passerelle decisions list can --subject 1024-77"))
def list_(
    context: typer.Context,
    *,
    home: Home,
    subject: Annotated[
        str,
        typer.Option("--subject", "--person", metavar="FILE-NUMBER", help="Of this person alone."),
    ] = "",
    lifted: Annotated[bool, typer.Option("--lifted", help="Those too that were lifted.")] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List the decisions in force: whom they concern, what they refuse, on which ground, by whom."""
    del as_json
    from rich.table import Column, Table

    found = admin_session.perform_all(
        home,
        "decision.list",
        {"person": subject, "lifted": lifted},
        "decisions",
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    rows: Any = found["decisions"]
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
    for row in rows:
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
    output.emit(context, {"ok": True, **found}, table)
