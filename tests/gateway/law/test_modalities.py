"""What a query may carry, for which purposes; and modalities that contradict each other, which no machine decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.messages import Biometrics, Modality, Outcome, Purpose
from gateway.domain.person import Saying, Status, SubjectKind
from gateway.errors import ModalityNotPermitted
from gateway.law import agreement_display
from gateway.law.agreement import Agreement
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.law.query_policy import (
    Ask,
    Evidence,
    Found,
    Permit,
    decisive,
    may_answer,
    may_ask,
    settle,
)
from gateway.law.quota_policy import Usage
from gateway.law.regulation import BOUNDS
from gateway.law.review_policy import saying
from gateway.law.toml_reader import MalformedAgreement

FINGER, FACE, IRIS = Modality.FINGER, Modality.FACE, Modality.IRIS
VISA, TRAVEL = Purpose.VISA_PERMIT_BENEFIT, Purpose.TRAVEL_ENTER_REMAIN
REVIEW = '[review]\nfloor_fpir = 1e-3\npersons = 1\nparagraph = "IRPR 315.24"\n\n'
ONLY = '[modality_purposes.FACE]\npurposes = ["VISA_PERMIT_BENEFIT"]\nparagraph = "IRPR 315.25(1)(b)"\n\n'
NOBODY = Found(float("-inf"), 4.0)


def text(*, face: bool = True, review: str = REVIEW, only: str = "") -> bytes:
    """Return the agreement of Division 1 with a face beside the fingers."""
    stated = packaged()["us-visa.toml"].decode()
    fingers = 'FINGER = "IRPR 315.25(1)(b)"\n'
    assert stated.count(fingers) == 1
    both = fingers + 'FACE = "IRPR 315.25(1)(b)"\n' if face else fingers
    return stated.replace(fingers, both).replace("[search]\n", f"{review}{only}[search]\n").encode()


def stated(bench: Any, kind: SubjectKind, *nations: str) -> Status:
    return Status(
        kind=kind, nationalities=frozenset(nations), confirmed=bench.now, no_persecutor=True
    )


def of(said: Modality, score: float, threshold: float = 5.0) -> Evidence:
    return Evidence(said, score, threshold)


def found(*evidence: Evidence, threshold: float = 6.0, floor: float | None = None) -> Found:
    return Found(sum(each.score for each in evidence), threshold, floor, evidence)


def asked(bench: Any, agreement: Agreement, purpose: Purpose, *modalities: Modality) -> Permit:
    query = bench.query(claimant=False)
    samples = tuple(replace(query.probe.samples[0], modality=each) for each in modalities)
    query = replace(query, probe=Biometrics(samples))
    permit: Permit = may_answer(bench.header(agreement, purpose), query, agreement, bench.now)
    return permit


def test_irpr_315_38_and_315_25_1_b_what_each_division_lets_a_query_carry() -> None:
    """Division 3 speaks of fingerprints, Division 1 of photograph and fingerprints, Division 2 knows no query."""
    assert {number: bounds.modalities for number, bounds in BOUNDS.items()} == {
        0: frozenset({FINGER, FACE, IRIS}),
        1: frozenset({FINGER, FACE}),
        2: frozenset(),
        3: frozenset({FINGER}),
    }


def test_a_photograph_is_lawful_in_division_1_where_an_agreement_names_it(bench: Any) -> None:
    permit = asked(bench, parse(text()), VISA, FINGER, FACE)
    assert permit.rules[1:3] == ("us-visa@1:modalities.FINGER", "us-visa@1:modalities.FACE")
    with pytest.raises(ModalityNotPermitted) as refused:
        asked(bench, bench.agreements["us-visa"], VISA, FINGER, FACE)
    assert refused.value.metadata["element"] == "biometrics.samples[1].modality"
    with pytest.raises(MalformedAgreement, match="IRIS"):
        parse(text().replace(b"FACE =", b"IRIS ="))


def test_a_modality_may_be_for_some_purposes_alone(bench: Any) -> None:
    agreement = parse(text(only=ONLY))

    permit = asked(bench, agreement, VISA, FACE)
    assert permit.rules[1:3] == (
        "us-visa@1:modalities.FACE",
        "us-visa@1:modality_purposes.FACE",
    )
    assert asked(bench, agreement, TRAVEL, FINGER)
    with pytest.raises(ModalityNotPermitted):
        asked(bench, agreement, TRAVEL, FINGER, FACE)
    lines = [line for line, _ in agreement_display.lines(agreement, bench.now)]
    assert "a query carries FACE, only for VISA_PERMIT_BENEFIT" in lines
    assert "a query carries FINGER" in lines
    assert "an examiner decides where modalities contradict" in lines


def test_we_ask_by_no_modality_that_we_may_not_be_asked_by(bench: Any) -> None:
    agreement = parse(text(only=ONLY))
    subject = stated(bench, SubjectKind.FOREIGN_NATIONAL, "IND")

    def ask(purpose: Purpose, *modalities: Modality) -> Any:
        asking = Ask(purpose=purpose, subject=subject, modalities=frozenset(modalities))
        return may_ask(asking, agreement, Usage(), bench.now)

    assert "us-visa@1:modality_purposes.FACE" in ask(VISA, FINGER, FACE).rules
    for purpose, modality in ((TRAVEL, FACE), (VISA, IRIS)):
        with pytest.raises(ModalityNotPermitted):
            ask(purpose, FINGER, modality)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"review": ""}, "review"),
        ({"face": False, "only": ONLY}, "modality_purposes.FACE"),
        ({"only": ONLY.replace("VISA_PERMIT_BENEFIT", "CITIZENSHIP")}, "modality_purposes.FACE"),
        ({"only": ONLY.replace('["VISA_PERMIT_BENEFIT"]', "[]")}, "modality_purposes.FACE"),
        ({"only": ONLY.replace("VISA_PERMIT_BENEFIT", "ANY")}, "modality_purposes.FACE"),
        ({"only": ONLY.replace("paragraph", "reason")}, "modality_purposes.FACE"),
        ({"only": ONLY.replace("FACE]", "GAIT]")}, "modality_purposes.GAIT"),
    ],
)
def test_a_file_that_limits_or_permits_modalities_wrongly_is_refused(
    changed: dict[str, Any], key: str
) -> None:
    with pytest.raises(MalformedAgreement, match=key) as refused:
        parse(text(**changed))
    assert changed != {"review": ""} or "add the table, or permit one" in str(refused.value)


def test_one_modality_needs_no_examiner() -> None:
    assert parse(text(face=False, review="")).review is None


@pytest.mark.parametrize(
    ("evidence", "conflict"),
    [
        ((of(FINGER, 9.0), of(FACE, -5.0)), {FINGER, FACE}),
        ((of(FINGER, 9.0), of(FACE, -1.0)), {FINGER, FACE}),
        ((of(FINGER, 9.0), of(FACE, -0.99)), set()),  # unlike, but not clearly another's
        ((of(FINGER, -1.0), of(FACE, 9.0)), {FINGER, FACE}),
        ((of(FINGER, -0.99), of(FACE, 9.0)), set()),
        ((of(FINGER, 9.0), of(FACE, 9.0)), set()),
        ((of(FINGER, -1.5), of(FACE, -5.0)), set()),
        ((of(FINGER, 9.0),), set()),
        ((of(FINGER, 4.9), of(FACE, -5.0)), set()),  # nobody says yes
        ((of(FINGER, 4.9), of(FACE, 4.9), of(IRIS, -3.0)), {FINGER, FACE, IRIS}),  # their sum does
        ((of(FINGER, 9.0), of(FACE, 0.5), of(IRIS, -3.0)), {FINGER, FACE, IRIS}),
    ],
)
def test_a_yes_and_a_clear_no_are_a_conflict_and_nothing_else_is(
    evidence: tuple[Evidence, ...], conflict: set[Modality]
) -> None:
    place, judged = decisive([found(*evidence)], NOBODY)

    assert (place, judged.conflict) == (0, conflict)
    assert judged.reached == bool(conflict or judged.score >= 6.0)


@pytest.mark.parametrize(
    ("score", "word"),
    [
        (5.0, Saying.SUPPORTS),
        (4.99, Saying.UNDECIDED),
        (-0.99, Saying.UNDECIDED),
        (-1.0, Saying.CONTRADICTS),
    ],
)
def test_what_a_modality_says_is_a_word(score: float, word: Saying) -> None:
    assert saying(score, 5.0) is word


def test_who_is_named_by_one_modality_and_denied_by_another_is_looked_at_before_whoever_is_nobody() -> (
    None
):
    """The sum of the contradiction may be below that of a stranger who is neither."""
    stranger, disputed = found(of(FINGER, 3.0)), found(of(FINGER, 6.0), of(FACE, -9.0))
    place, judged = decisive([stranger, disputed], NOBODY)
    assert (place, bool(judged.conflict)) == (1, True)


def test_a_match_beside_somebody_in_conflict_waits_too() -> None:
    """Fingers of one person and the face of another: whoever has only the face is no match by it."""
    match, other = found(of(FACE, 9.0)), found(of(FINGER, 8.0), of(FACE, -4.0))
    place, judged = decisive([match, other], NOBODY)
    assert (place, judged.conflict) == (0, {FINGER, FACE})


def test_of_nobody_nothing_is_decided() -> None:
    assert decisive([], NOBODY) == (0, NOBODY)
    place, judged = decisive([found(of(FINGER, 1.0)), found(of(FINGER, 0.5))], NOBODY)
    assert (place, judged.reached) == (0, False)


def disputed_by_law(bench: Any, kind: SubjectKind, *nations: str, review: bool = True) -> Any:
    permit = asked(bench, parse(text()), VISA, FINGER, FACE)
    if not review:
        permit = replace(permit, review=None)
    _, judged = decisive([found(of(FINGER, 20.0), of(FACE, -5.0))], NOBODY)
    return settle(judged, stated(bench, kind, *nations), permit)


def test_what_contradicts_itself_is_never_a_match(bench: Any) -> None:
    settled = disputed_by_law(bench, SubjectKind.FOREIGN_NATIONAL, "IND")

    assert (settled.shown, settled.true) == (Outcome.REVIEW_PENDING, Outcome.REVIEW_PENDING)
    assert "us-visa@1:review" in settled.rules


@pytest.mark.parametrize("nation", ["CAN", "USA"])
def test_law_3_3_whom_the_table_hides_never_waits_for_an_examiner(bench: Any, nation: str) -> None:
    settled = disputed_by_law(bench, SubjectKind.CITIZEN, nation)

    assert (settled.shown, settled.true) == (Outcome.NO_MATCH, Outcome.REVIEW_PENDING)


def test_a_contradiction_without_an_examiner_is_no_answer(bench: Any) -> None:
    with pytest.raises(ValueError, match="no examiner"):
        disputed_by_law(bench, SubjectKind.FOREIGN_NATIONAL, "IND", review=False)
