"""Enrolment: each bad record named, the rest enrolled, the same again changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.person import Status, SubjectKind
from gateway.ledger.entry import EntryType, decode
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.store.people import subjects
from gateway.subjects.enrolment import MOST_REPAIRS, Row
from matcher.finger import synthetic


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Any:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def test_a_new_person_is_enrolled_with_an_entry(gateway: Any, people: Any) -> None:
    size = gateway.sequencer.size

    report = gateway.subjects.registry.enrol(people.rows(50))

    assert (report.enrolled, report.people, report.bad) == (2, 1, [])
    entries = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database, size)]
    assert [entry.type for entry in entries] == [EntryType.ENROLLED]


def test_what_was_repaired_in_a_file_is_in_the_entry_of_what_was_enrolled(
    gateway: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An auditor who asks how a record came to be need not have been told by the operator."""
    committed: list[Any] = []
    commit = gateway.sequencer.commit
    monkeypatch.setattr(
        gateway.sequencer,
        "commit",
        lambda leaves, effects=(): (committed.extend(leaves), commit(leaves, effects))[1],
    )
    first, second = people.rows(50)
    gateway.subjects.registry.enrol(
        [replace(first, repairs=("128 zero bytes behind the record cut off",))]
    )
    long = tuple(f"repair {number}" for number in range(400))

    # The first is held already, with what was told of it then.
    gateway.subjects.registry.enrol(
        [replace(first, repairs=("again",)), replace(second, repairs=long)]
    )
    gateway.subjects.registry.enrol(people.rows(51))

    told = [leaf.detail.get("repairs") for leaf in committed]
    assert told[0] == "128 zero bytes behind the record cut off"
    assert told[1].startswith("repair 0; repair 1")
    assert len(told[1]) == MOST_REPAIRS
    assert told[2:] == [None]


def test_the_same_again_changes_nothing(gateway: Any, people: Any) -> None:
    gateway.subjects.registry.enrol(people.rows(50))
    size = gateway.sequencer.size

    report = gateway.subjects.registry.enrol(people.rows(50))

    assert (report.enrolled, report.unchanged) == (0, 2)
    assert gateway.sequencer.size == size


def test_another_record_for_the_same_finger_is_refused_and_the_first_stays(
    gateway: Any, people: Any
) -> None:
    gateway.subjects.registry.enrol(people.rows(50))
    other = replace(people.rows(51)[0], subject="P-50")

    report = gateway.subjects.registry.enrol([other])

    assert report.enrolled == 0
    assert [bad.label for bad in report.bad] == [other.label]
    assert "--further-impressions" in report.bad[0].reason


def test_further_impressions_are_enrolled_where_that_is_said_up_to_the_most(
    gateway: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[Any] = []
    commit = gateway.sequencer.commit
    monkeypatch.setattr(
        gateway.sequencer,
        "commit",
        lambda leaves, effects=(): (committed.extend(leaves), commit(leaves, effects))[1],
    )
    first = people.rows(50)[0]
    rows = [
        replace(
            first,
            label=f"again {number}",
            data=synthetic.record(synthetic.impression(synthetic.person(50), 2, 20 + number), 2),
        )
        for number in range(4)
    ]
    gateway.subjects.registry.enrol([first])

    report = gateway.subjects.registry.enrol([first, *rows], further=True)
    again = gateway.subjects.registry.enrol([first, *rows[:3]], further=True)

    assert (report.enrolled, report.unchanged) == (3, 1)
    assert [bad.label for bad in report.bad] == ["again 3"]
    assert "4 records" in report.bad[0].reason
    assert (again.enrolled, again.unchanged) == (0, 4)
    told = [leaf.detail.get("impression_numbers") for leaf in committed]
    assert told == [None, "2,3,4"]


@pytest.mark.parametrize(
    ("position", "data"),
    [(0, None), (11, None), (2, b""), (2, b"FMR\0 20\0 and then nothing"), (2, b"\xff" * 300)],
)
def test_a_bad_record_is_named_and_the_rest_is_enrolled(
    gateway: Any, people: Any, position: int, data: bytes | None
) -> None:
    good, other = people.rows(50)
    bad = Row("the bad one", "P-60", position, "x", other.data if data is None else data)

    report = gateway.subjects.registry.enrol([good, bad])

    assert report.enrolled == 1
    assert [one.label for one in report.bad] == ["the bad one"]
    assert report.bad[0].reason


def test_a_record_that_names_another_finger_is_refused(gateway: Any, people: Any) -> None:
    row = people.rows(50)[0]

    report = gateway.subjects.registry.enrol([replace(row, position=3)])

    assert report.enrolled == 0
    assert "finger 2" in report.bad[0].reason


def test_a_person_who_comes_twice_in_one_run_is_extended(gateway: Any, people: Any) -> None:
    first, second = people.rows(50)
    between = people.rows(51)

    report = gateway.subjects.registry.enrol([first, *between, second])

    assert (report.enrolled, report.bad) == (4, [])
    assert self_check.stats(gateway.home).subjects == 5 + 2


def test_a_refused_record_leaves_no_person_and_no_status_behind(gateway: Any, people: Any) -> None:
    """A file that is no record must not be somebody to whom a status was given."""
    foreign = Status(kind=SubjectKind.FOREIGN_NATIONAL, nationalities=frozenset({"IND"}))
    readme = Row("README.txt", "README", 2, "x", b"read me", foreign)
    size = gateway.sequencer.size

    report = gateway.subjects.registry.enrol([readme])

    assert (report.people, report.enrolled, [one.label for one in report.bad]) == (
        0,
        0,
        ["README.txt"],
    )
    assert gateway.sequencer.size == size
    with gateway.database.reader() as reader:
        assert subjects.find(reader, "README") is None


def test_a_status_comes_with_a_record_that_is_held_already(gateway: Any, people: Any) -> None:
    foreign = Status(kind=SubjectKind.FOREIGN_NATIONAL, nationalities=frozenset({"IND"}))
    rows = people.rows(50)
    gateway.subjects.registry.enrol([replace(row, status=None) for row in rows])

    report = gateway.subjects.registry.enrol([replace(rows[0], status=foreign)])

    assert (report.people, report.unchanged, report.bad) == (1, 1, [])


def test_what_a_record_is_comes_before_its_position(gateway: Any) -> None:
    report = gateway.subjects.registry.enrol(
        [Row("print.wsq", "P-60", 0, "x", bytes.fromhex("ffa0ffa8") * 20)]
    )

    assert "position" not in report.bad[0].reason


def test_records_are_sealed_at_rest(gateway: Any, people: Any) -> None:
    row = people.rows(50)[0]
    gateway.subjects.registry.enrol([row])

    for path in gateway.settings.store.path.parent.iterdir():
        assert row.data[24:72] not in path.read_bytes()
