"""`passerelle keys compromised`: stop a suspected key at once, and list what it touched."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import calendar_bounds
from gateway.cli import admin_session, output
from gateway.cli.operation_command import Call, Yes, command, demand_meant
from gateway.cli.output import Code
from gateway.errors import PasserelleError
from gateway.operations.compromise import Affected, Believe, Compromised

app = typer.Typer()

SHOWN = 50  # entries printed for eyes; --csv and --json have them all
COLUMNS = ("index", "type", "time", "partner", "direction", "transaction", "message_id", "use")

_AGO = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def moment(text: str) -> datetime:
    """Return a moment in UTC, from ISO 8601, or from how long ago it was: 90m, 24h, 3d."""
    ago = _AGO.fullmatch(text)
    if ago:
        now = datetime.now(UTC).replace(microsecond=0)
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "a time such as 2026-03-01T12:00, UTC, or 90m, 24h, 3d ago"
        ) from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not calendar_bounds.sound(found):
        raise typer.BadParameter(calendar_bounds.RULE)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


Since = Annotated[
    datetime,
    typer.Option(
        "--since",
        parser=moment,
        metavar="TIME",
        help="The last moment at which the key was certainly its owner's alone: 2026-03-01T12:00, UTC,"
        " or 90m, 24h, 3d ago.",
    ),
]
Csv = Annotated[
    bool, typer.Option("--csv", help="Write the affected entries on stdout as CSV, nothing else.")
]


@command(app, Compromised)
def compromised(call: Call, *, since: Since, as_csv: Csv = False, yes: Yes = False) -> None:
    """Stop the key, list what it touched, and propose the revocation of one of ours."""
    _demand_one_form(call, as_csv)
    values = {**call.values, "since": since.isoformat()}
    with call.session() as perform:
        if "partner" not in values:
            demand_meant(perform, "keys.suspend", {"key": values.get("key")}, yes=yes)
        stopped: dict[str, Any] = perform("keys.compromised", values)
        about = {"key": stopped["key"], "partner": stopped["partner"], "since": values["since"]}
        found: Any = admin_session.pages(perform, "keys.affected", about, ("entries",))
    stopped |= _proposed(call, stopped)
    code = Code.NO if stopped["why_not"] else Code.DONE
    lines = _stopped(call.home, stopped)
    if as_csv:
        for line in lines:
            output.note(line)
        _write(found["entries"])
        raise typer.Exit(int(code))
    _emit(call, stopped, lines, found["entries"], code)


@command(app, Affected)
def affected(call: Call, *, since: Since, as_csv: Csv = False) -> None:
    """List what the key touched."""
    _demand_one_form(call, as_csv)
    values = {**call.values, "since": since.isoformat()}
    rows = call.perform_all("entries", **values)["entries"]
    if as_csv:
        _write(rows)
        return
    _emit(call, {"key": values["key"], "partner": "", **values}, [], rows, Code.DONE)


@command(app, Believe)
def unblock(call: Call) -> None:
    """Have the key believed again."""
    done = call.perform()
    call.emit(done, f"key  {done['partner']} {done['key'][:16]}  no longer refused")


def _proposed(call: Call, stopped: Mapping[str, Any]) -> dict[str, object]:
    """Propose that the key is revoked, once; what is in the way is said, and stops nothing.

    Not of an authority: the officer certificates of those who must promote its successor are its own.
    """
    if stopped["partner"] or not stopped["new"] or stopped["kind"] == "TLS_CA":
        return {"proposal": ""}
    values = {"key": stopped["key"], "reason": "stopped as compromised"}
    try:
        filed = admin_session.perform_or_propose(
            call.home, "keys.revoke", values, officer=call.officer, passphrase=call.passphrase
        )
    except PasserelleError as fault:
        output.note(f"its revocation is not proposed: {fault}")
        return {"proposal": ""}
    return {"proposal": str(filed.get("proposal", ""))}


def _demand_one_form(call: Call, as_csv: bool) -> None:
    if as_csv and output.manner(call.context).as_json:
        raise typer.BadParameter("one of --csv and --json", param_hint="--csv")


def _stopped(home: Path, stopped: dict[str, Any]) -> list[str]:
    whose = f"{stopped['partner']} " if stopped["partner"] else ""
    again = "" if stopped["new"] else ", as before"
    key = f"{whose}{stopped['kind']} {stopped['key'][:16]}"
    lines = [f"key         {key}  {stopped['state']}  refused both ways{again}"]
    if stopped["published"]:
        lines.append(
            f"published   our entry without it, version {stopped['directory_version']}"
            "  → tell your partners to refresh"
        )
    if stopped["why_not"]:
        lines.append(f"NOT published  {stopped['why_not']}  → put that right and run this again")
    if stopped["proposal"]:
        lines.append(
            f"revocation  {stopped['proposal']}  proposed  → another operator:"
            f" passerelle proposals approve {home} {stopped['proposal']}"
        )
    if stopped["successor"]:
        lines.append(
            f"successor   {stopped['successor'][:16]}  PREACTIVE  → two persons:"
            f" passerelle keys promote {home} {stopped['successor'][:16]} --override WORDS"
        )
    return lines


def _emit(
    call: Call,
    document: dict[str, Any],
    lines: list[str],
    rows: list[dict[str, Any]],
    code: Code,
) -> None:
    from rich.table import Table

    numbers = {(row["partner"], row["transaction"]) for row in rows if row["transaction"]}
    partners = sorted({row["partner"] for row in rows if row["partner"]})
    table = Table("time", "entry", "partner", "transaction", "leaf", "key", box=None)
    for row in rows[:SHOWN]:
        shown = ("time", "type", "partner", "transaction", "index", "use")
        table.add_row(*(str(row[name]) for name in shown))
    said = (
        f"affected    {len(rows)} entries of {len(numbers)} transactions"
        f"{' with ' + ', '.join(partners) if partners else ''}"
        f"{'  → --csv or --json has all of them' if len(rows) > SHOWN else ''}"
    )
    whole = {**document, "affected": rows, "transactions": len(numbers), "partners": partners}
    call.emit(whole, *lines, *([table] if rows else []), said, code=code)


def _write(rows: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
