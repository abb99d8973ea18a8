"""`passerelle proposals`: what one person proposed, and another approves, rejects, or lets lapse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import admin_session, output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code
from gateway.errors import UserError
from gateway.operations import proposals

if TYPE_CHECKING:
    from gateway.client.officer_credential import Credential

app = typer.Typer()

SHOWN = 200  # characters of an argument that a screen shows; --json has all of it


@command(app, proposals.List)
def list_(call: Call) -> None:
    """Show what waits."""
    from rich.table import Table

    found = call.perform_all("proposals")
    rows = found["proposals"]
    table = Table("proposal", "action", "by", "state", "until", "decided by", box=None)
    for row in rows:
        table.add_row(
            *(row["id"], row["action"], row["proposer"], row["state"]),
            *(row["expires"][:16], row["decider"]),
        )
    waiting = any(row["state"] == "OPEN" for row in rows)
    shown = table if rows else "nothing is proposed"
    call.emit(found, shown, code=Code.NO if waiting else Code.DONE)


@command(app, proposals.Show)
def show(call: Call) -> None:
    """Show a proposal."""
    found = call.perform()
    call.emit(found, *_lines(found))


@command(app, proposals.Approve)
def approve(
    call: Call,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
) -> None:
    """Show the proposal, ask, and hand in a signature under the words that were shown."""
    shown = admin_session.credential_of(call.officer)
    with call.session(shown) as do:
        found = do(proposals.Show.declaration.name, call.values)
        output.confirm("\n".join(_lines(found)), "Approve, and have it done now?", yes=yes)
        signed = {**call.values, "signature": _answer(shown, found, "APPROVE")}
        done = do(call.operation.declaration.name, signed)
    call.emit(done, f"done  {found['id']}  {found['action']}")


@command(app, proposals.Reject)
def reject(call: Call) -> None:
    """Hand in a signature under the refusal of the words that were proposed."""
    shown = admin_session.credential_of(call.officer)
    with call.session(shown) as do:
        found = do(proposals.Show.declaration.name, {"id": call.values["id"]})
        signed = {**call.values, "signature": _answer(shown, found, "REJECT")}
        done = do(call.operation.declaration.name, signed)
    call.emit(done, f"rejected  {found['id']}")


@command(app, proposals.Withdraw)
def withdraw(call: Call) -> None:
    """Withdraw a proposal of one's own."""
    done = call.perform()
    call.emit(done, f"withdrawn  {done['id']}")


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
