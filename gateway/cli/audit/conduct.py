"""An auditor's questions about our own people: `passerelle audit uses`, `erasures`, `decisions`, `readings`."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.audit import people
from gateway.cli.audit.period_questions import HELD, LIVE, answering, question
from gateway.cli.audit.session import Asked, AuditSession, Scope

app = typer.Typer()


@question(app, f"can --since 2026-01-01 {LIVE}", f"{HELD} --partner AUS --csv uses.csv")
def uses(context: typer.Context, scope: Scope, asked: Asked) -> None:
    """List for which decisions partners' answers were used, by whom, in which record.

    Exit code 0: answered. 2: could not be answered.
    """
    from gateway.auditor.questions.conduct import uses as ask

    with answering(context, asked, scope, scope.words("uses")) as (here, period, tell):
        tell(ask(here.index, period, names_of(here)))


@question(app, f"can --since 2026-01-01 {LIVE}", f"{HELD} --json")
def erasures(context: typer.Context, scope: Scope, asked: Asked) -> None:
    """List what was erased and on which ground, who left the registry, and the holds that kept something.

    With --partner: holds on that partner or on a transaction of theirs; erasures name no partner.

    Exit code 0: answered. 2: could not be answered.
    """
    from gateway.auditor.questions.conduct import erasures as ask

    with answering(context, asked, scope, scope.words("erasures")) as (here, period, tell):
        tell(ask(here.index, period))


@question(app, f"can --since 2026-01-01 {LIVE}", f"{HELD} --partner AUS")
def decisions(context: typer.Context, scope: Scope, asked: Asked) -> None:
    """List what officials refused to disclose of a person, to whom, on which ground, and what was lifted.

    With --partner: also what every partner is refused.

    Exit code 0: answered. 2: could not be answered.
    """
    from gateway.auditor.questions.conduct import decisions as ask

    with answering(context, asked, scope, scope.words("decisions")) as (here, period, tell):
        tell(ask(here.index, period, names_of(here)))


@question(app, f"can F-17 {LIVE}", f"S-1234567890123456789 {HELD}")
def readings(
    context: typer.Context,
    person: Annotated[
        str,
        typer.Argument(
            metavar="[FILE_NUMBER]",
            help="Of this person alone, by local file number or S-…; with --bundle S-….",
        ),
    ] = "",
    *,
    case: Annotated[str, typer.Option(metavar="CASE", help="Of this case alone.")] = "",
    scope: Scope,
    asked: Asked,
) -> None:
    """List who was shown what: a person's prints, record, decisions, answers, or what an auditor asked.

    Exit code 0: answered. 1: some readings are sealed or erased. 2: could not be answered.
    """
    from gateway.auditor.questions.conduct import readings as ask

    asked, person = asked.sorted_out(person)
    of = " ".join(filter(None, ("readings", person, f"case {case}" if case else "")))
    with answering(context, asked, scope, scope.words(of)) as (here, period, tell):
        number = people.registry_number(here, person)
        tell(ask(here.index, period, number=number, named=person, case=case))


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
