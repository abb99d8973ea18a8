"""`passerelle party`: public bundles out and in, compared over the telephone."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output as console
from gateway.cli.output import Home, No
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError

if TYPE_CHECKING:
    from gateway.trust.bundle import PartyBundle

_fingerprint = re.compile(r"[A-Za-z2-7]{32}")  # base32 of 160 bits

app = typer.Typer()


@plain_command(
    app,
    "passerelle party export can -o CAN.json",
    "passerelle party export can > CAN.json   # the fingerprint goes to stderr",
)
def export(
    context: typer.Context,
    home: Home,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the bundle here; else to stdout."
        ),
    ] = None,
) -> None:
    """Write our public bundle for a partner, and say the fingerprint to read out over the telephone."""
    from gateway.trust.bundle import fingerprint
    from gateway.trust.partners import own_bundle

    user_files.demand_new(output)
    bundle = own_bundle(home)
    octets = bundle.to_bytes()
    printed = fingerprint(octets)
    if output is not None:
        user_files.create(output, octets)
    elif not console.manner(context).as_json:
        sys.stdout.write(octets.decode("ascii"))
        sys.stdout.flush()
        console.note(f"\nfingerprint  {printed}  → read it out to the partner over the telephone")
        return
    document = {
        "ok": True,
        "party": bundle.party,
        "version": bundle.version,
        "fingerprint": printed,
    }
    where = {"bundle": octets.decode("ascii")} if output is None else {"file": str(output)}
    console.emit(
        context,
        {**document, **where},
        f"bundle       {output}  {bundle.party} version {bundle.version}",
        f"fingerprint  {printed}  → read it out to the partner over the telephone",
    )


@plain_command(
    app,
    "passerelle party import can AUS.json --fingerprint XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX",
    "passerelle party import can AUS.json   # asks for the comparison",
    name="import",
)
def import_(
    context: typer.Context,
    home: Home,
    file: Annotated[Path, typer.Argument(help="The bundle that the partner exported.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="XXXX-…", help="What the partner read out over the telephone."),
    ] = None,
) -> None:
    """Trust a partner's public bundle, after its fingerprint was compared over the telephone."""
    from gateway import config
    from gateway.trust import bundle as bundles
    from gateway.trust.configured import directory_of
    from gateway.trust.partners import BundleRefused

    settings = config.load(home)
    if fingerprint is not None and not _fingerprint.fullmatch(re.sub(r"[\s-]", "", fingerprint)):
        raise typer.BadParameter(
            "a fingerprint is 32 letters and digits, A-Z and 2-7, however grouped",
            param_hint="--fingerprint",
        )
    try:
        octets = user_files.read(file, bundles.MAX_BUNDLE)
        offered = bundles.PartyBundle.parse(octets)
    except (user_files.FileRefused, bundles.MalformedBundle) as fault:
        raise UserError(f"{file}: {fault}; ask its owner to send it again") from None
    printed = bundles.fingerprint(octets)
    stated = fingerprint if fingerprint is not None else _compare(offered, printed)
    directory = directory_of(settings)
    known = next((one for one in directory.stated() if one.party == offered.party), None)
    drops = "" if known is None else bundles.dropped(known, offered)
    try:
        trusted = directory.import_bundle(octets, stated)
    except BundleRefused as refused:
        raise No(str(refused)) from None
    if drops:
        console.note(
            f"dropped      it {drops}: if it is so by its owner's word, move"
            f" witness/{trusted.party}.checkpoint away, which the old pair signed, and keep it as evidence"
        )
    console.emit(
        context,
        {
            "ok": True,
            "party": trusted.party,
            "version": trusted.version,
            "fingerprint": printed,
            "endpoints": list(trusted.endpoints),
            "dropped": drops,
        },
        f"party        {trusted.party}  {trusted.legal_name}  version {trusted.version}",
        f"endpoint     {', '.join(trusted.endpoints)}",
        f"fingerprint  {printed}  compared",
    )


@plain_command(app, "passerelle party list can", name="list")
def list_(context: typer.Context, home: Home) -> None:
    """List the partners that we know, and which of their files do not count."""
    from rich.table import Table

    from gateway import config
    from gateway.trust.bundle import fingerprint
    from gateway.trust.configured import directory_of

    settings, now = config.load(home), datetime.now(UTC)
    directory = directory_of(settings)
    table = Table("party", "version", "endpoint", "sealing key", "fingerprint", "name", box=None)
    rows = []
    for bundle in directory.parties():
        until = max(key.not_after for key in bundle.kem)
        ended = not any(key.valid(now) for key in bundle.kem)
        rows.append(
            {
                "party": bundle.party,
                "legal_name": bundle.legal_name,
                "version": bundle.version,
                "endpoints": list(bundle.endpoints),
                "sealing_key_until": until.isoformat(timespec="seconds"),
                "current": bundle.sealing_key(now) is not None,
                "fingerprint": fingerprint(bundle.to_bytes()),
            }
        )
        standing = f"ended {until:%Y-%m-%d}, still used" if ended else f"until {until:%Y-%m-%d}"
        table.add_row(
            bundle.party,
            str(bundle.version),
            bundle.endpoints[0],
            standing,
            fingerprint(bundle.to_bytes()),
            bundle.legal_name,
        )
    faults = [{"file": fault.file, "reason": fault.why} for fault in directory.faults]
    for fault in faults:
        console.note(f"not counted: {fault['file']}: {fault['reason']}")
    shown = table if rows else "no partner yet  → passerelle party import"
    code = console.Code.NO if faults else console.Code.DONE
    console.emit(context, {"ok": not faults, "parties": rows, "faults": faults}, shown, code=code)


def _compare(offered: PartyBundle, printed: str) -> str:
    """Have a person compare the fingerprint by ear; return it where it was heard the same."""
    if not sys.stdin.isatty():
        raise UserError(
            "say --fingerprint as the partner read it out over the telephone; without it nothing is trusted"
        )
    console.note(f"bundle       {offered.party}  {offered.legal_name}  version {offered.version}")
    console.note(f"fingerprint  {printed}")
    question = "Does its owner read out exactly this over the telephone?"
    if not typer.confirm(question, default=False, err=True):
        raise UserError("not imported, as you said; ask its owner for the bundle again")
    return printed
