"""Table 3.4 of law.md, and how soon "as soon as feasible" is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.correction import CorrectionKind, CorrectionOutcome
from gateway.domain.person import FieldCode
from gateway.law import correction_policy
from gateway.law.correction_policy import Use
from gateway.law.correction_text import Noted, note_to_file

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("replaced", [True, False])
def test_315_27_3_what_was_used_is_kept_with_a_note(replaced: bool) -> None:
    assert (
        correction_policy.outcome(Use.RECORDED, replaced=replaced)
        is CorrectionOutcome.USED_NOTE_TO_FILE
    )


def test_315_27_2_what_was_not_used_is_destroyed_or_replaced() -> None:
    assert correction_policy.outcome(Use.NONE, replaced=False) is CorrectionOutcome.DESTROYED
    assert correction_policy.outcome(Use.NONE, replaced=True) is CorrectionOutcome.CORRECTED


@pytest.mark.parametrize("replaced", [True, False])
def test_not_known_is_not_answered(replaced: bool) -> None:
    assert correction_policy.outcome(Use.UNKNOWN, replaced=replaced) is None


def test_a_partner_cannot_give_us_longer_than_our_own_rule() -> None:
    most = correction_policy.STANDARD.acknowledge

    assert correction_policy.due(NOW + timedelta(days=365), NOW) == NOW + most
    assert correction_policy.due(NOW + timedelta(hours=1), NOW) == NOW + timedelta(hours=1)
    assert correction_policy.due(NOW - timedelta(days=1), NOW) == NOW


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [correction_policy.pause(attempts) for attempts in range(12)]

    assert pauses[:4] == [timedelta(seconds=s) for s in (30, 30, 60, 120)]
    assert pauses[-1] == correction_policy.LONGEST_BACKOFF
    assert correction_policy.pause(10**6) == correction_policy.LONGEST_BACKOFF


def test_reminders_come_a_day_before_then_when_due_then_daily() -> None:
    due = NOW + timedelta(hours=72)

    assert correction_policy.reminder(NOW, due) == due - timedelta(hours=24)
    assert correction_policy.reminder(due - timedelta(hours=1), due) == due
    assert correction_policy.reminder(due, due) == due + timedelta(hours=24)


@pytest.mark.parametrize("kind", list(CorrectionKind))
def test_a_note_names_fields_and_never_values_in_both_languages(kind: CorrectionKind) -> None:
    noted = Noted("N-1", "AUS", "20260301-aa", kind, NOW, "R-1", (FieldCode.GENDER,))

    english, french = note_to_file(noted)

    for text in (english, french):
        assert all(word in text for word in ("N-1", "AUS", "20260301-aa", "R-1", "GENDER"))
        assert "315.27(3)" in text
    assert "administrative purpose" in english
    assert "fins administratives" in french
