"""The hard cases of the questions: reviews, what was given back, numbers used twice, what can be read no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.auditor.questions.changes import changes
from gateway.auditor.questions.corrections import corrections
from gateway.auditor.questions.destruction import destruction
from gateway.auditor.questions.quota import quota
from gateway.auditor.questions.recall import recall
from gateway.auditor.questions.refusals import refusals
from gateway.auditor.questions.subject import subject
from gateway.auditor.report.figures import figures
from gateway.auditor.result_table import DAY_MS, Period
from gateway.domain.messages import Direction, Modality, Purpose
from gateway.errors import UserError
from gateway.exercises.bench.synthetic_events import BEGINS
from gateway.law.quota_policy import Quota, Quotas
from gateway.ledger import events
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from tests.gateway.auditor.year import indexed, query

PENDING = {"true_outcome": "REVIEW_PENDING", "disclosed_outcome": "REVIEW_PENDING"}
HIT = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH"}
RULE = "us-visa@1:answer.reveal.CITIZEN"
BEGUN = round(BEGINS.timestamp() * 1000)
ALL = Period(BEGUN, BEGUN + 400 * DAY_MS)


def entry(
    kind: EntryType,
    hours: float,
    number: int = 1,
    entry_class: EntryClass = EntryClass.OTHER,
    *,
    outbound: bool = False,
    partner: str = "AUS",
    **facts: str,
) -> Leaf:
    frame = Frame(
        type=kind,
        entry_class=entry_class,
        time=BEGINS + timedelta(hours=hours),
        partner_id=partner,
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        message_id=number.to_bytes(16, "big"),
        transcript=bytes(31) + b"\1",
        transaction_number=f"20260101-{number:08}",
        subject_reference="D-1" if kind is EntryType.DESTRUCTION else "",
    )
    return Leaf(frame, facts or None)


def reviewed(*then: Leaf) -> list[Leaf]:
    """Return a query that waits for an examiner, what came then, and an entry 300 days later."""
    late = entry(EntryType.START, 7200)
    start = Leaf(replace(late.frame, partner_id="", direction=None, message_id=b""), None)
    return [*query(1, 1, **PENDING), entry(EntryType.REVIEW, 1), *then, start]


def verdict(hours: float, number: int = 1, **facts: str) -> Leaf:
    return entry(EntryType.VERDICT, hours, number, **facts)


GONE = entry(EntryType.DESTRUCTION, 5)


@pytest.mark.parametrize(
    ("then", "finding"),
    [
        ([GONE, verdict(5, **HIT)], ""),
        ([verdict(3, verdict="SAME"), GONE, verdict(5, **HIT)], ""),
        ([GONE, entry(EntryType.ABANDONED, 5)], ""),
        ([verdict(3, verdict="SAME"), GONE, entry(EntryType.ABANDONED, 5)], ""),
        ([], "live on"),
        ([verdict(5, **HIT)], "live on"),
        ([entry(EntryType.ABANDONED, 5)], "live on"),
        ([verdict(4, **HIT), GONE], "destroyed after its review was over"),
        ([entry(EntryType.DESTRUCTION, 30), entry(EntryType.ABANDONED, 30)], "destroyed after"),
    ],
)
def test_prints_end_with_their_review(then: list[Leaf], finding: str) -> None:
    """A case that was decided or given up keeps nothing, and none waits longer than a day."""
    with indexed(reviewed(*then)) as index:
        table = destruction(index, Period())
        duty = figures(index, ALL, {}, lambda _: "").destruction

    assert (len(table.findings), duty.failed) == ((1, 1) if finding else (0, 0))
    assert finding in " ".join(table.findings)
    assert table.totals == {"searched": 1, "waiting_for_examiner": 0}


def test_prints_that_wait_for_an_examiner_today_are_no_finding() -> None:
    with indexed(reviewed(verdict(3, verdict="SAME"))[:-1]) as index:
        table = destruction(index, Period())

    assert (table.findings, table.totals["waiting_for_examiner"]) == ((), 1)


def test_a_match_that_the_law_hid_after_an_examiner_names_its_rule_and_its_day() -> None:
    hidden = {"true_outcome": "MATCH", "disclosed_outcome": "NO_MATCH", "why": RULE}
    said = reviewed(GONE, verdict(5, **hidden))
    with indexed(said) as index:
        (row,) = refusals(index, Period(), {RULE: "IRPR 315.36"}.__getitem__).documents()

    assert (row["paragraph"], row["what"], row["leaf"]) == ("IRPR 315.36", "masked", 4)
    assert row["time"] == (BEGINS + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_refusal_says_who_was_refused() -> None:
    said = [
        *query(1, 1)[:1],
        entry(EntryType.REFUSAL, 1.1, 1, EntryClass.DENIED, reason="QUOTA_EXCEEDED"),
        *query(2, 2, outbound=True)[:1],
        entry(EntryType.ANSWER_RECEIVED, 2.1, 2, EntryClass.DENIED, outbound=True, reason="NO"),
    ]
    with indexed(said) as index:
        rows = list(refusals(index, Period(), str).documents())

    assert [row["direction"] for row in rows] == ["they asked", "we asked"]


def test_an_answer_that_waits_for_their_examiner_is_not_the_last() -> None:
    asked = query(1, 1, outbound=True, outcome_received="REVIEW_PENDING")
    pending = Leaf(
        replace(asked[1].frame, entry_class=EntryClass.ACCEPTED), dict(asked[1].detail or {})
    )
    answer = entry(
        *(EntryType.ANSWER_RECEIVED, 9, 1, EntryClass.ANSWERED),
        outbound=True,
        outcome_received="MATCH",
    )
    given_up = entry(EntryType.ABANDONED, 9, 1, outbound=True)
    for then, told in (([], "OPEN"), ([answer], "MATCH"), ([given_up], "ABANDONED")):
        with indexed([asked[0], pending, *then]) as index:
            (row,) = subject(index, Period(), "", ("C-1",)).table.documents()
        assert row["told"] == told


def test_a_review_that_nobody_ended_is_no_answer() -> None:
    with indexed(reviewed(GONE, entry(EntryType.ABANDONED, 5))) as index:
        assert index.rows("SELECT closing FROM exchanges") == [("ABANDONED",)]
        assert figures(index, ALL, {}, str).became.total is None


def test_a_pack_of_an_abandoned_review_hides_no_match_and_counts_what_is_erased() -> None:
    ended = reviewed(GONE, entry(EntryType.ABANDONED, 5))
    ended[1] = Leaf(ended[1].frame, {**PENDING, "subject": "77"})
    with indexed(ended) as index:
        assert subject(index, Period(), "77").table.findings == ()
        assert index.rows("SELECT closed_idx, verdict_idx FROM exchanges") == [(2, None)]
    blind = [Leaf(each.frame, None) for each in ended]
    with indexed([*blind, *query(9, 9, **HIT)]) as index:
        assert subject(index, Period(), "99").unknown == 1


def test_the_first_answer_of_an_exchange_stays() -> None:
    """A copy of the message that is refused later is no second question; an end that nobody wrote changes nothing."""
    told = "SELECT closing, true_outcome FROM exchanges ORDER BY idx"
    copy = entry(EntryType.REFUSAL, 4, 1, EntryClass.DENIED, reason="REPLAYED")
    with indexed([*query(1, 1, **HIT), copy]) as index:
        assert index.rows(told) == [("ANSWERED", "MATCH")]
    with indexed([*query(1, 1, **HIT), entry(EntryType.ABANDONED, 5)]) as index:
        assert index.rows(told) == [("ANSWERED", "MATCH")]


def shredded(number: int) -> list[Leaf]:
    """Return a query whose details nobody can open."""
    return [Leaf(each.frame, None) for each in query(number, number)]


def test_a_pack_does_not_say_never_where_nobody_knows_any_more() -> None:
    said = [*shredded(1), *query(2, 50, subject="77", **HIT)]
    with indexed(said) as index:
        unknown = subject(index, Period(), "99")
        later = subject(index, Period(BEGUN + DAY_MS), "99")

    english, french = (unknown.texts((each,))[f"{each}.txt"].decode() for each in ("en", "fr"))
    assert "no longer known" in english
    assert "On ne sait" in french
    assert "erased or sealed" in unknown.table.findings[0]
    assert (later.unknown, later.table.findings) == (0, ())
    assert "no longer known" not in later.texts(("en",))["en.txt"].decode()


def test_a_pack_is_in_words_and_french_cites_the_reglement() -> None:
    fields = {"fields": "LAST_NAME,DATE_OF_BIRTH", "paragraph": "IRPR 315.41(2)(a)"}
    with indexed(query(1, 1, subject="77", **fields, **HIT)) as index:
        texts = subject(index, Period(), "77").texts(("en", "fr"))

    assert "last name, date of birth" in texts["en.txt"].decode()
    french = texts["fr.txt"].decode()
    assert "nom de famille, date de naissance" in french
    assert "RIPR 315.41(1)a)" in french
    assert "IRPR" not in french
    assert ": " not in french.replace("\u00a0: ", "")


def correction(hours: float, number: int = 1, **more: Any) -> Leaf:
    return entry(EntryType.CORRECTION, hours, number, outbound=True, **more)


def delivered(hours: float, number: int = 1) -> Leaf:
    return entry(EntryType.CORRECTION, hours, number, EntryClass.ANSWERED, outbound=True)


def acknowledged(hours: float, number: int = 1) -> Leaf:
    return entry(EntryType.ACKNOWLEDGEMENT, hours, number, EntryClass.ACCEPTED)


@pytest.mark.parametrize(
    ("said", "late"),
    [
        ([correction(0), delivered(23), acknowledged(71)], False),
        ([correction(0), delivered(25), acknowledged(71)], True),
        ([correction(0), delivered(1), acknowledged(73)], True),
        ([correction(0), delivered(1), delivered(100)], True),
    ],
)
def test_a_correction_is_due_in_a_day_and_acknowledged_in_three(
    said: list[Leaf], late: bool
) -> None:
    with indexed(said) as index:
        (row,) = corrections(index, Period()).documents()

    assert row["late"] is late


def test_a_partner_does_not_settle_our_correction_by_one_of_its_own() -> None:
    """Under our number, or another partner's: who tells whom is part of which correction it is."""
    ours = [correction(0), delivered(1)]
    theirs = [
        entry(EntryType.CORRECTION, 2, 1, EntryClass.ACCEPTED),
        entry(EntryType.ACKNOWLEDGEMENT, 3, 1, outbound=True),
        entry(EntryType.CORRECTION, 4, 1, EntryClass.ACCEPTED, partner="USA"),
        entry(EntryType.ACKNOWLEDGEMENT, 5, 1, partner="USA", outbound=True),
    ]
    with indexed([*ours, *theirs, delivered(500, 2)]) as index:
        rows = list(corrections(index, Period()).documents())

    told = [(row["partner"], row["way"], row["acknowledged"] is None) for row in rows]
    assert told == [("AUS", "sent", True), ("AUS", "received", False), ("USA", "received", False)]
    assert [row["late"] for row in rows] == [True, False, False]


def test_what_was_opened_before_the_period_and_is_still_late_is_listed() -> None:
    said = [correction(0), delivered(1), correction(2, 2), delivered(3, 2), acknowledged(99, 2)]
    with indexed([*said, correction(300, 3)]) as index:
        rows = list(corrections(index, Period(BEGUN + 10 * DAY_MS), late=True).documents())

    assert [row["correction"] for row in rows] == ["20260101-00000001"]


def agreed(said: list[Leaf], version: int) -> list[Leaf]:
    return [
        Leaf(replace(each.frame, agreement_id="au", agreement_version=version), each.detail)
        for each in said
    ]


def test_what_the_gateway_gave_back_is_not_counted_and_each_version_has_its_limit() -> None:
    poor = {"true_outcome": "QUALITY_INSUFFICIENT", "disclosed_outcome": "QUALITY_INSUFFICIENT"}
    said = [
        *(each for n in (1, 2) for each in agreed(query(n, n), 1)),
        *agreed(query(3, 3, **poor), 1),
        *agreed([*query(5, 1, **PENDING), entry(EntryType.REVIEW, 1, 5)], 2),
        *agreed([verdict(2, number=5, **poor)], 2),
        *agreed(query(4, 4)[:1], 1),
        entry(EntryType.ABANDONED, 5, 4),
        *(each for n in (11, 12, 13) for each in agreed(query(n, 20 + n), 2)),
        *(each for n in (21, 22, 23) for each in agreed(query(n, n - 20, outbound=True), 1)),
    ]
    three, two = (Quotas(Quota(each, 100)) for each in (3, 2))
    limits = {("au", 1, 1): three, ("au", 2, 1): three, ("au", 1, 2): Quotas(Quota(9, 90))}
    with indexed(said) as index:
        table = quota(index, Period(), limits)
        (use,) = figures(index, ALL, limits, str).quota
        lower = quota(index, Period(), {**limits, ("au", 2, 1): two})

    rows = [tuple(row.values())[2:] for row in table.documents()]
    assert rows == [
        (
            "they asked",
            "VISA_PERMIT_BENEFIT",
            3,
            None,
            3,
            None,
        ),  # an examiner's INCONCLUSIVE counts
        ("they asked", "ALL", 3, 3, 3, 100),
        ("we asked", "VISA_PERMIT_BENEFIT", 3, None, 3, None),
        ("we asked", "ALL", 3, 9, 3, 90),
        ("they asked", "VISA_PERMIT_BENEFIT", 3, None, 6, None),
        ("they asked", "ALL", 3, 3, 6, 100),
    ]
    assert (table.findings, use.over) == ((), 0)
    assert len(lower.findings) == 1


def used(number: int, hours: float, purpose: str, *, outbound: bool = False) -> list[Leaf]:
    """Return a query for a purpose under au@1, and its answer."""
    asked, told = query(number, hours, outbound=outbound)
    return agreed([Leaf(asked.frame, {**(asked.detail or {}), "purpose": purpose}), told], 1)


def test_purposes_are_summed_against_the_limit_that_binds_them_all() -> None:
    """Two for visas of two, two for travel of any: four of three, and no purpose by itself went over."""
    limits = {("au", 1, 1): Quotas(Quota(3, 100), {Purpose.VISA_PERMIT_BENEFIT: Quota(2, 50)})}
    purposes = ("VISA_PERMIT_BENEFIT", "TRAVEL_ENTER_REMAIN")
    said = [each for n in range(4) for each in used(n + 1, n, purposes[n % 2])]
    with indexed(said) as index:
        table = quota(index, Period(), limits)
        report = figures(index, ALL, limits, str)

    told = {row["purpose"]: (row["used"], row["agreed_per_day"]) for row in table.documents()}
    assert told == {purposes[1]: (2, None), purposes[0]: (2, 2), "ALL": (4, 3)}
    (finding,) = table.findings
    assert "AUS asked 4 times for all purposes together; 3 were agreed" in finding
    assert [(use.purpose, use.over) for use in report.quota] == [("ALL", 1), (purposes[0], 0)]


def test_the_year_is_counted_from_its_first_day_and_ends_with_it() -> None:
    """Ten days of two, six of a year: the year's limit goes on the fourth day, whatever day is asked about."""
    limits = {("au", 1, 1): Quotas(Quota(2, 6))}
    days = [each for n in range(20) for each in used(n + 1, n * 12, "VISA_PERMIT_BENEFIT")]
    later = used(99, 24 * 365, "VISA_PERMIT_BENEFIT")
    with indexed([*days, *later]) as index:
        whole = quota(index, Period(), limits)
        last = quota(index, Period(BEGUN + 9 * DAY_MS), limits)

    assert [row["used_in_year"] for row in whole.documents() if row["purpose"] == "ALL"] == [
        *range(2, 21, 2),
        1,
    ]
    assert whole.findings == ("2026: AUS asked 8 times for all purposes together; 6 were agreed",)
    assert [(row["day"], row["used_in_year"]) for row in last.documents()][1] == ("2026-01-10", 20)
    assert last.totals == {"queries": 3}


def test_what_we_ask_has_limits_too_and_what_was_stopped_left_nothing() -> None:
    limits = {("au", 1, 2): Quotas(Quota(1, 100))}
    stopped = used(9, 3, "VISA_PERMIT_BENEFIT", outbound=True)[0]
    frame = replace(stopped.frame, message_id=b"", entry_class=EntryClass.DENIED)
    said = [
        *used(1, 1, "VISA_PERMIT_BENEFIT", outbound=True),
        *used(2, 2, "VISA_PERMIT_BENEFIT", outbound=True)[:1],  # refused by them: it left
        entry(EntryType.ANSWER_RECEIVED, 2.1, 2, EntryClass.DENIED, outbound=True, reason="NO"),
        Leaf(frame, {**(stopped.detail or {}), "reason": "PERSECUTION_EXCLUSION"}),
        *details(5, 4, about=1),
    ]
    with indexed(said) as index:
        table = quota(index, Period(), limits)
        report = figures(index, ALL, limits, str)

    assert [row["used"] for row in table.documents()] == [2, 2]
    assert table.findings == (
        "2026-01-01: we asked AUS 2 times for all purposes together; 1 were agreed",
    )
    assert sum(each or 0 for each in report.sent.counts) == 0  # withheld: fewer than ten
    assert report.quota == ()


def details(number: int, hours: float, about: int) -> list[Leaf]:
    """Return a request of ours for fields of an earlier match: no query, and no quota is spent on it."""
    asked, told = query(number, hours, outbound=True, outcome_received="DISCLOSED")
    reference = {"transaction_reference": f"20260101-{about:08}", "fields": "LAST_NAME"}
    return [Leaf(each.frame, {**(each.detail or {}), **reference}) for each in (asked, told)]


def test_the_report_counts_what_left() -> None:
    """Twelve of ours left; three were stopped by our own law, and two asked for details of a match."""
    left = [each for n in range(12) for each in query(n + 1, n, outbound=True)]
    stopped = [
        Leaf(replace(each.frame, message_id=b"", entry_class=EntryClass.DENIED), each.detail)
        for n in range(3)
        for each in query(50 + n, n, outbound=True)[:1]
    ]
    with indexed([*left, *stopped, *details(90, 1, 1), *details(91, 2, 2)]) as index:
        report = figures(index, ALL, {}, str)

    assert (report.sent.total, report.to_partners.total) == (12, 12)


def test_poor_prints_are_given_back_up_to_an_allowance() -> None:
    """Of twelve a day ten are given back: the limit of a day is small, so the allowance is its least."""
    poor = {"true_outcome": "QUALITY_INSUFFICIENT", "disclosed_outcome": "QUALITY_INSUFFICIENT"}
    said = [each for n in range(12) for each in agreed(query(n + 1, n, **poor), 1)]
    with indexed(said) as index:
        table = quota(index, Period(), {("au", 1, 1): Quotas(Quota(30, 100))})

    assert [row["used"] for row in table.documents()] == [2, 2]


def test_answers_that_can_be_read_no_more_are_not_said_to_be_none() -> None:
    said = [*shredded(1), *query(2, 50, calibration="iris-2", **HIT)]
    with indexed(said) as index:
        gone = recall(index, Period(), "minutiae@1")
        assert (len(gone.rows), "sealed or shredded" in gone.findings[0]) == (0, True)
        with pytest.raises(UserError, match="there are: iris-2"):
            recall(index, Period(BEGUN + DAY_MS), "minutiae@1")
        assert recall(index, Period(BEGUN + DAY_MS), "iris-2").findings == ()


@pytest.mark.parametrize(
    "named", ["faces-a", "faces-b", "faces-b-1", "minutiae", "faces-a-1+faces-b-1"]
)
def test_every_calibration_that_an_answer_rests_on_recalls_it(named: str) -> None:
    """Modalities stand apart by a comma, models or coders of one by a plus."""
    said = query(1, 1, calibration="minutiae@1,faces-a-1+faces-b-1", **HIT)
    with indexed(said) as index:
        assert len(recall(index, Period(), named).rows) == 1
        with pytest.raises(UserError, match="no answer was given by faces-c"):
            recall(index, Period(), "faces-c")


def test_a_calibration_that_was_adopted_and_decided_nothing_recalls_no_answer() -> None:
    adopted = events.calibration_adoption(
        Modality.FACE,
        "facenet512",
        "fitted in spring",
        {"actor": "olga", "approver": "otto"},
        named="faces-own-1+abababab",
        digest="ab" * 32,
    )
    when = replace(adopted, frame=replace(adopted.frame, time=BEGINS + timedelta(hours=1)))
    with indexed([when, *query(1, 2, calibration="minutiae@1", **HIT)]) as index:
        told = recall(index, Period(), "faces-own-1")
        with pytest.raises(UserError, match=r"there are: minutiae@1, faces-own-1\+abababab"):
            recall(index, Period(), "faces-own-2")

    assert (len(told.rows), told.totals) == (0, {"answers": 0, "matches": 0})


def test_a_number_of_two_partners_needs_the_partners_name() -> None:
    said = [*query(1, 1), *query(1, 9, partner="USA")]
    with indexed(said) as index:
        with pytest.raises(UserError, match="AUS, USA"):
            changes(index, "20260101-00000001", 3_600_000)
        told = changes(index, "20260101-00000001", 3_600_000, "USA")

    assert told.totals["time"] == (BEGINS + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_time_of_answers_says_nothing_of_a_number_that_is_withheld() -> None:
    """Twenty answers or more have a median, so a median would say that there were twenty."""
    said = [
        each
        for day, count in enumerate((1, 20, 40, 40))
        for n in range(count)
        for each in query(1000 * day + n + 1, 24 * day + n / 10, **HIT)
    ]
    with indexed(said) as index:
        found = figures(index, Period(BEGUN, BEGUN + 4 * DAY_MS), {}, str)

    assert found.received.counts == (None, None, 40, 40)
    assert [each.half is None for each in found.pace] == [True, True, False, False]


def of_gateway(kind: EntryType, hours: float, of: str = "", **facts: str) -> Leaf:
    """Return an entry that is about nobody's message."""
    frame = Frame(
        type=kind,
        entry_class=EntryClass.OTHER,
        time=BEGINS + timedelta(hours=hours),
        subject_reference=of,
    )
    return Leaf(frame, facts)


def test_changes_say_who_was_let_in_and_what_changed_of_the_person_of_the_exchange() -> None:
    changed = {
        "state_before": "FOREIGN_NATIONAL",
        "state_after": "CLAIMANT",
        "fields_before": "LAST_NAME",
        "fields": "LAST_NAME,ALIAS",
        "fields_changed": "STATUS,NATIONALITIES,PERSECUTORS,ALIAS",
    }
    said = [
        of_gateway(EntryType.STAFF, 1, "ab" * 32, actor="O-1", person="P-9", roles="caseworker"),
        of_gateway(EntryType.UPDATED, 2, "S-77", actor="R-1", subject="77", **changed),
        of_gateway(
            EntryType.UPDATED, 3, "S-78", actor="R-1", subject="78", fields_changed="GENDER"
        ),
        *query(1, 4, subject="77", **HIT),
    ]
    with indexed(said) as index:
        staff, person = changes(index, "20260101-00000001", 24 * 3_600_000).documents()
    with indexed(said, opened=False) as index:
        sealed = changes(index, "20260101-00000001", 24 * 3_600_000)

    assert (staff["who"], staff["change"]) == ("O-1", "person P-9, roles caseworker")
    assert (person["of"], person["who"]) == ("S-77", "R-1")
    assert person["change"] == (
        "state_before FOREIGN_NATIONAL, state_after CLAIMANT, fields_before LAST_NAME,"
        " fields LAST_NAME,ALIAS, fields_changed STATUS,NATIONALITIES,PERSECUTORS,ALIAS"
    )
    assert len(sealed.rows) == 3  # whom it is about is sealed, so all of them may be
