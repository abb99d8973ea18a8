"""A key that is gone was shredded by an entry, or somebody destroyed a detail on the quiet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, sampled_from, tuples

from gateway.ledger.crypto_shredding import (
    CLASS_OF,
    LEFT_BEHIND,
    Erased,
    Shreds,
    read_erased,
    read_left_behind,
)
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.sequence_rules import AdminRules
from gateway.ledger.verify import verify_log


def frame(kind: EntryType, reference: str) -> Frame:
    return Frame(type=kind, entry_class=EntryClass.OTHER, subject_reference=reference)


def verdict(ledger: Any, missing: set[int]) -> list[str]:
    report = verify_log(
        ledger.leaves,
        ledger.notes,
        ledger.log,
        ledger.details.get,
        lambda index: index in ledger.details and index not in missing,
    )
    return [finding.text for finding in report.findings]


def test_a_ledger_with_all_its_keys_is_whole(ledger: Any) -> None:
    assert verdict(ledger, set()) == []


def test_a_detail_that_was_shredded_by_an_entry_is_no_finding(ledger: Any) -> None:
    """ledger.md 9: every missing key has its entry."""
    gone = [index for index in ledger.details if index <= 4]
    told = Erased("EXCHANGE_DETAIL", len(gone), gone[0], gone[-1])
    ledger.commit(frame(EntryType.RETENTION, told.reference()))

    assert verdict(ledger, set(gone)) == []


def test_a_detail_destroyed_on_the_quiet_is_found(ledger: Any) -> None:
    first = min(ledger.details)

    assert "lost its key" in verdict(ledger, {first})[0]


def test_one_key_more_than_was_accounted_for_is_found(ledger: Any) -> None:
    """Inside a range that an entry names, too: the counts must add up."""
    gone = sorted(ledger.details)[:3]
    told = Erased("EXCHANGE_DETAIL", 2, gone[0], gone[-1])
    ledger.commit(frame(EntryType.RETENTION, told.reference()))

    assert "3 are gone" in verdict(ledger, set(gone))[0]
    assert verdict(ledger, {gone[0], gone[-1]}) == []


def test_a_key_that_came_back_is_found(ledger: Any) -> None:
    """A backup put in the place of the store revives what was shredded."""
    gone = sorted(ledger.details)[:2]
    ledger.commit(frame(EntryType.RETENTION, Erased("EXCHANGE_DETAIL", 2, *gone).reference()))

    assert "1 are gone" in verdict(ledger, {gone[0]})[0]


def test_an_entry_of_another_class_accounts_for_nothing(ledger: Any) -> None:
    gone = min(ledger.details)
    ledger.commit(frame(EntryType.RETENTION, Erased("OFFICE_DETAIL", 1, gone, gone).reference()))

    assert len(verdict(ledger, {gone})) == 2


@given(lists(tuples(sampled_from(EntryType), booleans()), max_size=40))
def test_whatever_is_told_truly_is_no_finding(leaves: list[tuple[EntryType, bool]]) -> None:
    shreds = Shreds()
    for index, (kind, there) in enumerate(leaves):
        shreds.key(index, kind, there=there)
    for kept in set(CLASS_OF.values()):
        gone = [i for i, (kind, there) in enumerate(leaves) if CLASS_OF[kind] == kept and not there]
        if gone:
            shreds.erased(Erased(kept, len(gone), gone[0], gone[-1]))

    assert list(shreds.end()) == []


@given(sampled_from(["REPLY", "TRANSACTION"]), integers(1, 10**9))
def test_what_was_erased_is_read_as_it_was_written(kept: str, count: int) -> None:
    told = Erased(kept, count)

    assert read_erased(frame(EntryType.RETENTION, told.reference())) == told


@pytest.mark.parametrize(
    "reference",
    [
        *("", "REPLY", "REPLY/0", "REPLY/1-2/1", "EXCHANGE_DETAIL/3", "OFFICE_DETAIL/5-4/1"),
        *("EXCHANGE_DETAIL/1-2/3", "reply/1", "REPLY/01", "REPLY/1/"),
    ],
)
def test_what_cannot_be_checked_is_a_finding(reference: str) -> None:
    assert list(AdminRules().read(frame(EntryType.RETENTION, reference))) == [
        "a RETENTION that does not say what was erased"
    ]


HOLD, REFUSAL, ASKED = "H-" + "0" * 16, "R-" + "0" * 16, "P-" + "0" * 16


def life(*verbs: str) -> list[tuple[EntryType, str]]:
    return [(EntryType.PROPOSAL, f"{verb}/{ASKED}") for verb in verbs]


@pytest.mark.parametrize(
    ("entries", "faults"),
    [
        ([(EntryType.HOLD, f"PLACE/{HOLD}"), (EntryType.HOLD, f"RELEASE/{HOLD}")], 0),
        ([(EntryType.HOLD, f"RELEASE/{HOLD}")], 1),
        ([(EntryType.HOLD, f"PLACE/{HOLD}")] * 2, 1),
        ([(EntryType.HOLD, "PLACE/P-1")], 1),
        ([(EntryType.HOLD, f"PLACE_ALL/{HOLD}"), (EntryType.RETENTION, "REPLY/3")], 1),
        ([(EntryType.HOLD, f"PLACE/{HOLD}"), (EntryType.RETENTION, "REPLY/3")], 0),
        ([(EntryType.DECISION, f"REFUSE/{REFUSAL}"), (EntryType.DECISION, f"LIFT/{REFUSAL}")], 0),
        ([(EntryType.DECISION, f"LIFT/{REFUSAL}")], 1),
        ([(EntryType.ALARM, "RAISE/REPLY"), (EntryType.ALARM, "RAISE/REPLY")], 1),
        ([(EntryType.ALARM, "CLEAR/REPLY")], 1),
        ([(EntryType.ALARM, "RAISE/REPLY"), (EntryType.ALARM, "CLEAR/REPLY")] * 2, 0),
        ([(EntryType.ALARM, "whatever else alarms")], 0),
        (life("PROPOSED", "REFUSED", "APPROVED", "EXECUTED"), 0),
        (life("PROPOSED", "APPROVED", "FAILED"), 0),
        (life("PROPOSED", "EXPIRED"), 0),
        (life("PROPOSED", "EXECUTED"), 1),  # done without a second person
        (life("APPROVED"), 1),
        (life("PROPOSED", "APPROVED", "EXECUTED", "APPROVED"), 1),
        (life("PROPOSED", "REJECTED", "APPROVED"), 1),
        (life("PROPOSED", "PROPOSED"), 1),
        (life("PROPOSED", "REJECTED", "REFUSED"), 1),
        (life("PROPOSED", "BLESSED"), 1),
        ([(EntryType.PROPOSAL, "")], 1),
    ],
)
def test_what_begins_ends_once(entries: list[tuple[EntryType, str]], faults: int) -> None:
    orders = AdminRules()

    found = [text for kind, what in entries for text in orders.read(frame(kind, what))]

    assert len(found) == faults


def test_a_released_hold_lets_erasures_go_on(ledger: Any) -> None:
    for kind, what in (
        (EntryType.HOLD, f"PLACE_ALL/{HOLD}"),
        (EntryType.HOLD, f"RELEASE/{HOLD}"),
        (EntryType.RETENTION, "REPLY/1"),
    ):
        ledger.commit(replace(frame(kind, what)))

    assert verdict(ledger, set()) == []


def test_keys_that_a_restore_left_behind_are_named_and_no_fault(ledger: Any) -> None:
    before = set(ledger.details)
    ledger.commit(frame(EntryType.RESTORE, f"{LEFT_BEHIND}{len(ledger.leaves)}"))

    assert [text for text in verdict(ledger, before) if "left behind" not in text] == []
    assert len(verdict(ledger, before)) == 1


def test_a_key_that_comes_back_after_it_was_left_behind_is_found(ledger: Any) -> None:
    before = set(ledger.details)
    ledger.commit(frame(EntryType.RESTORE, f"{LEFT_BEHIND}{len(ledger.leaves)}"))

    assert any("are gone" in text for text in verdict(ledger, before - {min(before)}))


@pytest.mark.parametrize("said", [1, 10_000])
def test_a_restore_excuses_no_other_keys_than_those_before_it(ledger: Any, said: int) -> None:
    ledger.commit(frame(EntryType.RESTORE, f"{LEFT_BEHIND}{said}"))

    assert any("did not restore" in text for text in verdict(ledger, set()))


@pytest.mark.parametrize(
    "reference", ["", "KEYS_LEFT_BEHIND/", "KEYS_LEFT_BEHIND/0", "KEYS_LEFT_BEHIND/x"]
)
def test_only_a_restore_that_says_so_left_keys_behind(reference: str) -> None:
    assert read_left_behind(frame(EntryType.RESTORE, reference)) is None
    assert read_left_behind(frame(EntryType.RETENTION, f"{LEFT_BEHIND}7")) is None
