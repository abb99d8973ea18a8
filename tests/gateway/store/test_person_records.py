"""Records of people: sealed in their place, version by version, and read as strictly as they were written."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from gateway.domain.person import Datum, FieldCode, Record, Status, SubjectKind
from gateway.errors import InternalError
from gateway.ledger.entry import EntryType
from gateway.store.effects import Effect
from gateway.store.people.person_records import (
    RecordChanged,
    StoredPeople,
    octets_of,
    read_record,
    record_in,
    somebody,
    write_record,
)
from gateway.store.people.subjects import NewSubject, counts, enrol, place, remove
from gateway.store.schema import subjects
from keys.data_encryption import DataKey

if TYPE_CHECKING:
    from gateway.store.ledger.sequencer import Sequencer
    from tests.gateway.store.conftest import StoreFixture

CANARY = "Canary of the family name"
ANN = Record(
    status=Status(
        kind=SubjectKind.CLAIMANT,
        nationalities=frozenset({"IND", "CAN"}),
        persecutors=frozenset({"IND"}),
        confirmed=datetime(2026, 3, 1, tzinfo=UTC),
    ),
    data={
        FieldCode.LAST_NAME: Datum(CANARY.encode()),
        FieldCode.PHOTOGRAPH: Datum(b"\x89PNG" + bytes(500), "image/png"),
    },
    version=1,
)
CODES = st.lists(st.from_regex(r"[A-Z]{3}", fullmatch=True), max_size=3).map(frozenset)
RECORDS = st.builds(
    Record,
    status=st.builds(
        Status,
        kind=st.sampled_from(SubjectKind),
        nationalities=CODES,
        persecutors=CODES,
        confirmed=st.none()
        | st.integers(0, 4_000_000_000_000).map(
            lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        ),
    ),
    data=st.dictionaries(st.sampled_from(FieldCode), st.builds(Datum, st.binary(max_size=60))),
    version=st.integers(1, 2**40),
)


@pytest.fixture
def sequencer(store: StoreFixture) -> Sequencer:
    """Return a sequencer over a store that knows three people, of whom the first two have no prints."""
    sequencer = store.sequencer()
    with sequencer._database.reader() as reader:
        placed = place(reader, [NewSubject(f"F-{number}") for number in range(3)], _numbers())
    effects = [effect for one in placed for effect in enrol(one, store.data_key)]
    sequencer.commit([store.leaf(EntryType.UPDATED)], effects)
    return sequencer


def _numbers() -> Any:
    given = iter((10, 20, 30))
    return lambda _: next(given)


def read(sequencer: Sequencer, store: StoreFixture, subject: int) -> Record:
    with sequencer._database.reader() as reader:
        return read_record(reader, store.data_key, subject)


def write(sequencer: Sequencer, store: StoreFixture, subject: int, record: Record) -> None:
    sequencer.commit((), (write_record(subject, record, store.data_key, store.clock()),))


def test_a_record_comes_back_as_it_was_written(sequencer: Sequencer, store: StoreFixture) -> None:
    write(sequencer, store, 10, ANN)

    assert read(sequencer, store, 10) == ANN
    assert read(sequencer, store, 20) == read(sequencer, store, 999) == Record()
    with sequencer._database.reader() as reader:
        assert counts(reader).without_status == 2


@given(RECORDS)
def test_whatever_is_written_is_read(record: Record) -> None:
    assert record_in(octets_of(record), record.version) == record


@given(RECORDS, st.data())
def test_a_changed_byte_never_reads_as_the_same(record: Record, data: st.DataObject) -> None:
    octets = bytearray(octets_of(record))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
        assert record_in(bytes(octets), record.version) != record


def test_versions_follow_each_other_and_two_hands_do_not_overwrite(
    sequencer: Sequencer, store: StoreFixture
) -> None:
    write(sequencer, store, 10, ANN)
    second = dataclasses.replace(ANN, version=2)
    write(sequencer, store, 10, second)

    for late in (ANN, second, dataclasses.replace(ANN, version=4)):
        with pytest.raises(RecordChanged):
            write(sequencer, store, 10, late)
    assert read(sequencer, store, 10) == second


def test_a_record_in_another_persons_place_or_of_an_older_version_does_not_open(
    sequencer: Sequencer, store: StoreFixture
) -> None:
    """A citizen must not become unknown by moving a row, nor by putting an old one back."""
    write(sequencer, store, 10, ANN)
    with sequencer._database.reader() as reader:
        old = reader.execute(select(subjects.c.record).where(subjects.c.id == 10)).scalar()
    write(sequencer, store, 10, dataclasses.replace(ANN, version=2))

    for subject, version in ((20, 1), (10, 2)):
        row = update(subjects).where(subjects.c.id == subject)
        sequencer.commit((), (Effect(row.values(record=old, record_version=version)),))
        with pytest.raises(InternalError, match=f"subject {subject} "):
            read(sequencer, store, subject)


def test_nothing_of_a_record_is_in_the_open(sequencer: Sequencer, store: StoreFixture) -> None:
    write(sequencer, store, 10, ANN)

    for path in store.path.parent.rglob("*"):
        assert CANARY.encode() not in path.read_bytes()
    assert CANARY not in repr(ANN)


def test_another_data_key_opens_nothing(sequencer: Sequencer, store: StoreFixture) -> None:
    write(sequencer, store, 10, ANN)

    with sequencer._database.reader() as reader, pytest.raises(InternalError):
        read_record(reader, DataKey.from_seed(bytes([1]) * 32), 10)


def test_somebody_is_whom_chance_says_and_never_nobody_while_there_is_one(
    sequencer: Sequencer, store: StoreFixture
) -> None:
    with sequencer._database.reader() as reader:
        found = [somebody(reader, at) for at in (0, 10, 11, 25, 31, 2**62)]
    sequencer.commit((), [e for number in range(3) for e in remove(f"F-{number}")])

    assert found == [10, 10, 20, 30, 10, 10]
    case_system = StoredPeople(sequencer._database, store.data_key)
    assert case_system.somebody() == 0
    assert case_system.record(0) == Record()
