"""`passerelle registry`: what is held of people beside their prints, and what each is to the law."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.admin_session import Perform
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code
from gateway.cli.subjects import registry_file
from gateway.cli.subjects.biometric_files import Bad
from gateway.cli.subjects.registry_file import Line
from gateway.operations import registry

SHOWN = 20  # bad rows printed for eyes; --json has them all
BATCH_ROWS = 64  # rows of one message to the gateway
BATCH_BYTES = 500_000  # of their JSON; a message has at most a million
LARGEST_ROW = 900_000  # bytes, likewise

app = typer.Typer()


@dataclass(slots=True)
class _Tally:
    imported: int = 0
    unchanged: int = 0
    bad: list[Bad] = field(default_factory=list)


@command(app, registry.Import)
def import_(
    call: Call,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with a heading, or JSON lines (.jsonl).")
    ],
) -> None:
    """Take in the rows of a file, some at a time."""
    with file.open("rb") as stream:
        total = sum(1 for _ in stream)
    tally = _Tally()
    with call.session() as do, output.bar("import", total) as advance:
        for batch in _batches(file, tally):
            _take(do, file, batch, tally)
            advance(len(batch))
    tally.bad.sort(key=lambda one: int(one.label.rpartition(" ")[2]))
    for one in tally.bad[:SHOWN]:
        output.note(f"not taken: {one.label}: {one.reason}")
    if len(tally.bad) > SHOWN:
        output.note(f"not taken: {len(tally.bad) - SHOWN} more  → --json names them all")
    call.emit(
        {
            "imported": tally.imported,
            "unchanged": tally.unchanged,
            "bad": [{"row": one.label, "reason": one.reason} for one in tally.bad],
        },
        f"imported   {tally.imported}",
        f"unchanged  {tally.unchanged}",
        f"bad        {len(tally.bad)}",
        code=Code.NO if tally.bad else Code.DONE,
    )


@command(app, registry.Show)
def show(call: Call) -> None:
    """Show a record, but its pictures."""
    found = call.perform()
    media = found.get("media") or {}
    lines = [f"{name:<26}{value}" for name, value in found.items() if name not in {*media, "media"}]
    lines += [f"{name:<26}{kind}, shown with --json" for name, kind in media.items()]
    call.emit(found, *lines)


@command(app, registry.Update)
def update(
    call: Call,
    *,
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
) -> None:
    """Change what was named."""
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
    done = call.perform(changes=[changes])
    word = "changed" if done["changed"] else "unchanged"
    call.emit(done, f"{done['reference']}  {word}, version {done['version']}")


@command(app, registry.Remove)
def remove(
    call: Call, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Remove a person, once that is meant."""
    reference = call.values.get("reference", "")
    output.confirm(
        f"{reference} is removed for good", f"Remove {reference} with prints and record?", yes=yes
    )
    done = call.perform()
    call.emit(done, f"{done['reference']}  removed")


@command(app, registry.Status)
def status(call: Call) -> None:
    """Show how many there are of each."""
    found = call.perform()
    lines = [f"{name:<20}{count}" for name, count in found["people"].items()]
    if found["people"].get("UNKNOWN"):
        lines.append(UNKNOWN.format(found["people"]["UNKNOWN"]))
    call.emit(found, *lines)


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


@command(app, registry.Groups)
def groups(
    call: Call,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="New file, CSV; for the auditor.")
    ],
) -> None:
    """Write the groups, page after page."""
    user_files.demand_new(out)
    lines, after, last = [], 0, False
    with call.session() as do:
        while not last:
            page: Any = do("registry.groups", {**call.values, "after": after})
            lines += page["groups"]
            last = bool(page["last"])
            after = int(lines[-1][0]) if lines else 0
    rows = [("subject", "sex", "age_band", "region"), *lines]
    user_files.create(out, "".join(",".join(each) + "\n" for each in rows).encode("ascii"))
    call.emit(
        {"file": str(out), "people": len(lines)},
        f"groups  {out}  {len(lines)} people  → passerelle audit rates --groups {out}",
    )
