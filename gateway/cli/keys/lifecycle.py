"""`passerelle keys`: how our keys stand, what comes next, and each step that a person takes with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import user_files
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code
from gateway.operations import keys

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 16  # digits of a key id that are enough to tell ours apart

app = typer.Typer()


@command(app, keys.List)
def list_(call: Call) -> None:
    """Show all keys, and what is due."""
    found = call.perform()
    from gateway.monitoring.expiry import Level

    pages = [row for row in found["keys"] if Level[row["level"]].pages]
    call.emit(
        found,
        *found["silent"],
        _keys_table(found["keys"]),
        _LEGEND,
        _schedules(found["schedules"]),
        *(f"{step['when'][:16]}  {step['what']}" for step in found["next"]),
        code=Code.NO if pages or found["silent"] else Code.DONE,
    )


@command(app, keys.Show)
def show(call: Call) -> None:
    """Show a key, and which partners have seen it."""
    found = call.perform()
    lines = [f"{name:12} {found[name]}" for name in _SHOWN if found[name] not in (None, "")]
    for row in found["partners"]:
        version = "never seen" if row["version"] is None else f"seen with version {row['version']}"
        missing = "  ← waits for it" if row["missing"] else ""
        lines.append(f"{row['party']:12} {version}{missing}")
    call.emit(found, *lines)


def step(call: Call) -> None:
    """Say what moved, and what partners need."""
    _tell_step(call, call.perform())


command(app, keys.Rotate)(step)
command(app, keys.Generate)(step)
command(app, keys.Publish)(step)


@command(app, keys.Promote)
def promote(
    call: Call,
    *,
    override: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Do not wait for partners who are missing; two persons."
        ),
    ] = "",
) -> None:
    """Promote, for a reason that is the one of an override where it is one."""
    filled = {"reason": override, "override": True} if override else {}
    _tell_step(call, call.perform(**filled))


@command(app, keys.Adopt)
def set_auditor_key(
    call: Call,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What the auditor's `audit renew` wrote.")
    ],
    fingerprint: Annotated[
        str, typer.Option(metavar="DIGITS", help="As the auditor read it out over the telephone.")
    ],
) -> None:
    """Hand in the public key in a file, where the auditor read out its fingerprint."""
    from gateway.errors import UserError
    from gateway.keymanagement.auditor_key import MOST, read_public
    from gateway.trust import bundle

    octets = user_files.named(file, MOST)
    public = read_public(octets)
    heard, printed = (
        re.sub(r"[\s-]", "", each).upper() for each in (fingerprint, bundle.fingerprint(octets))
    )
    if heard != printed:
        raise UserError(
            "the file has not the fingerprint that you heard: ask the auditor to send it again"
        )
    _tell_step(call, call.perform(public=public.hex()))


command(app, keys.Suspend)(step)
command(app, keys.Resume)(step)
command(app, keys.Deactivate)(step)
command(app, keys.Revoke)(step)
command(app, keys.Destroy)(step)
command(app, keys.Cancel)(step)


@command(app, keys.Schedule)
def schedule(
    call: Call,
    *,
    switch: Annotated[str, typer.Argument(metavar="on|off", help="Whether it rotates by itself.")],
) -> None:
    """Switch a schedule on or off."""
    if switch not in {"on", "off"}:
        raise typer.BadParameter("on or off", param_hint="on|off")
    _tell_step(call, call.perform(on=switch == "on"))


def _tell_step(call: Call, done: dict[str, Any]) -> None:
    call.emit(done, *_moves(done), *_next(call, done))


def _moves(done: dict[str, Any]) -> list[str]:
    lines = [
        f"{move['kind']:9}{move['key'][:SHOWN]}  {move['from'] or 'new'} → {move['to']}"
        for move in done.get("moves", [])
    ]
    if "on" in done:
        lines.append(
            f"{done['kind']:9}{'every ' + str(done['days']) + ' days' if done['on'] else 'off'}"
        )
    return lines


def _next(call: Call, done: dict[str, Any]) -> list[str]:
    """Return the lines that say what comes next."""
    lines = []
    if done.get("missing"):
        lines.append(f"waits    {', '.join(done['missing'])} not seen with it yet; it goes on by")
        lines.append(
            f"         itself, or: passerelle keys promote {call.home} {done['key'][:SHOWN]}"
        )
    if done.get("due"):
        lines.append(
            f"due      {done['due'][:16]} UTC; until then `passerelle keys cancel` ends it"
        )
    if done.get("keepers"):
        verb, count = ("root", 3) if done["keepers"] == "root" else ("renew", 2)
        lines.append(
            f"waits    for {count} of the directory's root key holders to name it, who then put it in use:"
        )
        lines.append(f"         passerelle directory {verb} {call.home} --root-key FOLDER …")
    elif call.operation is keys.Generate:
        lines.append(f"next     passerelle keys publish {call.home}")
    if "version" in done:
        lines.append(f"entry    version {done['version']}  {done['fingerprint']}")
    return lines


_SHOWN = (
    *(
        "kid",
        "pin",
        "serial",
        "kind",
        "state",
        "since",
        "reason",
        "created",
        "not_before",
        "ends",
        "published",
    ),
    *("has_private", "next"),
)


def _keys_table(rows: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from gateway.monitoring.expiry import Level

    table = Table("key", "kind", "state", "ends", "seen", "next", box=None)
    for row in rows:
        seen = "" if row["published"] is None else f"v{row['published']}"
        if row["missing"]:
            seen += f" not {', '.join(row['missing'])}"
        ends = Text(row["ends"][:16].replace("T", " "), style=Level[row["level"]].colour)
        state = f"{row['state']} ●" if row["in_use"] else row["state"]
        table.add_row(row["kid"][:SHOWN], row["kind"], state, ends, seen, row["next"])
    return table


_LEGEND = (
    "●: in use. seen: the version of our entry, or of our directory, that names the key first; `not AUS`: no message of AUS"
    " has named it yet"
)


def _schedules(rows: list[dict[str, Any]]) -> str:
    on = ", ".join(f"{row['kind']} every {row['days']} days" for row in rows if row["on"])
    return f"\nrotates by itself: {on or 'none'}"
