"""Everybody is held against the threshold of as many samples as they share with the probe, and the ledger says how many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.messages import Modality, Outcome, Sample
from gateway.domain.person import Saying
from gateway.law.query_policy import Found
from gateway.law.review_policy import saying
from gateway.ledger.entry import EntryType
from gateway.matching.calibrations import shipped
from gateway.matching.engine import Change, Identified, OperatingPoint, Scored
from gateway.matching.engines import Engines
from gateway.matching.finger import FingerCodec
from gateway.matching.modality import least_score
from matcher import fusion
from matcher.finger import synthetic
from tests.gateway.matching.fake_faces import ANN, NOBODY, Nobody, face, facts

FINGER, FACE = Modality.FINGER, Modality.FACE
POINT = OperatingPoint(1e-4, 1e-2)
TEN = tuple(range(1, 11))


def fingers(seed: int, number: int, positions: Sequence[int]) -> list[Sample]:
    person, codec = synthetic.person(seed), FingerCodec()
    return [
        codec.sample(synthetic.record(synthetic.impression(person, at, number), at), at, "test")
        for at in positions
    ]


@pytest.fixture
def engines(faces: None) -> Engines:
    del faces
    made = Engines()
    made.load(Nobody())
    made.apply(Change(1, (*fingers(1, 1, TEN), face(ANN))))
    # The first, enrolled twice more: whoever cannot decide a search may be left out of it.
    made.apply(Change(2, tuple(fingers(1, 4, (2,)))))
    made.apply(Change(3, tuple(fingers(1, 3, (2, 3, 7, 8, 1)))))
    return made


def asked(engines: Engines, *samples: Sample) -> Identified:
    probes = engines.read({f"s[{at}]": each for at, each in enumerate(samples)})
    engines.prepare(probes)
    return engines.search(probes, POINT, 10, lambda: 60.0)


def claimed(engines: Engines, monkeypatch: pytest.MonkeyPatch, *said: Scored) -> Identified:
    """Return what a search by ten fingers comes to whose engine says this of people."""
    engine = engines.by_modality[FINGER]
    search = engine.search
    monkeypatch.setattr(
        engine, "search", lambda *each: replace(search(*each), candidates=said, size=100_000)
    )
    return asked(engines, *fingers(1, 2, TEN))


def test_a_probe_of_ten_fingers_makes_nobody_harder_to_find_who_has_one_and_whoever_has_ten_easier(
    engines: Engines,
) -> None:
    found = asked(engines, *fingers(1, 2, TEN))

    number = {each.subject: each.scores[FINGER].shared for each in found.candidates}
    assert number == {1: 10, 2: 1, 3: 5}
    tails = found.by_modality[FINGER].tails
    for each in found.candidates:
        held = [tails[number[each.subject]]]
        assert each.threshold == each.alone[FINGER] == fusion.threshold(1e-4, held, 3).score
        assert each.floor == fusion.threshold(1e-2, held, 3).score
    least = {each.subject: each.threshold for each in found.candidates}
    assert least[1] <= least[3] <= least[2]
    assert least[2] == fusion.threshold(1e-4, [FingerCodec().tails(1, shipped())], 3).score
    assert found.candidates[0].subject == 1


def test_fingers_that_are_too_poor_are_not_shared(engines: Engines) -> None:
    poor = [
        replace(one, data=synthetic.record(_few(1, one.position), one.position))
        for one in fingers(1, 2, (1, 6, 10))
    ]
    good = fingers(1, 2, (2, 3, 4, 5, 7, 8, 9))

    found = asked(engines, *good, *poor)

    assert list(found.by_modality[FINGER].tails) == list(range(1, 8))
    best = found.candidates[0]
    assert (best.subject, best.scores[FINGER].shared) == (1, 7)
    assert best.threshold == least_score(shipped(), 1e-4, 3, {FINGER: 7})


def _few(seed: int, position: int) -> Any:
    whole = synthetic.impression(synthetic.person(seed), position, 2)
    names = ("xy", "angle", "kind", "quality")
    return replace(whole, **{name: getattr(whole, name)[:3] for name in names})


@pytest.mark.parametrize("shared", [1, 2, 10])
def test_a_score_at_the_threshold_of_what_is_shared_is_a_match_and_the_next_below_it_is_none(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, shared: int
) -> None:
    least = least_score(shipped(), 1e-4, 100_000, {FINGER: shared})
    below = math.nextafter(least, -math.inf)

    at, under = claimed(
        engines, monkeypatch, Scored(1, least, shared), Scored(2, below, shared)
    ).candidates

    assert (at.subject, under.subject) == (1, 2)
    assert at.threshold == under.threshold == least
    assert Found(at.score, at.threshold).reached
    assert not Found(under.score, under.threshold).reached
    assert saying(at.scores[FINGER].score, at.alone[FINGER]) is Saying.SUPPORTS
    assert saying(under.scores[FINGER].score, under.alone[FINGER]) is Saying.UNDECIDED


def test_who_is_farthest_above_their_own_threshold_is_first(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, ten = (least_score(shipped(), 1e-4, 100_000, {FINGER: shared}) for shared in (1, 10))

    found = claimed(engines, monkeypatch, Scored(2, one - 0.1, 1), Scored(1, ten + 0.1, 10))

    assert [each.subject for each in found.candidates] == [1, 2]
    assert found.candidates[0].score < found.candidates[1].score
    assert found.threshold == ten  # of nobody: as of whoever shares all that was searched
    assert found.fpir_expected <= POINT.fpir


def test_with_a_face_the_number_of_shared_fingers_counts_as_well(engines: Engines) -> None:
    found = asked(engines, *fingers(1, 2, TEN), face(ANN))

    face_tails = found.by_modality[FACE].tails[1]
    for each in found.candidates:
        held = [FingerCodec().tails(each.scores[FINGER].shared, shipped())]
        if FACE in each.scores:
            held.append(face_tails)
        assert each.threshold == fusion.threshold(1e-4, held, found.size).score
    best = found.candidates[0]
    assert {of: one.shared for of, one in best.scores.items()} == {FINGER: 10, FACE: 1}


def test_thresholds_are_computed_for_all_that_may_be_shared_whoever_is_found(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time must not tell a hit from a no-hit, nor how many fingers of somebody are held."""
    computed: list[int] = []
    threshold = fusion.threshold

    def counted(*each: Any) -> Any:
        computed[-1] += 1
        return threshold(*each)

    monkeypatch.setattr(fusion, "threshold", counted)
    for seed, vector in ((1, ANN), (3, NOBODY), (99, NOBODY)):
        computed.append(0)
        asked(engines, *fingers(seed, 2, TEN), face(vector))

    # Of the fingers 0 to 10, of the face 0 or 1, not both 0, for a match and a look; and of each alone.
    assert computed == [2 * (11 * 2 - 1) + 11] * 3


def test_the_ledger_says_how_many_samples_are_shared_and_the_threshold_is_theirs(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    index, *_ = people.samples(1)
    with serve(*enrolled) as pair:
        committed.clear()
        answer = pair.partner().query([index], **people.matter(agreement=("au", 2)))
        one = facts(committed, EntryType.RESPONSE)
        committed.clear()
        both = pair.partner().query(people.samples(1), **people.matter(agreement=("au", 2)))
        two = facts(committed, EntryType.RESPONSE)

    assert (answer.outcome, both.outcome) == (Outcome.MATCH, Outcome.MATCH)
    assert (one["shared_samples"], two["shared_samples"]) == ("1", "2")
    for told in (one, two):
        held = {FINGER: int(told["shared_samples"])}
        least = least_score(shipped(), float(told["fpir"]), int(told["gallery_size"]), held)
        assert float(told["threshold"]) == least
    assert float(two["threshold"]) < float(one["threshold"])
