"""Holds and decisions: by whom, of what, with which entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from gateway.admin.operation import NotAllowed, Officer
from gateway.admin.personal_data_access import About, seen
from gateway.domain.hold import HoldKind
from gateway.domain.person import FieldCode, Ground, Scope
from gateway.errors import UserError
from gateway.law.query_policy import Decided
from gateway.ledger.entry import EntryType, decode, detail_bytes
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.casework import withholdings
from gateway.store.ledger import stored_ledger
from gateway.store.people import subjects
from gateway.store.retention.holds import standing

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-9")
CASEWORKER = Officer("P-2", frozenset({Role.CASEWORKER}))
REFUSE = {"person": "P-1", "scope": "ALL", "ground": "NATIONAL_SECURITY", "reason": "as decided"}


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Iterator[Gateway]:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def last(gateway: Gateway) -> Any:
    return [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)][-1]


def test_a_hold_is_placed_and_released_and_both_are_entries(gateway: Gateway) -> None:
    placed = gateway.admin.perform(
        CASEWORKER, "hold.place", {"kind": "person", "reference": "P-1", "reason": "access request"}
    )
    frame = last(gateway)
    assert (frame.type, frame.subject_reference) == (EntryType.HOLD, f"PLACE/{placed['hold']}")
    assert "P-1" not in repr(frame)  # whom it names is in the sealed detail alone

    (row,) = gateway.admin.perform(OPERATOR, "hold.list", {})["holds"]
    assert (row["reference"], row["by"], row["released"]) == ("P-1", "P-2", None)
    values = {"hold": placed["hold"], "reason": "rights exhausted"}
    assert gateway.admin.perform(TWO, "hold.release", values)["released"] is True

    assert last(gateway).subject_reference == f"RELEASE/{placed['hold']}"
    assert gateway.admin.perform(OPERATOR, "hold.list", {})["holds"] == []
    assert len(gateway.admin.perform(OPERATOR, "hold.list", {"released": True})["holds"]) == 1
    with pytest.raises(UserError, match="no such hold stands"):
        gateway.admin.perform(TWO, "hold.release", values)
    assert self_check.verify_ledger(gateway.home).ok


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "person", "reference": "P-77"},
        {"kind": "transaction", "reference": "AUS/NOT-THERE"},
        {"kind": "transaction", "reference": "AUS"},
        {"kind": "partner", "reference": "a b"},
        {"kind": "partner", "reference": "AUSS"},
        {"kind": "everything", "reference": "P-1"},
        {"kind": "whim", "reference": "P-1"},
        {"kind": "person", "reference": "P-1", "reason": ""},
    ],
)
def test_a_hold_on_what_is_not_there_is_refused(gateway: Gateway, values: dict[str, str]) -> None:
    """A hold that names nobody, by a slip in writing, would keep nothing."""
    size = gateway.sequencer.size

    with pytest.raises(UserError):
        gateway.admin.perform(OPERATOR, "hold.place", {"reason": "because", **values})

    assert gateway.sequencer.size == size


@pytest.mark.parametrize("kind", ["person", "everything"])
def test_a_held_person_is_not_removed(gateway: Gateway, kind: str) -> None:
    values = {"kind": kind, "reason": "because"} | (
        {"reference": "P-1"} if kind == "person" else {}
    )
    placed = gateway.admin.perform(OPERATOR, "hold.place", values)

    with pytest.raises(subjects.Held):
        gateway.sequencer.commit([], subjects.remove("P-1"))
    with pytest.raises(subjects.Held if kind == "everything" else subjects.NotEnrolled):
        gateway.sequencer.commit([], subjects.remove("P-77"))

    gateway.admin.perform(TWO, "hold.release", {"hold": placed["hold"], "reason": "done"})
    gateway.admin.perform(CASEWORKER, "decision.refuse", REFUSE)
    gateway.sequencer.commit([], subjects.remove("P-1"))
    with gateway.database.reader() as reader:
        assert withholdings.every(reader) == ()  # it goes with its person


def test_a_decision_stands_for_its_partner_or_for_all_until_it_is_lifted(gateway: Gateway) -> None:
    """IRPR 315.25(4), 315.41(3)."""
    one = gateway.admin.perform(CASEWORKER, "decision.refuse", REFUSE)
    part = {**REFUSE, "partner": "AUS", "scope": "PART", "fields": ["PHOTOGRAPH"]}
    part["terms"] = "for this case only"
    two = gateway.admin.perform(CASEWORKER, "decision.refuse", part)
    assert last(gateway).subject_reference == f"REFUSE/{two['decision']}"
    assert last(gateway).partner_id == "AUS"

    with gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
        assert subject is not None
        of_aus = withholdings.active(reader, subject, "AUS")
        of_gbr = withholdings.active(reader, subject, "GBR")
    everything = Decided(Scope.ALL, frozenset(), Ground.NATIONAL_SECURITY)
    photograph = Decided(
        Scope.PART,
        frozenset({FieldCode.PHOTOGRAPH}),
        Ground.NATIONAL_SECURITY,
        "for this case only",
    )
    assert set(of_aus) == {everything, photograph}
    assert of_gbr == (everything,)

    lifted = {"decision": one["decision"], "reason": "reviewed"}
    gateway.admin.perform(CASEWORKER, "decision.lift", lifted)
    (row,) = gateway.admin.perform(CASEWORKER, "decision.list", {"person": "P-1"})["decisions"]
    assert (row["decision"], row["fields"]) == (two["decision"], ["PHOTOGRAPH"])
    with pytest.raises(UserError, match="no such decision is active"):
        gateway.admin.perform(CASEWORKER, "decision.lift", lifted)
    assert self_check.verify_ledger(gateway.home).ok


@pytest.mark.parametrize(
    "other",
    [
        {"scope": "PART"},
        {"fields": ["PHOTOGRAPH"]},
        {"ground": "WHIM"},
        {"person": "P-77"},
        {"reason": " "},
        {"partner": "a b"},
        {"terms": "a\nb"},
    ],
)
def test_a_decision_that_says_too_little_or_too_much_is_none(
    gateway: Gateway, other: dict[str, object]
) -> None:
    size = gateway.sequencer.size

    with pytest.raises(UserError):
        gateway.admin.perform(CASEWORKER, "decision.refuse", {**REFUSE, **other})

    assert gateway.sequencer.size == size


def test_who_runs_the_machine_does_not_judge_the_national_interest(gateway: Gateway) -> None:
    with pytest.raises(NotAllowed):
        gateway.admin.perform(OPERATOR, "decision.refuse", REFUSE)


@given(scope=sampled_from(Scope), fields=lists(sampled_from(FieldCode), max_size=3))
def test_scope_and_fields_never_contradict_each_other(
    scope: Scope, fields: list[FieldCode]
) -> None:
    good = withholdings.Decision(
        id="R-1",
        subject=1,
        partner="",
        scope=Scope.ALL,
        fields=frozenset(),
        ground=Ground.SOVEREIGNTY,
        terms="",
        reason="x",
        decided_by="P-1",
        decided=datetime(2026, 1, 1, tzinfo=UTC),
    )
    if (scope is Scope.PART) == bool(fields):
        assert replace(good, scope=scope, fields=frozenset(fields)).scope is scope
    else:
        with pytest.raises(ValueError, match="PART names fields"):
            replace(good, scope=scope, fields=frozenset(fields))


def test_status_says_what_is_kept_due_and_held(gateway: Gateway) -> None:
    gateway.admin.perform(OPERATOR, "hold.place", {"kind": "everything", "reason": "an inquiry"})

    told = gateway.admin.perform(OPERATOR, "retention.status", {})
    done = gateway.admin.perform(OPERATOR, "retention.run", {"batches": 3})

    rows = {row["class"]: row for row in told["classes"]}
    assert rows["OFFICE_DETAIL"]["total"] > 0
    assert rows["OFFICE_DETAIL"]["due"] == rows["PROBE"]["late"] == 0
    assert done["erased"] == {}
    assert done["journal_empty"] is True
    with gateway.database.reader() as reader:
        assert standing(reader).holds[0].kind is HoldKind.EVERYTHING


def test_who_has_a_stroke_in_the_file_number_can_be_held_and_refused(gateway: Gateway) -> None:
    """Such a number can be enrolled, so every duty about its person must be able to name it."""
    row = {"reference": "IMM/2026/1", "status": "FOREIGN_NATIONAL", "nationalities": "SYR"}
    registrar = Officer("P-3", frozenset({Role.REGISTRAR}))
    gateway.admin.perform(registrar, "registry.import", {"rows": [row]})

    held = {"kind": "person", "reference": "IMM/2026/1", "reason": "access request"}
    assert gateway.admin.perform(CASEWORKER, "hold.place", held)["reference"] == "IMM/2026/1"
    assert gateway.admin.perform(CASEWORKER, "decision.refuse", {**REFUSE, "person": "IMM/2026/1"})
    listed = gateway.admin.perform(CASEWORKER, "decision.list", {"person": "IMM/2026/1"})
    assert len(listed["decisions"]) == 1
    with pytest.raises(UserError, match="keeps this person"):
        gateway.admin.perform(
            registrar, "registry.remove", {"reference": "IMM/2026/1", "reason": "x"}
        )


def test_whoever_lists_decisions_and_holds_leaves_of_whom(gateway: Gateway, readings: Any) -> None:
    with gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
    values = {"person": "P-1", "scope": "ALL", "ground": "SOVEREIGNTY", "reason": "file 12"}
    gateway.admin.perform(CASEWORKER, "decision.refuse", values)
    hold = {"kind": "person", "reference": "P-1", "reason": "access request"}
    gateway.admin.perform(CASEWORKER, "hold.place", hold)

    gateway.admin.perform(CASEWORKER, "decision.list", {})
    gateway.admin.perform(CASEWORKER, "decision.list", {"person": "P-1"})
    gateway.admin.perform(CASEWORKER, "decision.list", {"person": "P-2"})  # of whom there is none
    gateway.admin.perform(OPERATOR, "hold.list", {})

    with gateway.database.reader() as reader:
        other = subjects.find(reader, "P-2")
    assert [(leaf.detail["source"], leaf.detail["subject"]) for leaf in readings] == [
        ("decisions", str(subject)),
        ("decisions", str(subject)),
        ("decisions", str(other)),
        ("holds", str(subject)),
    ]
    assert [leaf.detail["actor"] for leaf in readings] == ["P-2", "P-2", "P-2", OPERATOR.person]
    assert all(str(subject) not in repr(leaf.frame) for leaf in readings)


def test_a_long_list_is_named_in_as_many_entries_as_it_takes() -> None:
    rows = [About(2**64 - 1 - n, "c" * 64, "n" * 60 + f"{n:04}") for n in range(201)]

    entries = seen(CASEWORKER, "trace", rows)

    told = [
        number for leaf in entries for number in leaf.detail["transaction_reference"].split(",")
    ]
    assert told == [row.number for row in rows]
    assert all(len(detail_bytes(leaf.detail)) <= 4096 for leaf in entries)
    assert len(seen(CASEWORKER, "trace", [])) == 1
