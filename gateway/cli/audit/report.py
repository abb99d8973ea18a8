"""`passerelle audit report`: one page for those who look rather than read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.audit import session
from gateway.cli.audit.session import Asked, AuditSession
from gateway.cli.output import Code
from gateway.cli.passphrase import log_of
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError

if TYPE_CHECKING:
    from gateway.auditor.report.figures import Figures
    from gateway.auditor.report.page import About
    from gateway.auditor.result_table import Period
    from gateway.ledger.verify import Report

app = typer.Typer()


@plain_command(
    app,
    "passerelle audit report can --from 2026-01-01 --to 2026-12-31 --lang fr -o rapport.html"
    " --reason 'yearly report' --key auditor/ --as staff/a1",
    "passerelle audit report --bundle 2026.bundle --from 2026-01-01 --to 2026-12-31 -o report.html --key auditor/",
)
def report(
    context: typer.Context,
    *,
    first: Annotated[
        datetime,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First day, UTC."),
    ],
    last: Annotated[
        datetime, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="Last day, UTC.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the page is written.")
    ],
    language: Annotated[
        str, typer.Option("--lang", metavar="en|fr", help="Language of the page.")
    ] = "en",
    party: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The ledger's owner as you know it, to verify a bundle with."
        ),
    ] = None,
    asked: Asked,
) -> None:
    """Write one page about a period: is the ledger verified, volumes, outcomes, refusals, quotas, times, duties, keys.

    The page needs no network and no script, reads in a browser, on paper and aloud. Small numbers are withheld.

    Exit code 0: no findings. 1: some, or the ledger is not verified. 2: the page could not be made.
    """
    from gateway.auditor.report.page import render

    period = _period(first, last, language)
    if party is not None and asked.bundle is None:
        raise UserError("--party is for a bundle; a home directory knows its own keys")
    session.demand_new(out)
    with session.room(asked, f"report {first:%Y-%m-%d} to {last:%Y-%m-%d}") as room:
        found = figures_of(room, period)
        verified = verify(asked, room, party)
        about = about_of(asked, room, party)
    user_files.create(out, render(found, verified, about, language).encode())
    clean = verified.ok and not found.findings
    document = {
        "ok": clean,
        "file": str(out),
        "whole": verified.ok,
        "entries": verified.size,
        "findings": dict(found.findings),
        "sealed": not found.opened,
    }
    verdict = "verified" if verified.ok else "NOT VERIFIED"
    output.emit(
        context,
        document,
        f"report  {out}  ledger {verdict}  findings {len(found.findings)}  → open it in a browser",
        code=Code.DONE if clean else Code.NO,
    )


def figures_of(room: AuditSession, period: Period) -> Figures:
    """Count a period; what the agreements permit comes from beside the ledger."""
    from gateway.auditor.report.figures import figures
    from gateway.cli.audit.period_questions import cited, limits_of

    return figures(room.index, period, limits_of(room), cited(room))


def verify(asked: Asked, room: AuditSession, party: Path | None = None) -> Report:
    """Verify the whole ledger that a report is about."""
    if asked.where is not None:
        from gateway.server import self_check

        return self_check.verify_ledger(asked.where)
    from gateway.auditor.source import ArchiveSource
    from gateway.ledger.archive_verify import verify_archive

    source = room.source
    if not isinstance(source, ArchiveSource):
        raise UserError("a bundle is needed, or a home directory")
    log = source.log if party is None else log_of(party)
    with output.gauge("verifying", source.size - source.first) as progress:
        return verify_archive(source.archive, log, progress)


def about_of(asked: Asked, room: AuditSession, party: Path | None = None) -> About:
    """Return what stands at the head of a report."""
    from importlib.metadata import version

    from gateway.auditor.report.page import About
    from gateway.auditor.source import ArchiveSource
    from gateway.trust.bundle import PartyBundle, fingerprint

    source = room.source
    if isinstance(source, ArchiveSource):
        octets = source.archive.party
    else:
        from gateway.trust.partners import own_bundle

        if asked.where is None:
            raise UserError("name the home directory of the gateway")
        octets = own_bundle(asked.where).to_bytes()
    return About(
        PartyBundle.parse(octets).party,
        source.log.origin,
        source.size - source.first,
        datetime.now(UTC),
        f"passerelle {version('passerelle')}",
        isinstance(source, ArchiveSource),
        fingerprint(octets),
        known=asked.where is not None or party is not None,
    )


def _period(first: datetime, last: datetime, language: str) -> Period:
    from gateway.auditor.report.figures import LONGEST
    from gateway.auditor.result_table import Period
    from gateway.language import LANGUAGES

    if language not in LANGUAGES:
        raise UserError(f"--lang is one of {', '.join(LANGUAGES)}")
    if last < first:
        raise UserError("--to is before --from")
    if (last - first).days > LONGEST:
        raise UserError("a report covers ten years at most")
    return Period(session.moment(first) or 0, session.moment(last, end=True))
