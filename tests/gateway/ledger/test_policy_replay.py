"""Past queries decided again: the same law gives the same answer, another law what it would have given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.domain.messages import Modality
from gateway.law.agreement import Agreement
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.law.regulation import BOUNDS
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.exchange_history import OpenedEntry
from gateway.ledger.policy_replay import Past, again, answered

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
AU = packaged()["au.toml"]


def agreement(*changes: tuple[str, str]) -> Agreement:
    text = AU.decode()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return parse(text.encode(), "au-2.toml")


ASKED = {
    "operation": "SUBMIT_QUERY",
    "purpose": "CITIZENSHIP",
    "modality": "FINGER",
    "positions": "2,7",
    "refugee_claimant": "false",
    "case": "C-1",
    "unit": "U-1",
    "person": "O-1",
}
HIT = {
    "true_outcome": "MATCH",
    "disclosed_outcome": "MATCH",
    "scores": "9.000",
    "threshold": "5.200",
    "fpir": "0.0001",
    "gallery_size": "1000",
    "usable_positions": "2,7",
    "status_kind": "FOREIGN_NATIONAL",
    "nationalities": "IND",
    "status_age": "3 days",
}


def pair(asked: dict[str, str] | None, told: dict[str, str] | None) -> list[OpenedEntry]:
    frame = Frame(
        type=EntryType.REQUEST,
        entry_class=EntryClass.ACCEPTED,
        time=WHEN,
        partner_id="AUS",
        message_id=b"m" * 16,
        transaction_number="T-00000001",
        agreement_id="au",
        agreement_version=1,
        detail_commitment=b"c" * 32,
    )
    response = replace(frame, type=EntryType.RESPONSE, entry_class=EntryClass.ANSWERED)
    return [OpenedEntry(1, frame, asked), OpenedEntry(2, response, told)]


def past(asked: dict[str, str] = ASKED, told: dict[str, str] = HIT) -> Past:
    (found,) = answered(pair(asked, told))
    return found


def level(_fpir: float, _people: int, _held: object) -> float:
    return 12.0  # of a threshold that is computed anew


@pytest.mark.parametrize(
    "told",
    [
        HIT,
        HIT | {"true_outcome": "NO_MATCH", "disclosed_outcome": "NO_MATCH", "scores": "1.0"},
        HIT | {"disclosed_outcome": "NO_MATCH", "status_kind": "CITIZEN", "nationalities": "CAN"},
        HIT | {"disclosed_outcome": "NO_MATCH", "nationalities": "AUS"},
        HIT | {"disclosed_outcome": "NO_MATCH", "status_age": "never confirmed"},
        HIT | {"true_outcome": "NO_MATCH", "disclosed_outcome": "NO_MATCH", "scores": "-inf"},
        {"true_outcome": "QUALITY_INSUFFICIENT", "disclosed_outcome": "QUALITY_INSUFFICIENT"},
    ],
)
def test_the_same_law_gives_the_same_answer(told: dict[str, str]) -> None:
    assert not again(past(told=told), agreement(), level).changed


def test_a_purpose_that_is_taken_away_would_have_been_refused() -> None:
    names = 'CITIZENSHIP = "IRPR 315.41(1)(c)"', '"CITIZENSHIP", '
    narrower = agreement((names[0], ""), (names[1], ""))

    found = again(past(), narrower, level)

    assert (found.now, found.changed) == ("PURPOSE_NOT_PERMITTED", True)


def test_a_stricter_fpir_raises_the_threshold() -> None:
    stricter = agreement(("fpir = 1e-4", "fpir = 1e-6"))

    found = again(past(), stricter, level)

    assert (found.now, found.changed) == ("NO_MATCH", True)


def test_an_agreement_not_yet_in_force_is_tried_as_if_it_were() -> None:
    future = agreement(("in_force = 2026-01-01", "in_force = 2030-01-01"))

    assert not again(past(), future, level).changed


@pytest.mark.parametrize("gone", ["scores", "gallery_size", "threshold"])
def test_what_is_not_recorded_is_not_decided(gone: str) -> None:
    told = {name: value for name, value in HIT.items() if name != gone}
    if gone == "scores":  # without a score it was asked back by number
        assert not again(past(told=told), agreement(), level).changed
        return

    with pytest.raises(ValueError, match="entry"):
        again(past(told=told), agreement(), level)


@pytest.mark.parametrize("asked", [ASKED | {"purpose": "WHIM"}, ASKED | {"purpose": ""}])
def test_an_unknown_purpose_is_not_guessed(asked: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="purpose"):
        again(past(asked=asked), agreement(), level)


@pytest.mark.parametrize(
    "entries",
    [
        pair(None, HIT),
        pair(ASKED, None),
        pair(ASKED, HIT)[:1],
        pair(ASKED, HIT)[1:],
        pair(ASKED | {"operation": "GET_QUERY_STATE"}, HIT),
    ],
)
def test_what_is_sealed_open_or_no_query_is_passed_over(entries: list[OpenedEntry]) -> None:
    assert not list(answered(entries))


def recorded(score: float, threshold: float, true: str, **more: str) -> dict[str, str]:
    """Facts of a search as the exchange records them: exactly."""
    told = HIT | {"scores": repr(score), "threshold": repr(threshold), "true_outcome": true}
    return told | {"disclosed_outcome": true} | more


@pytest.mark.parametrize(
    ("score", "threshold", "true"),
    [
        (3.41504, 3.415236, "NO_MATCH"),  # both are 3.415 with three decimals
        (3.415236, 3.41504, "MATCH"),
        (3.415236, 3.415236, "MATCH"),
        (3.4149999618530273, 3.415, "NO_MATCH"),
    ],
)
def test_a_score_beside_its_threshold_is_decided_as_it_was(
    score: float, threshold: float, true: str
) -> None:
    told = recorded(score, threshold, true)

    assert again(past(told=told), agreement(), level).now == true


@pytest.mark.parametrize("true", ["NO_MATCH", "MATCH"])
def test_of_three_decimals_the_recorded_outcome_says_which_was_greater(true: str) -> None:
    told = HIT | {"scores": "3.415", "threshold": "3.415"}

    assert (
        again(
            past(told=told | {"true_outcome": true, "disclosed_outcome": true}), agreement(), level
        ).now
        == true
    )


def test_three_decimals_far_from_the_threshold_are_decided_by_themselves() -> None:
    """What was answered against its own figures is a finding, in old entries too."""
    told = HIT | {"scores": "3.415", "threshold": "3.417"}

    assert again(past(told=told), agreement(), level).changed


def test_three_decimals_at_a_threshold_reckoned_anew_are_not_decided() -> None:
    stricter = agreement(("fpir = 1e-4", "fpir = 1e-6"))

    with pytest.raises(ValueError, match="three decimals"):
        again(past(told=HIT | {"scores": "12.000"}), stricter, level)


def test_a_share_of_many_digits_keeps_the_threshold_that_was_recorded() -> None:
    """FPIR 1.23456789e-4 was once recorded as 0.000123457, which is no other share."""
    fine = agreement(("fpir = 1e-4", "fpir = 1.23456789e-4"))
    exactly = recorded(9.0, 8.5, "MATCH", fpir=repr(1.23456789e-4))
    rounded = HIT | {"fpir": "0.000123457", "threshold": "5.200"}

    for told in (exactly, rounded):
        assert again(past(told=told), fine, level).now == "MATCH"


def reviewing(floor: str) -> Agreement:
    band = f'floor_fpir = {floor}\npersons = 1\nparagraph = "IRPR 315.39"\n'
    text = AU.decode() + "\n[review]\n" + band
    return parse(text.encode(), "au-3.toml")


def test_a_review_band_that_is_proposed_is_reckoned_and_not_read_from_the_past() -> None:
    told = recorded(6.0, 9.0, "NO_MATCH")

    def share(fpir: float, _people: int, _held: object) -> float:
        return 5.0 if fpir == 1e-2 else 12.0

    assert again(past(told=told), reviewing("1e-2"), share).now == "REVIEW_PENDING"
    assert again(past(told=told), reviewing("2e-3"), share).now == "NO_MATCH"


def test_the_floor_that_was_recorded_stands_for_its_own_share_alone() -> None:
    told = recorded(6.0, 9.0, "REVIEW_PENDING", review_floor="5.5", review_fpir="0.01")

    assert again(past(told=told), reviewing("1e-2"), level).now == "REVIEW_PENDING"
    assert again(past(told=told), reviewing("2e-3"), level).now == "NO_MATCH"


@pytest.mark.parametrize(
    ("age", "now"),
    [
        ("30 days", "MATCH"),  # whole days, as earlier releases recorded
        ("30 days 0:00:00", "MATCH"),
        ("30 days 0:00:00.000001", "NO_MATCH"),
        ("29 days 23:59:59.999999", "MATCH"),
    ],
)
def test_a_status_is_as_old_as_it_was_to_the_microsecond(age: str, now: str) -> None:
    months = agreement(("max_age_days = 365", "max_age_days = 30"))

    assert again(past(told=HIT | {"status_age": age}), months, level).now == now


@pytest.mark.parametrize(
    "told",
    [
        {"official_decisions": "PART/PUBLIC_POLICY,ALL/NATIONAL_SECURITY"},
        {"withheld": "ALL", "ground": "NATIONAL_SECURITY"},  # of earlier releases
    ],
)
def test_what_an_official_refused_is_refused_again(told: dict[str, str]) -> None:
    shown = HIT | {"disclosed_outcome": "REFUSED"} | told

    assert not again(past(told=shown), agreement(), level).changed


def test_a_decision_that_we_do_not_know_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="decision"):
        again(past(told=HIT | {"official_decisions": "ALL/WHIM"}), agreement(), level)


BOTH = HIT | {
    "scores": "9.0",
    "threshold": "6.0",
    "gallery_size": "120",
    "usable_positions": "2,7,0",
    "shared_samples": "2,1",
    "review_floor": "4.0",
    "review_fpir": "0.01",
    "searched_modalities": "FINGER,FACE",
    "modality_scores": "12.0,-3.0",
    "modality_thresholds": "5.0,4.0",
    "modality_sizes": "100,20",
    "modality_positions": "2+7,0",
}
AGAINST = BOTH | {
    "conflict": "FINGER,FACE",
    "true_outcome": "REVIEW_PENDING",
    "disclosed_outcome": "REVIEW_PENDING",
}
ASKED_BY_BOTH = ASKED | {"modality": "FACE,FINGER", "positions": "2,7,0"}


def both(monkeypatch: pytest.MonkeyPatch, fpir: str = "1e-4") -> Agreement:
    """Return an agreement that permits a face too, as the division would have to."""
    permitted = frozenset({Modality.FINGER, Modality.FACE})
    monkeypatch.setitem(BOUNDS, 3, replace(BOUNDS[3], modalities=permitted))
    text = AU.decode().replace("[modalities]\n", '[modalities]\nFACE = "IRPR 315.38"\n')
    band = '\n[review]\nfloor_fpir = 1e-2\npersons = 1\nparagraph = "IRPR 315.39"\n'
    return parse((text.replace("fpir = 1e-4", f"fpir = {fpir}") + band).encode(), "au-4.toml")


def test_modalities_that_contradicted_each_other_do_so_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agreed = both(monkeypatch)
    assert not again(past(asked=ASKED_BY_BOTH, told=AGAINST), agreed, level).changed
    alone = BOTH | {"modality_scores": "9.0,none"}
    assert not again(past(asked=ASKED_BY_BOTH, told=alone), agreed, level).changed


def test_several_modalities_are_decided_anew_by_a_threshold_of_all_and_one_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stricter, seen = both(monkeypatch, "1e-6"), []

    def least(_fpir: float, people: int, held: object) -> float:
        seen.append((people, held))
        return 7.0 if held == {Modality.FACE: 1} else 8.0

    found = again(past(asked=ASKED_BY_BOTH, told=AGAINST), stricter, least)
    assert found.now == "REVIEW_PENDING"
    assert seen == [
        (120, {Modality.FINGER: 2, Modality.FACE: 1}),
        (100, {Modality.FINGER: 2}),
        (20, {Modality.FACE: 1}),
    ]
    alone = BOTH | {"modality_scores": "9.0,none", "shared_samples": "2,0"}
    again(past(asked=ASKED_BY_BOTH, told=alone), stricter, least)
    assert seen[3] == (120, {Modality.FINGER: 2})
    mild = BOTH | {"modality_scores": "10.0,-0.9"}
    assert again(past(asked=ASKED_BY_BOTH, told=mild), stricter, least).now == "MATCH"
    assert again(past(asked=ASKED_BY_BOTH, told=mild), stricter, level).now == "REVIEW_PENDING"


def held(told: dict[str, str], agreed: Agreement, asked: dict[str, str] = ASKED) -> list[object]:
    """Return by what a threshold that is computed anew was asked for."""
    seen: list[object] = []

    def least(_fpir: float, _people: int, shared: object) -> float:
        seen.append(shared)
        return 12.0

    again(past(asked=asked, told=told), agreed, least)
    return seen


def test_a_threshold_anew_is_that_of_as_many_samples_as_the_entry_says() -> None:
    stricter = agreement(("fpir = 1e-4", "fpir = 1e-6"))

    assert held(HIT | {"shared_samples": "2"}, stricter) == [{Modality.FINGER: 2}]


def test_an_entry_that_does_not_say_what_was_shared_is_held_to_what_one_sample_must_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Earlier releases held everybody to it; and of nobody nothing was shared."""
    stricter, several = agreement(("fpir = 1e-4", "fpir = 1e-6")), both(monkeypatch, "1e-6")
    older = {name: value for name, value in BOTH.items() if name != "shared_samples"}

    assert held(HIT, stricter) == [{Modality.FINGER: 1}]
    one_each = {Modality.FINGER: 1, Modality.FACE: 1}
    assert held(older, several, ASKED_BY_BOTH)[0] == one_each
    nobody = older | {"scores": "-inf", "modality_scores": "none,none"}
    assert held(nobody, several, ASKED_BY_BOTH)[0] == one_each


@pytest.mark.parametrize(
    "wrong",
    [
        {"shared_samples": "2"},
        {"searched_modalities": "FINGER,GAIT"},
        {"conflict": "GAIT"},
        {"modality_sizes": "100"},
        {"modality_scores": "1.0"},
        {"modality_scores": "9.0,none"},  # whoever contradicted it was another candidate
    ],
)
def test_several_modalities_that_an_entry_does_not_tell_whole_are_not_decided(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    stricter = both(monkeypatch, "1e-6")
    with pytest.raises(ValueError, match=r"entry|share|argument"):
        again(past(asked=ASKED_BY_BOTH, told=AGAINST | wrong), stricter, level)
