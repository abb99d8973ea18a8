"""The auditor's questions over a period, each one command: `passerelle audit refusals` and its sisters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import output
from gateway.cli.audit import session
from gateway.cli.audit.session import Asked, AuditSession, Csv, Partner, Scope
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.language import Language, Message, heading, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gateway.auditor.index import Index
    from gateway.auditor.result_table import Period, Table
    from gateway.law.quota_policy import Quotas
    from gateway.ledger.exchange_history import Cite

app = typer.Typer()

CITING: Final = frozenset(
    {"paragraph", "ground", "because"}
)  # columns whose cells cite the Regulations
LIVE = "--reason 'complaint 14' --key auditor/ --as staff/a1"
HELD = "--bundle 2026.bundle --key auditor/"
SHOWN = 50  # rows printed for eyes; --json and --csv have them all

Txn = Annotated[str, typer.Argument(metavar="[TXN]", help="Transaction number; else a period.")]


def question(app: typer.Typer, *ends: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator that makes a function the question of its name; its examples are command lines that end so."""

    def make(body: Callable[..., None]) -> Callable[..., None]:
        lines = (f"passerelle audit {body.__name__} {end}" for end in ends)
        return plain_command(app, *lines, translated=True)(body)

    return make


@question(
    app,
    f"can --since 2026-01-01 {LIVE}",
    f"{HELD} --csv refused.csv",
)
def refusals(context: typer.Context, scope: Scope, asked: Asked) -> None:
    """List all masked and refused answers, and why.

    Exit code 0: answered. 2: could not be answered.
    """
    from gateway.auditor.questions.refusals import refusals as ask

    with answering(context, asked, scope, scope.words("refusals")) as (here, period, tell):
        tell(ask(here.index, period, cited(here)))


@question(
    app,
    f"can --since 2026-01-01 --partner AUS {LIVE}",
    f"{HELD} --json",
)
def quota(context: typer.Context, scope: Scope, asked: Asked) -> None:
    """Count queries by partner, purpose and day, and of the year so far, beside what was agreed both ways.

    ALL is all purposes together. Exit code 0: within what was agreed. 1: a day or a year went over it. 2: could not
    be answered.
    """
    from gateway.auditor.questions.quota import quota as ask

    with answering(context, asked, scope, scope.words("quota")) as (here, period, tell):
        tell(ask(here.index, period, limits_of(here)))


@question(app, f"can --since 2026-01-01 --late {LIVE}", HELD)
def corrections(
    context: typer.Context,
    *,
    late: Annotated[bool, typer.Option("--late", help="Only those whose time has passed.")] = False,
    scope: Scope,
    asked: Asked,
) -> None:
    """List corrections sent and received, when they were acknowledged, and which are late.

    Exit code 0: none is late. 1: some are, or were. 2: could not be answered.
    """
    from gateway.auditor.questions.corrections import corrections as ask

    words = scope.words("late corrections" if late else "corrections")
    with answering(context, asked, scope, words) as (here, period, tell):
        tell(ask(here.index, period, late=late))


@question(app, f"can minutiae@1 {LIVE}", f"minutiae@1 {HELD}")
def recall(
    context: typer.Context,
    algorithm: Annotated[
        str,
        typer.Argument(
            metavar="ALGORITHM@VERSION", help="The calibration, or how its name begins."
        ),
    ] = "",
    *,
    scope: Scope,
    asked: Asked,
) -> None:
    """List the answers that a withdrawn version of the algorithm gave.

    Exit code 0: answered. 1: answered, and some answers are sealed. 2: could not be answered.
    """
    from gateway.auditor.questions.recall import recall as ask

    asked, algorithm = asked.sorted_out(algorithm)
    if not algorithm:
        raise UserError("name the calibration: ALGORITHM@VERSION, or how its name begins")
    words = scope.words(f"recall {algorithm}"[:120])
    with answering(context, asked, scope, words) as (here, period, tell):
        tell(ask(here.index, period, algorithm))


@question(
    app,
    f"can --since 2026-01-01 {LIVE}",
    "20260301-0123456789abcdef0123 --bundle 2026.bundle",
)
def destruction(context: typer.Context, number: Txn = "", *, scope: Scope, asked: Asked) -> None:
    """Say when prints and templates were destroyed, and under which receipt.

    Exit code 0: all in time. 1: one is missing or came after the answer. 2: could not be answered.
    """
    from gateway.auditor.questions.destruction import destruction as ask

    asked, number = asked.sorted_out(number)
    words = scope.words(f"destruction {number}".strip())
    with answering(context, asked, scope, words) as (here, period, tell):
        table = ask(here.index, period, number)
        if number and not table.rows:
            raise UserError("no query of this number was searched")
        tell(table)


@question(
    app,
    f"can --before 20260301-0123456789abcdef0123 {LIVE}",
    "--bundle 2026.bundle --before 20260301-0123456789abcdef0123 --window 7d",
)
def changes(
    context: typer.Context,
    *,
    before: Annotated[
        str, typer.Option("--before", metavar="TXN", help="The transaction in question.")
    ],
    window: Annotated[
        str, typer.Option(metavar="TIME", help="How far back: 90m, 24h, 7d.")
    ] = "24h",
    partner: Partner = "",
    csv: Csv = None,
    asked: Asked,
) -> None:
    """Say who changed keys, agreements, staff or settings just before an exchange.

    Exit code 0: answered. 2: could not be answered.
    """
    from gateway.auditor.questions.changes import changes as ask

    of = f" of {partner}" if partner else ""
    words = f"changes before {before}{of} within {window}"
    with answering(context, asked, Scope(csv=csv), words) as (here, _, tell):
        tell(ask(here.index, before, span(window), partner))


@contextmanager
def answering(
    context: typer.Context, asked: Asked, scope: Scope, words: str
) -> Iterator[tuple[AuditSession, Period, Callable[[Table], None]]]:
    """Yield where a question is asked, the time that it is asked of, and what tells its answer: for eyes, as JSON, as CSV.

    words   of the question, as the ledger will state it
    With --csv - the rows alone are on stdout.
    """
    from gateway.auditor.result_table import Period

    session.demand_new(scope.csv)
    since, until = session.moment(scope.since) or 0, session.moment(scope.until, end=True)
    if until is not None and until <= since:
        raise UserError("--until is before --since: nothing can be in that time")
    with session.room(asked, words) as here:
        _demand_known(here.index, scope.partner)

        def tell(table: Table) -> None:
            _tell(context, table, words, scope.csv, unread=not here.index.opened)

        yield here, Period(since, until, scope.partner), tell


def _tell(
    context: typer.Context, table: Table, words: str, csv: Path | None, *, unread: bool
) -> None:
    speech = output.language(context)
    code = Code.NO if table.findings else Code.DONE
    session.write_csv(csv, table.columns, table.rows)
    if str(csv) == "-":
        raise typer.Exit(int(code))
    document = {
        "ok": not table.findings,
        "question": words,
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
