"""The auditor's questions over a period, each one command: `passerelle audit refusals` and its sisters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import output
from gateway.cli.admin_session import As
from gateway.cli.audit import session
from gateway.cli.audit.session import (
    Asked,
    AuditSession,
    Bundle,
    Csv,
    Key,
    KeyPassphrase,
    Partner,
    Since,
    Until,
    Where,
    Why,
)
from gateway.cli.output import Code, In, Json, PassphraseFile, example
from gateway.errors import UserError
from gateway.language import Language, Message, heading, say

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from rich.console import RenderableType

    from gateway.auditor.index import Index
    from gateway.auditor.result_table import Period, Table
    from gateway.law.quota_policy import Quotas
    from gateway.ledger.exchange_history import Cite

CITING: Final = frozenset(
    {"paragraph", "ground", "because"}
)  # columns whose cells cite the Regulations
SHOWN = 50  # rows printed for eyes; --json and --csv have them all

Txn = Annotated[str, typer.Argument(metavar="[TXN]", help="Transaction number; else a period.")]


def refusals(
    context: typer.Context,
    *,
    where: Where = None,
    bundle: Bundle = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = "",
    reason: Why = "",
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    csv: Csv = None,
    language: In = "",
    as_json: Json = False,
) -> None:
    """List all masked and refused answers, and why.

    Exit code 0: answered. 2: could not be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.refusals import refusals as question

        return question(room.index, period, cited(room))

    answer(
        context,
        asked,
        words("refusals", since, partner, until),
        (since, until, partner),
        csv,
        ask=ask,
    )


def quota(
    context: typer.Context,
    *,
    where: Where = None,
    bundle: Bundle = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = "",
    reason: Why = "",
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    csv: Csv = None,
    language: In = "",
    as_json: Json = False,
) -> None:
    """Count queries by partner, purpose and day, and of the year so far, beside what was agreed both ways.

    ALL is all purposes together. Exit code 0: within what was agreed. 1: a day or a year went over it. 2: could not
    be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.quota import quota as question

        return question(room.index, period, limits_of(room))

    answer(
        context, asked, words("quota", since, partner, until), (since, until, partner), csv, ask=ask
    )


def corrections(
    context: typer.Context,
    *,
    where: Where = None,
    bundle: Bundle = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = "",
    late: Annotated[bool, typer.Option("--late", help="Only those whose time has passed.")] = False,
    reason: Why = "",
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    csv: Csv = None,
    language: In = "",
    as_json: Json = False,
) -> None:
    """List corrections sent and received, when they were acknowledged, and which are late.

    Exit code 0: none is late. 1: some are, or were. 2: could not be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.corrections import corrections as question

        return question(room.index, period, late=late)

    told = words("late corrections" if late else "corrections", since, partner, until)
    answer(context, asked, told, (since, until, partner), csv, ask=ask)


def recall(
    context: typer.Context,
    where: Where = None,
    algorithm: Annotated[
        str,
        typer.Argument(
            metavar="ALGORITHM@VERSION", help="The calibration, or how its name begins."
        ),
    ] = "",
    *,
    bundle: Bundle = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = "",
    reason: Why = "",
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    csv: Csv = None,
    language: In = "",
    as_json: Json = False,
) -> None:
    """List the answers that a withdrawn version of the algorithm gave.

    Exit code 0: answered. 1: answered, and some answers are sealed. 2: could not be answered.
    """
    del as_json, language
    where, algorithm = session.sorted_out(where, algorithm, bundle)
    if not algorithm:
        raise UserError("name the calibration: ALGORITHM@VERSION, or how its name begins")
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.recall import recall as question

        return question(room.index, period, algorithm)

    told = words(f"recall {algorithm}"[:120], since, partner, until)
    answer(context, asked, told, (since, until, partner), csv, ask=ask)


def destruction(
    context: typer.Context,
    where: Where = None,
    number: Txn = "",
    *,
    bundle: Bundle = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = "",
    reason: Why = "",
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    csv: Csv = None,
    language: In = "",
    as_json: Json = False,
) -> None:
    """Say when prints and templates were destroyed, and under which receipt.

    Exit code 0: all in time. 1: one is missing or came after the answer. 2: could not be answered.
    """
    del as_json, language
    where, number = session.sorted_out(where, number, bundle)
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.destruction import destruction as question

        table = question(room.index, period, number)
        if number and not table.rows:
            raise UserError("no query of this number was searched")
        return table

    told = words(f"destruction {number}".strip(), since, partner, until)
    answer(context, asked, told, (since, until, partner), csv, ask=ask)


def changes(
    context: typer.Context,
    *,
    where: Where = None,
    before: Annotated[
        str, typer.Option("--before", metavar="TXN", help="The transaction in question.")
    ],
    window: Annotated[
        str, typer.Option(metavar="TIME", help="How far back: 90m, 24h, 7d.")
    ] = "24h",
    partner: Partner = "",
    bundle: Bundle = None,
    reason: Why = "",
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    csv: Csv = None,
    language: In = "",
    as_json: Json = False,
) -> None:
    """Say who changed keys, agreements, staff or settings just before an exchange.

    Exit code 0: answered. 2: could not be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        del period
        from gateway.auditor.questions.changes import changes as question

        return question(room.index, before, span(window), partner)

    of = f" of {partner}" if partner else ""
    told = f"changes before {before}{of} within {window}"
    answer(context, asked, told, (None, None, ""), csv, ask=ask)


def answer(
    context: typer.Context,
    asked: Asked,
    question: str,
    period: tuple[datetime | None, datetime | None, str],
    csv: Path | None,
    *,
    ask: Callable[[AuditSession, Period], Table],
) -> None:
    """Ask a question of a gateway or a bundle and tell the answer: for eyes, as JSON, as CSV.

    With --csv - the rows alone are on stdout.
    """
    from gateway.auditor.result_table import Period

    session.demand_new(csv)
    speech = output.language(context)
    since, until, partner = period
    over = Period(session.moment(since) or 0, session.moment(until, end=True), partner)
    if over.until is not None and over.until <= over.since:
        raise UserError("--until is before --since: nothing can be in that time")
    with session.room(asked, question) as room:
        _demand_known(room.index, partner)
        table = ask(room, over)
        unread = not room.index.opened
        code = Code.NO if table.findings else Code.DONE
        session.write_csv(csv, table.columns, table.rows)
        if str(csv) == "-":
            raise typer.Exit(int(code))
        document = {
            "ok": not table.findings,
            "question": question,
            "rows": table.documents(),
            "totals": dict(table.totals),
            "findings": [speech(finding) for finding in table.findings],
            "sealed": unread,
        }
        output.emit(context, document, *_shown(table, speech, unread=unread), code=code)


def _demand_known(index: Index, partner: str) -> None:
    """Raise UserError for a partner of whom the ledger has no entry: nothing found of it would pass for an answer."""
    if partner:
        wanted = "SELECT DISTINCT partner FROM entries WHERE partner <> '' ORDER BY partner"
        known = [name for (name,) in index.each(wanted, ())]
        if partner not in known:
            raise UserError(
                f"no entry names {partner}; the ledger knows {', '.join(known) or 'none'}"
            )


def cited(room: AuditSession) -> Cite:
    """Return what names the paragraph of a rule, out of the agreements beside the ledger."""
    from gateway.law.citations import citations

    return citations(room.source.agreements().values())


def span(text: str) -> int:
    """Return a length of time in milliseconds: 90m, 24h, 7d. Raises UserError."""
    units = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise UserError("--window is a number and m, h or d: 90m, 24h, 7d")
    return int(number) * units[unit]


def words(
    what: str, since: datetime | None, partner: str, until: datetime | None = None, more: str = ""
) -> str:
    """Return what the ledger will say was asked, and of which time."""
    of = f" of {partner}" if partner else ""
    times = (("since", since), ("until", until))
    return f"{what}{of}{''.join(f' {word} {day:%Y-%m-%d}' for word, day in times if day)}{more}"


def limits_of(room: AuditSession) -> dict[tuple[str, int, int], Quotas]:
    """Return how much each version of an agreement lets them ask us, and us ask them."""
    from gateway.domain.messages import Direction
    from gateway.law.agreement_parser import parse
    from gateway.law.toml_reader import MalformedAgreement

    found: dict[tuple[str, int, int], Quotas] = {}
    for name, text in room.source.agreements().items():
        try:
            agreement = parse(text, name)
        except MalformedAgreement:
            continue
        both = (
            (Direction.INBOUND, agreement.answering.quotas),
            (Direction.OUTBOUND, agreement.asking.quotas),
        )
        for direction, quotas in both:
            if quotas is not None:
                found[agreement.id, agreement.version, int(direction)] = quotas
    return found


def _shown(table: Table, speech: Language, *, unread: bool) -> list[RenderableType]:
    from rich.table import Column
    from rich.table import Table as Grid

    names = (Column(speech(heading(name)), overflow="fold") for name in table.columns)
    grid = Grid(*names, box=None, pad_edge=False)
    for row in islice(table.rows, SHOWN):
        grid.add_row(*map(partial(_cell, speech), table.columns, row))
    lines: list[RenderableType] = [grid] if table.rows else [speech(say("nothing in this time"))]
    if len(table.rows) > SHOWN:
        more = len(table.rows) - SHOWN
        lines.append(speech(say("… and {count} more  → --csv FILE or --json", count=more)))
    for name, value in table.totals.items():
        total = speech(heading(name))
        if isinstance(value, dict):
            lines += [f"{total}  {speech(what)}  {count}" for what, count in value.items()]
        else:
            lines.append(f"{total}  {_cell(speech, name, value)}")
    lines += [found(speech, finding) for finding in table.findings]
    if unread:
        lines.append(speech(say("details are sealed  → give the auditor's key: --key FOLDER")))
    return lines


def found(speech: Language, finding: Message) -> str:
    """Return the line that tells a finding."""
    return f"{speech(say('finding'))}{speech.colon} {speech(finding)}"


def citing(speech: Language, text: str) -> str:
    """Return text with its citations of the Regulations as the language writes them: RIPR 315.41(1)b)."""
    from gateway.law.correction_text import french

    return french(text) if speech.code == "fr" else text


def _cell(speech: Language, column: str, value: object) -> str:
    """Return a cell as a person reads it; codes and what was recorded stay as they are."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return speech(say("yes") if value else say("no"))
    if isinstance(value, float) and speech.code == "fr":
        return str(value).replace(".", ",")
    told = speech(value)
    return citing(speech, told) if column in CITING else told


def install(app: typer.Typer) -> None:
    """Hang the commands under `passerelle audit`."""
    live = "--reason 'complaint 14' --key auditor/ --as staff/a1"
    for command, first, second in (
        (
            refusals,
            f"can --since 2026-01-01 {live}",
            "--bundle 2026.bundle --key auditor/ --csv refused.csv",
        ),
        (
            quota,
            f"can --since 2026-01-01 --partner AUS {live}",
            "--bundle 2026.bundle --key auditor/ --json",
        ),
        (
            corrections,
            f"can --since 2026-01-01 --late {live}",
            "--bundle 2026.bundle --key auditor/",
        ),
        (recall, f"can minutiae@1 {live}", "minutiae@1 --bundle 2026.bundle --key auditor/"),
        (
            destruction,
            f"can --since 2026-01-01 {live}",
            "20260301-0123456789abcdef0123 --bundle 2026.bundle",
        ),
        (
            changes,
            f"can --before 20260301-0123456789abcdef0123 {live}",
            "--bundle 2026.bundle --before 20260301-0123456789abcdef0123 --window 7d",
        ),
    ):
        name = command.__name__
        app.command(
            epilog=example(f"passerelle audit {name} {first}", f"passerelle audit {name} {second}")
        )(command)
