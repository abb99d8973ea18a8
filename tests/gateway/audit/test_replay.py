"""Past queries decided again: the same law gives the same answer, another law what it would have given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.audit.chapters import Told
from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.audit.replay import Past, again, answered
from gateway.law.agreement import Agreement
from gateway.law.library import packaged
from gateway.law.parsing import parse

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


def pair(asked: dict[str, str] | None, told: dict[str, str] | None) -> list[Told]:
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
    return [Told(1, frame, asked), Told(2, response, told)]


def past(asked: dict[str, str] = ASKED, told: dict[str, str] = HIT) -> Past:
    (found,) = answered(pair(asked, told))
    return found


def level(_fpir: float, _size: int, _fingers: int) -> float:
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


@pytest.mark.parametrize("gone", ["scores", "gallery_size", "usable_positions", "threshold"])
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
def test_what_is_sealed_open_or_no_query_is_passed_over(entries: list[Told]) -> None:
    assert not list(answered(entries))
