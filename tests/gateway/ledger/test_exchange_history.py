"""The history of an exchange: what is recorded is told, what is sealed is said to be, what is missing is found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.domain.messages import Direction
from gateway.language import Language
from gateway.ledger.entry import EntryClass, EntryType, Frame, MalformedEntry, encode
from gateway.ledger.exchange_history import (
    SEALED,
    ExchangeHistory,
    OpenedEntry,
    Question,
    build_history,
)
from gateway.ledger.sealed_entries import hand, take

NUMBER, PARTNER = "T-00000001", "AUS"
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = b"k" * 32


def entry(
    index: int,
    kind: EntryType,
    facts: dict[str, str] | None,
    entry_class: EntryClass = EntryClass.OTHER,
    **other: object,
) -> OpenedEntry:
    fields: dict[str, object] = {
        "partner_id": PARTNER,
        "transaction_number": NUMBER,
        "detail_commitment": b"c" * 32,
        "subject_reference": "SUBMIT_QUERY",
        **other,
    }
    frame = Frame(type=kind, entry_class=entry_class, time=WHEN, **fields)  # type: ignore[arg-type]
    return OpenedEntry(index, frame, facts)


REQUEST = entry(
    3,
    EntryType.REQUEST,
    {
        "purpose": "CITIZENSHIP",
        "paragraph": "IRPR 315.41(1)(c)",
        "case": "C-7",
        "unit": "U-2",
        "person": "O-9",
        "positions": "2,7",
        "policy_trace": "au@1:answer.purposes.CITIZENSHIP,au@1:modalities.FINGER",
    },
    EntryClass.ACCEPTED,
    agreement_id="au",
    agreement_version=1,
    signing_key_id=KEY,
)
DESTRUCTION = entry(
    4, EntryType.DESTRUCTION, None, subject_reference="D-1", detail_commitment=bytes(32)
)
MASKED = {
    "true_outcome": "MATCH",
    "disclosed_outcome": "NO_MATCH",
    "status_kind": "CITIZEN",
    "scores": "9.1",
    "threshold": "5.2",
    "why": "au@1:answer.reveal.CITIZEN",
}
RESPONSE = entry(5, EntryType.RESPONSE, MASKED, EntryClass.ANSWERED)
KEYED = OpenedEntry(
    1,
    Frame(
        type=EntryType.KEY,
        entry_class=EntryClass.OTHER,
        time=WHEN,
        subject_reference=KEY.hex(),
    ),
    {"state_after": "ACTIVE", "reason": "first"},
)
WHOLE = (KEYED, REQUEST, DESTRUCTION, RESPONSE)


def values(history: ExchangeHistory, question: Question) -> list[str]:
    return [line.value for line in history.answers[question]]


def test_each_question_is_answered_from_its_entries() -> None:
    history = build_history(
        WHOLE, NUMBER, PARTNER, {"au@1:answer.purposes.CITIZENSHIP": "IRPR X"}.get
    )  # type: ignore[arg-type]

    assert values(history, Question.WHO)[:1] == ["AUS"]
    assert "U-2" in values(history, Question.WHO)
    assert values(history, Question.PURPOSE)[:2] == ["CITIZENSHIP", "C-7"]
    assert "2,7" in values(history, Question.CONTENT)
    assert "5.2" in values(history, Question.CALIBRATION)
    assert KEY.hex() in values(history, Question.KEYS)
    assert any("ACTIVE" in value for value in values(history, Question.KEYS))
    assert any("D-1" in value for value in values(history, Question.DESTRUCTION))
    assert history.findings == ()


def test_a_masked_match_is_told_with_its_rule_to_whom_holds_the_key() -> None:
    history = build_history(WHOLE, NUMBER, PARTNER, lambda rule: f"paragraph of {rule}")

    decided = {line.label: line for line in history.answers[Question.DECISION]}
    assert decided["masked"].value == "MATCH, shown as NO_MATCH"
    assert decided["status of the person found"].value == "CITIZEN"
    assert decided["decided by rule"].paragraph == "paragraph of au@1:answer.reveal.CITIZEN"


@pytest.mark.parametrize(
    ("recorded", "said", "en_francais"),
    [
        (
            "0 days 0:00:00.250000",
            "less than a minute before the decision",
            "moins d’une minute avant la décision",
        ),
        (
            "-1 days 23:59:58",  # the clock that confirmed it was ahead
            "less than a minute before the decision",
            "moins d’une minute avant la décision",
        ),
        ("0 days 0:07:00", "7 min before the decision", "7 min avant la décision"),
        ("0 days 5:07:59.900000", "5 h 7 min before the decision", "5 h 7 min avant la décision"),
        ("3 days 4:05:06.000001", "3 d 4 h before the decision", "3 j 4 h avant la décision"),
        ("3 days", "3 d before the decision", "3 j avant la décision"),  # as it once was recorded
        ("never confirmed", "never", "jamais"),
        ("some days", "some days", "some days"),  # what no release wrote is told as it stands
    ],
)
def test_how_old_a_status_was_is_told_in_plain_words(
    recorded: str, said: str, en_francais: str
) -> None:
    answered = entry(5, EntryType.RESPONSE, {**MASKED, "status_age": recorded})

    history = build_history((KEYED, REQUEST, DESTRUCTION, answered), NUMBER, PARTNER)

    told = {line.label: line.value for line in history.answers[Question.DECISION]}
    assert told["status last confirmed"] == said
    assert Language("fr")(told["status last confirmed"]) == en_francais


def test_without_the_key_nothing_of_the_outcome_is_told() -> None:
    sealed = [OpenedEntry(each.index, each.frame, None) for each in WHOLE]

    history = build_history(sealed, NUMBER, PARTNER, opened=False)

    told = [line for lines in history.answers.values() for line in lines]
    assert SEALED in {line.value for line in told}
    assert not {"MATCH", "NO_MATCH", "CITIZEN"} & {line.value for line in told}
    assert history.findings == ()


def test_another_partner_s_transaction_of_the_same_number_is_not_mixed_in() -> None:
    other = entry(9, EntryType.REQUEST, {"case": "C-8"}, EntryClass.ACCEPTED, partner_id="NZL")

    history = build_history([*WHOLE, other], NUMBER, PARTNER)

    assert "C-8" not in values(history, Question.PURPOSE)


@pytest.mark.parametrize(
    ("entries", "finding"),
    [
        ((), "no entry"),
        ((REQUEST,), "neither answered"),
        ((REQUEST, RESPONSE), "no destruction"),
        ((REQUEST, DESTRUCTION, OpenedEntry(5, RESPONSE.frame, None)), "shredded"),
    ],
)
def test_what_should_be_there_and_is_not_is_a_finding(
    entries: tuple[OpenedEntry, ...], finding: str
) -> None:
    (found,) = build_history(entries, NUMBER, PARTNER).findings

    assert finding in found


def test_what_followed_is_told_with_the_transaction() -> None:
    details = entry(
        8,
        EntryType.RESPONSE,
        {
            "transaction_reference": NUMBER,
            "fields": "LAST_NAME",
            "operation": "REQUEST_HIT_DETAILS",
        },
        transaction_number="T-00000002",
    )
    unknown = entry(
        9, EntryType.REQUEST, {"transaction_reference": "T-9999"}, transaction_number="T-00000003"
    )

    history = build_history([*WHOLE, details, unknown], NUMBER, PARTNER)

    assert "LAST_NAME" in values(history, Question.AFTERWARDS)
    assert not any("T-00000003" in value for value in values(history, Question.AFTERWARDS))


OURS = {"direction": Direction.OUTBOUND, "subject_reference": "", "agreement_id": "au"}
ASKED = entry(
    3,
    EntryType.ASKED,
    {
        "purpose": "VISA_PERMIT_BENEFIT",
        "paragraph": "IRPR 315.4(1)(a)",
        "case": "C-7",
        "actor": "P-7",
    },
    **{**OURS, "agreement_version": 1, "message_id": b"m" * 16},
)


@pytest.mark.parametrize(
    ("then", "finding"),
    [
        ((), "our question was neither answered"),
        ((EntryType.ANSWER_RECEIVED, EntryClass.ACCEPTED), "our question was neither answered"),
        ((EntryType.ANSWER_RECEIVED, EntryClass.ANSWERED), ""),
        ((EntryType.ANSWER_RECEIVED, EntryClass.DENIED), ""),
        ((EntryType.ABANDONED, EntryClass.OTHER), ""),
    ],
)
def test_a_question_of_ours_that_nobody_ended_is_a_finding(
    then: tuple[EntryType, EntryClass] | tuple[()], finding: str
) -> None:
    more = [entry(4, then[0], {"reason": "R"}, then[1], **OURS)] if then else []

    history = build_history([ASKED, *more], NUMBER, PARTNER)

    assert finding in " ".join(history.findings)
    assert bool(history.findings) is bool(finding)
    assert "P-7" in values(history, Question.WHO)


def test_a_number_that_tells_nothing_is_never_a_bare_header() -> None:
    history = build_history(
        [entry(5, EntryType.TIMESTAMP, None, detail_commitment=bytes(32))], NUMBER, PARTNER
    )

    assert history.findings == (
        "no entry of this number tells of a question: there are TIMESTAMP alone",
    )


def test_the_number_of_a_correction_tells_the_correction() -> None:
    facts = {"transaction_reference": "T-9999", "correction_kind": "WRONG_VALUE", "actor": "P-7"}

    history = build_history([entry(5, EntryType.CORRECTION, facts)], NUMBER, PARTNER)

    assert {"WRONG_VALUE", "P-7"} <= set(values(history, Question.AFTERWARDS))


def test_a_message_that_came_again_is_asked_once() -> None:
    copy = entry(2, EntryType.REFUSAL, {"reason": "ENVELOPE_REJECTED"}, EntryClass.DENIED)

    history = build_history([copy, *WHOLE], NUMBER, PARTNER)

    assert [line.label for line in history.answers[Question.WHO]].count("asked by") == 1
    assert "ENVELOPE_REJECTED" in values(history, Question.DECISION)


def test_what_is_handed_is_taken() -> None:
    leaf = encode(REQUEST.frame)

    (told,) = take([hand(3, leaf, b"c", None)], None)

    assert (told.index, told.frame, told.facts) == (3, REQUEST.frame, None)


@pytest.mark.parametrize(
    "entries",
    [
        None,
        [7],
        [{}],
        [{"index": -1}],
        [{"index": True, "leaf": ""}],
        [{"index": 1, "leaf": "§"}],
        [{"index": 1, "leaf": "AAAA"}],
        [{"index": 1, "leaf": "A" * 9000}],
        [{"index": 1, "leaf": 7}],
    ],
)
def test_what_nobody_handed_is_refused(entries: object) -> None:
    with pytest.raises(MalformedEntry):
        take(entries, None)
