"""`passerelle keys compromised`: stop a suspected key at once, and list what it touched."""

from __future__ import annotations

import csv
import functools
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import calendar_bounds
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As, Perform
from gateway.cli.operation_command import Yes, demand_meant
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.errors import PasserelleError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHOWN = 50  # entries printed for eyes; --csv and --json have them all
COLUMNS = ("index", "type", "time", "partner", "direction", "transaction", "message_id", "use")

EPILOG = example(
    "passerelle keys compromised can 3fa1c2d4 --since 2026-03-01T12:00",
    "passerelle keys compromised can 9b04e1aa --since 2d --partner AUS --csv > tell-aus.csv",
)
AFFECTED = example("passerelle keys affected can 3fa1c2d4 --since 2026-03-01 --csv")

UNBLOCK = example(
    "passerelle keys unblock can 9b04e1aa… --partner AUS --reason 'a false alarm, file 14'"
)

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


Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="Its id, TLS pin or certificate serial number, or the first 8 or more digits of one; all 64 of the id where"
        " no bundle of the partner has it any more.",
    ),
]
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
Theirs = Annotated[
    str, typer.Option("--partner", metavar="ID", help="The key is this partner's, not ours.")
]
Csv = Annotated[
    bool, typer.Option("--csv", help="Write the affected entries on stdout as CSV, nothing else.")
]


def compromised(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    since: Since,
    partner: Theirs = "",
    reason: Annotated[
        str, typer.Option(metavar="WORDS", help="What is known of it; it goes into the ledger.")
    ] = "",
    as_csv: Csv = False,
    yes: Yes = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Stop a suspected key at once, both ways, publish our entry without it, and list what it touched.

    One person may; given again it changes nothing and lists again. A key of ours is SUSPENDED, and its revocation
    is proposed: that it never returns, and that its successor signs, takes two persons. A partner's key (--partner)
    is refused from now on, whatever its bundles say. Where nothing would be answered without a key of ours, that is said
    first, and asked.

    Exit code 1: stopped here, but our entry could not be published.
    """
    _demand_one_form(as_csv, as_json)
    values: dict[str, object] = {
        "key": key,
        "partner": partner,
        "since": since.isoformat(),
        "reason": reason,
    }
    passphrase = functools.cache(passphrase_of(home, passphrase_file))  # asked for once
    with admin_session.at_desk(home, officer=officer, passphrase=passphrase) as perform:
        if not partner:
            demand_meant(perform, "keys.suspend", {"key": key}, yes=yes)
        stopped = perform("keys.compromised", values)
        rows = _all(perform, str(stopped["key"]), partner, since)
    stopped |= _proposed(home, stopped, officer, passphrase)
    code = Code.NO if stopped["why_not"] else Code.DONE
    lines = list(_stopped(home, stopped))
    if as_csv:
        for line in lines:
            output.note(line)
        _write(rows)
        raise typer.Exit(int(code))
    _emit(context, {**stopped, "ok": code is Code.DONE}, lines, rows, code)


def affected(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    since: Since,
    partner: Theirs = "",
    as_csv: Csv = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List the entries of messages that a key signed, or that were sealed to it, and stop nothing."""
    _demand_one_form(as_csv, as_json)
    passphrase = passphrase_of(home, passphrase_file)
    with admin_session.at_desk(home, officer=officer, passphrase=passphrase) as perform:
        rows = _all(perform, key, partner, since)
    if as_csv:
        _write(rows)
        return
    document = {"ok": True, "key": key, "partner": partner, "since": since.isoformat()}
    _emit(context, document, [], rows, Code.DONE)


def unblock(
    context: typer.Context,
    *,
    home: Home,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="8 or more digits of the partner's key id, pin or serial number."
        ),
    ],
    partner: Annotated[str, typer.Option("--partner", metavar="ID", help="Whose key it is.")],
    reason: Annotated[str, typer.Option(metavar="WORDS", help="Why; it goes into the ledger.")],
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Refuse a partner's key no longer, where it was a false alarm; two persons."""
    del as_json
    done = admin_session.perform_or_propose(
        home,
        "keys.believe",
        {"key": key, "partner": partner, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    if not admin_session.said(context, home, done):
        output.emit(
            context,
            {"ok": True, **done},
            f"key  {partner} {str(done['key'])[:16]}  no longer refused",
        )


def _proposed(
    home: Path, stopped: dict[str, Any], officer: Path | None, passphrase: Callable[[], bytes]
) -> dict[str, object]:
    """Propose that the key is revoked, once; what is in the way is said, and stops nothing.

    Not of an authority: the officer certificates of those who must promote its successor are its own.
    """
    if stopped["partner"] or not stopped["new"] or stopped["kind"] == "TLS_CA":
        return {"proposal": ""}
    values = {"key": stopped["key"], "reason": "stopped as compromised"}
    try:
        filed = admin_session.perform_or_propose(
            home, "keys.revoke", values, officer=officer, passphrase=passphrase
        )
    except PasserelleError as fault:
        output.note(f"its revocation is not proposed: {fault}")
        return {"proposal": ""}
    return {"proposal": str(filed.get("proposal", ""))}


def _demand_one_form(as_csv: bool, as_json: bool) -> None:
    if as_csv and as_json:
        raise typer.BadParameter("one of --csv and --json", param_hint="--csv")


def _all(perform: Perform, key: str, partner: str, since: datetime) -> list[dict[str, Any]]:
    """Read page after page; one reading is recorded, however many pages it takes."""
    asked: dict[str, object] = {"key": key, "partner": partner, "since": since.isoformat()}
    entries = admin_session.pages(perform, "keys.affected", asked, ("entries",))["entries"]
    if not isinstance(entries, list):
        raise UserError("the gateway handed no list of entries; is it of this release?")
    return entries


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
    context: typer.Context,
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
    output.emit(context, whole, *lines, *([table] if rows else []), said, code=code)


def _write(rows: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
