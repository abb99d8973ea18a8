"""`passerelle audit`: what the ledger says of an exchange, to whoever holds the auditor's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.audit import session
from gateway.cli.audit.period_questions import citing, found
from gateway.cli.audit.session import Asked, KeyPassphrase
from gateway.cli.output import Code
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.language import Language, Message, say
from gateway.ledger.exchange_history import Question
from gateway.operations import audit

if TYPE_CHECKING:
    from gateway.ledger.exchange_history import ExchangeHistory

app = typer.Typer()

Transaction = Annotated[str, typer.Argument(metavar="TXN", help="Transaction number of the query.")]


@plain_command(
    app,
    "passerelle audit explain can 20260301-0123456789abcdef0123 --reason 'complaint 14'"
    " --key auditor/ --as staff/a1",
    "passerelle audit explain 20260301-0123456789abcdef0123 --only keys --bundle 2026.bundle",
    translated=True,
)
def explain(
    context: typer.Context,
    *,
    number: Transaction = "",
    partner: Annotated[
        str, typer.Option(metavar="ID", help="Whose query, where several used the number.")
    ] = "",
    only: Annotated[
        Question | None, typer.Option(metavar="QUESTION", help="One question alone.")
    ] = None,
    asked: Asked,
) -> None:
    """Say who asked and why, what was sent and answered, and why it was permitted, masked or refused.

    Exit code 0: answered and clean. 1: answered, with findings. 2: could not be answered.
    """
    asked, number = asked.sorted_out(number)
    if not number:
        raise UserError("name the transaction: its number is in the answer to the query")
    if (asked.where is None) is (asked.bundle is None):
        raise UserError("name either a home directory or --bundle FILE")
    if asked.where is None or asked.key is not None:
        history = _from_index(asked, number, partner)
    else:
        # Nobody can tell what followed a question while details are sealed: its own entries are handed out alone.
        if not asked.reason:
            raise UserError("say why you read: --reason WORDS; a live gateway records it first")
        read = asked.perform(
            asked.where,
            audit.Transaction,
            transaction=number,
            partner=partner,
            reason=asked.reason,
        )
        history = _from_gateway(asked.where, read, number)
    questions = list(Question) if only is None else [only]
    words = output.language(context)
    output.emit(
        context,
        _document(history, questions, words),
        *_lines(history, questions, words),
        code=Code.NO if history.findings else Code.DONE,
    )


@plain_command(app, "passerelle audit renew auditor/ -o auditor.json")
def renew(
    context: typer.Context,
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The auditor's folder.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where the new public half is written."),
    ],
    key_passphrase_file: KeyPassphrase = None,
) -> None:
    """Make the auditor's next key, on the auditor's own machine; two operators take over its public half.

    The keys before it stay in the folder: what was recorded under them opens to nothing else.
    """
    from gateway.keymanagement.auditor_key import public_file
    from gateway.trust.bundle import fingerprint
    from keys.keyset import KeyKind, KeyState

    user_files.demand_new(out)  # before a key is made whose public half has nowhere to go
    keyset, now = session.opened(folder, key_passphrase_file), datetime.now(UTC)
    before = keyset.primary(KeyKind.AUDIT)
    keyset, made = keyset.generate(KeyKind.AUDIT, now, reason="renewed", actor="auditor")
    for kid, state in ((made.kid, KeyState.ACTIVE), (before.kid, KeyState.DEACTIVATED)):
        keyset, _ = keyset.transition(kid, state, now, "renewed", "auditor")
    keyset.save(
        folder / "keyset.json"
    )  # first: a public half without its private one would be a trap
    octets = public_file(keyset.record(made.kid).public)
    user_files.create(out, octets)
    printed = fingerprint(octets)
    output.emit(
        context,
        {"ok": True, "file": str(out), "kid": made.kid.hex(), "fingerprint": printed},
        f"fingerprint  {printed}  → read it out to the operators over the telephone",
        f"next         they run: passerelle keys set-auditor-key HOME {out} --fingerprint …",
    )


def _from_gateway(home: Path, read: Mapping[str, object], number: str) -> ExchangeHistory:
    from gateway.config import load
    from gateway.law.citations import citations
    from gateway.law.toml_reader import MAX_BYTES
    from gateway.ledger.exchange_history import build_history
    from gateway.ledger.sealed_entries import opened, take

    told = take(read["entries"], None)
    folder = load(home).agreements.folder
    there = (path for path in sorted(folder.glob("*.toml")) if path.is_file())
    cite = citations(user_files.named(path, MAX_BYTES) for path in there)
    return build_history(told, number, str(read["partner"]), cite, opened=opened(told))


def _from_index(asked: Asked, number: str, partner: str) -> ExchangeHistory:
    from gateway.law.citations import citations
    from gateway.ledger.exchange_history import build_history
    from gateway.ledger.sealed_entries import opened

    with session.room(asked, f"explain {number}") as here:
        partners = [each for each in here.index.partners_of(number) if each == (partner or each)]
        if len(partners) > 1:
            names = ", ".join(partners)
            raise UserError(f"several partners have used this number: name one of {names}")
        of = partners[0] if partners else partner
        told = here.index.of_transaction(number, of)
        cite = citations(here.source.agreements().values())
    return build_history(told, number, of, cite, opened=opened(told))


def _document(
    history: ExchangeHistory, questions: list[Question], words: Language
) -> dict[str, object]:
    return {
        "ok": not history.findings,
        "transaction": history.number,
        "partner": history.partner,
        "answers": {
            question.value: [
                {
                    "what": line.label,
                    "value": line.value,
                    "leaf": line.leaf,
                    "paragraph": line.paragraph,
                }
                for line in history.answers[question]
            ]
            for question in questions
        },
        "findings": [words(finding) for finding in history.findings],
    }


def _lines(history: ExchangeHistory, questions: list[Question], words: Language) -> Iterator[str]:
    if history.partner:
        yield words(
            say("transaction {number} of {partner}", number=history.number, partner=history.partner)
        )
    else:
        yield words(say("transaction {number} of nobody", number=history.number))
    for question in questions:
        lines = history.answers[question]
        name = words(Message(question.value, context="question"))
        if not lines and len(questions) == 1:
            yield words(say("nothing is recorded of this ({question})", question=name))
        if not lines:
            continue
        yield f"\n{name}"
        labels = [words(line.label) for line in lines]
        width = max(map(len, labels))
        for line, label in zip(lines, labels, strict=True):
            cited = f"   [{citing(words, line.paragraph)}]" if line.paragraph else ""
            leaf = words(say("leaf {leaf}", leaf=line.leaf))
            yield f"  {label:<{width}}  {words(line.value)}{cited}   {leaf}"
    for finding in history.findings:
        yield found(words, finding)
