"""`passerelle audit replay`: what past queries would have been answered under another version of the law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As, Perform
from gateway.cli.audit import session
from gateway.cli.audit.session import Key, KeyPassphrase
from gateway.cli.output import Code, Home, PassphraseFile
from gateway.cli.passphrase import passphrase_of
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.language import Message, say
from gateway.operations import audit

if TYPE_CHECKING:
    from gateway.domain.messages import Modality
    from gateway.law.agreement import Agreement
    from gateway.ledger.exchange_history import OpenedEntry
    from gateway.ledger.policy_replay import Past, Replayed
    from gateway.matching.calibrations import Calibration

app = typer.Typer()

Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why you read it; recorded before anything is shown.")
]

SHOWN = 50  # changed queries printed for eyes; --json has them all


@plain_command(
    app,
    "passerelle audit replay can 20260301-0123456789abcdef0123 --key auditor/ --reason 'complaint 14'",
    "passerelle audit replay can --since 2026-01-01 --agreement au-2.toml --key auditor/"
    " --reason 'impact of version 2'",
    translated=True,
)
def replay(
    context: typer.Context,
    *,
    home: Home,
    number: Annotated[
        str, typer.Argument(metavar="[TXN]", help="One transaction; else name --since.")
    ] = "",
    reason: Reason,
    key: Key = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="All queries from this day, UTC."),
    ] = None,
    agreement: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Version to decide under; else the one that was in force."
        ),
    ] = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Decide past queries again from the ledger, without biometrics, and show what would change.

    Exit code 0: nothing would change. 1: something would. 2: could not be answered.
    """
    if bool(number) == (since is not None):
        raise typer.BadParameter("name one transaction, or --since DAY", param_hint="TXN")
    if key is None:
        raise UserError(
            "a decision cannot be made again without the auditor's key: give --key FOLDER"
        )
    opening = session.opened(key, key_passphrase_file).audit_ring()
    from gateway.ledger.sealed_entries import take

    with admin_session.open_session(
        home, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    ) as perform:
        entries = _one(perform, number, reason) if number else _all(perform, since, reason)
        told = take(entries, opening)
    proposed = None if agreement is None else _proposed(agreement, home)
    done, skipped = decided_again(told, proposed, home)
    if not done and number:
        raise UserError(_why_none(told, number))
    changed = [each for each in done if each.changed]
    document = {
        "ok": not changed,
        "queries": len(done),
        "changed": [_row(each) for each in changed],
        "not_replayable": skipped.total(),
        "not_replayable_because": {str(why): count for why, count in skipped.items()},
        "agreement": proposed.name if proposed else "as it was",
    }
    speech = output.language(context)
    lines = [
        f"{each.past.number}  {each.past.partner}  {each.past.shown} → {each.now}  [{each.why}]"
        for each in changed[:SHOWN]
    ]
    if len(changed) > SHOWN:
        lines.append(speech(say("… and {count} more  → --json", count=len(changed) - SHOWN)))
    under = proposed.name if proposed else say("the versions that were in force")
    counted = say(
        "{count} queries under {agreement}: {changed} would be answered otherwise",
        count=len(done),
        agreement=under,
        changed=len(changed),
    )
    lines.append(speech(counted))
    lines += [
        speech(say("{count} could not be decided again: {why}", count=count, why=why))
        for why, count in skipped.most_common()
    ]
    output.emit(context, document, *lines, code=Code.NO if changed else Code.DONE)


def _why_none(told: Sequence[OpenedEntry], number: str) -> str:
    """Return why nothing of a transaction can be decided again."""
    from gateway.ledger.entry import EntryClass, EntryType

    ours = [each.frame for each in told if each.frame.type is EntryType.ASKED]
    if any(each.entry_class is EntryClass.DENIED for each in ours):
        return f"{number} is a query of ours: it was stopped here, and reached no partner  → passerelle audit explain"
    if ours:
        return f"{number} is a query of ours: what was decided of it is the partner's  → passerelle audit explain"
    return "this transaction holds no answered query whose details can be opened"


def _one(perform: Perform, number: str, reason: str) -> list[object]:
    entries = perform(
        audit.Transaction.declaration.name, {"transaction": number, "reason": reason}
    )["entries"]
    return entries if isinstance(entries, list) else []


def _all(perform: Perform, since: datetime | None, reason: str) -> list[object]:
    """Read page after page; one reading is recorded, however many pages it takes."""
    if since is None:
        raise AssertionError
    asked: dict[str, object] = {"since": since.replace(tzinfo=UTC).isoformat(), "reason": reason}
    found: list[object] = []
    while True:
        page = perform(audit.Queries.declaration.name, asked)
        entries = page["entries"]
        if not isinstance(entries, list):
            raise UserError("the gateway handed no list of entries; is it of this release?")
        found += entries
        if not page["more"] or not entries:
            return found
        asked["after"] = entries[-1]["index"]


def decided_again(
    told: list[OpenedEntry], proposed: Agreement | None, home: Path
) -> tuple[list[Replayed], Counter[Message]]:
    """Return the queries that could be decided again, and how many could not, by the reason."""
    from gateway.ledger.policy_replay import Undecidable, again, answered, count_unopened
    from gateway.server import calibrations_of_folder

    agreements, calibrations = _known(home), calibrations_of_folder.known(home)
    done: list[Replayed] = []
    skipped: Counter[Message] = Counter()
    if unopened := count_unopened(told):
        skipped[say("details that this key does not open, or that are gone")] = unopened
    for past in answered(told):
        agreement = proposed or agreements.get(past.agreement)
        if agreement is None:
            skipped[say("the version of its agreement is not in this folder")] += 1
        elif agreement.partner != past.partner:
            skipped[say("the agreement is with another partner")] += 1
        else:
            try:
                done.append(again(past, agreement, partial(_threshold, past, calibrations)))
            except Undecidable as fault:
                skipped[fault.why] += 1
            except ValueError:  # one entry that cannot be read hides no other
                skipped[say("the entry is not as we write entries")] += 1
    return done, skipped


def _threshold(
    past: Past,
    known: Mapping[str, Calibration],
    fpir: float,
    people: int,
    shared: Mapping[Modality, int],
) -> float:
    """Return the least score of a match by the calibrations that the entry names: what counts today decided nothing then."""
    from gateway.ledger.policy_replay import Undecidable
    from gateway.matching.modality import least_score, named

    ids = past.calibrations()
    try:
        then = named({each: ids[each] for each in shared}, known)
    except LookupError as missing:
        raise Undecidable(
            say("its calibration {id} is not to be had here", id=missing.args[0])
        ) from None
    return least_score(then, fpir, people, shared)


def _known(home: Path) -> dict[str, Agreement]:
    """Return every version of the folder's agreements by name."""
    from gateway.server import expiry_of_folder

    found = expiry_of_folder.agreements(home, datetime.now(UTC))
    return {each.name: each for versions in found.agreements.values() for each in versions}


def _proposed(file: Path, home: Path) -> Agreement:
    from gateway import config
    from gateway.agreements.signatures import not_ours
    from gateway.law.agreement_parser import parse
    from gateway.law.toml_reader import MAX_BYTES

    proposed = parse(user_files.named(file, MAX_BYTES), file.name)
    if why := not_ours(proposed, config.load(home).gateway.party):
        raise UserError(f"{file.name}: agreement.home: {why}")
    return proposed


def _row(each: Replayed) -> dict[str, object]:
    return {
        "transaction": each.past.number,
        "partner": each.past.partner,
        "leaf": each.past.index,
        "shown": each.past.shown,
        "now": each.now,
        "why": each.why,
    }
