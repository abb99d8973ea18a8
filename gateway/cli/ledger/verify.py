"""`passerelle ledger`: whether the ledger still says what was written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.admin_session import As
from gateway.cli.audit import session
from gateway.cli.audit.session import Access
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code, Home, No, PassphraseFile
from gateway.cli.passphrase import log_of
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations.ledger import Stamp

SHOWN = 50  # findings printed for eyes; --json has them all

ReceiptId = Annotated[
    str,
    typer.Argument(metavar="RECEIPT_ID", help="Destruction receipt that the answer named, D-…."),
]

app = typer.Typer()


@plain_command(
    app,
    "passerelle ledger verify can",
    "passerelle ledger verify 2026.bundle --party CAN.json --json",
)
def verify(
    context: typer.Context,
    where: Annotated[
        Path, typer.Argument(metavar="DIR|BUNDLE", help="Home directory, or an exported bundle.")
    ],
    *,
    party: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The ledger's owner as you know it: its keys must have signed the bundle.",
        ),
    ] = None,
    authority_roots: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Certificates, PEM, that time stamps in a bundle must lead to."
        ),
    ] = None,
) -> None:
    """Check every entry, every checkpoint and the order of events; needs no passphrase.

    A bundle is checked on any machine: no gateway, no database and no network are needed. Without --party
    it is held against the keys that it brings itself; compare their fingerprint with what you know.

    Exit code 0: clean. 1: findings. 2: cannot say, e.g. there is no ledger.
    """
    if where.is_file():
        _verify_bundle(context, where, party, authority_roots)
        return
    if party is not None:
        raise UserError("--party is for a bundle; a home directory knows its own keys")
    from gateway.server import self_check

    report = self_check.verify_ledger(where)
    if not report.size and not report.checkpoints:
        raise UserError(f"{where} has no ledger yet; it begins when the gateway first opens")
    _tell(context, report)


@plain_command(
    app,
    "passerelle ledger export can -o 2026.bundle --reason 'yearly audit'",
    "passerelle ledger export can --since 2026-01-01 -o 2026.bundle --reason 'yearly audit' --as staff/a1",
)
def export(
    context: typer.Context,
    *,
    home: Home,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the bundle is written.")
    ],
    reason: Annotated[
        str, typer.Option(metavar="WORDS", help="Why; recorded before anything is written.")
    ],
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DAY", help="From this day, UTC; else from the beginning."
        ),
    ] = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write the ledger into one file that is verified and asked without a gateway.

    Details stay sealed to the auditor's key. The gateway may serve meanwhile.
    """
    if out.exists():
        raise UserError(f"{out} is there already; a bundle is never written over another")
    day = None if since is None else since.replace(tzinfo=UTC)
    asked = f"export since {since:%Y-%m-%d}" if since else "export of the whole ledger"
    access = Access(where=home, reason=reason, officer=officer, passphrase_file=passphrase_file)
    with session.live(access, asked) as stored:
        total = stored.size - stored.begins(day)
        with output.gauge("exporting", total) as progress:
            manifest = stored.export(
                out, since=day, reason=reason, now=datetime.now(UTC), progress=progress
            )
    document = {
        "ok": True,
        "file": str(out),
        "first": manifest.first,
        "size": manifest.size,
        "bytes": out.stat().st_size,
    }
    output.emit(
        context,
        document,
        f"bundle  {out}  entries {manifest.first} to {manifest.size - 1}"
        f"  → passerelle ledger verify {out}",
    )


@plain_command(app, "passerelle ledger publish can", "passerelle ledger publish can --json")
def publish(context: typer.Context, *, home: Home) -> None:
    """Write the ledger's public files again: every tile and the checkpoint, from rows; needs no passphrase.

    A gateway that serves publishes by itself. This repairs files that were lost or damaged, and publishes what a
    closed gateway recorded. A checkpoint that the rows no longer lead to is never written over.

    Exit code 0: published. 2: it could not be, e.g. the disk is full or the ledger was set back.
    """
    from gateway.server.workers import tiles

    total = tiles.count(home)
    with output.bar("publishing", total) as advance:
        folder, size = tiles.publish(home, lambda _: advance(1))
    if not size:
        raise UserError(f"{home} has no ledger yet; it begins when the gateway first opens")
    output.emit(
        context,
        {"ok": True, "folder": str(folder), "size": size, "files": total},
        f"published  {folder}  {size} entries in {total} tiles  → passerelle ledger verify {home}",
    )


@plain_command(
    app, "passerelle ledger destruction can D-0123456789abcdef0123456789abcdef -o destroyed.json"
)
def destruction(
    context: typer.Context,
    *,
    home: Home,
    receipt: ReceiptId,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the receipt is written.")
    ],
) -> None:
    """Write the receipt that says the prints of a query were destroyed, for its partner or an auditor.

    It is signed by the ledger and holds no personal data; whoever has our party bundle checks it.
    """
    from gateway.ledger.destruction_receipt import RECEIPT_ID
    from gateway.server import self_check

    if not RECEIPT_ID.fullmatch(receipt):
        raise UserError(
            "a receipt is D- and 32 hexadecimal digits, as the answer to the query says"
        )
    user_files.demand_new(out)
    octets = self_check.destruction(home, receipt)
    user_files.create(out, octets)
    output.emit(
        context,
        {"ok": True, "receipt": receipt, "file": str(out), "bytes": len(octets)},
        f"receipt  {out}  → passerelle ledger verify-receipt {out} --party BUNDLE",
    )


@plain_command(
    app,
    "passerelle ledger verify-receipt destroyed.json --party CAN.json",
    "passerelle ledger verify-receipt destroyed.json --party CAN.json"
    " --receipt D-0123456789abcdef0123456789abcdef",
    name="verify-receipt",
)
def verify_receipt(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A destruction receipt.")],
    party: Annotated[
        Path, typer.Option(metavar="BUNDLE", help="Bundle of the party whose ledger signed it.")
    ],
    receipt: Annotated[
        str, typer.Option(metavar="ID", help="The receipt that the answer named, D-….")
    ] = "",
) -> None:
    """Check a destruction receipt off-line: both signatures of the ledger, and that the entry stands in it.

    Exit code 0: it holds. 1: it does not. 2: it could not be checked.
    """
    from gateway.ledger import destruction_receipt as receipts
    from gateway.ledger import receipt_file
    from gateway.ledger.errors import ReceiptRefused

    log, octets = log_of(party), user_files.named(file, receipt_file.LARGEST)
    try:
        found = receipts.verify(octets, log, datetime.now(UTC), receipt)
    except ReceiptRefused as refused:
        raise No(str(refused)) from None
    frame = found.frame
    document = {
        "ok": True,
        "receipt": found.receipt,
        "partner": frame.partner_id,
        "transaction": frame.transaction_number,
        "time": frame.time.isoformat(),
        "ledger": found.checkpoint.origin,
        "index": found.index,
        "size": found.checkpoint.size,
    }
    output.emit(
        context,
        document,
        f"receipt      {found.receipt}  holds",
        f"destroyed    {frame.time:%Y-%m-%d %H:%M:%S} UTC, prints and templates of {frame.partner_id}'s"
        f" query {frame.transaction_number}",
        f"ledger       {found.checkpoint.origin}  entry {found.index} of {found.checkpoint.size}",
    )


@command(app, Stamp)
def stamp(call: Call) -> None:
    """Show what was stamped."""
    told = call.perform()
    call.emit(told, f"stamped  {told['size']} entries  {told['time']}")


def _verify_bundle(
    context: typer.Context, file: Path, party: Path | None, authority_roots: Path | None
) -> None:
    from gateway.ledger.archive import Archive
    from gateway.ledger.archive_verify import verify_archive
    from gateway.ledger.timestamp import MOST_ROOTS
    from gateway.trust.bundle import MAX_BUNDLE, PartyBundle, fingerprint

    with Archive.open(file) as archive:
        octets = archive.party if party is None else user_files.named(party, MAX_BUNDLE)
        log = PartyBundle.parse(octets).log
        if party is None:
            output.note(f"held against the keys in the bundle: {fingerprint(octets)}")
        with output.gauge("verifying", archive.size - archive.manifest.first) as progress:
            roots = (
                None if authority_roots is None else user_files.named(authority_roots, MOST_ROOTS)
            )
            report = verify_archive(archive, log, progress, roots=roots)
            first = archive.manifest.first
    _tell(context, report, first)


def _tell(context: typer.Context, report: Any, first: int = 0) -> None:  # noqa: ANN401 - audit.verify.Report, met lazily
    findings = [
        {
            "severity": finding.severity.value,
            "place": finding.place.value,
            "index": finding.index,
            "text": finding.text,
        }
        for finding in report.findings
    ]
    document = {
        "ok": report.ok,
        "first": first,
        "size": report.size,
        "root": report.root.hex(),
        "checkpoints": report.checkpoints,
        "findings": findings,
        "omitted": report.omitted,
    }
    lines = [str(finding) for finding in report.findings[:SHOWN]]
    more = len(findings) - len(lines) + report.omitted
    if more:
        lines.append(f"… and {more} more  → --json")
    verdict = "verified" if report.ok else "NOT VERIFIED  → keep it as it is and call the auditor"
    which = f"{report.size} entries"
    if first:
        which = f"entries {first} to {report.size - 1} of {which}"
    lines.append(
        f"ledger  {which}  {report.checkpoints} checkpoints"
        f"  root {report.root.hex()[:16]}…  {verdict}"
    )
    output.emit(context, document, *lines, code=Code.DONE if report.ok else Code.NO)
