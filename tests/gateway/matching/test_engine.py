"""The plainest engine: loaded whole or not at all, changed one subject at a time, never hurried into a part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from gateway.errors import DeadlineTooShort, EngineUnavailable
from gateway.matching.engine import Batch, Change, Engine, Source
from gateway.matching.inprocess import InProcessEngine
from matcher.finger import synthetic
from matcher.finger.probe import NothingUsable, Probe, prepare

POSITIONS = (2, 7)
PEOPLE = 12


def records(seed: int, number: int = 1) -> tuple[tuple[int, bytes], ...]:
    person = synthetic.person(seed)
    return tuple(
        (at, synthetic.record(synthetic.impression(person, at, number), at)) for at in POSITIONS
    )


def probe(seed: int) -> Probe:
    person = synthetic.person(seed)
    return prepare([(at, synthetic.impression(person, at, 2)) for at in POSITIONS])


class Shelf:
    """A source of batches of five."""

    def __init__(self, people: Sequence[tuple[int, Sequence[tuple[int, bytes]]]]) -> None:
        self._people = people

    def batches(self, shard: int, of: int) -> Iterator[Batch]:
        for start in range(0, len(self._people), 5):
            yield [one for one in self._people[start : start + 5] if one[0] % of == shard]


class Torn(Shelf):
    """A source that fails half way."""

    def batches(self, shard: int, of: int) -> Iterator[Batch]:
        yield from super().batches(shard, of)
        raise OSError("the disk is gone")


@pytest.fixture(scope="module")
def everyone() -> list[tuple[int, tuple[tuple[int, bytes], ...]]]:
    return [(100 + seed, records(seed)) for seed in range(PEOPLE)]


@pytest.fixture
def engine(everyone: list[tuple[int, tuple[tuple[int, bytes], ...]]]) -> InProcessEngine:
    made = InProcessEngine()
    source: Source = Shelf(everyone)
    made.load(source)
    return made


def test_an_engine_that_is_not_loaded_answers_nothing() -> None:
    engine: Engine = InProcessEngine()

    with pytest.raises(EngineUnavailable):
        engine.search(probe(1), 5)
    with pytest.raises(EngineUnavailable):
        engine.apply(Change(1))
    with pytest.raises(EngineUnavailable):
        _ = engine.size
    assert not InProcessEngine().loaded


def test_a_loaded_engine_finds_who_is_enrolled(engine: InProcessEngine) -> None:
    found = engine.search(probe(3), 5, lambda: 10.0)

    assert engine.loaded
    assert engine.size == found.size == PEOPLE
    assert found.subject[0] == 103
    assert len(found) == 5


def test_a_load_that_fails_leaves_nothing_to_search(
    engine: InProcessEngine, everyone: list[tuple[int, tuple[tuple[int, bytes], ...]]]
) -> None:
    """Half a gallery would answer "no match" for the other half."""
    bad = [*everyone, (500, ((2, b"FMR\0 20\0 not a record at all"),))]

    with pytest.raises(EngineUnavailable):
        engine.load(Shelf(bad))
    assert not engine.loaded
    with pytest.raises(OSError, match="disk"):
        engine.load(Torn(everyone))
    assert not engine.loaded
    engine.load(Shelf(everyone))
    assert engine.size == PEOPLE


def test_a_change_is_seen_by_the_next_search_and_twice_is_once(engine: InProcessEngine) -> None:
    version = engine.version
    change = Change(900, records(50))

    engine.apply(change)
    engine.apply(change)

    assert engine.version > version
    assert engine.size == PEOPLE + 1
    assert engine.search(probe(50), 1).subject.tolist() == [900]
    engine.apply(Change(900))
    engine.apply(Change(900))
    assert engine.size == PEOPLE
    assert 900 not in engine.search(probe(50), PEOPLE).subject


def test_a_bad_change_leaves_the_old_fingers(engine: InProcessEngine) -> None:
    for fingers in (((2, b"nonsense"),), ((7, records(3)[0][1]),)):
        with pytest.raises(ValueError):
            engine.apply(Change(103, fingers))

    assert engine.search(probe(3), 1).subject.tolist() == [103]


@pytest.mark.parametrize("allowed", [0, 1, 6])
def test_time_that_runs_out_is_said_and_nothing_partial_is_answered(
    engine: InProcessEngine, allowed: int
) -> None:
    left = iter([1.0] * allowed)

    with pytest.raises(DeadlineTooShort):
        engine.search(probe(3), 5, lambda: next(left, 0.0))


def test_a_probe_without_a_usable_finger_is_not_searched(engine: InProcessEngine) -> None:
    with pytest.raises(NothingUsable):
        engine.search(prepare([]), 5)


def test_a_change_does_not_show_records() -> None:
    assert "FMR" not in repr(Change(1, records(1)))


def test_a_rehearsal_is_timed_and_changes_nothing(engine: InProcessEngine) -> None:
    version = engine.version

    taken = engine.rehearse(2)

    assert len(taken) == 2
    assert all(seconds > 0 for seconds in taken)
    assert engine.version == version
