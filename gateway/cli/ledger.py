"""`passerelle ledger`: whether the ledger still says what was written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import console
from gateway.cli.console import Code, Home, Json, No, example
from gateway.errors import Remedy

SHOWN = 50  # findings printed for eyes; --json has them all

ReceiptId = Annotated[
    str,
    typer.Argument(metavar="RECEIPT_ID", help="Destruction receipt that the answer named, D-…."),
]

app = typer.Typer(help="Check the ledger.", no_args_is_help=True)


@app.command(epilog=example("passerelle ledger verify can", "passerelle ledger verify can --json"))
def verify(
    context: typer.Context,
    home: Home,
    as_json: Json = False,
) -> None:
    """Check every entry, every checkpoint and the order of events; needs no passphrase.

    Exit code 0: clean. 1: findings. 2: cannot say, e.g. there is no ledger.
    """
    del as_json
    from gateway.server import inspection

    report = inspection.verify_ledger(home)
    if not report.size and not report.checkpoints:
        raise Remedy(f"{home} has no ledger yet; it begins when the gateway first opens")
    _tell(context, report)


@app.command(
    epilog=example(
        "passerelle ledger destruction can D-0123456789abcdef0123456789abcdef -o destroyed.json"
    )
)
def destruction(
    context: typer.Context,
    *,
    home: Home,
    receipt: ReceiptId,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the receipt is written.")
    ],
    as_json: Json = False,
) -> None:
    """Write the receipt that says the prints of a query were destroyed, for its partner or an auditor.

    It is signed by the ledger and holds no personal data; whoever has our party bundle checks it.
    """
    del as_json
    from gateway.audit.destruction import RECEIPT_ID
    from gateway.server import inspection

    if not RECEIPT_ID.fullmatch(receipt):
        raise Remedy("a receipt is D- and 32 hexadecimal digits, as the answer to the query says")
    octets = inspection.destruction(home, receipt)
    out.write_bytes(octets)
    console.emit(
        context,
        {"ok": True, "receipt": receipt, "file": str(out), "bytes": len(octets)},
        f"receipt  {out}  → passerelle ledger verify-receipt {out} --party BUNDLE",
    )


@app.command(
    name="verify-receipt",
    epilog=example(
        "passerelle ledger verify-receipt destroyed.json --party CAN.json",
        "passerelle ledger verify-receipt destroyed.json --party CAN.json"
        " --receipt D-0123456789abcdef0123456789abcdef",
    ),
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
    as_json: Json = False,
) -> None:
    """Check a destruction receipt off-line: both signatures of the ledger, and that the entry stands in it.

    Exit code 0: it holds. 1: it does not. 2: it could not be checked.
    """
    del as_json
    from gateway.audit import destruction as receipts
    from gateway.audit.errors import ReceiptRefused
    from gateway.bundle import PartyBundle

    log = PartyBundle.parse(party.read_bytes()).log
    try:
        found = receipts.verify(file.read_bytes(), log, datetime.now(UTC), receipt)
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
    console.emit(
        context,
        document,
        f"receipt      {found.receipt}  holds",
        f"destroyed    {frame.time:%Y-%m-%d %H:%M:%S} UTC, prints and templates of {frame.partner_id}'s"
        f" query {frame.transaction_number}",
        f"ledger       {found.checkpoint.origin}  entry {found.index} of {found.checkpoint.size}",
    )


def _tell(context: typer.Context, report: Any) -> None:  # noqa: ANN401 - audit.verify.Report, met lazily
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
    verdict = "whole" if report.ok else "NOT WHOLE  → keep the folder as it is and call the auditor"
    lines.append(
        f"ledger  {report.size} entries  {report.checkpoints} checkpoints"
        f"  root {report.root.hex()[:16]}…  {verdict}"
    )
    console.emit(context, document, *lines, code=Code.DONE if report.ok else Code.NO)
