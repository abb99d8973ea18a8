"""A walk over partner × purpose × status × nationality × claim × time × fields × decisions.

Whatever is disclosed, a rule of the agreement names it, the regulation knows the paragraph, and nobody whom the
table masks is spoken of. The oracle is typed out here; no agreement file is read for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.messages import Purpose
from gateway.domain.person import Datum, FieldCode, Ground, Record, Scope, Status, SubjectKind
from gateway.errors import Refusal
from gateway.law.agreement_library import packaged
from gateway.law.citations import citations
from gateway.law.countries import STATES
from gateway.law.disclosure_policy import Decided, disclose, may_disclose, may_disclose_unasked

CITE = citations(packaged().values())
NATIONS = {"au": "AUS", "nz": "NZL", "uk": "GBR", "us-visa": "USA", "us-asylum": "USA"}
PARAGRAPHS = {
    1: {"IRPR 315.25(1)(a)", "IRPR 315.25(1)(b)", "IRPR 315.25(1)(c)"},
    2: {f"IRPR 315.33({letter})" for letter in "abcd"},
    3: {"IRPR 315.41(2)(a)", "IRPR 315.41(2)(b)", "IRPR 315.41(2)(c)"},
}
NEVER = {
    1: {FieldCode.PROTECTION_DECISION, FieldCode.PASSPORT_ISSUING_COUNTRY, FieldCode.FINGERPRINTS},
    2: set(FieldCode) - {c for c in FieldCode if c.name.startswith("CLAIM_")},
    3: {FieldCode.FINGERPRINTS, FieldCode.CITIZENSHIP, FieldCode.TRAVEL_DOCUMENT_NUMBER},
}
COUNTRIES = st.frozensets(
    st.sampled_from(
        ["CAN", "AUS", "NZL", "GBR", "GBN", "GBO", "USA", "PRI", "SYR", "XXA", "XXB", "XXX", "GRB"]
    ),
    max_size=3,
)
RESIDENT = SubjectKind.PERMANENT_RESIDENT
FULL = Record(data={code: Datum(b"x") for code in FieldCode}, version=1)
decided = st.builds(
    Decided,
    st.sampled_from(Scope),
    st.frozensets(st.sampled_from(FieldCode), max_size=4),
    st.sampled_from(Ground),
    st.sampled_from(["", "on terms"]),
)


def revealable(division: int, kind: SubjectKind, foreign: bool, claim: bool) -> bool:
    """law.md table 3.3; `foreign`: no national of the asking country."""
    if kind is SubjectKind.PERMANENT_RESIDENT:
        return {1: foreign, 2: False, 3: claim}[division]
    if kind is SubjectKind.FOREIGN_NATIONAL:
        return foreign and division != 2
    return kind is SubjectKind.CLAIMANT and foreign


@settings(max_examples=400)
@given(
    name=st.sampled_from(sorted(NATIONS)),
    purpose=st.sampled_from(Purpose),
    kind=st.sampled_from(SubjectKind),
    nations=COUNTRIES,
    persecutors=COUNTRIES,
    answered=st.booleans(),
    matched=st.booleans(),
    age=st.integers(-3, 400),
    claim=st.booleans(),
    year=st.integers(2025, 2027),
    fields=st.lists(st.sampled_from(FieldCode), max_size=6, unique=True),
    decisions=st.lists(decided, max_size=2),
)
@example(
    name="au", purpose=Purpose.VISA_PERMIT_BENEFIT, kind=SubjectKind.CLAIMANT,
    nations=frozenset({"SYR"}), persecutors=frozenset({"AUS"}), answered=True, matched=True, age=1, claim=True, year=2026,
    fields=[FieldCode.LAST_NAME, FieldCode.PROTECTION_DECISION], decisions=[],
)  # fmt: skip
@example(
    name="au", purpose=Purpose.VISA_PERMIT_BENEFIT, kind=SubjectKind.FOREIGN_NATIONAL,
    nations=frozenset({"SYR"}), persecutors=frozenset(), answered=True, matched=True, age=1, claim=False, year=2026,
    fields=[FieldCode.LAST_NAME], decisions=[],
)  # fmt: skip
@example(
    name="us-visa", purpose=Purpose.DATA_ACCURACY, kind=SubjectKind.FOREIGN_NATIONAL,
    nations=frozenset({"SYR"}), persecutors=frozenset(), answered=True, matched=True, age=1, claim=False, year=2026,
    fields=[FieldCode.LAST_NAME], decisions=[],
)  # fmt: skip
@example(
    name="us-asylum", purpose=Purpose.NONE, kind=SubjectKind.CLAIMANT,
    nations=frozenset({"SYR"}), persecutors=frozenset({"USA"}), answered=True, matched=True, age=1, claim=False, year=2026,
    fields=[FieldCode.CLAIM_IDENTITY], decisions=[],
)  # fmt: skip
def test_nothing_is_disclosed_without_a_rule_that_names_it(  # noqa: PLR0917
    bench: Any,
    name: str,
    purpose: Purpose,
    kind: SubjectKind,
    nations: frozenset[str],
    persecutors: frozenset[str],
    answered: bool,
    matched: bool,
    age: int,
    claim: bool,
    year: int,
    fields: list[FieldCode],
    decisions: list[Decided],
) -> None:
    agreement, now = bench.agreements[name], bench.now.replace(year=year)
    status = Status(
        kind=kind,
        nationalities=nations,
        persecutors=persecutors,
        no_persecutor=answered and not persecutors,
        confirmed=now - timedelta(days=age),
    )
    division = agreement.division
    try:
        if division == 2:
            plan = may_disclose_unasked(fields, status, agreement, decisions, now)
        else:
            request, header = bench.details(*fields), bench.header(agreement, purpose)
            plan = may_disclose(
                request, header, status, agreement, decisions, now, claim=claim, matched=matched
            )
    except Refusal:
        return
    given_out = disclose(FULL, plan)
    assert {field.code for field in given_out} == set(plan.fields) <= set(fields)
    if not given_out:
        return
    assert year >= 2026
    # Nobody is spoken of whom table 3.3 masks.
    declared = claim and purpose in {
        *(Purpose.VISA_PERMIT_BENEFIT, Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR),
        *((Purpose.TRAVEL_ENTER_REMAIN, Purpose.DATA_ACCURACY) if division == 1 else ()),
    }
    assert "CAN" not in nations
    assert nations
    assert -1 <= age <= 365
    assert revealable(division, kind, NATIONS[name] not in nations, declared)
    # Each datum has a paragraph of its division, and a rule in the trace that cites it.
    cited = {CITE(rule) for rule in plan.rules if ":answer.fields." in rule}
    for field in given_out:
        assert field.authority in PARAGRAPHS[division]
        assert field.authority in cited
        assert field.code not in NEVER[division]
        assert field.caveats[0].text == agreement.title
    # Every rule of the trace stands in the file with its paragraph.
    assert all(CITE(rule) for rule in plan.rules)
    codes = {field.code for field in given_out}
    if division == 1 and declared:
        assert codes == {FieldCode.APPLICATION_HISTORY}
    assert matched or division == 2
    assert NATIONS[name] not in persecutors
    assert persecutors <= STATES
    assert kind is not SubjectKind.CLAIMANT or persecutors or answered
    assert nations - {"XXB", "XXX"}
    assert "GRB" not in nations
    if name == "uk":
        assert not nations & {"GBN", "GBO", "GBS", "GBP", "GBD"} or kind is RESIDENT
    for decision in decisions:
        on_terms = division == 1 and decision.terms
        refused = set(FieldCode) if decision.scope is Scope.ALL else decision.fields
        assert on_terms or not codes & refused
