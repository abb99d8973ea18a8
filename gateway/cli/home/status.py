"""`passerelle status`: whether the gateway serves, and why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.output import Code, Home
from gateway.cli.plain_command import plain_command

if TYPE_CHECKING:
    from gateway.server.status import Status

app = typer.Typer()


@plain_command(
    app,
    "passerelle status can",
    "passerelle status can --json   # exit code 0 while it serves, else 1",
    "passerelle status can --watch --every 5",
)
def status(
    context: typer.Context,
    home: Home,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.5, max=3600, metavar="SECONDS", help="Between two looks.")
    ] = 2.0,
) -> None:
    """Say whether the gateway serves, why not, since when, and what is due; it needs no passphrase.

    Also the newest answer, the gallery, the ledger, open alarms and what to do about each, and what ends within two months.
    Exit code 0: it serves. 1: it does not. 2: it could not be found out.
    """
    from gateway.server.status import look

    if not watch:
        seen = look(home, datetime.now(UTC))
        code = Code.DONE if seen.serving else Code.NO
        output.emit(context, _document(seen, home), _table(seen, home), code=code)
        return
    if output.manner(context).as_json:
        raise typer.BadParameter(
            "one of --json and --watch; --json is one look", param_hint="--watch"
        )
    _watch(home, every)


def _watch(home: Path, every: float) -> None:
    """Show it anew at each look; where nobody looks at a terminal, a line whenever it changed."""
    from rich.console import Console
    from rich.live import Live

    from gateway.server.status import look

    terminal = Console()
    if terminal.is_terminal:
        with Live(console=terminal, auto_refresh=False) as live:
            while True:
                live.update(_table(look(home, datetime.now(UTC)), home), refresh=True)
                time.sleep(every)
    before = ""
    while True:
        now = datetime.now(UTC)
        said = _headline(look(home, now), home)
        if said != before:
            typer.echo(f"{now:%Y-%m-%d %H:%M:%S}  {said}")
        before = said
        time.sleep(every)


def _headline(seen: Status, home: Path) -> str:
    since = "" if seen.since is None else f" since {seen.since:%Y-%m-%d %H:%M} UTC"
    if seen.serving:
        return f"{seen.party} serves{since}"
    words, remedy = seen.told(home)
    if seen.served is not None:
        words += f", last known to serve at {seen.served:%Y-%m-%d %H:%M} UTC"
    return f"{seen.party} DOES NOT SERVE{since}: {words} ({seen.why})  → {remedy}"


def _table(seen: Status, home: Path) -> Any:  # noqa: ANN401 - rich is met lazily
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("", Column(overflow="fold"), box=None, show_header=False)
    for name, text, style in (*_standing(seen, home), *_to_do(seen, home)):
        table.add_row(name, Text(text, style))
    return table


def _standing(seen: Status, home: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, text and style of each line that is always there."""
    yield "gateway", _headline(seen, home), "" if seen.serving else "bold red"
    if seen.answer is not None:
        at = f"{seen.answer.time:%Y-%m-%d %H:%M:%S}"
        yield "answered", f"{seen.answer.partner} {at} UTC, the newest", ""
    elif seen.newest is not None:
        yield "answered", "nobody yet", ""
    if seen.gallery is not None:
        people = seen.gallery
        masked = f", {people.without_status} without a status" if people.without_status else ""
        yield "gallery", f"{people.summary}{masked}", ""
    if seen.newest is not None:
        at = f"{seen.newest.time:%Y-%m-%d %H:%M:%S}"
        yield "ledger", f"{seen.entries} entries, the newest {at} UTC", ""


def _to_do(seen: Status, home: Path) -> Iterator[tuple[str, str, str]]:
    """Yield likewise what somebody should look at."""
    from gateway.server import expiry_of_folder

    now = datetime.now(UTC)
    for alarm in seen.alarms:
        if alarm.kind.name == "EXPIRY":
            continue  # "due" says it, and what to do
        text = f"{alarm.kind.name} {alarm.name} since {alarm.since:%Y-%m-%d %H:%M} UTC"
        yield "ALARM", f"{text}  → {alarm.remedy(str(home))}", "red" if alarm.pages else "yellow"
    if seen.alarm is not None:
        at = f"{seen.alarm.time:%Y-%m-%d %H:%M} UTC"
        yield "newest ALARM", f"entry {seen.alarm.index}, {at}; its detail is the auditor's", ""
    for kind in seen.missing:
        yield "keys", f"no {kind} key is ACTIVE  → passerelle keys list {home}", "red"
    for one in seen.due:
        yield "due", expiry_of_folder.expiry_line(one, now), one.level.colour
    for text in seen.unread:
        yield "UNREAD", text, "red"


def _document(seen: Status, home: Path) -> dict[str, object]:
    words, remedy = seen.told(home)
    return {
        "ok": seen.serving,
        "party": seen.party,
        "serving": seen.serving,
        "why": seen.why or None,
        "words": words or None,
        "remedy": remedy or None,
        "since": _moment(seen.since),
        "last_known_to_serve": _moment(seen.served),
        "answer": None
        if seen.answer is None
        else {"time": _moment(seen.answer.time), "partner": seen.answer.partner},
        "gallery": None
        if seen.gallery is None
        else {
            "people": seen.gallery.subjects,
            "with_prints": seen.gallery.with_prints,
            "records": seen.gallery.samples,
            "without_status": seen.gallery.without_status,
        },
        "ledger": None
        if seen.newest is None
        else {"entries": seen.entries, "newest": _moment(seen.newest.time)},
        "late": {name: _moment(at) for name, at in sorted(seen.late.items())},
        "alarms": {name: _moment(at) for name, at in sorted(seen.raised.items())},
        "open_alarms": [
            {
                "kind": one.kind.name,
                "name": one.name,
                "since": _moment(one.since),
                "act_now": one.pages,
                "remedy": one.remedy(str(home)),
            }
            for one in seen.alarms
        ],
        "newest_alarm": None
        if seen.alarm is None
        else {"index": seen.alarm.index, "time": _moment(seen.alarm.time)},
        "missing_keys": list(seen.missing),
        "due": [
            {
                "kind": one.thing.kind.value,
                "name": one.thing.name,
                "partner": one.thing.partner,
                "ends": _moment(one.thing.ends),
                "level": one.level.name,
                "remedy": one.thing.remedy,
            }
            for one in seen.due
        ],
        "unread": list(seen.unread),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
