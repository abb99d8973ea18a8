"""An agreement as a list of rules, each beside the paragraph that gives it, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gateway.law.agreement import Agreement


def lines(agreement: Agreement, now: datetime) -> list[tuple[str, str]]:
    """Return (rule in words, paragraph) of everything that the agreement permits, masks or demands."""
    return [*_parties(agreement, now), *_answers(agreement), *_asks(agreement), *_after(agreement)]


def _parties(agreement: Agreement, now: datetime) -> Iterator[tuple[str, str]]:
    for name in agreement.partner_names:
        if name.name == agreement.partner_name(now):
            yield f"partner: {name.name}", name.paragraph
    for modality, paragraph in agreement.modalities.items():
        only = sorted(agreement.modality_purposes.get(modality, ()))
        named = f", only for {', '.join(each.name for each in only)}" if only else ""
        yield f"a query carries {modality.name}{named}", paragraph
    if agreement.prior_transaction:
        yield "a query carries a prior transaction number", agreement.prior_transaction


def _answers(agreement: Agreement) -> Iterator[tuple[str, str]]:
    answering = agreement.answering
    for purpose, paragraph in answering.purposes.items():
        yield f"they ask for {purpose.name}", paragraph
    seen = set()
    for (row, _), cell in answering.reveal.items():
        if cell.rule not in seen:
            seen.add(cell.rule)
            column = cell.rule.rpartition(".")[2].lower()
            yield f"{'reveal' if cell.reveal else 'mask'} {row.name} ({column})", cell.paragraph
    for block in answering.blocks:
        codes = ", ".join(code.name for code in block.codes)
        claims = " (whether a claim is declared or not)" if len(block.claims) == 2 else ""
        yield f"disclose {codes}{claims}", block.paragraph
    for rule in answering.withheld:
        codes = ", ".join(sorted(code.name for code in rule.codes))
        of = " of those who allege persecution there" if rule.persecution else ""
        yield f"withhold {codes}{of}", rule.paragraph
    if answering.refusing is not None:
        yield f"an official {answering.refusing.duty.value} refuse", answering.refusing.paragraph
    if answering.persecution:
        yield "say nothing of those who allege persecution there", answering.persecution


def _asks(agreement: Agreement) -> Iterator[tuple[str, str]]:
    asking = agreement.asking
    for purpose, paragraph in asking.purposes.items():
        yield f"we ask for {purpose.name}", paragraph
    for row, paragraph in asking.scope.items():
        yield f"we ask about {row.name}", paragraph
    if asking.persecution:
        yield "we never ask about those who allege persecution there", asking.persecution


def _after(agreement: Agreement) -> Iterator[tuple[str, str]]:
    if agreement.review is not None:
        persons = agreement.review.persons
        yield f"{persons} examiner(s) decide near the threshold", agreement.review.paragraph
        if len(agreement.modalities) > 1:
            yield "an examiner decides where modalities contradict", agreement.review.paragraph
    for kind, kept in agreement.retention.items():
        yield f"keep {kind} {kept.period.days} days", kept.paragraph
    hours = [
        int(each.total_seconds() // 3600)
        for each in (agreement.timers.send, agreement.timers.acknowledge)
    ]
    yield (
        f"correct within {hours[0]} h, acknowledge within {hours[1]} h",
        agreement.timers.paragraph,
    )
