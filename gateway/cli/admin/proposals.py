"""`passerelle proposals`: what one person proposed, and another approves, rejects, or lets lapse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.keys.custody import watched
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.errors import UserError

if TYPE_CHECKING:
    from gateway.client.officer_credential import Credential

app = typer.Typer(
    help="See what waits for a second person; approve it, reject it.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal, P-….")]
SHOWN = 200  # characters of an argument that a screen shows; --json has all of it


@app.command(
    name="list",
    epilog=example("passerelle proposals list can", "passerelle proposals list can --all"),
)
def list_(
    context: typer.Context,
    *,
    home: Home,
    everything: Annotated[bool, typer.Option("--all", help="Those too that were decided.")] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List what waits for a second person. Exit code 1 where something does."""
    del as_json
    from rich.table import Table

    found = admin_session.perform_all(
        home,
        "proposals.list",
        {"all": everything},
        "proposals",
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    rows: Any = found["proposals"]
    table = Table("proposal", "action", "by", "state", "until", "decided by", box=None)
    for row in rows:
        table.add_row(
            *(row["id"], row["action"], row["proposer"], row["state"]),
            *(row["expires"][:16], row["decider"]),
        )
    waiting = any(row["state"] == "OPEN" for row in rows)
    output.emit(context, {"ok": True, **found}, table, code=Code.NO if waiting else Code.DONE)


@app.command(epilog=example("passerelle proposals show can P-0123456789abcdef"))
def show(
    context: typer.Context,
    *,
    home: Home,
    identifier: Id,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show what was proposed, word for word, what it would do, and whether it could be approved now."""
    del as_json
    found = admin_session.perform(
        home,
        "proposals.show",
        {"id": identifier},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(context, {"ok": True, **found}, *_lines(found))


@app.command(epilog=example("passerelle proposals approve can P-0123456789abcdef --as p2"))
def approve(
    context: typer.Context,
    *,
    home: Home,
    identifier: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Approve what another person proposed; it is done at once. Shows it first, and asks.

    Nobody approves their own proposal, by whichever key. An approval counts for the words that were shown and for the
    state that they were proposed in; whatever changed since, it is refused.
    """
    del as_json
    shown = admin_session.credential_of(officer)
    with admin_session.at_desk(
        home, officer=shown, passphrase=passphrase_of(home, passphrase_file)
    ) as do:
        found = do("proposals.show", {"id": identifier})
        output.confirm("\n".join(_lines(found)), "Approve, and have it done now?", yes=yes)
        with watched():
            done = do(
                "proposals.approve",
                {"id": identifier, "signature": _answer(shown, found, "APPROVE")},
            )
    output.emit(context, {"ok": True, **done}, f"done  {identifier}  {found['action']}")


@app.command(
    epilog=example(
        "passerelle proposals reject can P-0123456789abcdef --reason 'not agreed' --as p2"
    )
)
def reject(
    context: typer.Context,
    *,
    home: Home,
    identifier: Id,
    reason: Annotated[
        str, typer.Option(metavar="WORDS", help="Why, in a sentence; it goes into the ledger.")
    ],
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Reject what another person proposed."""
    del as_json
    shown = admin_session.credential_of(officer)
    with admin_session.at_desk(
        home, officer=shown, passphrase=passphrase_of(home, passphrase_file)
    ) as do:
        found = do("proposals.show", {"id": identifier})
        signature = _answer(shown, found, "REJECT")
        done = do("proposals.reject", {"id": identifier, "reason": reason, "signature": signature})
    output.emit(context, {"ok": True, **done}, f"rejected  {identifier}")


@app.command(epilog=example("passerelle proposals withdraw can P-0123456789abcdef"))
def withdraw(
    context: typer.Context,
    *,
    home: Home,
    identifier: Id,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Take back what you proposed yourself."""
    del as_json
    done = admin_session.perform(
        home,
        "proposals.withdraw",
        {"id": identifier},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(context, {"ok": True, **done}, f"withdrawn  {identifier}")


def _answer(shown: Credential | None, found: dict[str, object], verdict: str) -> str:
    """Return the officer's own signature below the answer to the words that were shown."""
    from datetime import UTC, datetime

    from keys.approval import Proposal, Verdict, approval_text

    if shown is None:
        raise UserError("say who answers: give --as FOLDER, made by `passerelle staff request`")
    text = str(found["text"]).encode("ascii")
    if Proposal.parse(text).id != found["id"]:
        raise UserError("what was shown is not what was proposed; do not approve it, and report it")
    person = shown.bearer(datetime.now(UTC)).person
    return shown.answers(approval_text(text, person, Verdict(verdict))).hex()


def _lines(found: dict[str, object]) -> list[str]:
    values, plan = found["values"], found["plan"]
    lines = [
        f"proposal  {found['id']}  {found['state']}",
        f"action    {found['action']}, by {found['proposer']}, until {found['expires']}",
    ]
    if found.get("about"):
        lines.append(f"about     {found['about']}")
    for name, value in (values if isinstance(values, dict) else {}).items():
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"          {name} = {text[:SHOWN]}{'…' if len(text) > SHOWN else ''}")
    lines += [f"would do  {line}" for line in (plan if isinstance(plan, list) else [])]
    if found["objection"]:
        lines.append(f"but       {found['objection']}")
    if found["decider"]:
        lines.append(f"decided   {found['decided']} by {found['decider']} {found['note']}".rstrip())
    return lines
