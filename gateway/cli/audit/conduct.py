"""An auditor's questions about our own people: `passerelle audit uses`, `erasures`, `decisions`, `readings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.admin_session import As
from gateway.cli.audit import people, period_questions, session
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
from gateway.cli.output import In, Json, PassphraseFile, example

if TYPE_CHECKING:
    from gateway.auditor.result_table import Period, Table


def uses(
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
    """List for which decisions partners' answers were used, by whom, in which record.

    Exit code 0: answered. 2: could not be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.conduct import uses as question

        return question(room.index, period, names_of(room))

    told = period_questions.words("uses", since, partner, until)
    period_questions.answer(context, asked, told, (since, until, partner), csv, ask=ask)


def erasures(
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
    """List what was erased and on which ground, who left the registry, and the holds that kept something.

    With --partner: holds on that partner or on a transaction of theirs; erasures name no partner.

    Exit code 0: answered. 2: could not be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.conduct import erasures as question

        return question(room.index, period)

    told = period_questions.words("erasures", since, partner, until)
    period_questions.answer(context, asked, told, (since, until, partner), csv, ask=ask)


def decisions(
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
    """List what officials refused to disclose of a person, to whom, on which ground, and what was lifted.

    With --partner: also what every partner is refused.

    Exit code 0: answered. 2: could not be answered.
    """
    del as_json, language
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.conduct import decisions as question

        return question(room.index, period, names_of(room))

    told = period_questions.words("decisions", since, partner, until)
    period_questions.answer(context, asked, told, (since, until, partner), csv, ask=ask)


def readings(
    context: typer.Context,
    where: Where = None,
    person: Annotated[
        str,
        typer.Argument(
            metavar="[FILE_NUMBER]",
            help="Of this person alone, by local file number or S-…; with --bundle S-….",
        ),
    ] = "",
    *,
    case: Annotated[str, typer.Option(metavar="CASE", help="Of this case alone.")] = "",
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
    """List who was shown what: a person's prints, record, decisions, answers, or what an auditor asked.

    Exit code 0: answered. 1: some readings are sealed or erased. 2: could not be answered.
    """
    del as_json, language
    where, person = session.sorted_out(where, person, bundle)
    asked = Asked(where, bundle, reason, key, key_passphrase_file, officer, passphrase_file)

    def ask(room: AuditSession, period: Period) -> Table:
        from gateway.auditor.questions.conduct import readings as question

        number = people.registry_number(room, person)
        return question(room.index, period, number=number, named=person, case=case)

    of = " ".join(filter(None, ("readings", person, f"case {case}" if case else "")))
    told = period_questions.words(of, since, partner, until)
    period_questions.answer(context, asked, told, (since, until, partner), csv, ask=ask)


def names_of(room: AuditSession) -> dict[str, str]:
    """Return the newest legal name of each partner, out of the agreements beside the ledger."""
    from gateway.law.agreement_parser import parse
    from gateway.law.toml_reader import MalformedAgreement

    found: dict[str, str] = {}
    for name, text in sorted(room.source.agreements().items()):
        try:
            agreement = parse(text, name)
        except MalformedAgreement:
            continue
        found[agreement.partner] = agreement.partner_names[-1].name
    return found


def install(app: typer.Typer) -> None:
    """Hang the commands under `passerelle audit`."""
    live = "--reason 'complaint 14' --key auditor/ --as staff/a1"
    held = "--bundle 2026.bundle --key auditor/"
    for command, first, second in (
        (uses, f"can --since 2026-01-01 {live}", f"{held} --partner AUS --csv uses.csv"),
        (erasures, f"can --since 2026-01-01 {live}", f"{held} --json"),
        (decisions, f"can --since 2026-01-01 {live}", f"{held} --partner AUS"),
        (readings, f"can F-17 {live}", f"S-1234567890123456789 {held}"),
    ):
        name = command.__name__
        app.command(
            epilog=example(f"passerelle audit {name} {first}", f"passerelle audit {name} {second}")
        )(command)
