"""Auditors read: the reason first, the entries sealed, and only with the auditor's role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, OperationRegistry
from gateway.errors import UserError
from gateway.ledger.entry import EntryType
from gateway.ledger.exchange_history import Question, build_history
from gateway.ledger.sealed_entries import take
from gateway.ledger_ops.audit_access import AuditAccess
from gateway.operations.declaration import Role
from keys.custody import FileCustody
from keys.keyset import Keyset

if TYPE_CHECKING:
    from tests.gateway.conftest import Pair, People

AUDITOR = Officer("A-1", frozenset({Role.AUDITOR}))


def registry(pair: Pair) -> OperationRegistry:
    return OperationRegistry(
        AuditAccess(
            pair.gateway.database, pair.gateway.sequencer, pair.gateway.keys.data_key
        ).handlers()
    )


def audit_key(pair: Pair) -> Any:
    custody = FileCustody.open(pair.home / "auditor" / "kek.json", b"the auditor's own")
    return Keyset.load(pair.home / "auditor" / "keyset.json", custody).audit_opening()


def test_a_transaction_is_read_and_told_and_the_reading_is_recorded_first(
    shared_pair: Pair, people: People
) -> None:
    answer = shared_pair.partner().query(people.samples(1), **people.matter())

    read = registry(shared_pair).perform(
        AUDITOR, "audit.transaction", {"transaction": answer.transaction_number, "reason": "case 7"}
    )

    told = take(read["entries"], audit_key(shared_pair))
    history = build_history(told, answer.transaction_number, str(read["partner"]))
    assert history.findings == ()
    assert [line.value for line in history.answers[Question.PURPOSE]][:1] == ["VISA_PERMIT_BENEFIT"]
    assert history.answers[Question.DESTRUCTION]
    assert any("ACTIVE" in line.value for line in history.answers[Question.KEYS])
    again = registry(shared_pair).perform(
        AUDITOR, "audit.queries", {"since": "2026-01-01T00:00:00+00:00", "reason": "case 7"}
    )
    assert {each.frame.type for each in take(again["entries"], None)} >= {
        EntryType.REQUEST,
        EntryType.RESPONSE,
    }
    assert shared_pair.gateway.sequencer.size > told[-1].index + 2


def test_without_the_key_the_gateway_hands_out_nothing_readable(
    shared_pair: Pair, people: People
) -> None:
    answer = shared_pair.partner().query(people.samples(1), **people.matter())

    read = registry(shared_pair).perform(
        AUDITOR, "audit.transaction", {"transaction": answer.transaction_number, "reason": "look"}
    )

    assert all(each.facts is None for each in take(read["entries"], None))
    assert answer.outcome.name not in str(read["entries"])


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"transaction": "T-00000001"}, "reason"),
        ({"transaction": "short", "reason": "x"}, "transaction"),
        ({"transaction": "T-00000001", "reason": "x", "partner": "aus"}, "partner"),
    ],
)
def test_a_reading_without_reason_or_form_is_refused(
    shared_pair: Pair, values: dict[str, object], word: str
) -> None:
    before = shared_pair.gateway.sequencer.size

    with pytest.raises(UserError, match=word):
        registry(shared_pair).perform(AUDITOR, "audit.transaction", values)

    assert shared_pair.gateway.sequencer.size == before


def test_who_is_no_auditor_reads_nothing(shared_pair: Pair) -> None:
    operator = Officer("O-1", frozenset(set(Role) - {Role.AUDITOR}))

    with pytest.raises(NotAllowed):
        registry(shared_pair).perform(
            operator, "audit.transaction", {"transaction": "T-00000001", "reason": "x"}
        )


def test_a_number_that_nobody_used_is_an_answer_and_a_record(shared_pair: Pair) -> None:
    before = shared_pair.gateway.sequencer.size

    read = registry(shared_pair).perform(
        AUDITOR, "audit.transaction", {"transaction": "T-nobody-1", "reason": "x"}
    )

    assert read["entries"] == []
    assert shared_pair.gateway.sequencer.size == before + 1


def test_a_reading_that_begins_with_a_later_page_is_recorded_too(shared_pair: Pair) -> None:
    """Whoever names a leaf to read on from would else read every query and leave no entry."""
    before = shared_pair.gateway.sequencer.size
    values = {"since": "2026-01-01T00:00:00+00:00", "after": 0, "reason": "case 7"}

    registry(shared_pair).perform(AUDITOR, "audit.queries", values)

    assert shared_pair.gateway.sequencer.size == before + 1
