"""Question 9, and the rule that a message which comes again is one question, whatever is asked of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.auditor.console.views import Wanted, search
from gateway.auditor.index import Index
from gateway.auditor.questions.destruction import destruction
from gateway.auditor.questions.quota import quota
from gateway.auditor.questions.rates import rates
from gateway.auditor.questions.refusals import PROTOCOL, refusals
from gateway.auditor.questions.subject import subject
from gateway.auditor.report.figures import figures
from gateway.auditor.result_table import Period
from gateway.law.agreement_library import packaged
from gateway.law.citations import citations
from gateway.ledger.entry import EntryClass, EntryType, Leaf
from tests.gateway.auditor.test_questions import ALL, HIT, agreed, entry
from tests.gateway.auditor.year import indexed, query

OWN = b"""[agreement]
id = "own"
version = 1
[answer.withheld.persecuted]
paragraph = "IRPR 315.41(3)"
"""
CITE = citations((*packaged().values(), OWN))
SPOILT = bytes(31) + b"\2"


def spoilt(hours: float, number: int = 1, reason: str = "ENVELOPE_REJECTED") -> Leaf:
    """Return the refusal of a copy whose bytes are other than those of the good one."""
    said = entry(
        EntryType.REFUSAL, hours, number, EntryClass.DENIED, reason=reason, why="signature"
    )
    return Leaf(replace(said.frame, transcript=SPOILT), said.detail)


def twice(*spoils: float) -> list[Leaf]:
    """Return one hit of person 77, its prints destroyed, and copies that were refused at some hours."""
    asked, answer = query(1, 1, subject="77", **HIT)
    gone = entry(EntryType.DESTRUCTION, 1)
    return [asked, gone, answer, *(spoilt(each) for each in spoils)]


def rows(index: Index, period: Period = Period()) -> list[dict[str, Any]]:  # noqa: B008 - frozen
    return list(refusals(index, period, CITE).documents())


@pytest.mark.parametrize("spoils", [(0.5,), (1.0001,), (9,), (0.5, 0.6), (0.5, 9)])
def test_a_message_that_comes_again_counts_once_everywhere(spoils: Sequence[float]) -> None:
    """A spoilt copy before the good one, beside it, after it: one question, one search, one person found."""
    with indexed(twice(*spoils)) as index:
        refused = rows(index)
        counted = {
            "quota": quota(index, Period(), {}).totals["queries"],
            "destruction": destruction(index, Period()).totals["searched"],
            "rates": rates(index, Period(), ("sex",), None).totals["searches"],
            "pack": len(subject(index, Period(), "77").table.rows),
            "console": len(search(index, Wanted("20260101-00000001"))),
        }
        report = figures(index, ALL, {}, CITE)
        raw = index.rows("SELECT closing, reason, destroyed_ms IS NOT NULL FROM exchanges")

    assert counted == dict.fromkeys(counted, 1)
    assert raw == [("ANSWERED", None, 1)]
    assert (report.received.total, report.became.total) == (None, None)  # small; not twice
    assert report.destruction.failed == 0
    assert [(row["what"], row["times"]) for row in refused] == [("copy refused", len(spoils))]


def test_of_ten_questions_with_spoilt_copies_the_report_counts_ten() -> None:
    said = [
        each
        for n in range(1, 11)
        for each in (spoilt(n, n), *query(n, n + 0.5, subject="7", **HIT))
    ]
    with indexed(said) as index:
        report = figures(index, ALL, {}, CITE)

    assert report.received.total == report.from_partners.total == report.became.total == 10
    assert report.refused.names in {(), ("refused",)}


def test_a_message_that_was_never_accepted_is_one_refusal_however_often_it_came() -> None:
    with indexed([spoilt(1), spoilt(2), spoilt(3), spoilt(4, 2)]) as index:
        told = rows(index)
        questions = index.rows("SELECT count(*) FROM exchanges")

    assert [(row["what"], row["times"]) for row in told] == [("refused", 3), ("refused", 1)]
    assert told[0]["ground"] == PROTOCOL
    assert questions == [(2,)]


def test_an_identifier_that_is_used_anew_is_another_question() -> None:
    said = [*query(1, 1, **HIT), *query(1, 50)]
    with indexed(said) as index:
        told = index.rows("SELECT closing, true_outcome FROM exchanges ORDER BY idx")

    assert told == [("ANSWERED", "MATCH"), ("ANSWERED", "NO_MATCH")]


def refused(reason: str, *, outbound: bool = False, **facts: str) -> list[Leaf]:
    """Return a question that was refused under au@1."""
    asked = query(1, 1, outbound=outbound)[0]
    if outbound:
        frame = replace(asked.frame, entry_class=EntryClass.DENIED, message_id=b"", transcript=b"")
        return agreed([Leaf(frame, {**(asked.detail or {}), "reason": reason, **facts})], 1)
    return agreed([entry(EntryType.REFUSAL, 1, 1, EntryClass.DENIED, reason=reason, **facts)], 1)


@pytest.mark.parametrize(
    ("said", "what", "ground", "paragraph"),
    [
        (
            refused("PURPOSE_NOT_PERMITTED", element="header.purpose"),
            *("refused", "au@1:answer.purposes", "IRPR 315.41(1)"),
        ),
        (refused("FIELD_NOT_PERMITTED"), "refused", "au@1:answer.fields", "IRPR 315.41(2)"),
        (refused("QUOTA_EXCEEDED"), "refused", "au@1:answer.quota", None),
        (refused("RECORD_UNPARSEABLE"), "refused", PROTOCOL, None),
        (
            refused("PERSECUTION_EXCLUSION", outbound=True, persecutors="AUS"),
            *("stopped", "au@1:ask.persecution", "IRPR 315.4(2)"),
        ),
        (
            refused("SUBJECT_OUT_OF_SCOPE", outbound=True, status_kind="CITIZEN"),
            *("stopped", "au@1:ask.scope", "IRPR 315.36"),
        ),
        (
            refused("PURPOSE_NOT_PERMITTED", outbound=True),
            *("stopped", "au@1:ask.purposes", "IRPR 315.4(1)"),
        ),
    ],
)
def test_each_refusal_has_its_ground_and_its_paragraph(
    said: list[Leaf], what: str, ground: str, paragraph: str | None
) -> None:
    with indexed(said) as index:
        (row,) = rows(index)

    assert (row["what"], row["ground"], row["paragraph"]) == (what, ground, paragraph)


def test_a_question_that_we_stopped_says_what_was_stated_of_the_person() -> None:
    said = refused(
        "PERSECUTION_EXCLUSION", outbound=True, persecutors="AUS", status_kind="CLAIMANT"
    )
    with indexed(said) as index:
        (row,) = rows(index)

    assert row["direction"] == "we asked"
    assert row["because"] == "status_kind CLAIMANT, persecutors AUS"


TRACE = "au@1:answer.purposes.VISA_PERMIT_BENEFIT,au@1:status,au@1:answer.reveal.CLAIMANT"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {
                "disclosed_outcome": "DISCLOSED",
                "fields": "LAST_NAME",
                "fields_withheld": "PHOTOGRAPH",
                "withheld": "PART",
                "ground": "NATIONAL_SECURITY",
                "policy_trace": f"{TRACE},au@1:answer.refusal",
            },
            ("partly refused", "NATIONAL_SECURITY", "kept back: PHOTOGRAPH", "IRPR 315.41(3)"),
        ),
        (
            {
                "disclosed_outcome": "DISCLOSED",
                "fields": "LAST_NAME",
                "fields_withheld": "PROTECTION_DECISION",
                "policy_trace": f"{TRACE},own@1:answer.withheld.persecuted",
            },
            (
                *("withheld", "own@1:answer.withheld.persecuted"),
                *("kept back: PROTECTION_DECISION", "IRPR 315.41(3)"),
            ),
        ),
        (
            {
                "true_outcome": "MATCH",
                "disclosed_outcome": "NO_MATCH",
                "why": "au@1:answer.persecution",
            },
            (
                *("masked", "au@1:answer.persecution"),
                *("MATCH not shown: au@1:answer.persecution", "IRPR 315.41(3)"),
            ),
        ),
        (
            {
                "disclosed_outcome": "UNAVAILABLE",
                "why": "the person may not be revealed today",
                "policy_trace": "au@1:status,au@1:answer.reveal.CITIZEN.ALWAYS",
            },
            (
                *("unavailable", "au@1:answer.reveal.CITIZEN.ALWAYS"),
                *("the person may not be revealed today", "IRPR 315.36"),
            ),
        ),
        (
            {
                "true_outcome": "MATCH",
                "disclosed_outcome": "REFUSED",
                "ground": "SOVEREIGNTY",
                "why": "au@1:answer.refusal",
            },
            ("refused", "SOVEREIGNTY", "au@1:answer.refusal", "IRPR 315.41(3)"),
        ),
        (
            {
                "true_outcome": "MATCH",
                "disclosed_outcome": "NO_MATCH",
                "why": "au@1:answer.reveal.CITIZEN.ALWAYS",
            },
            (
                *("masked", "au@1:answer.reveal.CITIZEN.ALWAYS"),
                *("MATCH not shown: au@1:answer.reveal.CITIZEN.ALWAYS", "IRPR 315.36"),
            ),
        ),
    ],
)
def test_an_answer_that_told_less_is_listed_with_its_ground(
    answer: dict[str, str], expected: tuple[str, ...]
) -> None:
    asked, told = query(1, 1)
    with indexed([asked, Leaf(told.frame, answer)]) as index:
        (row,) = rows(index)

    assert (row["what"], row["ground"], row["because"], row["paragraph"]) == expected


def test_what_disclosed_everything_is_not_listed() -> None:
    told = {"disclosed_outcome": "DISCLOSED", "fields": "LAST_NAME", "fields_withheld": ""}
    asked, answer = query(3, 3)
    disclosed = [asked, Leaf(answer.frame, told)]
    with indexed([*query(1, 1, **HIT), *query(2, 2), *disclosed]) as index:
        assert rows(index) == []


def test_what_a_partner_refuses_us_is_listed_too() -> None:
    said = query(
        1, 1, outbound=True, outcome_received="REFUSED", withheld="ALL", ground="SOVEREIGNTY"
    )
    with indexed(said) as index:
        (row,) = rows(index)

    assert (row["direction"], row["what"], row["ground"]) == ("we asked", "refused", "SOVEREIGNTY")


def test_a_no_to_a_partner_is_no_fault_of_ours() -> None:
    """What came after the first commit ends an attempt in an entry of class OTHER, whosever fault it was."""
    said = [
        *query(1, 1)[:1],
        entry(EntryType.REFUSAL, 1.1, 1, EntryClass.OTHER, reason="HIT_REFERENCE_SPENT"),
        *query(2, 2)[:1],
        entry(EntryType.REFUSAL, 2.1, 2, EntryClass.OTHER, reason="ENGINE_UNAVAILABLE"),
    ]
    with indexed(said) as index:
        told = [(row["what"], row["reason"]) for row in rows(index)]
        closings = index.rows("SELECT closing FROM exchanges ORDER BY idx")

    assert told == [("refused", "HIT_REFERENCE_SPENT"), ("not completed", "ENGINE_UNAVAILABLE")]
    assert closings == [("REFUSED",), ("OPEN",)]
