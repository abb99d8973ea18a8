"""`passerelle corrections`: what went out wrong, where it went, and who has not yet put it right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import user_files
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.casework import corrections_graph
from gateway.cli.output import Code, Home, Json, No, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of

app = typer.Typer(
    help="Correct what was disclosed, and answer for what was disclosed to us.",
    no_args_is_help=True,
)

Subject = Annotated[
    str, typer.Option(metavar="FILE-NUMBER", help="The person, by the local file number.")
]
Number = Annotated[str, typer.Option(metavar="TXN", help="One query, by its transaction number.")]
Partner = Annotated[str, typer.Option(metavar="ID", help="This partner alone, e.g. AUS.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence; it goes into the ledger.")]
Identifier = Annotated[
    str, typer.Argument(metavar="CORRECTION", help="Identifier, from `corrections list`.")
]


@app.command(
    name="open",
    epilog=example(
        "passerelle corrections open can --subject F-1234 --kind WRONG_VALUE --field DATE_OF_BIRTH"
        " --reason 'typed wrong at enrolment'",
        "passerelle corrections open can --number 20260301-0123456789abcdef0123 --kind WRONG_PERSON"
        " --reason 'two files of two people were merged'",
    ),
)
def open_(
    context: typer.Context,
    *,
    home: Home,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="WRONG_PERSON, WRONG_VALUE or WITHDRAWN.")
    ],
    reason: Reason,
    subject: Subject = "",
    number: Number = "",
    partner: Partner = "",
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Only this field; may be repeated. Default: all."),
    ] = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Tell every partner that received it: one notice for each query, sent while the gateway serves.

    Right values are those of today's record; set that right first. A wrong value goes to everyone who got it; a wrong
    person or a withdrawal named by --number concerns that query alone.
    """
    del as_json
    values = {
        "kind": kind,
        "reason": reason,
        "subject": subject,
        "number": number,
        "partner": partner,
        "fields": list(field or ()),
    }
    found = _do(home, "corrections.open", values, officer, passphrase_file)
    lines = [
        f"{each['correction']}  {each['partner']}  {each['number']}" for each in found["opened"]
    ]
    already = found["already_open"]
    output.emit(
        context,
        {"ok": True, **found},
        *lines,
        f"opened   {len(lines)} notices  → passerelle corrections list {home} --open",
        *([f"already  {already} were open"] if already else []),
    )


@app.command(
    name="list",
    epilog=example(
        "passerelle corrections list can --open", "passerelle corrections list can --json"
    ),
)
def list_(
    context: typer.Context,
    *,
    home: Home,
    partner: Partner = "",
    unfinished: Annotated[
        bool, typer.Option("--open", help="Only those that are not yet acknowledged.")
    ] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List corrections, both ways; exit code 1 where one is late or refused."""
    del as_json
    from rich.table import Table

    values = {"partner": partner, "open": unfinished}
    found = _all(home, "corrections.list", values, officer, passphrase_file, rows="corrections")
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
    output.emit(context, {"ok": not bad, **found}, shown, code=Code.NO if bad else Code.DONE)


@app.command(
    epilog=example(
        "passerelle corrections trace can --subject F-1234",
        "passerelle corrections trace can --number 20260301-0123456789abcdef0123 --svg trace.svg",
    )
)
def trace(
    context: typer.Context,
    *,
    home: Home,
    subject: Subject = "",
    number: Number = "",
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it, as SVG.")] = None,
    dot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it in Graphviz' language.")
    ] = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show where it went: person or query, disclosures, corrections, and who has acknowledged or is late."""
    del as_json
    values = {"subject": subject, "number": number}
    found = _all(home, "corrections.trace", values, officer, passphrase_file, rows="disclosed")
    root = corrections_graph.of_trace(found)
    if not root.below:
        raise No("nothing of this was disclosed or received")
    for path, drawn in ((svg, corrections_graph.svg), (dot, corrections_graph.dot)):
        if path is not None:
            user_files.write(path, drawn(root).encode())
    output.emit(context, {"ok": True, **found}, *corrections_graph.tree(root))


@app.command(
    epilog=example(
        "passerelle corrections settle can 00112233445566778899aabbccddeeff --used-in R-9"
        " --reason 'the visa was refused on it'",
        "passerelle corrections settle can 00112233445566778899aabbccddeeff --not-used"
        " --reason 'looked at, and set aside'",
    )
)
def settle(
    context: typer.Context,
    *,
    home: Home,
    correction: Identifier,
    reason: Reason,
    used_in: Annotated[
        str, typer.Option(metavar="RECORD", help="The record whose decision used it.")
    ] = "",
    not_used: Annotated[
        bool, typer.Option("--not-used", help="It was seen, and used in no decision.")
    ] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say of information that a partner corrected whether it was used; the duty is done and acknowledged.

    Used: it is kept with a note to file. Not used: it is destroyed, or replaced by the right values.
    """
    del as_json
    values = {
        "correction": correction,
        "used_in": used_in,
        "not_used": not_used,
        "reason": reason,
    }
    found = _do(home, "corrections.settle", values, officer, passphrase_file)
    notes = [found[key] for key in ("note_en", "note_fr") if key in found]
    output.emit(context, {"ok": True, **found}, f"outcome  {found['outcome']}", *notes)


@app.command(epilog=example("passerelle corrections retry can 00112233445566778899aabbccddeeff"))
def retry(
    context: typer.Context,
    *,
    home: Home,
    correction: Identifier,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Send again what the partner's gateway refused, after somebody spoke with the partner."""
    del as_json
    values = {"correction": correction}
    found = _do(home, "corrections.retry", values, officer, passphrase_file)
    output.emit(context, {"ok": True, **found}, f"state  {found['state']}")


def _do(
    home: Path,
    act: str,
    values: Mapping[str, object],
    officer: Path | None,
    passphrase_file: Path | None,
) -> Any:  # noqa: ANN401 - what the act answers, as JSON has it
    return admin_session.perform(
        home, act, values, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    )


def _all(
    home: Path,
    act: str,
    values: Mapping[str, object],
    officer: Path | None,
    passphrase_file: Path | None,
    *,
    rows: str,
) -> Any:  # noqa: ANN401 - what the act answers, as JSON has it
    return admin_session.perform_all(
        home, act, values, rows, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    )
