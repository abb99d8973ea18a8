"""What an auditor is told of Canada's own questions, asked of a real partner: as much as of anybody's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.auditor.index import Index
from gateway.auditor.questions.changes import changes
from gateway.auditor.questions.refusals import refusals
from gateway.auditor.questions.subject import subject
from gateway.auditor.result_table import Period
from gateway.domain.person import SubjectKind
from gateway.law.citations import citations
from gateway.ledger.exchange_history import ExchangeHistory, Question, build_history
from gateway.operations.declaration import Role
from gateway.store.people import subjects
from keys.custody import FileCustody
from keys.keyset import Keyset
from tests.gateway import ledger_reading
from tests.gateway.casework.outbound_requests import record

REGISTRAR = Officer("R-1", frozenset({Role.REGISTRAR}))


@contextmanager
def read(side: Any) -> Iterator[tuple[Index, Callable[[str], str]]]:
    """Open a gateway's ledger as its auditor does."""
    custody = FileCustody.open(side.home / "auditor" / "kek.json", b"the auditor's own")
    ring = Keyset.load(side.home / "auditor" / "keyset.json", custody).audit_ring()
    with ledger_reading.read(side.home) as stored, Index.passing() as index:
        index.extend(stored, ring)
        yield index, citations(stored.agreements().values())


def told(side: Any, number: str) -> ExchangeHistory:
    with read(side) as (index, cite):
        return build_history(index.of_transaction(number, "AUS"), number, "AUS", cite)


def said(history: ExchangeHistory, question: Question) -> dict[str, str]:
    return {line.label: line.value for line in history.answers[question]}


def test_our_own_question_is_told_in_full_and_is_in_the_pack_of_the_person(
    sides: Any, ask: Any
) -> None:
    """Officer, unit, case, purpose, outcome, who saw it, use, and by which paragraph; then the person's own copy."""
    can, aus = sides
    record(aus, b"1990-01-01")
    number = ask(1, subject="P-1")["number"]
    can.act("asked.show", number=number)
    fields = ["DATE_OF_BIRTH", "LAST_NAME"]
    can.act("asked.details", number=number, fields=fields, case="C-17", unit="U-3")
    can.act("use.record", number=number, used_in="R-1")

    history = told(can, number)

    assert history.findings == ()
    who, purpose = said(history, Question.WHO), said(history, Question.PURPOSE)
    assert (who["we asked"], who["our officer"], who["unit"]) == ("AUS", "P-7", "U-3")
    assert (purpose["purpose"], purpose["case"]) == ("VISA_PERMIT_BENEFIT", "C-17")
    assert said(history, Question.CONTENT)["outcome told to us"] == "MATCH"
    assert any(line.paragraph == "IRPR 315.4(1)(a)" for line in history.answers[Question.DECISION])
    assert said(history, Question.DECISION)["answered by AUS"] == "MATCH"
    assert said(history, Question.DESTRUCTION)["receipt of AUS for its destruction"].startswith(
        "D-"
    )
    after = said(history, Question.AFTERWARDS)
    assert {"use", "answer shown", "asked", "answer received"} <= after.keys()
    assert after["shown to"] == "P-7"
    assert (after["used in"], after["fields"]) == ("R-1", "DATE_OF_BIRTH")

    with can.gateway.database.reader() as reader:
        found = subjects.find(reader, "P-1")
    with read(can) as (index, cite):
        pack = subject(index, Period(), str(found), (), cite)
        details = index.rows("SELECT operation FROM exchanges ORDER BY idx")
    document = json.loads(pack.texts(("en",))["exchanges.json"])
    asked, sought = document["exchanges"]
    assert (asked["direction"], asked["told"]) == ("we asked", "MATCH")
    assert sought["fields"] == [{"field": "DATE_OF_BIRTH", "paragraph": "IRPR 315.41(2)(a)"}]
    assert sought["not_disclosed"] == ["LAST_NAME"]
    assert details == [("SUBMIT_QUERY",), ("REQUEST_HIT_DETAILS",)]


@pytest.mark.parametrize(
    ("other", "reason", "paragraph"),
    [
        (
            {"status": "CLAIMANT", "alleged_persecution_region_codes": "IRN,AUS"},
            *("PERSECUTION_EXCLUSION", "IRPR 315.4(2)"),
        ),
        ({"purpose": "CITIZENSHIP"}, "PURPOSE_NOT_PERMITTED", "IRPR 315.4(1)"),
        ({"status": "CITIZEN", "nationalities": "CAN"}, "SUBJECT_OUT_OF_SCOPE", "IRPR 315.36"),
    ],
)
def test_a_question_that_our_law_stopped_is_told_with_the_paragraph_that_stopped_it(
    sides: Any, ask: Any, other: dict[str, str], reason: str, paragraph: str
) -> None:
    can, _ = sides
    number = ask(1, **other)["number"]
    with read(can) as (index, cite):
        (row,) = refusals(index, Period(), cite).documents()

    assert row["transaction"] == number
    history = told(can, number)

    assert (row["what"], row["reason"], row["paragraph"]) == ("stopped", reason, paragraph)
    stopped = history.answers[Question.DECISION][0]
    assert (stopped.value, stopped.paragraph) == (reason, paragraph)
    assert said(history, Question.WHO)["we asked"] == "AUS; nothing was sent"
    assert said(history, Question.WHO)["our officer"] == "P-7"
    assert history.findings == ()


def test_a_partner_is_told_less_and_the_auditor_all_of_it(sides: Any, ask: Any) -> None:
    """A ground, a field that is kept back, a person who was hidden meanwhile: each in the answering gateway's list."""
    can, aus = sides
    record(aus, b"1990-01-01")
    number = ask(1)["number"]
    words = {"scope": "PART", "fields": ["LAST_NAME"], "ground": "PUBLIC_POLICY"}
    aus.act("decision.refuse", person="P-1", reason="inquiry 4", **words)
    fields = ["LAST_NAME", "DATE_OF_BIRTH"]
    can.act("asked.details", number=number, fields=fields, case="C-17", unit="U-3")
    record(aus, b"1990-01-01", kind=SubjectKind.CITIZEN)
    can.act("asked.details", number=number, fields=fields, case="C-17", unit="U-3")

    with read(aus) as (index, cite):
        rows = list(refusals(index, Period(), cite).documents())
    with read(can) as (index, cite):
        ours = list(refusals(index, Period(), cite).documents())

    listed = [(row["what"], row["ground"], row["paragraph"], row["because"]) for row in rows]
    assert listed[0] == (
        "partly refused",
        "PUBLIC_POLICY",
        "IRPR 315.41(3)",
        "kept back: LAST_NAME",
    )
    assert (listed[1][0], listed[1][2]) == ("unavailable", "IRPR 315.36")
    assert [(row["what"], row["ground"]) for row in ours] == [
        ("partly refused", "PUBLIC_POLICY"),
        ("unavailable", None),
    ]


def test_what_changed_of_a_person_before_an_exchange_is_told_by_name(sides: Any, ask: Any) -> None:
    can, _ = sides
    row = {"reference": "P-1", "status": "FOREIGN_NATIONAL", "nationalities": "SYR"}
    can.act("registry.import", REGISTRAR, rows=[{**row, "LAST_NAME": "Known"}])
    change = {"persecutors": "IRN", "nationalities": "SYR IRQ", "LAST_NAME": "", "ALIAS": "Other"}
    can.act("registry.update", REGISTRAR, reference="P-1", changes=[change])
    number = ask(1, subject="P-1")["number"]

    with read(can) as (index, _):
        told_of = list(changes(index, number, 3_600_000).documents())

    (last,) = [row["change"] for row in told_of if row["what"] == "UPDATED"][-1:]
    assert "fields_before LAST_NAME, fields ALIAS" in str(last)
    assert "NATIONALITIES,PERSECUTORS" in str(last)
    assert str(last).endswith("LAST_NAME,ALIAS")
    for value in ("Known", "Other", "IRN", "IRQ"):
        assert value not in json.dumps(told_of, default=str)
