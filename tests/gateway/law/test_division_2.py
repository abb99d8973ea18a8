"""Division 2, paragraph by paragraph: what may be told to Homeland Security about a refugee status claimant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.messages import Purpose
from gateway.domain.person import FieldCode, SubjectKind
from gateway.errors import AgreementNotInForce, FieldNotPermitted, PurposeNotPermitted
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.law.query_policy import Ask, may_answer_header, may_ask, may_disclose_unasked
from gateway.law.quota_policy import Usage
from gateway.law.regulation import BOUNDS
from gateway.law.toml_reader import MalformedAgreement

FIELDS = {
    FieldCode.CLAIM_IDENTITY: "IRPR 315.33(a)",
    FieldCode.CLAIM_PROCESSING: "IRPR 315.33(b)",
    FieldCode.CLAIM_EXCLUSION: "IRPR 315.33(c)",
    FieldCode.CLAIM_HISTORY: "IRPR 315.33(d)",
}


def told(bench: Any, status: Any, *codes: FieldCode) -> Any:
    return may_disclose_unasked(
        codes or tuple(FIELDS), status, bench.agreements["us-asylum"], (), bench.now
    )


@pytest.mark.parametrize("kind", SubjectKind)
def test_irpr_315_3_of_claimants_only(bench: Any, kind: SubjectKind) -> None:
    plan = told(bench, bench.person(kind))

    assert plan.available == (kind is SubjectKind.CLAIMANT)
    assert bool(plan.fields) == (kind is SubjectKind.CLAIMANT)


@pytest.mark.parametrize("country", ["USA", "PRI"])
def test_irpr_315_3_never_of_one_alleging_persecution_in_the_united_states(
    bench: Any, country: str
) -> None:
    status = bench.person(SubjectKind.CLAIMANT, persecutors=frozenset({country, "SYR"}))

    plan = told(bench, status)

    assert (plan.available, dict(plan.fields)) == (False, {})
    assert plan.rules[-1] == "us-asylum@1:answer.persecution"


@pytest.mark.parametrize("code", FieldCode)
def test_irpr_315_33_a_to_d_each_category_has_its_paragraph(bench: Any, code: FieldCode) -> None:
    claimant = bench.person(SubjectKind.CLAIMANT)
    if code not in FIELDS:
        with pytest.raises(FieldNotPermitted):
            told(bench, claimant, code)
        return
    assert dict(told(bench, claimant, code).fields) == {code: FIELDS[code]}


@pytest.mark.parametrize("purpose", list(Purpose))
def test_irpr_315_32_1_no_query_is_asked_or_answered(bench: Any, purpose: Purpose) -> None:
    agreement = bench.agreements["us-asylum"]

    with pytest.raises(PurposeNotPermitted):
        may_answer_header(bench.header(agreement, purpose), {"us-asylum": (agreement,)}, bench.now)
    with pytest.raises(PurposeNotPermitted):
        may_ask(Ask(purpose=purpose, subject=bench.person()), agreement, Usage(), bench.now)


def test_irpr_315_32_2_an_old_status_tells_nothing(bench: Any) -> None:
    assert not told(bench, bench.person(SubjectKind.CLAIMANT, days=400)).available


def test_irpr_315_28_the_participants_are_named(bench: Any) -> None:
    agreement = bench.agreements["us-asylum"]

    assert agreement.partner_name(bench.now) == (
        "Department of Homeland Security of the United States"
    )
    assert "Border Services" in agreement.home_names[0].name


def test_irpr_315_29_an_objective_opens_no_purpose_of_its_own(bench: Any) -> None:
    """What the Annex is for is no ground on which anybody may ask, or be answered."""
    agreement = bench.agreements["us-asylum"]

    opened = (BOUNDS[2], agreement.asking, agreement.answering)
    assert [len(each) for each in (opened[0].ask, opened[0].answer)] == [0, 0]
    assert [len(each.purposes) for each in opened[1:]] == [0, 0]
    assert "Asylum" in agreement.title


def test_irpr_315_31_to_315_35_what_remains_is_stated(bench: Any) -> None:
    agreement = bench.agreements["us-asylum"]

    assert (agreement.timers.send, agreement.timers.acknowledge) == (
        timedelta(hours=24),
        timedelta(hours=72),
    )

    assert agreement.retention["UNUSED_RESULT"].paragraph == "IRPR 315.34"
    assert agreement.timers.paragraph == "IRPR 315.35(1)"


def test_an_agreement_with_queries_tells_nobody_without_one(bench: Any) -> None:
    with pytest.raises(AgreementNotInForce):
        may_disclose_unasked((), bench.person(), bench.agreements["au"], (), bench.now)


def test_a_file_that_would_permit_a_query_is_refused() -> None:
    text = packaged()["us-asylum.toml"] + (
        b'\n[answer.purposes]\nVISA_PERMIT_BENEFIT = "IRPR 315.23(1)(a)"\n'
    )

    with pytest.raises(MalformedAgreement):
        parse(text, "us-asylum.toml")
