"""`passerelle console`: the auditors' pages on this machine, and the log of what was looked at in a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import admin_session
from gateway.cli import output as speaking
from gateway.cli.audit import report, session
from gateway.cli.audit.session import Asked, AuditSession, KeyPassphrase
from gateway.cli.passphrase import passphrase_of
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations import audit

if TYPE_CHECKING:
    from gateway.auditor.console.access_log import ViewLog
    from gateway.auditor.console.app import ConsoleContext
    from gateway.auditor.report.figures import Figures
    from gateway.auditor.result_table import Period
    from gateway.domain.messages import Receipt
    from gateway.ledger.verify import Report

app = typer.Typer()
audit_app = typer.Typer()

LONGEST = 200  # characters of a question that a gateway takes

Auditor = Annotated[
    Path,
    typer.Option(
        "--key",
        metavar="FOLDER",
        callback=session.folder_of,
        help="The auditor's folder (kek.json, keyset.json), also as file:FOLDER.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedWithKey(Asked):
    """The same, by whoever names the auditor's folder; without it the pages would show little."""

    key: Auditor


@plain_command(
    app,
    "passerelle console can --key auditor/ --reason 'complaint 14' --as staff/a1",
    "passerelle console --bundle 2026.bundle --key auditor/ --reason 'yearly audit'",
    translated=True,
)
def console(
    context: typer.Context,
    *,
    asked: AskedWithKey,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 for any that is free.")
    ] = 0,
    idle: Annotated[
        int,
        typer.Option(
            min=5,
            max=480,
            metavar="MINUTES",
            help="The console ends when nobody has opened a page for so long.",
        ),
    ] = 15,
) -> None:
    """Open pages for an auditor in the browser of this machine: search, timeline, exchange histories, proofs, the report.

    The link works once. Nothing can be changed; each view is recorded before it is shown: in the gateway's ledger, or
    beside the bundle. It ends with Leave, with Ctrl-C, and after 15 minutes in which nobody looks (--idle).
    """
    if not asked.reason:
        raise UserError("say why you read: --reason WORDS; each view is recorded with it")
    with session.room(asked, "console: opened") as room:
        from gateway.auditor.console.server import serve

        console_context = replace(
            context_of(asked, room), idle=idle, language=speaking.language(context).code
        )

        def ready(link: str) -> None:
            document = {"ok": True, "link": link, "entries": room.index.size}
            speaking.emit(context, document, f"console  {link}  works once → Ctrl-C ends it")

        console_context.record("console: opened")
        serve(console_context, port, ready)


@plain_command(audit_app, "passerelle audit views --bundle 2026.bundle --key auditor/")
def views(
    context: typer.Context,
    *,
    bundle: Annotated[
        Path, typer.Option("--bundle", metavar="FILE", help="The bundle that was looked at.")
    ],
    key: Auditor,
    key_passphrase_file: KeyPassphrase = None,
) -> None:
    """List what was looked at in a bundle with the console, and check that no line of that log was altered.

    Exit code 0: it holds. 2: it does not, or there is none.
    """
    from gateway.auditor.console.access_log import ViewLog
    from gateway.auditor.index import secret_of

    path = _views_of(bundle)
    if not path.is_file():
        raise UserError(
            f"{path} is not there: this bundle was never opened with `passerelle console`"
        )
    custody = session.opened(key, key_passphrase_file).custody
    log = ViewLog(path, secret_of(key, custody.wrap, custody.unwrap))
    found = list(log.read())
    rows = [{"time": each.at, "reason": each.reason, "what": each.what} for each in found]
    lines = [f"{each.at}  {each.what}  ({each.reason})" for each in found]
    speaking.emit(context, {"ok": True, "views": rows}, *lines)


def context_of(asked: Asked, room: AuditSession) -> ConsoleContext:
    """Return what the console's pages are made of."""
    from gateway.auditor.console.app import ConsoleContext
    from gateway.cli.audit.period_questions import cited

    def verify() -> Report:
        return report.verify(asked, room)

    def count(period: Period) -> Figures:
        return report.figures_of(room, period)

    return ConsoleContext(
        index=room.index,
        source=room.source,
        about=report.about_of(asked, room),
        cite=cited(room),
        record=_recorder(asked, room),
        prove=_prover(room),
        verify=verify,
        count=count,
        reason=asked.reason,
    )


def _recorder(asked: Asked, room: AuditSession) -> Callable[[str], None]:
    """Return what writes a view down, for good, before it is shown."""
    if asked.where is None:
        return _beside(asked, room)
    home = asked.where
    passphrase = cache(
        passphrase_of(home, asked.passphrase_file)
    )  # asked for once, not for each view

    def record(what: str) -> None:
        words = "".join(each if " " <= each <= "~" else "?" for each in what)[:LONGEST]
        admin_session.perform(
            home,
            audit.Read.declaration.name,
            {"question": words, "reason": asked.reason},
            officer=asked.officer,
            passphrase=passphrase,
        )

    return record


def _beside(asked: Asked, room: AuditSession) -> Callable[[str], None]:
    from gateway.auditor.console.access_log import ViewLog

    if asked.bundle is None:
        raise UserError("name either a home directory or --bundle FILE")
    log: ViewLog = ViewLog(_views_of(asked.bundle), room.secret)

    def record(what: str) -> None:
        log.record(what, asked.reason, datetime.now(UTC))

    return record


def _prover(room: AuditSession) -> Callable[[int], Receipt]:
    from gateway.auditor.source import ArchiveSource

    source = room.source
    if isinstance(source, ArchiveSource):
        from gateway.ledger.archive_proofs import Prover

        return Prover(source.archive).prove
    from gateway.server.local_source import Stored

    if not isinstance(source, Stored):
        raise UserError("a bundle is needed, or a home directory")
    return source.prove


def _views_of(bundle: Path) -> Path:
    return bundle.with_name(f"{bundle.name}.views")
