"""`passerelle ledger`: whether the ledger still says what was written."""

from __future__ import annotations

from typing import Any

import typer

from gateway.cli import console
from gateway.cli.console import Code, Home, Json, example
from gateway.errors import Remedy

SHOWN = 50  # findings printed for eyes; --json has them all

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
