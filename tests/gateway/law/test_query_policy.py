"""May we answer: table 3.1 of the law, deny by default, and a walk over everything else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import (
    Biometrics,
    Header,
    MessageType,
    Missing,
    Modality,
    Operation,
    Presence,
    PriorTransaction,
    Purpose,
    Query,
    RecordFormat,
    Sample,
)
from gateway.errors import (
    AgreementNotInForce,
    ElementsInconsistent,
    ModalityNotPermitted,
    PurposeNotPermitted,
    Refusal,
)
from gateway.law.agreement_library import load_agreements, packaged
from gateway.law.query_policy import in_force, may_answer, may_answer_header
from gateway.law.quota_policy import Quota

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
AGREEMENTS = load_agreements(packaged())
AU = AGREEMENTS["au"][0]


def header(purpose: Purpose = Purpose.VISA_PERMIT_BENEFIT, **changes: object) -> Header:
    plain = Header(
        message_type=MessageType.REQUEST,
        operation=Operation.SUBMIT_QUERY,
        sender="AUS",
        signing_key_id=bytes(32),
        recipient="CAN",
        kem_key_id=bytes(32),
        message_id=bytes(16),
        create_time=NOW,
        expire_time=NOW + timedelta(minutes=5),
        directory_version=1,
        payload_commitment=bytes(32),
        transaction_number="AUS-00000001",
        agreement_id="au",
        agreement_version=1,
        purpose=purpose,
    )
    return replace(plain, **changes)


def sample(modality: Modality = Modality.FINGER, taken: datetime | None = None) -> Sample:
    return Sample(
        modality=modality,
        position=2,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="x",
        data=b"FMR",
        capture_time=taken,
    )


def query(probe: Biometrics | PriorTransaction | None = None, *, claimant: bool = False) -> Query:
    return Query(
        case="c",
        unit="u",
        person="p",
        reply_key=bytes(1216),
        probe=probe or Biometrics((sample(),)),
        refugee_claimant=claimant,
    )


@pytest.mark.parametrize(
    ("purpose", "paragraph"),
    [
        (Purpose.VISA_PERMIT_BENEFIT, "IRPR 315.41(1)(a)"),
        (Purpose.TRAVEL_ENTER_REMAIN, "IRPR 315.41(1)(b)"),
        (Purpose.CITIZENSHIP, "IRPR 315.41(1)(c)"),
        (Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR, "IRPR 315.41(1)(d)"),
    ],
)
def test_315_41_1_a_purpose_is_answered_under_its_paragraph(
    purpose: Purpose, paragraph: str
) -> None:
    agreement = may_answer_header(header(purpose), AGREEMENTS, NOW)
    claimant = purpose is Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR
    permit = may_answer(header(purpose), query(claimant=claimant), agreement, NOW)

    assert permit.paragraph == paragraph
    assert permit.purpose is purpose
    assert permit.rules == (
        f"au@1:answer.purposes.{purpose.name}",
        "au@1:modalities.FINGER",
        *((f"au@1:answer.claims.{purpose.name}",) if claimant else ()),
        "au@1:search.fpir",
        "au@1:answer.quota",
    )
    assert (permit.fpir, permit.quota, permit.digest) == (1e-4, Quota(4_384, 400_000), AU.digest)


@pytest.mark.parametrize("purpose", [Purpose.DATA_ACCURACY, Purpose.NONE])
def test_a_purpose_that_division_3_does_not_name_is_not_permitted(purpose: Purpose) -> None:
    with pytest.raises(PurposeNotPermitted) as caught:
        may_answer_header(header(purpose), AGREEMENTS, NOW)

    assert caught.value.metadata == {"element": "header.purpose"}


def test_a_purpose_of_the_other_direction_is_not_permitted() -> None:
    """A purpose for which we may ask is no purpose for which we may be asked."""
    answering = replace(AU.answering, purposes={Purpose.CITIZENSHIP: "IRPR 315.41(1)(c)"})
    asks_only = replace(AU, answering=answering)

    assert Purpose.VISA_PERMIT_BENEFIT in asks_only.asking.purposes
    with pytest.raises(PurposeNotPermitted):
        may_answer_header(header(), {"au": (asks_only,)}, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"agreement_id": "unknown"},
        {"agreement_id": "nz"},
        {"agreement_version": 2},
        {"agreement_version": 0},
        {"sender": "NZL"},
        {"recipient": "AUS", "sender": "CAN"},
        {"recipient": "GBR"},
    ],
)
def test_no_agreement_of_theirs_is_one_answer(changes: dict[str, object]) -> None:
    with pytest.raises(AgreementNotInForce) as caught:
        may_answer_header(header(**changes), AGREEMENTS, NOW)

    assert str(caught.value) == str(AgreementNotInForce())
    assert caught.value.metadata == {"element": "header.agreement_id"}


def test_an_agreement_has_dates() -> None:
    ended = replace(AU, until=NOW)

    with pytest.raises(AgreementNotInForce):
        may_answer_header(header(), AGREEMENTS, AU.in_force - timedelta(milliseconds=1))
    with pytest.raises(AgreementNotInForce):
        may_answer_header(header(), {"au": (ended,)}, NOW)
    assert may_answer_header(header(), AGREEMENTS, AU.in_force) is AU
    assert in_force(ended, NOW - timedelta(milliseconds=1))


def test_a_superseded_version_is_not_in_force() -> None:
    text = packaged()["au.toml"]
    second = text.replace(b"version = 1", b"version = 2").replace(b"2026-01-01", b"2026-07-01")
    both = load_agreements({"au.toml": text, "au-2.toml": second})

    with pytest.raises(AgreementNotInForce):
        may_answer_header(header(), both, NOW)
    assert may_answer_header(header(agreement_version=2), both, NOW).version == 2


def test_a_permit_trusts_no_earlier_decision() -> None:
    """Handing `may_answer` an agreement of others does not make it theirs."""
    with pytest.raises(AgreementNotInForce):
        may_answer(header(), query(), AGREEMENTS["nz"][0], NOW)
    with pytest.raises(PurposeNotPermitted):
        may_answer(header(Purpose.DATA_ACCURACY), query(), AU, NOW)


@pytest.mark.parametrize("modality", [Modality.FACE, Modality.IRIS])
def test_315_38_a_query_carries_fingerprints_only(modality: Modality) -> None:
    mixed = Biometrics((sample(), sample(modality)))

    with pytest.raises(ModalityNotPermitted) as caught:
        may_answer(header(), query(mixed), AU, NOW)

    assert caught.value.metadata == {"element": "biometrics.samples[1].modality"}


def test_no_samples_are_not_all_samples() -> None:
    nothing = Biometrics((), (Missing(1, Presence.AMPUTATED),))

    with pytest.raises(ModalityNotPermitted):
        may_answer(header(), query(nothing), AU, NOW)


def test_315_38_a_number_may_stand_for_fingerprints_where_the_agreement_says_so() -> None:
    asked = query(PriorTransaction("CAN-00000001"))

    permit = may_answer(header(), asked, AU, NOW)

    assert "au@1:references.PRIOR_TRANSACTION" in permit.rules
    with pytest.raises(ModalityNotPermitted):
        may_answer(header(), asked, replace(AU, prior_transaction=""), NOW)


def test_315_41_1_d_needs_the_claim() -> None:
    claim = header(Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR)

    with pytest.raises(ElementsInconsistent) as caught:
        may_answer(claim, query(), AU, NOW)

    assert caught.value.metadata == {"element": "subject_flags.refugee_claimant"}
    assert may_answer(header(), query(claimant=True), AU, NOW)


def test_a_sample_is_not_taken_after_the_message_that_carries_it() -> None:
    at = Biometrics((sample(taken=NOW),))
    late = Biometrics((sample(), sample(taken=NOW + timedelta(milliseconds=1))))

    assert may_answer(header(), query(at), AU, NOW)
    with pytest.raises(ElementsInconsistent) as caught:
        may_answer(header(), query(late), AU, NOW)
    assert caught.value.metadata == {"element": "biometrics.samples[1].capture_time"}


def lawful_purposes(agreement_id: str) -> set[Purpose]:
    """law.md table 3.1, answering."""
    both = {Purpose.VISA_PERMIT_BENEFIT, Purpose.TRAVEL_ENTER_REMAIN}
    if agreement_id == "us-visa":
        return both | {Purpose.DATA_ACCURACY}
    return both | {Purpose.CITIZENSHIP, Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR}


parties = st.sampled_from(["AUS", "NZL", "GBR", "CAN", "USA"])


@given(
    sender=parties,
    recipient=parties,
    agreement_id=st.sampled_from(["au", "nz", "uk", "us-visa", "us-asylum", ""]),
    version=st.integers(0, 2),
    purpose=st.sampled_from(Purpose),
    modality=st.sampled_from(Modality),
    numbered=st.booleans(),
    claimant=st.booleans(),
    year=st.integers(2025, 2027),
)
def test_nothing_is_permitted_that_no_rule_names(  # noqa: PLR0917
    sender: str,
    recipient: str,
    agreement_id: str,
    version: int,
    purpose: Purpose,
    modality: Modality,
    numbered: bool,
    claimant: bool,
    year: int,
) -> None:
    now = NOW.replace(year=year)
    asked = header(
        purpose,
        sender=sender,
        recipient=recipient,
        agreement_id=agreement_id,
        agreement_version=version,
        create_time=now,
    )
    probe = PriorTransaction("CAN-00000001") if numbered else Biometrics((sample(modality),))
    lawful = (
        recipient == "CAN"
        and (sender, agreement_id)
        in {("AUS", "au"), ("NZL", "nz"), ("GBR", "uk"), ("USA", "us-visa")}
        and version == 1
        and year >= 2026
        and purpose in lawful_purposes(agreement_id)
        and (numbered or modality is Modality.FINGER)
        and (claimant or purpose is not Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR)
    )
    try:
        agreement = may_answer_header(asked, AGREEMENTS, now)
        permit = may_answer(asked, query(probe, claimant=claimant), agreement, now)
    except Refusal:
        assert not lawful
        return
    assert lawful
    named = {
        f"{agreement_id}@1:answer.purposes.{purpose.name}",
        f"{agreement_id}@1:references.PRIOR_TRANSACTION"
        if numbered
        else f"{agreement_id}@1:modalities.{modality.name}",
    }
    assert named <= set(permit.rules)
    assert permit.paragraph in agreement.answer_purposes.values()
