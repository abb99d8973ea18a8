"""`passerelle registry`: what is held of people beside their prints, and what each is to the law."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import user_files
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As, Perform
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.cli.subjects import registry_file
from gateway.cli.subjects.biometric_files import Bad
from gateway.cli.subjects.registry_file import Line
from gateway.errors import UserError

SHOWN = 20  # bad rows printed for eyes; --json has them all
BATCH_ROWS = 64  # rows of one message to the desk
BATCH_BYTES = 500_000  # of their JSON; a message has at most a million
LARGEST_ROW = 900_000  # bytes, likewise

app = typer.Typer(
    help="Keep the records of people: status, data, photograph.", no_args_is_help=True
)

Reference = Annotated[str, typer.Argument(metavar="REFERENCE", help="The person's file number.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it goes into the ledger.")]


@dataclass(slots=True)
class _Tally:
    imported: int = 0
    unchanged: int = 0
    bad: list[Bad] = field(default_factory=list)


@app.command(
    name="import",
    epilog=example(
        "passerelle registry import can people.csv   # reference,status,nationalities,confirmed,LAST_NAME,…,PHOTOGRAPH",
        "passerelle registry import can people.jsonl --as ann --json",
    ),
)
def import_(
    context: typer.Context,
    *,
    home: Home,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with a heading, or JSON lines (.jsonl).")
    ],
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Take in records, one a row; each bad row is named with its reason, the others are taken (exit code 1).

    A row states the whole record of its person; the same row again changes nothing. status is CITIZEN,
    PERMANENT_RESIDENT, FOREIGN_NATIONAL or CLAIMANT; nationalities are codes as passports have them, with spaces
    between; persecutors, likewise, are the countries in which the person alleges persecution, or NONE, and must be said
    of a claimant; confirmed is when the status was last confirmed, ISO 8601 with its zone, e.g. 2026-03-01T12:00:00Z, and now
    where it is left out. PHOTOGRAPH is the path of a JPEG or PNG below the file's folder, by no link. People may be enrolled before or after.
    """
    del as_json
    with file.open("rb") as stream:
        total = sum(1 for _ in stream)
    tally = _Tally()
    with (
        admin_session.at_desk(
            home, officer=officer, passphrase=passphrase_of(home, passphrase_file)
        ) as do,
        output.bar("import", total) as advance,
    ):
        for batch in _batches(file, tally):
            _take(do, file, batch, tally)
            advance(len(batch))
    tally.bad.sort(key=lambda one: int(one.label.rpartition(" ")[2]))
    for one in tally.bad[:SHOWN]:
        output.note(f"not taken: {one.label}: {one.reason}")
    if len(tally.bad) > SHOWN:
        output.note(f"not taken: {len(tally.bad) - SHOWN} more  → --json names them all")
    output.emit(
        context,
        {
            "ok": not tally.bad,
            "imported": tally.imported,
            "unchanged": tally.unchanged,
            "bad": [{"row": one.label, "reason": one.reason} for one in tally.bad],
        },
        f"imported   {tally.imported}",
        f"unchanged  {tally.unchanged}",
        f"bad        {len(tally.bad)}",
        code=Code.NO if tally.bad else Code.DONE,
    )


@app.command(epilog=example("passerelle registry show can F-17 --reason 'access request 2026-31'"))
def show(
    context: typer.Context,
    *,
    home: Home,
    reference: Reference,
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show what is held of a person. Who looked, and why, is in the ledger before anything is shown."""
    del as_json
    found = admin_session.perform(
        home,
        "registry.show",
        {"reference": reference, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    media = found.get("media")
    hidden = {*(media if isinstance(media, dict) else ()), "media"}
    lines = [f"{name:<26}{value}" for name, value in found.items() if name not in hidden]
    lines += [
        f"{name:<26}{kind}, shown with --json"
        for name, kind in (media.items() if isinstance(media, dict) else ())
    ]
    output.emit(context, {"ok": True, **found}, *lines)


@app.command(
    epilog=example(
        "passerelle registry update can F-17 --status CITIZEN --nationality CAN --nationality IND",
        'passerelle registry update can F-17 --data changed.json   # {"LAST_NAME": "…", "ALIAS": null}',
    )
)
def update(
    context: typer.Context,
    *,
    home: Home,
    reference: Reference,
    status: Annotated[
        str,
        typer.Option(help="CITIZEN, PERMANENT_RESIDENT, FOREIGN_NATIONAL or CLAIMANT."),
    ] = "",
    nationality: Annotated[
        list[str] | None,
        typer.Option(metavar="AAA", help="All of them, as passports have them; may be repeated."),
    ] = None,
    persecutor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AAA",
            help="Countries of alleged persecution; may be repeated. NONE: there are none.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON object of the fields that change; null removes one. Names are not for a command line.",
        ),
    ] = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Change the record of a person from now on; what was not named stays, the version grows by one."""
    del as_json
    stated = {
        "status": status,
        "nationalities": " ".join(nationality or ()),
        "persecutors": " ".join(persecutor or ()),
    }
    changes: dict[str, str] = {name: value for name, value in stated.items() if value}
    if data is not None:
        changes |= registry_file.changes(data)
    if not changes:
        raise typer.BadParameter(
            "say what changes: --status, --nationality, --persecutor or --data"
        )
    done = admin_session.perform(
        home,
        "registry.update",
        {"reference": reference, "changes": [changes]},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    word = "changed" if done["changed"] else "unchanged"
    output.emit(context, {"ok": True, **done}, f"{reference}  {word}, version {done['version']}")


@app.command(epilog=example("passerelle registry remove can F-17 --reason 'order of 2026-03-01'"))
def remove(
    context: typer.Context,
    *,
    home: Home,
    reference: Reference,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Remove a person with prints and record; from then on nobody finds them. There is no way back."""
    del as_json
    output.confirm(
        f"{reference} is removed for good", f"Remove {reference} with prints and record?", yes=yes
    )
    done = admin_session.perform(
        home,
        "registry.remove",
        {"reference": reference, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(context, {"ok": True, **done}, f"{reference}  removed")


@app.command(epilog=example("passerelle registry status can"))
def status(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Count people by what they are to the law. Of whom nothing is known is never revealed to a partner."""
    del as_json
    found = admin_session.perform(
        home,
        "registry.status",
        {},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    people = found["people"]
    counts = people if isinstance(people, dict) else {}
    lines = [f"{name:<20}{count}" for name, count in counts.items()]
    if counts.get("UNKNOWN"):
        lines.append(UNKNOWN.format(counts["UNKNOWN"]))
    output.emit(context, {"ok": True, **found}, *lines)


UNKNOWN = "{} without a status: MASKED, answered as no match  → passerelle registry import"


def _batches(file: Path, tally: _Tally) -> Iterator[list[Line]]:
    """Yield the rows of a file in messages of bearable size; what is no row is noted."""
    batch: list[Line] = []
    size = 0
    for line in registry_file.rows(file):
        if isinstance(line, Bad):
            tally.bad.append(line)
            continue
        weight = len(json.dumps(line.row))  # as it travels, with its escapes
        if weight > LARGEST_ROW:
            tally.bad.append(Bad(f"{file.name} line {line.number}", "the row is too large"))
            continue
        if batch and (len(batch) >= BATCH_ROWS or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += weight
    if batch:
        yield batch


def _take(do: Perform, file: Path, batch: list[Line], tally: _Tally) -> None:
    done = do("registry.import", {"rows": [line.row for line in batch]})
    tally.imported += int(str(done["imported"]))
    tally.unchanged += int(str(done["unchanged"]))
    bad = done["bad"]
    for each in bad if isinstance(bad, list) else []:
        label = f"{file.name} line {batch[each['row']].number}"
        tally.bad.append(Bad(label, each["reason"]))


@app.command(
    epilog=example(
        "passerelle registry groups can -o groups.csv --reason 'yearly audit, question 15'"
    )
)
def groups(
    context: typer.Context,
    *,
    home: Home,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="New file, CSV; for the auditor.")
    ],
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Write coarse groups of all people, by number: sex, age band, region; for `passerelle audit rates`.

    Neither names nor dates are in it. Hand it to the auditor, and have it destroyed after the audit. Who made it,
    and why, is in the ledger first.
    """
    del as_json
    if out.exists():
        raise UserError(f"{out} is there already; name a new file")
    lines, after, last = [], 0, False
    with admin_session.at_desk(
        home, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    ) as do:
        while not last:
            page: Any = do("registry.groups", {"after": after, "reason": reason})
            lines += page["groups"]
            last = bool(page["last"])
            after = int(lines[-1][0]) if lines else 0
    rows = [("subject", "sex", "age_band", "region"), *lines]
    user_files.create(out, "".join(",".join(each) + "\n" for each in rows).encode("ascii"))
    output.emit(
        context,
        {"ok": True, "file": str(out), "people": len(lines)},
        f"groups  {out}  {len(lines)} people  → passerelle audit rates --groups {out}",
    )
