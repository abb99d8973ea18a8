"""How far an agreement may go, and what makes a file absurd.

An agreement narrows what its division permits (`gateway.law.regulation`). A file that reveals a citizen, names a
purpose in the wrong direction, or cites another paragraph for a field than the regulation does is refused whole:
its author was mistaken, and after one mistake the rest is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.person import FieldCode
from gateway.law.agreement import Agreement, Block, Duty
from gateway.law.regulation import BOUNDS, Bounds
from gateway.law.toml_reader import Document


def demand(agreement: Agreement, file: Document) -> None:
    """Raise `MalformedAgreement` for the first thing that the division does not allow, or that permits nothing."""
    bounds = BOUNDS[agreement.division]
    for path, why in _objections(agreement, bounds):
        raise file.wrong(path, why)


def _objections(agreement: Agreement, bounds: Bounds) -> Iterator[tuple[str, str]]:
    answering, asking = agreement.answering, agreement.asking
    queries = bool(answering.purposes or asking.purposes)
    if bounds.answer and not queries:
        yield "answer.purposes", "permits nothing in either direction"
    if queries and not agreement.modalities:
        yield "modalities", "permits nothing"
    for path, stated, allowed in (
        ("answer.purposes", answering.purposes, bounds.answer),
        ("ask.purposes", asking.purposes, bounds.ask),
    ):
        for purpose, paragraph in stated.items():
            if purpose not in allowed:
                yield f"{path}.{purpose.name}", "not in this direction of the division"
            elif allowed[purpose] not in {"", paragraph}:
                yield f"{path}.{purpose.name}", f"rests on {allowed[purpose]}"
    if agreement.home_countries & agreement.partner_countries or not agreement.home_countries:
        yield "countries.home", "must be somebody's, and not the partner's"
    yield from _about_modalities(agreement, bounds)
    yield from _about_people(agreement, bounds)
    yield from _about_fields(agreement, bounds)


def _about_modalities(agreement: Agreement, bounds: Bounds) -> Iterator[tuple[str, str]]:
    purposes = agreement.answering.purposes.keys() | agreement.asking.purposes.keys()
    for modality in agreement.modalities.keys() - bounds.modalities:
        yield f"modalities.{modality.name}", "not in the division"
    for modality, only in agreement.modality_purposes.items():
        if not only <= purposes:
            path = f"modality_purposes.{modality.name}.purposes"
            yield path, "names a purpose that is permitted in neither direction"
    if len(agreement.modalities) > 1 and agreement.review is None:
        # One may say yes and another no, and neither a match nor "no match" would be true (law.md 3.3).
        yield (
            "review",
            "is missing: modalities may contradict each other, and only an examiner can tell; add the table, or permit one",
        )


def _about_people(agreement: Agreement, bounds: Bounds) -> Iterator[tuple[str, str]]:
    answering, asking = agreement.answering, agreement.asking
    for (row, claim), cell in answering.reveal.items():
        if cell.reveal and row not in bounds.reveal[claim]:
            yield cell.rule.partition(":")[2], "this person is never revealed: must be masked"
    if not any(cell.reveal for cell in answering.reveal.values()):
        yield "answer.reveal", "reveals nobody"
    for row in asking.scope.keys() - bounds.asked:
        yield f"ask.scope.{row.name}", "nobody of this row may be asked about"
    if asking.purposes and not asking.scope:
        yield "ask.scope", "permits nothing"
    if asking.purposes and not asking.persecution:
        yield "ask.persecution", "is missing: no query leaves for a country that persecutes"
    if bounds.persecution and not answering.purposes and not answering.persecution:
        yield "answer.persecution", "is missing"
    wanted = bounds.claims & answering.purposes.keys()
    if answering.claims.keys() != wanted:
        names = ", ".join(sorted(purpose.name for purpose in wanted)) or "nothing"
        yield "answer.claims", f"must name {names}"


def _about_fields(agreement: Agreement, bounds: Bounds) -> Iterator[tuple[str, str]]:
    answering = agreement.answering
    named = {code for block in answering.blocks for code in block.codes}
    if not named:
        yield "answer.fields", "permits nothing"
    if named == bounds.fields.keys() and FieldCode.FINGERPRINTS in named:
        yield "answer.fields", "permits every field there is: name those that are needed"
    for block in answering.blocks:
        yield from _about_block(block, agreement, bounds)
    refusing = answering.refusing
    if bounds.duty is not None and (
        refusing is None or (bounds.duty is Duty.MUST and refusing.duty is not Duty.MUST)
    ):
        yield "answer.refusal", "is missing, or weaker than the division's duty"
    if refusing is not None and refusing.duty is Duty.MUST and refusing.terms:
        yield "answer.refusal.terms", "a duty to refuse knows no terms"


def _about_block(block: Block, agreement: Agreement, bounds: Bounds) -> Iterator[tuple[str, str]]:
    path = block.rule.partition(":")[2]
    for code in block.codes:
        if code not in bounds.fields:
            yield f"{path}.codes", "names a field that the division does not have"
        elif bounds.fields[code] not in {"", block.paragraph}:
            yield f"{path}.paragraph", f"a field in it rests on {bounds.fields[code]}"
    if not block.needs_match and bounds.matched.intersection(block.codes):
        yield f"{path}.needs_match", "a field in it needs an established match: must be true"
    if not block.purposes <= agreement.answering.purposes.keys():
        yield f"{path}.purposes", "names a purpose that is not permitted"
    if not block.rows <= frozenset().union(*bounds.reveal.values()):
        yield f"{path}.rows", "names people who are never revealed"
    limit = bounds.in_claim
    if limit is not None and True in block.claims and not limit.issuperset(block.codes):
        yield f"{path}.claims", "leaves more than a declared refugee claim allows"
