"""What may be said of a person, field by field, each with its paragraph; and the saying of it.

`may_disclose` never looks at what is recorded: what it permits depends on the request, the agreement, the
person's status today and what officials decided, so that nothing of the answer's shape speaks of a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from gateway.domain.messages import Header, Purpose
from gateway.domain.person import (
    Caveat,
    DetailsRequest,
    Field,
    FieldCode,
    Ground,
    Record,
    Scope,
    Status,
    Withholding,
)
from gateway.errors import AgreementNotInForce, FieldNotPermitted, PurposeNotPermitted
from gateway.law.agreement import Agreement, Block, Duty, Withheld
from gateway.law.legal_status import Row, persecuted, row_of

TITLE = (
    "AGREEMENT"  # code of the caveat that every field bears: the title under which it was exchanged
)

# What a change of status does not change: a right value of these says nothing of what a person has become since.
LASTING = frozenset(
    {
        FieldCode.LAST_NAME,
        FieldCode.FIRST_NAME,
        FieldCode.ALIAS,
        FieldCode.DATE_OF_BIRTH,
        FieldCode.GENDER,
        FieldCode.COUNTRY_OF_BIRTH,
    }
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What an official decided about one person and one partner, not yet lifted.

    fields   what is refused; empty where scope is ALL
    terms    on which it may be had all the same, where the agreement knows terms (IRPR 315.25(4)); "" = not
    """

    scope: Scope
    fields: frozenset[FieldCode]
    ground: Ground
    terms: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be disclosed, each field with its paragraph, and why.

    available   False where the person may not, or no longer, be revealed: the partner learns nothing else
    rules       ids of every rule that was relied on, in the order in which they were asked
    """

    fields: Mapping[FieldCode, str]
    caveats: tuple[Caveat, ...] = ()
    withholding: Withholding | None = None
    rules: tuple[str, ...] = ()
    available: bool = True


@dataclass(slots=True)
class _Sifting:
    """A plan in the making: fields leave it, and none ever enters."""

    fields: dict[FieldCode, str]
    rules: list[str]
    caveats: list[Caveat]
    ground: Ground | None = None
    gone: set[FieldCode] = field(default_factory=set)

    def refuse(self, codes: frozenset[FieldCode], ground: Ground) -> None:
        """Take fields out, and remember that the partner learns so."""
        gone = self.fields.keys() & codes
        if gone:
            self.gone |= gone
            self.ground = self.ground or ground
            self.drop(codes)

    def drop(self, codes: frozenset[FieldCode]) -> None:
        """Take fields out as if nothing were recorded."""
        self.fields = {code: why for code, why in self.fields.items() if code not in codes}

    def plan(self) -> Plan:
        """Return what is left."""
        withholding = None
        if self.ground is not None:
            withholding = Withholding(Scope.PART if self.fields else Scope.ALL, self.ground)
        return Plan(
            MappingProxyType(dict(sorted(self.fields.items()))),
            tuple(self.caveats),
            withholding,
            tuple(dict.fromkeys(self.rules)),
        )


def may_disclose(  # noqa: PLR0917 - all that a plan depends on
    request: DetailsRequest,
    header: Header,
    status: Status,
    agreement: Agreement,
    decisions: Sequence[Decided],
    now: datetime,
    *,
    claim: bool,
    matched: bool,
) -> Plan:
    """Return what may be disclosed of a person.

    status      of the person, today, from our own record
    decisions   of officials about this person and partner
    claim       whether the query declared a refugee claim in the asking country
    matched     whether the query established a match; without one, what needs a match stays unsaid

    Raises `AgreementNotInForce` and `PurposeNotPermitted` as `may_answer_header`; `FieldNotPermitted` for a field
    that nobody may learn for this purpose. No refusal depends on the person: what may not be said of this one is
    absent, and who may not be revealed makes the plan unavailable.
    """
    named = (header.agreement_id, header.agreement_version, header.recipient, header.sender)
    meant = (agreement.id, agreement.version, agreement.home, agreement.partner)
    if named != meant or not agreement.covers(now):
        raise AgreementNotInForce(element="header.agreement_id")
    if header.purpose not in agreement.answer_purposes:
        raise PurposeNotPermitted(element="header.purpose")
    declared = claim and header.purpose in agreement.answering.claims
    possible = fields_for(agreement, header.purpose, claim=declared)
    for index, code in enumerate(request.fields):
        if code not in possible:
            raise FieldNotPermitted(element=f"fields[{index}]")
    begun = [agreement.rule(f"answer.purposes.{header.purpose.name}")]
    blocks = [
        block
        for block in _blocks(agreement, header.purpose, claim=declared)
        if matched or not block.needs_match
    ]
    return _planned(request.fields, blocks, begun, status, agreement, decisions, now, declared)


def may_disclose_unasked(
    fields: Sequence[FieldCode],
    status: Status,
    agreement: Agreement,
    decisions: Sequence[Decided],
    now: datetime,
) -> Plan:
    """Return what may be disclosed of a person without a query, under an agreement that permits none (IRPR 315.3).

    Raises `AgreementNotInForce` for one that is not in force, or that permits queries: under those a person is
    spoken of only in an answer. Raises `FieldNotPermitted` for a field that the agreement does not name.
    """
    if agreement.answer_purposes or not agreement.covers(now):
        raise AgreementNotInForce(element="agreement")
    blocks = agreement.answering.blocks
    possible = {code for block in blocks for code in block.codes}
    for index, code in enumerate(fields):
        if code not in possible:
            raise FieldNotPermitted(element=f"fields[{index}]")
    return _planned(fields, blocks, [], status, agreement, decisions, now, False)


def may_amend(
    received: Iterable[FieldCode],
    status: Status,
    agreement: Agreement,
    decisions: Sequence[Decided],
    now: datetime,
    *,
    claim: bool,
) -> frozenset[FieldCode]:
    """Return of which fields that a partner received the corrected value may be disclosed (IRPR 315.27(1), 315.42(1)).

    The duty outlives the agreement, so whether that is in force is not asked. It outlives the person's status too: of
    whoever became a citizen or a resident since, the error in what was said of them before must be set right, and is, as
    far as it is no news of what they became. Of the persecuted, and of whom too little is known, nothing is said; what a
    rule withholds and what an official refused stay unsaid; a notice bears no terms, so they open nothing.
    """
    row = standing_of(status, agreement, now)
    cell = agreement.answering.reveal.get((row, claim))
    if cell is None or row is Row.UNKNOWN or persecuted(status, agreement.partner_countries):
        return frozenset()
    left = set(received) if cell.reveal else LASTING.intersection(received)
    for rule in applying(agreement, row):
        left -= rule.codes
    for one in decisions:
        left -= frozenset(FieldCode) if one.scope is Scope.ALL else one.fields
    return frozenset(left)


def disclose(record: Record, plan: Plan) -> tuple[Field, ...]:
    """Return what is disclosed of a record, in the order of the field codes: absent is not permitted, or not known."""
    if not plan.available:
        return ()
    return tuple(
        Field(
            code=code,
            value=record.data[code].value,
            authority=authority,
            mime_type=record.data[code].mime_type,
            caveats=plan.caveats,
            source_version=str(record.version),
        )
        for code, authority in sorted(plan.fields.items())
        if code in record.data
    )


def on_terms(decision: Decided, agreement: Agreement) -> bool:
    """Return whether terms take the place of a refusal: only where the agreement knows them (IRPR 315.25(4))."""
    refusing = agreement.answering.refusing
    may = refusing is not None and refusing.duty is Duty.MAY and refusing.terms
    return may and bool(decision.terms)


def standing_of(status: Status, agreement: Agreement, now: datetime) -> Row:
    """Return the row of a person under an agreement."""
    return row_of(
        status,
        agreement.home_countries,
        agreement.partner_countries,
        oldest=agreement.max_age,
        now=now,
    )


def fields_for(agreement: Agreement, purpose: Purpose, *, claim: bool) -> Mapping[FieldCode, str]:
    """Return what may be disclosed for a purpose to anybody's query, each field with its paragraph."""
    blocks = _blocks(agreement, purpose, claim=claim)
    found = {code: block.paragraph for block in reversed(blocks) for code in block.codes}
    return MappingProxyType(dict(sorted(found.items())))


def _blocks(agreement: Agreement, purpose: Purpose, *, claim: bool) -> tuple[Block, ...]:
    return tuple(
        block
        for block in agreement.answering.blocks
        if purpose in block.purposes and claim in block.claims
    )


def _planned(  # noqa: PLR0917 - the same list
    wanted: Sequence[FieldCode],
    blocks: Sequence[Block],
    begun: list[str],
    status: Status,
    agreement: Agreement,
    decisions: Sequence[Decided],
    now: datetime,
    claim: bool,  # noqa: FBT001
) -> Plan:
    row = standing_of(status, agreement, now)
    cell = agreement.answering.reveal[row, claim]
    rules = [*begun, agreement.rule("status"), cell.rule]
    if persecuted(status, agreement.partner_countries):
        return Plan({}, rules=(*rules, agreement.persecution_rule), available=False)
    if not cell.reveal:
        return Plan({}, rules=tuple(rules), available=False)
    caveats = [Caveat(TITLE, agreement.title), *agreement.caveats]
    sifting = _Sifting({}, rules, caveats)
    for code in wanted:
        for block in blocks:
            if code in block.codes and row in block.rows:
                sifting.fields[code] = block.paragraph
                sifting.rules.append(block.rule)
                break
    for rule in applying(agreement, row):
        if sifting.fields.keys() & rule.codes:
            sifting.rules.append(rule.rule)
        if rule.visible:
            sifting.refuse(rule.codes, rule.ground)
        else:
            sifting.drop(rule.codes)
    for decision in decisions:
        _decide(sifting, decision, agreement)
    return sifting.plan()


def applying(agreement: Agreement, row: Row) -> Iterator[Withheld]:
    """Yield what is withheld of a person who may be spoken of, which the persecuted may not."""
    for rule in agreement.answering.withheld:
        if row in rule.rows and not rule.persecution:
            yield rule


def _decide(sifting: _Sifting, decision: Decided, agreement: Agreement) -> None:
    """Apply an official's decision. Where the agreement knows terms, they may take the place of the refusal."""
    codes = frozenset(FieldCode) if decision.scope is Scope.ALL else decision.fields
    if not sifting.fields.keys() & codes:
        return
    sifting.rules.append(agreement.rule("answer.refusal"))
    if on_terms(decision, agreement):
        sifting.caveats.append(Caveat("TERMS", decision.terms))
    else:
        sifting.refuse(codes, decision.ground)
