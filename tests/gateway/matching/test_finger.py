"""The plainest engine: loaded whole or not at all, changed one subject at a time, never hurried into a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from gateway.domain.messages import MOST_IMPRESSIONS, Modality, ProblemCode, Sample
from gateway.errors import DeadlineTooShort, EngineUnavailable
from gateway.matching.calibrations import shipped
from gateway.matching.engine import (
    Batch,
    Change,
    Engine,
    EngineStatus,
    Found,
    OperatingPoint,
    Probe,
    Source,
)
from gateway.matching.finger import FingerCodec, FingerEngine, FingerProbe
from gateway.matching.modality import least_score
from matcher import fusion
from matcher.finger import assignment, record_fmr, synthetic
from matcher.finger import probe as probe_limits
from matcher.finger.probe import NothingUsable

POSITIONS = (2, 7)
PEOPLE = 12
POINT = OperatingPoint(fpir=0.001, review_fpir=0.01)
People = Sequence[tuple[int, tuple[Sample, ...]]]


def samples(seed: int, number: int = 1) -> tuple[Sample, ...]:
    person = synthetic.person(seed)
    return tuple(
        FingerCodec().sample(
            synthetic.record(synthetic.impression(person, at, number), at), at, "test"
        )
        for at in POSITIONS
    )


def read(engine: Engine, seed: int) -> Probe:
    return engine.read({f"s[{at}]": one for at, one in enumerate(samples(seed, 2))})


def search(
    engine: Engine, seed: int, limit: int = 5, deadline: Callable[[], float] = lambda: 10.0
) -> Found:
    probe = read(engine, seed)
    engine.prepare(probe)
    return engine.search(probe, POINT, limit, deadline)


class StoredSamples:
    """A source of batches of five."""

    def __init__(self, people: People) -> None:
        self._people = people

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        assert modality is Modality.FINGER
        for start in range(0, len(self._people), 5):
            yield [one for one in self._people[start : start + 5] if one[0] % of == shard]


class Torn(StoredSamples):
    """A source that fails half way."""

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        yield from super().batches(modality, shard, of)
        raise OSError("the disk is gone")


@pytest.fixture(scope="module")
def everyone() -> People:
    return [(100 + seed, samples(seed)) for seed in range(PEOPLE)]


@pytest.fixture
def engine(everyone: People) -> FingerEngine:
    made = FingerEngine()
    source: Source = StoredSamples(everyone)
    made.load(source)
    return made


def test_an_engine_that_is_not_loaded_answers_nothing() -> None:
    engine: Engine = FingerEngine()

    with pytest.raises(EngineUnavailable):
        search(engine, 1)
    with pytest.raises(EngineUnavailable):
        engine.apply(Change(1))
    with pytest.raises(EngineUnavailable):
        engine.rehearse(1)
    assert engine.status() == EngineStatus(loaded=False, size=0)


def test_a_loaded_engine_finds_who_is_enrolled(engine: FingerEngine) -> None:
    found = search(engine, 3)

    assert engine.status().loaded
    assert engine.status().size == found.size == PEOPLE
    assert found.candidates[0].subject == 103
    assert 2 <= len(found.candidates) <= 5  # who is far below any threshold is not listed
    scores = [each.score for each in found.candidates]  # everybody has the same two fingers
    assert scores == sorted(scores, reverse=True)
    assert {each.shared for each in found.candidates} == {len(POSITIONS)}


def test_the_tails_are_those_of_each_number_of_fingers_that_may_be_shared(
    engine: FingerEngine,
) -> None:
    found = search(engine, 3)

    assert found.tails == {number: FingerCodec().tails(number, shipped()) for number in (1, 2)}
    for number, tails in found.tails.items():
        limit = assignment.threshold(POINT.fpir, PEOPLE, number)
        assert fusion.threshold(POINT.fpir, [tails], PEOPLE).score == limit.score
        shared = {Modality.FINGER: number}
        assert least_score(shipped(), POINT.fpir, PEOPLE, shared) == limit.score
        assert found.calibration == limit.calibration_id


def test_what_is_destroyed_is_counted_and_empty(engine: FingerEngine) -> None:
    """IRPR 315.43(2): before it was prepared, after it was searched, and a second time."""
    unprepared, searched = read(engine, 3), read(engine, 3)
    engine.prepare(searched)
    engine.search(searched, POINT, 1, lambda: 1.0)
    assert isinstance(searched, FingerProbe)
    assert searched.ready is not None
    arrays = [minutiae.xy for _, minutiae in searched.minutiae]
    arrays += [finger.vectors for _, finger in searched.ready.fingers]
    assert all(array.any() for array in arrays)

    assert engine.destroy(unprepared) == {"records": 2, "minutiae": 2, "templates": 0}
    assert engine.destroy(searched) == {"records": 2, "minutiae": 2, "templates": 2}
    assert engine.destroy(searched) == {"records": 0, "minutiae": 0, "templates": 0}
    assert not any(array.any() for array in arrays)


def test_a_poor_finger_is_a_problem_and_the_other_is_searched(engine: FingerEngine) -> None:
    minutiae = synthetic.impression(synthetic.person(3), 7, 2)
    few = replace(
        minutiae,
        **{name: getattr(minutiae, name)[:3] for name in ("xy", "angle", "kind", "quality")},
    )
    poor = FingerCodec().sample(synthetic.record(few, 7), 7, "test")
    probe = engine.read({"a": samples(3, 2)[0], "b": poor})

    prepared = engine.prepare(probe)

    assert prepared.usable == (2,)
    assert [(each.position, each.code) for each in prepared.problems] == [
        (7, ProblemCode.TOO_FEW_MINUTIAE)
    ]
    assert engine.search(probe, POINT, 1, lambda: 1.0).candidates[0].subject == 103


def test_a_probe_of_another_engine_is_not_searched(engine: FingerEngine) -> None:
    for use in (engine.prepare, engine.destroy, lambda one: engine.search(one, POINT, 1, float)):
        with pytest.raises(TypeError):
            use(Probe())
    with pytest.raises(TypeError, match="prepared"):
        engine.search(read(engine, 1), POINT, 1, lambda: 1.0)


def test_a_load_that_fails_leaves_nothing_to_search(engine: FingerEngine, everyone: People) -> None:
    """Half a gallery would answer "no match" for the other half."""
    broken = replace(samples(1)[0], data=b"FMR\0 20\0 not a record at all")
    bad = [*everyone, (500, (broken,))]

    with pytest.raises(EngineUnavailable):
        engine.load(StoredSamples(bad))
    assert not engine.status().loaded
    with pytest.raises(OSError, match="disk"):
        engine.load(Torn(everyone))
    assert not engine.status().loaded
    engine.load(StoredSamples(everyone))
    assert engine.status().size == PEOPLE


def test_a_change_is_seen_by_the_next_search_and_twice_is_once(engine: FingerEngine) -> None:
    version = engine.status().version
    change = Change(900, samples(50))

    engine.apply(change)
    engine.apply(change)

    assert engine.status().version > version
    assert engine.status().size == PEOPLE + 1
    assert search(engine, 50).candidates[0].subject == 900
    engine.apply(Change(900))
    engine.apply(Change(900))
    assert engine.status().size == PEOPLE
    assert 900 not in [each.subject for each in search(engine, 50, PEOPLE).candidates]


def test_a_bad_change_leaves_the_old_fingers(engine: FingerEngine) -> None:
    right = samples(3)[0]
    for bad in (replace(right, data=b"nonsense"), replace(right, position=7)):
        with pytest.raises(ValueError):
            engine.apply(Change(103, (bad,)))

    assert search(engine, 3).candidates[0].subject == 103


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_time_that_runs_out_is_said_and_nothing_partial_is_answered(
    engine: FingerEngine, allowed: int
) -> None:
    left = iter([1.0] * allowed)

    with pytest.raises(DeadlineTooShort):
        search(engine, 3, 5, lambda: next(left, 0.0))


def test_a_probe_without_a_usable_finger_is_not_searched(engine: FingerEngine) -> None:
    probe = engine.read({})

    assert engine.prepare(probe).usable == ()
    with pytest.raises(NothingUsable):
        engine.search(probe, POINT, 5, lambda: 1.0)


def test_a_change_does_not_show_records() -> None:
    assert "FMR" not in repr(Change(1, samples(1)))


def test_a_rehearsal_is_timed_and_changes_nothing(engine: FingerEngine) -> None:
    version = engine.status().version

    taken = engine.rehearse(2)

    assert len(taken) == 2
    assert all(seconds > 0 for seconds in taken)
    assert engine.status().version == version


def test_fingers_of_unknown_position_and_of_the_other_hand_find_their_person(
    engine: FingerEngine,
) -> None:
    """The facts say how the positions were read and how much was tried; the threshold is the same."""
    stated = samples(3, 2)
    for positions, reading, ways in (
        ((2, 7), "STATED", 1),
        ((7, 2), "HANDS_EXCHANGED", 1),
        ((0, 0), "STATED", 2),
        ((2, 0), "STATED", 1),
    ):
        asked = {
            f"s[{at}]": replace(one, data=_unsaid(one), position=said)
            for at, (one, said) in enumerate(zip(stated, positions, strict=True))
        }
        probe = engine.read(asked)
        assert engine.prepare(probe).usable == tuple(sorted(positions))

        found = engine.search(probe, POINT, 3, lambda: 10.0)

        best = found.candidates[0]
        assert (best.subject, best.reading, best.ways, best.shared) == (103, reading, ways, 2)
        assert best.score >= assignment.threshold(POINT.fpir, PEOPLE, 2).score


def test_several_impressions_of_a_finger_are_one_finger(engine: FingerEngine) -> None:
    first, again = (samples(3, number)[0] for number in (2, 3))
    probe = engine.read({"a": first, "b": again})

    assert engine.prepare(probe).usable == (2,)
    found = engine.search(probe, POINT, 1, lambda: 10.0)

    (best,) = found.candidates
    assert (best.subject, best.ways, best.shared) == (103, 2, 1)
    assert list(found.tails) == [1]
    assert engine.destroy(probe) == {"records": 2, "minutiae": 2, "templates": 2}


def test_what_the_wire_lets_through_the_matcher_takes() -> None:
    assert MOST_IMPRESSIONS[Modality.FINGER] == probe_limits.MOST_IMPRESSIONS


def _unsaid(one: Sample) -> bytes:
    """Return a record that says position 0, unknown, as most sensors' do."""
    view = record_fmr.read(one.data).views[0]
    return synthetic.record(view.minutiae, 0)
