"""Division 3, paragraph by paragraph: what may be asked and said between Canada and AU, NZ, UK.

The tables are those of law.md, typed out again; nothing here is read from an agreement file.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.messages import Biometrics, Modality, Outcome, PriorTransaction, Purpose
from gateway.domain.person import Datum, FieldCode, Ground, Record, Scope, SubjectKind, Withholding
from gateway.errors import (
    AgreementNotInForce,
    FieldNotPermitted,
    ModalityNotPermitted,
    PersecutionExclusion,
    PersecutionNotStated,
    PurposeNotPermitted,
    SubjectOutOfScope,
)
from gateway.law.disclosure_policy import Decided, disclose, may_disclose
from gateway.law.query_policy import Ask, Found, may_answer, may_answer_header, may_ask, settle
from gateway.law.quota_policy import Usage

NAMES = ("au", "nz", "uk")
NATIONS = {"au": "AUS", "nz": "NZL", "uk": "GBR"}
VISA, TRAVEL, ACCURACY, CITIZENSHIP, CLAIM = (
    Purpose.VISA_PERMIT_BENEFIT,
    Purpose.TRAVEL_ENTER_REMAIN,
    Purpose.DATA_ACCURACY,
    Purpose.CITIZENSHIP,
    Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR,
)
FOREIGN, RESIDENT, CLAIMANT, CITIZEN = (
    SubjectKind.FOREIGN_NATIONAL,
    SubjectKind.PERMANENT_RESIDENT,
    SubjectKind.CLAIMANT,
    SubjectKind.CITIZEN,
)
# law.md table 3.2, Division 3; ALIAS is default off.
FIELDS = {
    FieldCode.LAST_NAME: "IRPR 315.41(2)(a)",
    FieldCode.FIRST_NAME: "IRPR 315.41(2)(a)",
    FieldCode.DATE_OF_BIRTH: "IRPR 315.41(2)(a)",
    FieldCode.GENDER: "IRPR 315.41(2)(a)",
    FieldCode.COUNTRY_OF_BIRTH: "IRPR 315.41(2)(a)",
    FieldCode.PHOTOGRAPH: "IRPR 315.41(2)(b)",
    FieldCode.PASSPORT_ISSUING_COUNTRY: "IRPR 315.41(2)(c)",
    FieldCode.IMMIGRATION_STATUS: "IRPR 315.41(2)(c)",
    FieldCode.ADMISSIBILITY_INFO: "IRPR 315.41(2)(c)",
    FieldCode.ADMISSIBILITY_DECISION: "IRPR 315.41(2)(c)",
    FieldCode.PROTECTION_DECISION: "IRPR 315.41(2)(c)",
}
ANSWER = {
    VISA: "IRPR 315.41(1)(a)",
    TRAVEL: "IRPR 315.41(1)(b)",
    CITIZENSHIP: "IRPR 315.41(1)(c)",
    CLAIM: "IRPR 315.41(1)(d)",
}
ASK = {VISA: "IRPR 315.4(1)(a)", TRAVEL: "IRPR 315.4(1)(b)"}

pytestmark = pytest.mark.parametrize("name", NAMES)


def answered(bench: Any, name: str, purpose: Purpose, *, claim: bool = False) -> Any:
    agreement = bench.agreements[name]
    asked = bench.header(agreement, purpose)
    may_answer_header(asked, {name: (agreement,)}, bench.now)
    return may_answer(asked, bench.query(claimant=claim), agreement, bench.now)


def planned(
    bench: Any,
    name: str,
    *fields: FieldCode,
    status: Any = None,
    decisions: Any = (),
    matched: bool = True,
) -> Any:
    agreement = bench.agreements[name]
    return may_disclose(
        bench.details(*fields),
        bench.header(agreement, VISA),
        status or bench.person(),
        agreement,
        decisions,
        bench.now,
        claim=False,
        matched=matched,
    )


def asked(bench: Any, name: str, purpose: Purpose, subject: Any, **changes: Any) -> Any:
    ask = Ask(purpose=purpose, subject=subject, **changes)
    return may_ask(ask, bench.agreements[name], Usage(), bench.now)


@pytest.mark.parametrize("purpose", [*ANSWER, ACCURACY, Purpose.NONE])
def test_irpr_315_41_1_a_to_d_purposes_of_an_answer(
    bench: Any, name: str, purpose: Purpose
) -> None:
    if purpose not in ANSWER:
        with pytest.raises(PurposeNotPermitted):
            answered(bench, name, purpose)
        return
    permit = answered(bench, name, purpose, claim=purpose is CLAIM)

    assert permit.paragraph == ANSWER[purpose]
    assert permit.rules[0] == f"{name}@1:answer.purposes.{purpose.name}"


@pytest.mark.parametrize("purpose", list(Purpose))
def test_irpr_315_4_1_a_and_b_purposes_of_asking(bench: Any, name: str, purpose: Purpose) -> None:
    if purpose in ASK:
        assert asked(bench, name, purpose, bench.person()).paragraph == ASK[purpose]
        return
    with pytest.raises(PurposeNotPermitted):
        asked(bench, name, purpose, bench.person())


@pytest.mark.parametrize("kind", [FOREIGN, CLAIMANT])
def test_irpr_315_4_2_no_query_to_the_country_of_alleged_persecution(
    bench: Any, name: str, kind: SubjectKind
) -> None:
    persecuted = bench.person(kind, persecutors=frozenset({NATIONS[name], "SYR"}))
    elsewhere = bench.person(kind, persecutors=frozenset({"SYR"}))

    with pytest.raises(PersecutionExclusion):
        asked(bench, name, VISA, persecuted)
    with pytest.raises(PersecutionExclusion):  # whatever else is wrong with it
        asked(bench, name, CITIZENSHIP, persecuted)
    assert f"{name}@1:ask.persecution" in asked(bench, name, VISA, elsewhere).rules


@pytest.mark.parametrize(
    ("kind", "nations", "lawful"),
    [
        (FOREIGN, ("SYR",), True),
        (FOREIGN, ("XXA",), True),
        (CLAIMANT, ("SYR",), True),
        (RESIDENT, ("SYR",), False),
        (CITIZEN, ("CAN",), False),
        (FOREIGN, ("CAN", "SYR"), False),
        (FOREIGN, ("*",), False),
        (FOREIGN, ("*", "SYR"), False),
        (SubjectKind.UNKNOWN, ("SYR",), False),
    ],
)
def test_irpr_315_36_only_nationals_of_a_third_country_are_asked_about(
    bench: Any, name: str, kind: SubjectKind, nations: tuple[str, ...], lawful: bool
) -> None:
    here = [NATIONS[name] if nation == "*" else nation for nation in nations]
    subject = bench.person(kind, *here)
    if lawful:
        assert any("ask.scope" in rule for rule in asked(bench, name, VISA, subject).rules)
        return
    with pytest.raises(SubjectOutOfScope):
        asked(bench, name, VISA, subject)


def test_irpr_315_36_parties_have_legal_names_and_successors(bench: Any, name: str) -> None:
    expected = {
        "au": "Department of Home Affairs of Australia",
        "nz": "Ministry of Business, Innovation and Employment of New Zealand",
        "uk": "Home Office of the United Kingdom",
    }
    agreement = bench.agreements[name]

    assert agreement.partner_name(bench.now) == expected[name]
    assert agreement.home_names[-1].name == "Minister of Citizenship and Immigration of Canada"
    with pytest.raises(AgreementNotInForce):  # 315.36(b): of these departments, and nobody else
        may_answer(
            replace(bench.header(agreement, VISA), sender="USA"),
            bench.query(),
            agreement,
            bench.now,
        )
    assert all(each.paragraph == "IRPR 315.36" for each in agreement.partner_names)


@pytest.mark.parametrize("modality", [Modality.FACE, Modality.IRIS])
def test_irpr_315_38_fingerprints_or_a_number_and_nothing_else(
    bench: Any, name: str, modality: Modality
) -> None:
    agreement = bench.agreements[name]
    asking = bench.header(agreement, VISA)
    number = bench.query(PriorTransaction("CAN-00000001"))

    assert "references.PRIOR_TRANSACTION" in str(
        may_answer(asking, number, agreement, bench.now).rules
    )
    for probe in (Biometrics((bench.sample(modality),)), Biometrics(())):
        with pytest.raises(ModalityNotPermitted):
            may_answer(asking, bench.query(probe), agreement, bench.now)
    with pytest.raises(ModalityNotPermitted):
        asked(bench, name, VISA, bench.person(), modalities=frozenset({modality}))
    number_only = asked(bench, name, VISA, bench.person(), modalities=frozenset())
    assert f"{name}@1:references.PRIOR_TRANSACTION" in number_only.rules


def test_irpr_315_39_a_status_too_old_to_be_reliable_discloses_nothing(
    bench: Any, name: str
) -> None:
    plan = planned(bench, name, FieldCode.LAST_NAME, status=bench.person(days=366))

    assert (plan.available, dict(plan.fields)) == (False, {})


@pytest.mark.parametrize("code", FieldCode)
def test_irpr_315_41_2_a_to_c_each_field_has_its_paragraph_or_is_never_disclosed(
    bench: Any, name: str, code: FieldCode
) -> None:
    if code not in FIELDS:
        with pytest.raises(FieldNotPermitted):
            planned(bench, name, code)
        return
    plan = planned(bench, name, code)

    assert dict(plan.fields) == {code: FIELDS[code]}
    assert any("answer.fields." in rule for rule in plan.rules)


def test_irpr_315_41_2_each_datum_bears_paragraph_title_and_version(bench: Any, name: str) -> None:
    data = {FieldCode.LAST_NAME: Datum(b"Doe"), FieldCode.CITIZENSHIP: Datum(b"SYR")}
    plan = planned(bench, name, FieldCode.LAST_NAME, FieldCode.GENDER)

    (only,) = disclose(Record(data=data, version=4), plan)

    assert (only.code, only.value, only.authority) == (
        FieldCode.LAST_NAME,
        b"Doe",
        "IRPR 315.41(2)(a)",
    )
    assert only.caveats[0].text == bench.agreements[name].title
    assert only.source_version == "4"


@pytest.mark.parametrize("ground", Ground)
def test_irpr_315_41_3_what_an_official_determines_must_be_refused(
    bench: Any, name: str, ground: Ground
) -> None:
    """Terms do not help: Division 3 knows none."""
    part = Decided(Scope.PART, frozenset({FieldCode.PHOTOGRAPH}), ground, terms="on conditions")
    whole = Decided(Scope.ALL, frozenset(), ground)
    wanted = (FieldCode.LAST_NAME, FieldCode.PHOTOGRAPH)

    some = planned(bench, name, *wanted, decisions=[part])
    none = planned(bench, name, *wanted, decisions=[whole])
    other = planned(bench, name, FieldCode.LAST_NAME, decisions=[part])

    assert set(some.fields) == {FieldCode.LAST_NAME}
    assert some.withholding == Withholding(Scope.PART, ground)
    assert not none.fields
    assert none.withholding == Withholding(Scope.ALL, ground)
    assert other.withholding is None  # nothing that was asked for is refused
    assert f"{name}@1:answer.refusal" in some.rules


def test_irpr_315_41_3_by_rule_the_persecuted_are_not_told_of(bench: Any, name: str) -> None:
    """They look like nobody, from the search on: an absent field, or a refusal, would betray the claim."""
    persecuted = bench.person(CLAIMANT, persecutors=frozenset({NATIONS[name]}))
    elsewhere = bench.person(CLAIMANT, persecutors=frozenset({"IRN"}))
    permit = answered(bench, name, VISA)
    found = Found(9.0, 4.0)

    plan = planned(bench, name, *FIELDS, status=persecuted)
    hidden = settle(found, persecuted, permit)

    assert (plan.available, dict(plan.fields), plan.withholding) == (False, {}, None)
    assert (hidden.shown, hidden.true, hidden.alarm) == (Outcome.NO_MATCH, Outcome.MATCH, False)
    assert hidden.why == plan.rules[-1] == f"{name}@1:answer.persecution"
    assert settle(found, elsewhere, permit).shown is Outcome.MATCH
    assert set(planned(bench, name, *FIELDS, status=elsewhere).fields) == set(FIELDS)


def test_irpr_315_4_2_a_claimant_who_was_not_asked_is_neither_asked_about_nor_told_of(
    bench: Any, name: str
) -> None:
    """A bar is not met by an empty box: that no country is alleged is said. Until it is, it may be the asking one."""
    silent = replace(bench.person(CLAIMANT), no_persecutor=False)
    other = replace(bench.person(FOREIGN), no_persecutor=False)

    with pytest.raises(PersecutionNotStated):
        asked(bench, name, VISA, silent)
    with pytest.raises(PersecutionNotStated):
        asked(bench, name, VISA, other, claimant=True)
    hidden = settle(Found(9.0, 4.0), silent, answered(bench, name, VISA))
    assert (hidden.shown, hidden.alarm) == (Outcome.NO_MATCH, True)
    assert asked(bench, name, VISA, bench.person(CLAIMANT), claimant=True)
    assert asked(bench, name, VISA, other)


def test_a_country_of_persecution_that_no_list_has_bars_every_partner(
    bench: Any, name: str
) -> None:
    """What an older release recorded as it was typed: GRB may have meant the partner."""
    mistyped = bench.person(CLAIMANT, persecutors=frozenset({"GRB"}))

    with pytest.raises(PersecutionExclusion):
        asked(bench, name, VISA, mistyped)
    assert settle(Found(9.0, 4.0), mistyped, answered(bench, name, VISA)).shown is Outcome.NO_MATCH


def test_irpr_315_39_nothing_is_disclosed_without_an_established_match(
    bench: Any, name: str
) -> None:
    """The stricter reading of 315.38: a number alone is not a match."""
    assert not planned(bench, name, *FIELDS, matched=False).fields
    assert planned(bench, name, *FIELDS, matched=True).fields


def test_irpr_315_38_a_number_of_our_own_is_not_asked_back(bench: Any, name: str) -> None:
    """A number stands for prints where it is that of a query received; the looser reading is off."""
    number = {"modalities": frozenset(), "claimant": False}

    with pytest.raises(ModalityNotPermitted) as refused:
        asked(bench, name, VISA, bench.person(), issued=True, **number)
    assert refused.value.metadata["element"] == "prior_transaction_number"
    assert (
        f"{name}@1:references.PRIOR_TRANSACTION"
        in asked(bench, name, VISA, bench.person(), **number).rules
    )


def test_irpr_315_41_who_became_a_citizen_since_is_unavailable(bench: Any, name: str) -> None:
    plan = planned(bench, name, *FIELDS, status=bench.person(CITIZEN, "CAN"))

    assert (plan.available, dict(plan.fields), plan.withholding) == (False, {}, None)
    assert disclose(Record(data={FieldCode.LAST_NAME: Datum(b"Doe")}), plan) == ()


def test_irpr_315_42_and_315_43_timers_and_periods_are_stated(bench: Any, name: str) -> None:
    agreement = bench.agreements[name]

    assert agreement.timers.paragraph == "IRPR 315.42(1)"
    assert (agreement.timers.send, agreement.timers.acknowledge) == (
        timedelta(hours=24),
        timedelta(hours=72),
    )
    assert agreement.retention["UNUSED_RESULT"].period == timedelta(days=30)
    assert agreement.retention["USED_RESULT"].period == timedelta(days=730)
    assert agreement.retention["UNUSED_RESULT"].paragraph == "IRPR 315.43(1)"
    assert agreement.review is None  # 315.43(2): no examiner between search and destruction
    assert replace(agreement, review=None) == agreement
