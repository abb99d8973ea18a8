"""`passerelle ledger reconcile`: two parties compare what they recorded of each other."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.audit import session
from gateway.cli.audit.session import Access, Asked, Since, Until
from gateway.cli.output import Code
from gateway.cli.passphrase import log_of
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.language import Message, say
from gateway.operations import audit

if TYPE_CHECKING:
    from gateway.auditor.reconcile import Compared, Statement
    from gateway.auditor.reconcile import Message as Recorded
    from gateway.auditor.source import Source

app = typer.Typer()

SHOWN = 50


@plain_command(
    app,
    "passerelle ledger reconcile can --with AUS --since 2026-01-01 --until 2026-03-31 -o can.statement"
    " --reason 'quarter' --as staff/a1",
    "passerelle ledger reconcile aus --with CAN --against can.statement --party CAN.json -o aus.statement"
    " --reason 'quarter' --as staff/a2",
    translated=True,
)
def reconcile(
    context: typer.Context,
    *,
    other: Annotated[
        str, typer.Option("--with", metavar="ID", help="The party whose ledger is compared.")
    ],
    since: Since = None,
    until: Until = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its statement; period and salt are taken from it."),
    ] = None,
    party: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help="Its party bundle: its ledger must hold the statement, as FILE.receipt beside it proves.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where our statement goes.")
    ] = None,
    access: Access,
) -> None:
    """State what we recorded with a party, or compare it with what that party states.

    Neither learns what the other recorded: statements hold salted digests. Each side names what the other lacks.

    Exit code 0: stated, or both recorded the same. 1: something is missing or differs. 2: neither can be decided.
    """
    from gateway.auditor.reconcile import LARGEST, Part, compare, state
    from gateway.auditor.reconcile_messages import recorded

    if against is None and (since is None or until is None):
        raise UserError(
            "name the period: --since DAY --until DAY, or --against the other's statement"
        )
    if against is None and out is None:
        raise UserError("say where our statement goes: -o FILE")
    if out is not None:
        session.demand_new(out)
        session.demand_new(_receipt_of(out))
    named = session.moment(since), session.moment(until, end=True)
    theirs = None if against is None else _theirs(against, _us(access), other, party)
    if theirs is not None:
        _demand_named(theirs, named)
    period = (named[0] or 0, named[1] or 0) if theirs is None else (theirs.since, theirs.until)
    _demand_over(period)
    with session.room(Asked(**asdict(access)), f"reconcile with {other}"[:80]) as room:
        us = _us(access)
        _demand_whole(room.source, period)
        messages = recorded(room.index, us, other, *period)
        note = room.source.newest()
    salt = secrets.token_bytes(32) if theirs is None else theirs.salt
    if out is not None:
        ours = state(messages, us, other, period, salt=salt, made=_now(), checkpoint=note)
        if len(ours.to_bytes()) > LARGEST:
            raise UserError("the period is too long for one statement: state a shorter one")
        receipt = None if access.where is None else _sworn(access.where, ours, access)
        user_files.create(out, ours.to_bytes())
        if receipt is not None:
            user_files.create(_receipt_of(out), receipt)
    if theirs is None:
        within = [each for each in messages if period[0] <= each.time_ms < period[1]]
        count = sum(each.part is Part.QUESTION for each in within)
        document = {"ok": True, "file": str(out), "questions": count, "messages": len(within)}
        output.emit(
            context,
            document,
            output.language(context)(
                say(
                    "stated  {count} questions, {messages} messages  {file}  → give it to {other}'s auditor",
                    count=count,
                    messages=len(within),
                    file=_files(access.where, out),
                    other=other,
                )
            ),
        )
        return
    compared = compare(messages, us, theirs)
    if access.where is not None:
        _record(access.where, access, theirs, compared)
    _tell(context, compared, theirs, other)


def _theirs(file: Path, us: str, other: str, party: Path | None) -> Statement:
    from gateway.auditor import statement_receipt
    from gateway.auditor.reconcile import LARGEST, Statement
    from gateway.ledger import receipt_file

    octets = user_files.named(file, LARGEST)
    statement = Statement.parse(octets)
    if statement.party != other:
        raise UserError(f"the statement is of {statement.party}, not of {other}")
    if statement.made < statement.until:
        raise UserError("the statement was made before its period ended: ask for a new one")
    if party is not None:
        log = log_of(party)
        statement.signed_size(log)
        receipt = _receipt_of(file)
        if not receipt.is_file():
            raise UserError(
                f"{receipt} is not there: without it anybody could have made the statement; ask for it, "
                f"or leave --party out"
            )
        statement_receipt.verify(
            user_files.named(receipt, receipt_file.LARGEST), octets, us=us, log=log, now=_now()
        )
    return statement


def _demand_over(period: tuple[int, int]) -> None:
    """Refuse a period that goes on: what is yet to come would be missed as never recorded."""
    since, until = period
    if since >= until:
        raise UserError(
            "the period ends before it begins: --since is its first day, --until its last"
        )
    if until > _now().timestamp() * 1000:
        raise UserError(f"the period is not over: it can be stated from {_day(until)} on")


def _demand_whole(source: Source, period: tuple[int, int]) -> None:
    """Refuse a bundle that begins or ends within the period: what it lacks would be missed as never recorded."""
    from gateway.auditor.source import ArchiveSource
    from gateway.ledger.entry import decode

    since, until = period
    first = next(source.held(source.first, source.first + 1), None) if source.first else None
    if first is not None and decode(first.leaf).time.timestamp() * 1000 > since:
        raise UserError("the bundle begins after the period does: export it from an earlier day on")
    if isinstance(source, ArchiveSource) and source.log.read(source.newest())[1] * 1000 < until:
        raise UserError("the bundle ends before the period does: export it once the period is over")


def _demand_named(theirs: Statement, named: tuple[int | None, int | None]) -> None:
    """Refuse a statement of another period than the one that was named, such as last year's once more."""
    for said, wanted in zip((theirs.since, theirs.until), named, strict=True):
        if wanted is not None and said != wanted:
            raise UserError(
                f"the statement is of another period, {_day(theirs.since)} to {_day(theirs.until)}: "
                f"ask for the one that you named"
            )


def _sworn(home: Path, ours: Statement, access: Access) -> bytes:
    """Have a live gateway record our statement, and return the proof of that, which goes beside it."""
    from gateway.auditor import statement_receipt
    from gateway.server.local_source import Stored

    told = access.perform(
        home,
        audit.State,
        partner=ours.other,
        digest=statement_receipt.digest(ours.to_bytes()),
        since=_day(ours.since),
        until=_day(ours.until),
        count=len(ours.rows) + len(ours.possible),
    )
    with Stored(home) as stored:
        return statement_receipt.write(stored.prove(int(str(told["index"]))))


def _receipt_of(statement: Path) -> Path:
    return statement.with_name(f"{statement.name}.receipt")


def _files(home: Path | None, out: Path | None) -> str:
    """Return what was written, to be named in a line: the statement, and a gateway's receipt for it."""
    if home is None or out is None:
        return str(out)
    return say("{file} and {receipt}", file=out, receipt=_receipt_of(out))


def _us(access: Access) -> str:
    if access.where is not None:
        from gateway import config

        return config.load(access.where).gateway.party
    from gateway.ledger.archive import Archive

    if access.bundle is None:
        raise UserError("name either a home directory or --bundle FILE")
    with Archive.open(access.bundle) as archive:
        return archive.manifest.party


def _record(home: Path, access: Access, theirs: Statement, compared: Compared) -> None:
    """Have the gateway record that a period was compared, and how it came out."""
    access.perform(
        home,
        audit.Reconcile,
        partner=theirs.party,
        since=_day(theirs.since),
        until=_day(theirs.until),
        compared=compared.both,
        missing_here=compared.only_there,
        missing_there=len(compared.only_here),
        differing=len(compared.differing),
    )


def _tell(context: typer.Context, compared: Compared, theirs: Statement, other: str) -> None:
    def named(messages: object) -> list[dict[str, object]]:
        return [
            {
                "what": each.part.value,
                "transaction": each.number,
                "sent_by": each.sender,
                "time": _day(each.time_ms),
            }
            for each in (messages if isinstance(messages, tuple) else ())
        ]

    document = {
        "ok": compared.clean,
        "since": _day(theirs.since),
        "until": _day(theirs.until),
        "both": compared.both,
        "missing_there": named(compared.only_here),
        "differing": named(compared.differing),
        "missing_here": compared.only_there,
        "unanswered": compared.unanswered,
        "at_the_edge": compared.edge,
    }
    shown = map(output.language(context), _lines(compared, other))
    code = Code.DONE if compared.clean else Code.NO
    output.emit(context, document, *shown, code=code)


def _lines(compared: Compared, other: str) -> list[Message]:
    lines = [say("both recorded  {count} messages the same", count=compared.both)]
    lines += [
        say(
            "{other} never recorded  {part}  {number}  sent by {sender}  {time}",
            other=other,
            **_named(each),
        )
        for each in compared.only_here[:SHOWN]
    ]
    lines += _more(compared.only_here)
    lines += [
        say("recorded otherwise  {part}  {number}  sent by {sender}  {time}", **_named(each))
        for each in compared.differing[:SHOWN]
    ]
    lines += _more(compared.differing)
    if compared.only_there:
        lines.append(
            say(
                "we never recorded  {count} messages  → give {other} our statement (-o): it names them",
                count=compared.only_there,
                other=other,
            )
        )
    if compared.unanswered:
        lines.append(
            say(
                "not confirmed  {count} messages that we sent: lost on the way, refused, or not answered",
                count=compared.unanswered,
            )
        )
    if compared.edge:
        lines.append(
            say(
                "at the edge  {count} messages, under way when the period began or ended",
                count=compared.edge,
            )
        )
    return lines


def _named(each: Recorded) -> dict[str, object]:
    """Return what fills in a line about a message."""
    return {
        "part": Message(each.part.value, context="part"),
        "number": each.number,
        "sender": each.sender,
        "time": _day(each.time_ms),
    }


def _more(found: Sequence[Recorded]) -> list[Message]:
    more = len(found) - SHOWN
    return [say("… and {count} more  → --json", count=more)] if more > 0 else []


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def _now() -> datetime:
    return datetime.now(UTC)
