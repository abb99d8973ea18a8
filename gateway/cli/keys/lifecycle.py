"""`passerelle keys`: how our keys stand, what comes next, and each step that a person takes with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.admin_session import As
from gateway.cli.keys.steps import SHOWN, Asker, DryRun, Key, Kind, Reason, Yes
from gateway.cli.output import Code, Home, Json, PassphraseFile, example

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(help="See how our keys stand, and rotate them.", no_args_is_help=True)


@app.command(
    name="list", epilog=example("passerelle keys list can", "passerelle keys list can --json")
)
def list_(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List our keys: what each is for, where it stands, when it ends, who has seen it, and what comes next.

    Exit code 1 where a key in use has ended or ends so soon that somebody has to act now, and where nothing is
    answered for want of one; the orders that end that are named.
    """
    del as_json
    found = Asker(context, home, officer, passphrase_file).perform("keys.list", {})
    from gateway.monitoring.expiry import Level

    pages = [row for row in found["keys"] if Level[row["level"]].pages]
    output.emit(
        context,
        {"ok": not pages and not found["silent"], **found},
        *found["silent"],
        _keys_table(found["keys"]),
        _schedules(found["schedules"]),
        *(f"{step['when'][:16]}  {step['what']}" for step in found["next"]),
        code=Code.NO if pages or found["silent"] else Code.DONE,
    )


@app.command(epilog=example("passerelle keys show can 3f9a01c2"))
def show(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show one key: its dates, why it stands where it stands, and which partners have seen it."""
    del as_json
    found = Asker(context, home, officer, passphrase_file).perform("keys.show", {"key": key})
    lines = [f"{name:12} {found[name]}" for name in _SHOWN if found[name] not in (None, "")]
    for row in found["partners"]:
        version = "never seen" if row["version"] is None else f"seen with version {row['version']}"
        missing = "  ← waits for it" if row["missing"] else ""
        lines.append(f"{row['party']:12} {version}{missing}")
    output.emit(context, {"ok": True, **found}, *lines)


@app.command(
    epilog=example(
        "passerelle keys rotate can KEM --reason 'weekly'",
        "passerelle keys rotate can SIGNING --reason 'yearly' --dry-run",
    )
)
def rotate(
    context: typer.Context,
    *,
    home: Home,
    kind: Kind,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Rotate a kind: make a key, publish it, and promote it once every partner was seen to know it.

    Where some were not yet, they are named; an open gateway goes on by itself, or `passerelle keys promote` does.
    The predecessor is then deactivated. No query fails: what is under way is answered with the keys it began with.
    Run again, it goes on with the key that waits. Works while the gateway is stopped, also with ended keys.
    """
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.rotate", {"kind": kind, "reason": reason}, dry_run=dry_run)


@app.command(epilog=example("passerelle keys generate can SIGNING --reason 'yearly'"))
def generate(
    context: typer.Context,
    *,
    home: Home,
    kind: Kind,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Make a key of a kind, PREACTIVE: the first step of a rotation. An open gateway publishes it with its next round."""
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.generate", {"kind": kind, "reason": reason}, dry_run=dry_run)


@app.command(epilog=example("passerelle keys publish can"))
def publish(
    context: typer.Context,
    *,
    home: Home,
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Publish our entry where it does not say yet which keys we have: its version grows by one."""
    del as_json
    Asker(context, home, officer, passphrase_file).step("keys.publish", {}, dry_run=dry_run)


@app.command(
    epilog=example(
        "passerelle keys promote can 3f9a01c2 --reason 'yearly'",
        "passerelle keys promote can 3f9a01c2 --override 'AUS is down for a week'   # two persons",
    )
)
def promote(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    override: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Do not wait for partners who are missing; two persons."
        ),
    ] = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Promote a key that every partner was seen to know: it is in use from then on."""
    del as_json
    values: dict[str, object] = {"key": key, "reason": override or reason}
    if override:
        values["override"] = True
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.promote", values, dry_run=dry_run)


@app.command(
    epilog=example(
        "passerelle keys set-auditor-key can auditor.json --fingerprint 8c1e-… --reason 'the yearly renewal'"
    )
)
def set_auditor_key(
    context: typer.Context,
    *,
    home: Home,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What the auditor's `audit renew` wrote.")
    ],
    fingerprint: Annotated[
        str, typer.Option(metavar="DIGITS", help="As the auditor read it out over the telephone.")
    ],
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Seal what is recorded from now on to the auditor's new key; two persons."""
    del as_json
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
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.adopt", {"public": public.hex(), "reason": reason}, dry_run=dry_run)


@app.command(epilog=example("passerelle keys suspend can 3f9a01c2 --reason 'a laptop was stolen'"))
def suspend(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Stop a key at once, alone and loudly: it neither produces nor accepts, and leaves our entry.

    It is an ALARM. Where partners would know no other of its kind, a successor is made with it. Where nothing would be
    answered without it, that is said first, and asked.
    """
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.suspend", {"key": key, "reason": reason}, dry_run=dry_run, yes=yes)


@app.command(epilog=example("passerelle keys resume can 3f9a01c2 --reason 'it was found'"))
def resume(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Let a suspended key return; two persons."""
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.resume", {"key": key, "reason": reason}, dry_run=dry_run)


@app.command(epilog=example("passerelle keys deactivate can 3f9a01c2 --reason 'succeeded'"))
def deactivate(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Deactivate a key that has a successor. What only produced loses its private half at once.

    A KEM key opens for 48 hours more, and is destroyed after that by the schedule.
    """
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.deactivate", {"key": key, "reason": reason}, dry_run=dry_run)


@app.command(epilog=example("passerelle keys revoke can 3f9a01c2 --reason 'the thief had it'"))
def revoke(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Declare a key COMPROMISED, for ever; two persons. To stop it at once, suspend it first."""
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.revoke", {"key": key, "reason": reason}, dry_run=dry_run)


@app.command(
    epilog=example(
        "passerelle keys destroy can 3f9a01c2 --reason 'retired last year' --after 14",
        "passerelle keys destroy can 3f9a01c2 --reason 'retired last year' --dry-run",
    )
)
def destroy(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    after: Annotated[
        int, typer.Option(metavar="DAYS", min=7, max=30, help="How long one person can cancel it.")
    ] = 7,
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Destroy a key for ever; two persons. Long-lived keys wait first, and one person can cancel that."""
    del as_json
    values = {"key": key, "reason": reason, "days": after}
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.destroy", values, dry_run=dry_run)


@app.command(epilog=example("passerelle keys cancel can 3f9a01c2 --reason 'still needed'"))
def cancel(
    context: typer.Context,
    *,
    home: Home,
    key: Key,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Cancel a destruction that waits, or a rotation that was asked for; one person."""
    del as_json
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.cancel", {"key": key, "reason": reason}, dry_run=dry_run)


@app.command(
    epilog=example(
        "passerelle keys schedule can SIGNING on --every 335 --reason 'yearly'",
        "passerelle keys schedule can KEM off --reason 'a partner is moving'",
    )
)
def schedule(
    context: typer.Context,
    *,
    home: Home,
    kind: Kind,
    switch: Annotated[str, typer.Argument(metavar="on|off", help="Whether it rotates by itself.")],
    every: Annotated[
        int,
        typer.Option(
            metavar="DAYS", min=0, help="Length of a crypto-period; 0 leaves it as it is."
        ),
    ] = 0,
    reason: Reason = "",
    dry_run: DryRun = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Have keys of a kind rotate by themselves, or not. KEM and TLS_LEAF do from the start."""
    del as_json
    if switch not in {"on", "off"}:
        raise typer.BadParameter("on or off", param_hint="on|off")
    values = {"kind": kind, "on": switch == "on", "days": every, "reason": reason}
    asker = Asker(context, home, officer, passphrase_file)
    asker.step("keys.schedule", values, dry_run=dry_run)


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


def _schedules(rows: list[dict[str, Any]]) -> str:
    on = ", ".join(f"{row['kind']} every {row['days']} days" for row in rows if row["on"])
    return f"\nrotates by itself: {on or 'none'}"
