"""Fingers, face and irises as they are searched here, of one synthetic person: read, added up, contradicted, destroyed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.messages import UNSTATED, Modality, Outcome, Sample
from gateway.law.query_policy import Evidence, Found, decisive
from gateway.law.regulation import BOUNDS
from gateway.matching.engine import Candidate, Change, Identified, OperatingPoint
from gateway.matching.engines import Engines
from gateway.matching.modality import codec_of
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.subjects.enrolment import Row
from matcher.face import synthetic as faces
from matcher.iris import record as iris_record
from matcher.iris import synthetic as irises
from tests.gateway.matching.fake_faces import Nobody

REVIEW = '[review]\nfloor_fpir = 0.01\npersons = 1\nparagraph = "IRPR 315.39"\n\n'

PEOPLE = (1, 2, 3)
POINT = OperatingPoint(1e-4, 1e-2)
FINGER, FACE, IRIS = Modality.FINGER, Modality.FACE, Modality.IRIS


def face(seed: int, number: int) -> Sample:
    return codec_of(FACE).sample(faces.record(seed, number), 0, UNSTATED)


def eyes(seed: int, number: int) -> list[Sample]:
    person, found = irises.person(seed), []
    for eye in (1, 2):
        code = irises.capture(person, eye, number)
        found.append(codec_of(IRIS).sample(iris_record.write(eye, code), eye, UNSTATED))
    return found


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest) -> Engines:
    people = request.getfixturevalue("people")
    made = Engines()
    made.load(Nobody())
    for seed in PEOPLE:
        fingers = people.samples(seed, impression=1)
        made.apply(Change(seed, (*fingers, face(seed, 0), *eyes(seed, 0))))
    return made


def asked(engines: Engines, *samples: Sample) -> tuple[Any, Identified]:
    probes = engines.read({f"s[{at}]": each for at, each in enumerate(samples)})
    prepared = engines.prepare(probes)
    assert all(each.usable for each in prepared.values())
    return probes, engines.search(probes, POINT, 10, lambda: 60.0)


def conflict(found: Identified) -> tuple[int, frozenset[Modality]]:
    def judged(one: Candidate) -> Found:
        said = (Evidence(of, at.score, one.alone[of]) for of, at in one.scores.items())
        return Found(one.score, one.threshold, None, tuple(said))

    each = [judged(one) for one in found.candidates]
    place, best = decisive(each, Found(float("-inf"), found.threshold))
    return found.candidates[place].subject, best.conflict


def test_one_person_is_found_by_all_of_them_together(engines: Engines, people: Any) -> None:
    probes, found = asked(engines, *people.samples(2), face(2, 1), *eyes(2, 1))

    best = found.candidates[0]
    assert (best.subject, set(best.scores)) == (2, {FINGER, FACE, IRIS})
    assert best.score == sum(one.score for one in best.scores.values())
    assert {of: one.shared for of, one in best.scores.items()} == {FINGER: 2, FACE: 1, IRIS: 2}
    assert best.score > best.threshold == found.threshold
    assert found.size == 3 * len(PEOPLE)
    assert conflict(found) == (2, frozenset())
    gone = engines.destroy(probes)
    assert set(gone) == {FINGER, FACE, IRIS}
    assert all(kinds["records"] for kinds in gone.values())
    assert all(not any(kinds.values()) for kinds in engines.destroy(probes).values())


def test_irises_of_another_person_contradict_the_fingers(engines: Engines, people: Any) -> None:
    _, found = asked(engines, *people.samples(1), *eyes(3, 1))

    _, modalities = conflict(found)
    assert modalities == {FINGER, IRIS}


def test_a_record_that_says_its_model_or_coder_needs_nobody_to_say_it(people: Any) -> None:
    """One option of a command names what made the fingers' records; a face and irises are by others."""
    assert face(1, 0).extractor == "facenet512"
    assert [each.extractor for each in eyes(1, 0)] == ["masek-1", "masek-1"]
    assert people.samples(1)[0].extractor == "synthetic-1"


def test_all_three_are_asked_over_the_wire_and_one_answer_is_of_all(  # noqa: PLR0917
    homes: Any, agree: Any, serve: Any, people: Any, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BOUNDS, 3, replace(BOUNDS[3], modalities=frozenset(Modality)))
    text = (homes[0] / "agreements" / "au.toml").read_text()
    for old, new in (
        ("[modalities]\n", '[modalities]\nFACE = "IRPR 315.38"\nIRIS = "IRPR 315.38"\n'),
        ("version = 1", "version = 3"),
        ("in_force = 2026-01-01", "in_force = 2026-03-01"),
        ("[disclosure]\n", REVIEW + "[disclosure]\n"),
    ):
        text = text.replace(old, new, 1)
    agree(homes[0], "au-3.toml", text)
    with Gateway.open(homes[0], secret) as gateway:
        status = people.rows(70)[0].status
        rows = [
            Row("s", "P-70", each.position, UNSTATED, each.data, status, modality=each.modality)
            for each in (face(70, 0), *eyes(70, 0))
        ]
        report = gateway.subjects.registry.enrol([*people.rows(70), *rows])
        assert (report.enrolled, report.bad) == (5, [])
    about = people.matter(agreement=("au", 3))
    with serve(*homes) as pair:
        partner = pair.partner()
        told = partner.capabilities()
        assert told.modalities == (FINGER, FACE, IRIS)
        samples = [*people.samples(70), face(70, 1), *eyes(70, 1)]
        assert partner.query(samples, **about).outcome is Outcome.MATCH
        assert partner.query(samples[2:], **about).outcome is Outcome.MATCH
        assert partner.query([*people.samples(70), *eyes(71, 1)], **about).outcome is (
            Outcome.REVIEW_PENDING
        )
        assert partner.query([*people.samples(99), face(98, 1)], **about).outcome is (
            Outcome.NO_MATCH
        )
    assert self_check.verify_ledger(homes[0]).ok
