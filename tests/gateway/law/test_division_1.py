"""Division 1, paragraph by paragraph: what may be asked and said between Canada and the United States."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.messages import Outcome, Purpose
from gateway.domain.person import FieldCode, Ground, Scope, SubjectKind, Withholding
from gateway.errors import (
    FieldNotPermitted,
    PersecutionExclusion,
    PurposeNotPermitted,
    SubjectOutOfScope,
)
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.law.disclosure_policy import Decided, may_disclose
from gateway.law.query_policy import Ask, Found, may_answer, may_ask, settle
from gateway.law.quota_policy import Usage
from gateway.law.toml_reader import MalformedAgreement

PURPOSES = {
    Purpose.VISA_PERMIT_BENEFIT: "IRPR 315.23(1)(a)",
    Purpose.TRAVEL_ENTER_REMAIN: "IRPR 315.23(1)(b)",
    Purpose.DATA_ACCURACY: "IRPR 315.23(1)(c)",
}
# law.md table 3.2, Division 1; FINGERPRINTS are off by default.
FIELDS = {
    FieldCode.LAST_NAME: "IRPR 315.25(1)(a)",
    FieldCode.FIRST_NAME: "IRPR 315.25(1)(a)",
    FieldCode.DATE_OF_BIRTH: "IRPR 315.25(1)(a)",
    FieldCode.GENDER: "IRPR 315.25(1)(a)",
    FieldCode.COUNTRY_OF_BIRTH: "IRPR 315.25(1)(a)",
    FieldCode.ALIAS: "IRPR 315.25(1)(a)",
    FieldCode.CITIZENSHIP: "IRPR 315.25(1)(a)",
    FieldCode.TRAVEL_DOCUMENT_NUMBER: "IRPR 315.25(1)(a)",
    FieldCode.PHOTOGRAPH: "IRPR 315.25(1)(b)",
    FieldCode.IMMIGRATION_STATUS: "IRPR 315.25(1)(c)",
    FieldCode.ADMISSIBILITY_INFO: "IRPR 315.25(1)(c)",
    FieldCode.ADMISSIBILITY_DECISION: "IRPR 315.25(1)(c)",
    FieldCode.PRIOR_REQUIREMENTS_FAILURE: "IRPR 315.25(1)(c)",
    FieldCode.APPLICATION_HISTORY: "IRPR 315.25(1)(c)",
}
VISA = Purpose.VISA_PERMIT_BENEFIT


def planned(
    bench: Any, *fields: FieldCode, purpose: Purpose = VISA, claim: bool = False, **more: Any
) -> Any:
    agreement = bench.agreements["us-visa"]
    return may_disclose(
        bench.details(*fields),
        bench.header(agreement, purpose),
        more.get("status") or bench.person(),
        agreement,
        more.get("decisions", ()),
        bench.now,
        claim=claim,
        matched=more.get("matched", True),
    )


def asked(bench: Any, purpose: Purpose, subject: Any) -> Any:
    ask = Ask(purpose=purpose, subject=subject)
    return may_ask(ask, bench.agreements["us-visa"], Usage(), bench.now)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_irpr_315_23_1_a_to_c_purposes_both_ways(bench: Any, purpose: Purpose) -> None:
    agreement = bench.agreements["us-visa"]
    if purpose in PURPOSES:
        permit = may_answer(bench.header(agreement, purpose), bench.query(), agreement, bench.now)
        assert permit.paragraph == PURPOSES[purpose]
        assert asked(bench, purpose, bench.person()).paragraph == PURPOSES[purpose]
        return
    with pytest.raises(PurposeNotPermitted):
        may_answer(bench.header(agreement, purpose), bench.query(), agreement, bench.now)
    with pytest.raises(PurposeNotPermitted):
        asked(bench, purpose, bench.person())


def test_irpr_315_23_2_c_a_fingerprint_match_is_what_lets_anybody_be_spoken_of(bench: Any) -> None:
    agreement = bench.agreements["us-visa"]
    permit = may_answer(bench.header(agreement, VISA), bench.query(), agreement, bench.now)

    settled = settle(Found(9.0, 4.0), bench.person(), permit)
    away = settle(Found(3.9, 4.0), bench.person(), permit)

    assert settled.shown is Outcome.MATCH
    assert away.shown is Outcome.NO_MATCH
    revealing = [cell for cell in agreement.answering.reveal.values() if cell.reveal]
    assert {cell.paragraph for cell in revealing} == {"IRPR 315.23(2)(c)"}


@pytest.mark.parametrize(
    ("kind", "nations", "lawful"),
    [
        (SubjectKind.FOREIGN_NATIONAL, ("SYR",), True),
        (SubjectKind.PERMANENT_RESIDENT, ("SYR",), True),
        (SubjectKind.CLAIMANT, ("SYR",), True),
        (SubjectKind.CITIZEN, ("CAN",), False),
        (SubjectKind.FOREIGN_NATIONAL, ("USA",), False),
        (SubjectKind.FOREIGN_NATIONAL, ("ASM",), False),
        (SubjectKind.PERMANENT_RESIDENT, ("USA",), False),
    ],
)
def test_irpr_315_21_residents_are_in_scope_citizens_of_either_are_not(
    bench: Any, kind: SubjectKind, nations: tuple[str, ...], lawful: bool
) -> None:
    subject = bench.person(kind, *nations)
    if lawful:
        assert asked(bench, VISA, subject)
        return
    with pytest.raises(SubjectOutOfScope):
        asked(bench, VISA, subject)


@pytest.mark.parametrize("code", FieldCode)
def test_irpr_315_25_1_a_to_c_each_field_has_its_paragraph_or_is_never_disclosed(
    bench: Any, code: FieldCode
) -> None:
    if code not in FIELDS:
        with pytest.raises(FieldNotPermitted):
            planned(bench, code)
        return
    assert dict(planned(bench, code).fields) == {code: FIELDS[code]}


@pytest.mark.parametrize("code", [c for c, why in FIELDS.items() if why.endswith("(c)")])
def test_irpr_315_25_1_c_needs_an_established_match(code: FieldCode) -> None:
    """A file that would disclose it without one is refused at load."""
    text = packaged()["us-visa.toml"].decode()
    heads, tails = text.split("[answer.fields.immigration]")
    wrong = f"{heads}[answer.fields.immigration]{tails.replace('needs_match = true', 'needs_match = false')}"

    with pytest.raises(MalformedAgreement, match="established match"):
        parse(wrong.encode(), "us-visa.toml")
    assert FIELDS[code] == "IRPR 315.25(1)(c)"


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
@pytest.mark.parametrize("code", sorted(FIELDS))
def test_irpr_315_25_2_a_refugee_claim_there_leaves_applications_alone(
    bench: Any, purpose: Purpose, code: FieldCode
) -> None:
    if code is FieldCode.APPLICATION_HISTORY:
        assert code in planned(bench, code, purpose=purpose, claim=True).fields
        return
    with pytest.raises(FieldNotPermitted):
        planned(bench, code, purpose=purpose, claim=True)


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
def test_irpr_315_25_2_a_bare_match_is_told_only_of_whom_an_application_is_held(
    bench: Any, purpose: Purpose
) -> None:
    """That we hold the person is information too; it is related to an application only where there is one."""
    agreement = bench.agreements["us-visa"]
    asked = bench.header(agreement, purpose)
    claiming = may_answer(asked, bench.query(claimant=True), agreement, bench.now)
    plain = may_answer(asked, bench.query(), agreement, bench.now)
    found, others = Found(9.0, 4.0), set(FieldCode) - {FieldCode.APPLICATION_HISTORY}

    hidden = settle(found, bench.person(), claiming, held=others)

    assert (hidden.shown, hidden.true) == (Outcome.NO_MATCH, Outcome.MATCH)
    assert hidden.why == f"us-visa@1:answer.claims.{purpose.name}"
    assert settle(found, bench.person(), claiming, held=set(FieldCode)).shown is Outcome.MATCH
    assert settle(found, bench.person(), plain, held=others).shown is Outcome.MATCH
    kept_back = frozenset({FieldCode.APPLICATION_HISTORY})
    refused = [Decided(Scope.PART, kept_back, Ground.NATIONAL_SECURITY)]
    silent = settle(found, bench.person(), claiming, refused, held=set(FieldCode))
    assert (silent.shown, silent.true) == (Outcome.NO_MATCH, Outcome.MATCH)


def test_irpr_315_23_2_c_nothing_is_disclosed_without_an_established_match(bench: Any) -> None:
    """Asked back by a number whose query established none, or without any query: no field."""
    assert not planned(bench, *FIELDS, matched=False).fields
    assert set(planned(bench, *FIELDS).fields) == set(FIELDS)


@pytest.mark.parametrize("kind", [SubjectKind.FOREIGN_NATIONAL, SubjectKind.CLAIMANT])
def test_whom_the_united_states_persecute_they_are_not_told_of(
    bench: Any, kind: SubjectKind
) -> None:
    agreement = bench.agreements["us-visa"]
    persecuted = bench.person(kind, persecutors=frozenset({"PRI"}))
    permit = may_answer(bench.header(agreement, VISA), bench.query(), agreement, bench.now)

    hidden = settle(Found(9.0, 4.0), persecuted, permit, held=FieldCode)

    assert (hidden.shown, hidden.why) == (Outcome.NO_MATCH, "us-visa@1:answer.persecution")
    assert not planned(bench, FieldCode.LAST_NAME, status=persecuted).available


def test_irpr_315_25_3_what_is_not_reliable_is_not_disclosed(bench: Any) -> None:
    plan = planned(bench, FieldCode.LAST_NAME, status=bench.person(days=400))

    assert not plan.available


@pytest.mark.parametrize("ground", Ground)
def test_irpr_315_25_4_may_be_refused_in_part_in_whole_or_offered_on_terms(
    bench: Any, ground: Ground
) -> None:
    photograph = frozenset({FieldCode.PHOTOGRAPH})
    wanted = (FieldCode.LAST_NAME, FieldCode.PHOTOGRAPH)

    part = planned(bench, *wanted, decisions=[Decided(Scope.PART, photograph, ground)])
    whole = planned(bench, *wanted, decisions=[Decided(Scope.ALL, frozenset(), ground)])
    terms = planned(
        bench, *wanted, decisions=[Decided(Scope.PART, photograph, ground, terms="Not for X.")]
    )

    assert part.withholding == Withholding(Scope.PART, ground)
    assert set(part.fields) == {FieldCode.LAST_NAME}
    assert whole.withholding == Withholding(Scope.ALL, ground)
    assert set(terms.fields) == set(wanted)
    assert terms.withholding is None
    assert ("TERMS", "Not for X.") in [(caveat.code, caveat.text) for caveat in terms.caveats]


def test_irpr_315_24_the_query_is_no_more_than_a_fingerprint(bench: Any) -> None:
    agreement = bench.agreements["us-visa"]

    assert [modality.name for modality in agreement.modalities] == ["FINGER"]
    assert FieldCode.FINGERPRINTS not in {
        code for block in agreement.answering.blocks for code in block.codes
    }


def test_the_united_states_are_not_asked_about_whom_they_persecute(bench: Any) -> None:
    """Chosen: Division 1 has no such bar, Division 2 has (IRPR 315.3)."""
    with pytest.raises(PersecutionExclusion):
        asked(bench, VISA, bench.person(persecutors=frozenset({"USA"})))


def test_irpr_315_26_and_315_27_periods_and_timers_are_stated(bench: Any) -> None:
    agreement = bench.agreements["us-visa"]

    assert agreement.retention["UNUSED_RESULT"].paragraph == "IRPR 315.26"
    assert agreement.retention["UNUSED_RESULT"].period == timedelta(days=30)
    assert agreement.timers.paragraph == "IRPR 315.27(1)"
    assert (agreement.timers.send, agreement.timers.acknowledge) == (
        timedelta(hours=24),
        timedelta(hours=72),
    )
