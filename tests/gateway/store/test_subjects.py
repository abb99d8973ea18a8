"""The registry: sealed at rest, each sample in its place, and a source that galleries load from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.errors import InternalError
from gateway.ledger.entry import EntryType
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people import subjects
from gateway.store.people.subjects import (
    AlreadyEnrolled,
    Counts,
    NewSubject,
    NotEnrolled,
    Placed,
    counts,
    enrol,
    find,
    iter_records,
    place,
    reference_of,
    remove,
    samples_of,
)
from gateway.store.schema import samples
from keys.pae import pae

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture

CANARY = b"FMR\0 canary minutiae "


def finger(position: int, text: bytes = b"1") -> Sample:
    return Sample(
        modality=Modality.FINGER,
        position=position,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="secugen",
        impression=0,
        data=CANARY + text,
    )


def enrolled(store: StoreFixture, sequencer: Sequencer, *people: NewSubject) -> tuple[Placed, ...]:
    """Enrol people as the office does: placed, then leaves and effects in one commit."""
    with sequencer._database.reader() as reader:
        placed = place(reader, people)
    effects = [effect for one in placed for effect in enrol(one, store.data_key)]
    sequencer.commit([store.leaf(EntryType.ENROLLED) for _ in placed], effects)
    return placed


def test_people_come_back_as_they_were_enrolled(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    ann = NewSubject("F-1", (finger(2, b"a2"), finger(7, b"a7")))
    bob = NewSubject("F-2", (finger(1, b"b1"),))

    placed = enrolled(store, sequencer, ann, bob)

    everyone = [
        one
        for batch in iter_records(sequencer._database, store.data_key, Modality.FINGER)
        for one in batch
    ]
    assert {one.reference: one.samples for one in everyone} == {
        "F-1": ann.samples,
        "F-2": bob.samples,
    }
    assert {one.subject for one in everyone} == {one.subject for one in placed}
    with sequencer._database.reader() as reader:
        assert counts(reader) == Counts(
            2, 3, {Modality.FINGER: {1: 1, 2: 1, 7: 1}}, 2, with_prints=2
        )
        assert find(reader, "F-1") == placed[0].subject
        assert reference_of(reader, placed[1].subject) == "F-2"
        assert find(reader, "F-3") is reference_of(reader, 5) is None
        assert samples_of(reader, store.data_key, "F-1") == {
            (Modality.FINGER, one.position): (one,) for one in ann.samples
        }
        assert samples_of(reader, store.data_key, "F-3") == {}


def test_an_empty_registry_is_empty(store: StoreFixture) -> None:
    database = store.database()

    assert list(iter_records(database, store.data_key, Modality.FINGER)) == []
    with database.reader() as reader:
        assert counts(reader) == Counts(0, 0, {})


def test_no_record_lies_in_the_clear(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    enrolled(store, sequencer, NewSubject("F-1", (finger(2),)))
    files = [each.read_bytes() for each in store.path.parent.iterdir()]
    store.close()

    files += [each.read_bytes() for each in store.path.parent.iterdir()]
    assert not any(CANARY in one for one in files)
    assert "canary" not in repr(finger(2))


@pytest.mark.parametrize(
    "change",
    [
        {"subject_id": None},  # another person's row
        {"position": 3},
        {"format": 2},
        {"label": 1},  # what the first releases wrote names no modality
        {"label": 2},  # nor an impression what the next ones wrote
        {"label": 4},
        {"impression_number": 2},
        {"impression_number": 256},
        {"sealed": b""},
        {"sealed": bytes(64)},
    ],
)
def test_a_sample_put_in_another_place_does_not_open(
    store: StoreFixture, change: dict[str, object]
) -> None:
    sequencer = store.sequencer()
    ann, bob = enrolled(
        store,
        sequencer,
        NewSubject("F-1", (finger(2),)),
        NewSubject("F-2", (finger(5),)),
    )
    store.close()
    database = store.database()
    writer = database.take_writer()
    if "subject_id" in change:
        change = {"subject_id": bob.subject}
    with writer.begin():
        writer.execute(update(samples).where(samples.c.subject_id == ann.subject).values(**change))

    with pytest.raises(InternalError, match="does not open"):
        list(iter_records(database, store.data_key, Modality.FINGER))


def test_a_person_is_extended_finger_by_finger(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    (first,) = enrolled(store, sequencer, NewSubject("F-1", (finger(2),)))

    (again,) = enrolled(store, sequencer, NewSubject("F-1", (finger(3),)))

    assert (first.known, again.known) == (False, True)
    assert again.subject == first.subject
    with sequencer._database.reader() as reader:
        assert counts(reader) == Counts(1, 2, {Modality.FINGER: {2: 1, 3: 1}}, 1, with_prints=1)


def test_a_finger_has_its_impressions_in_the_order_of_their_enrolment(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    first, second, third = (finger(2, data) for data in (b"one", b"two", b"three"))
    enrolled(store, sequencer, NewSubject("F-1", (first,)))

    (again,) = enrolled(store, sequencer, NewSubject("F-1", (second, finger(4), third)))

    assert again.numbers == (2, 1, 3)
    with sequencer._database.reader() as reader:
        held = samples_of(reader, store.data_key, "F-1")
        assert counts(reader).by_position == {Modality.FINGER: {2: 3, 4: 1}}
    assert held[Modality.FINGER, 2] == (first, second, third)
    ((one,),) = iter_records(sequencer._database, store.data_key, Modality.FINGER)
    assert one.samples == (first, second, third, finger(4))


def test_what_two_enrol_at_once_is_no_further_impression(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    enrolled(store, sequencer, NewSubject("F-1", (finger(2),)))
    with sequencer._database.reader() as reader:
        one, two = (
            place(reader, [NewSubject("F-1", (finger(3, data),))])[0] for data in (b"a", b"b")
        )
    sequencer.commit([store.leaf()], enrol(one, store.data_key))

    with pytest.raises(AlreadyEnrolled):
        sequencer.commit([store.leaf()], enrol(two, store.data_key))

    with sequencer._database.reader() as reader:
        held = samples_of(reader, store.data_key, "F-1")
    assert held[Modality.FINGER, 3] == (finger(3, b"a"),)


def test_an_impression_put_in_the_place_of_another_does_not_open(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    enrolled(store, sequencer, NewSubject("F-1", (finger(2, b"one"), finger(2, b"two"))))
    store.close()
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        for number, to in ((1, 9), (2, 1), (9, 2)):
            row = update(samples).where(samples.c.impression_number == number)
            writer.execute(row.values(impression_number=to))

    with pytest.raises(InternalError, match="does not open"):
        list(iter_records(database, store.data_key, Modality.FINGER))


def test_one_file_number_is_one_person_even_when_two_enrol_at_once(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    with sequencer._database.reader() as reader:
        (one,) = place(reader, [NewSubject("F-1", (finger(1),))])
        (two,) = place(reader, [NewSubject("F-1", (finger(2),))])
    sequencer.commit([store.leaf()], enrol(one, store.data_key))

    with pytest.raises(AlreadyEnrolled):
        sequencer.commit([store.leaf()], enrol(two, store.data_key))

    assert one.subject != two.subject


def test_numbers_are_random_and_of_63_bits(store: StoreFixture) -> None:
    asked: list[int] = []

    def highest(bits: int) -> int:
        asked.append(bits)
        return 2**bits - 1

    sequencer = store.sequencer()
    with sequencer._database.reader() as reader:
        (placed,) = place(reader, [NewSubject("F-1", (finger(1),))], highest)
    sequencer.commit([store.leaf()], enrol(placed, store.data_key))

    (batch,) = iter_records(sequencer._database, store.data_key, Modality.FINGER)
    assert asked == [63]
    assert batch[0].subject == 2**63 - 1


def test_a_page_of_people_without_prints_is_not_the_end(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case system knows people before they give prints; a gallery must not end at the first of them."""
    monkeypatch.setattr(subjects, "BATCH", 2)
    sequencer = store.sequencer()
    numbers = iter(range(1, 9))
    people = [NewSubject(f"F-{n}", (finger(1),) if n in (2, 8) else ()) for n in range(1, 9)]
    with sequencer._database.reader() as reader:
        placed = place(reader, people, lambda _: next(numbers))
    effects = [effect for one in placed for effect in enrol(one, store.data_key)]
    sequencer.commit([store.leaf(EntryType.ENROLLED)], effects)

    everyone = [
        one
        for batch in iter_records(sequencer._database, store.data_key, Modality.FINGER)
        for one in batch
    ]

    assert [one.reference for one in everyone] == ["F-2", "F-8"]


def test_who_is_removed_is_gone_with_every_sample(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    enrolled(store, sequencer, NewSubject("F-1", (finger(2), finger(3))))
    enrolled(store, sequencer, NewSubject("F-2", (finger(2),)))

    sequencer.commit([store.leaf(EntryType.REMOVED)], remove("F-1"))

    with sequencer._database.reader() as reader:
        assert counts(reader) == Counts(1, 1, {Modality.FINGER: {2: 1}}, 1, with_prints=1)
        assert reader.execute(select(samples.c.position)).scalars().all() == [2]
    with pytest.raises(NotEnrolled):
        sequencer.commit([store.leaf(EntryType.REMOVED)], remove("F-1"))


def test_shards_and_batches_hold_everyone_once(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "BATCH", 4)
    sequencer = store.sequencer()
    enrolled(
        store,
        sequencer,
        *(NewSubject(f"F-{n}", (finger(1), finger(2), finger(6))) for n in range(30)),
    )

    def shard(number: int, of: int) -> Iterator[Placed]:
        for batch in iter_records(sequencer._database, store.data_key, Modality.FINGER, number, of):
            assert len(batch) <= 4
            yield from batch

    whole = [one.reference for one in shard(0, 1)]
    parts = [[one.reference for one in shard(number, 3)] for number in range(3)]
    assert sorted(whole) == sorted(f"F-{n}" for n in range(30))
    assert sorted(chain.from_iterable(parts)) == sorted(whole)
    assert all(len(one.samples) == 3 for one in shard(0, 1))


def face(text: bytes = b"1") -> Sample:
    return replace(finger(0, text), modality=Modality.FACE)


def test_each_modality_is_loaded_and_counted_alone(store: StoreFixture) -> None:
    """Position 1 of a hand and of an eye are two samples of one person, and no gallery sees the other's."""
    sequencer = store.sequencer()
    iris = replace(finger(1, b"iris"), modality=Modality.IRIS)
    enrolled(store, sequencer, NewSubject("F-1", (finger(1), iris, face())))
    enrolled(store, sequencer, NewSubject("F-2", (face(b"2"),)))

    def held(modality: Modality) -> dict[str, tuple[Sample, ...]]:
        batches = iter_records(sequencer._database, store.data_key, modality)
        return {one.reference: one.samples for batch in batches for one in batch}

    assert held(Modality.FINGER) == {"F-1": (finger(1),)}
    assert held(Modality.IRIS) == {"F-1": (iris,)}
    assert held(Modality.FACE) == {"F-1": (face(),), "F-2": (face(b"2"),)}
    with sequencer._database.reader() as reader:
        by_position = {Modality.FINGER: {1: 1}, Modality.FACE: {0: 2}, Modality.IRIS: {1: 1}}
        assert counts(reader) == Counts(2, 4, by_position, 2, with_prints=2)
        assert set(samples_of(reader, store.data_key, "F-1")) == {
            (Modality.FINGER, 1),
            (Modality.FACE, 0),
            (Modality.IRIS, 1),
        }


def as_first_sealed(
    store: StoreFixture, database: StorageEngine, subject: int, sample: Sample, **other: object
) -> None:
    """Have a row be what releases wrote that knew only fingers, but for what is named."""
    kind = int(sample.format)
    old = pae(
        b"passerelle/1/sample", subject.to_bytes(8, "big"), bytes([sample.position]), bytes([kind])
    )
    writer = database.take_writer()
    with writer.begin():
        row = update(samples).where(samples.c.position == sample.position)
        writer.execute(row.values(label=1, sealed=store.data_key.seal(sample.data, old), **other))


def test_what_was_sealed_when_there_were_only_fingers_still_opens(store: StoreFixture) -> None:
    (ann,) = enrolled(store, store.sequencer(), NewSubject("F-1", (finger(2),)))
    store.close()
    database = store.database()

    as_first_sealed(store, database, ann.subject, finger(2))

    ((found,),) = iter_records(database, store.data_key, Modality.FINGER)
    assert found.samples == (finger(2),)


def test_an_old_finger_is_nobodys_iris(store: StoreFixture) -> None:
    """The first label names no modality: whoever may write the file could else make a finger an eye."""
    (ann,) = enrolled(store, store.sequencer(), NewSubject("F-1", (finger(2),)))
    store.close()
    database = store.database()

    as_first_sealed(store, database, ann.subject, finger(2), modality=int(Modality.IRIS))

    with pytest.raises(InternalError, match="iris 2"):
        list(iter_records(database, store.data_key, Modality.IRIS))


def test_a_modality_that_no_release_of_ours_wrote_is_named(store: StoreFixture) -> None:
    enrolled(store, store.sequencer(), NewSubject("F-1", (finger(2),)))
    store.close()
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        writer.execute(update(samples).values(modality=9))

    with database.reader() as reader, pytest.raises(InternalError, match="modality"):
        counts(reader)
    with database.reader() as reader, pytest.raises(InternalError, match="modality"):
        samples_of(reader, store.data_key, "F-1")
