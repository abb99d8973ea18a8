"""A query of several modalities: searched by each in full, decided by all together, and by an examiner where they differ."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.client import Refused
from gateway.domain.messages import Modality, Outcome, Problem, ProblemCode
from gateway.domain.person import SubjectKind
from gateway.errors import DeadlineTooShort, EngineUnavailable, UserError
from gateway.ledger.entry import EntryType
from gateway.matching.engine import Change, OperatingPoint, Scored
from gateway.matching.engines import Engines
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.people import subjects
from gateway.subjects.enrolment import Row
from matcher import fusion
from tests.gateway.casework.outbound_requests import given
from tests.gateway.matching.fake_faces import (
    ANN,
    BLURRED,
    BOB,
    NOBODY,
    FaceEngine,
    Nobody,
    face,
    facts,
    record,
)

AGREED = ("au", 2)
POINT = OperatingPoint(1e-4, 1e-2)
CITIZEN = 60


def ask(pair: Any, people: Any, *samples: Any) -> Any:
    return pair.partner().query(list(samples), **people.matter(agreement=AGREED))


def listed(found: Any, name: str) -> list[str]:
    return str(found[name]).split(",")


def test_fingers_and_a_face_of_one_person_are_searched_together(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    with serve(*enrolled) as pair:
        face_engine = pair.serving.engines.by_modality[Modality.FACE]
        committed.clear()

        answer = ask(pair, people, *people.samples(50), face(ANN))

        assert answer.outcome is Outcome.MATCH
        asked, found = facts(committed, EntryType.REQUEST), facts(committed, EntryType.RESPONSE)
        assert asked["modality"] == "FACE,FINGER"
        assert facts(committed, EntryType.DESTRUCTION) == {
            "destroyed": "FINGER records=2,FINGER minutiae=2,FINGER templates=2,FACE vectors=1",
            "modality": "FINGER,FACE",
        }
        assert not any(vector.any() for vector in face_engine.destroyed)
    assert listed(found, "searched_modalities") == ["FINGER", "FACE"]
    finger, by_face = map(float, listed(found, "modality_scores"))
    assert by_face == 8.0
    assert float(found["scores"]) == finger + by_face
    assert listed(found, "modality_sizes") == ["6", "2"]
    assert listed(found, "modality_positions") == ["2+7", "0"]
    assert listed(found, "shared_samples") == ["2", "1"]
    assert found["threshold"] not in listed(found, "modality_thresholds")
    assert listed(found, "calibration")[1] == "faces-1"
    assert (found["gallery_size"], found.get("conflict")) == ("8", None)
    assert self_check.verify_ledger(enrolled[0]).ok


def test_a_modality_of_which_nothing_is_held_says_nothing(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    """Seed 1 is enrolled by fingers alone: a face that is nobody's neither helps nor harms."""
    with serve(*enrolled) as pair:
        committed.clear()
        assert ask(pair, people, *people.samples(1), face(NOBODY)).outcome is Outcome.MATCH
        found = facts(committed, EntryType.RESPONSE)
        finger, by_face = listed(found, "modality_scores")
        assert (found["scores"], by_face) == (finger, "none")
        assert listed(found, "shared_samples") == ["2", "0"]
        assert ask(pair, people, *people.samples(99), face(NOBODY)).outcome is Outcome.NO_MATCH


def test_how_positions_were_read_is_said_of_the_person_of_the_answer_alone(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    """Fingers that are nobody's fit somebody best all the same: not the person whom the face finds."""
    with serve(*enrolled) as pair:
        committed.clear()
        assert ask(pair, people, *people.samples(50), face(ANN)).outcome is Outcome.MATCH
        both = facts(committed, EntryType.RESPONSE)
        committed.clear()
        answer = ask(pair, people, *people.samples(people.unknown), face(BOB))
        by_face = facts(committed, EntryType.RESPONSE)

    assert answer.outcome is Outcome.MATCH
    assert by_face["modality_scores"].startswith("none,")
    told = ("position_hypothesis", "position_ways")
    assert all(name in both for name in told)
    assert not any(name in by_face for name in told)


def test_one_modality_of_use_is_enough_and_the_other_is_told(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    blurred = Problem(0, ProblemCode.QUALITY_TOO_LOW, modality=Modality.FACE)
    with serve(*enrolled) as pair:
        committed.clear()
        answer = ask(pair, people, *people.samples(50), face(BLURRED))
        assert (answer.outcome, answer.result.problems) == (Outcome.MATCH, (blurred,))
        found = facts(committed, EntryType.RESPONSE)
        assert (found["searched_modalities"], found["modality_scores"]) == (
            "FINGER",
            found["scores"],
        )

        poor = [people.poor(each, 2) for each in people.samples(50)]
        answer = ask(pair, people, *poor, face(ANN))
        assert answer.outcome is Outcome.MATCH
        assert [(each.modality, each.position) for each in answer.result.problems] == [
            (Modality.FINGER, 2),
            (Modality.FINGER, 7),
        ]

        answer = ask(pair, people, *poor, face(BLURRED))
        assert answer.outcome is Outcome.QUALITY_INSUFFICIENT
        assert len(answer.result.problems) == 3


def test_a_broken_record_among_good_ones_leaves_nothing_behind(
    enrolled: Any, serve: Any, people: Any
) -> None:
    with serve(*enrolled) as pair:
        engine = pair.serving.engines.by_modality[Modality.FACE]
        finger = pair.serving.engines.by_modality[Modality.FINGER]
        read, kept = finger.read, []
        finger.read = lambda samples: kept.append(read(samples)) or kept[-1]
        with pytest.raises(Refused) as refused:
            ask(pair, people, *people.samples(50), replace(face(ANN), data=b"FVC\0"))
        assert refused.value.reason == "RECORD_UNPARSEABLE"
        assert refused.value.metadata["element"] == "biometrics.samples[2].data"
        assert [probe.minutiae for probe in kept] == [[]]
        assert not engine.destroyed


def test_fingers_that_say_yes_and_a_face_that_says_no_wait_for_an_examiner(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    """Never averaged: the sum is far above the threshold, and it is no match until somebody has looked."""
    with serve(*enrolled) as pair:
        committed.clear()
        assert ask(pair, people, *people.samples(50), face(NOBODY)).outcome is (
            Outcome.REVIEW_PENDING
        )
        found = facts(committed, EntryType.RESPONSE)
        assert float(found["scores"]) > float(found["threshold"])
        assert listed(found, "conflict") == ["FINGER", "FACE"]
        assert found["true_outcome"] == "REVIEW_PENDING"
        shown = lease(pair)
    assert [each["position"] for each in shown["fingers"]] == [2, 7]
    assert shown["samples"] == [{"modality": "FACE", "position": 0, "compared": {"same": False}}]
    assert shown["modalities"] == [
        {"modality": "FINGER", "says": "SUPPORTS"},
        {"modality": "FACE", "says": "CONTRADICTS"},
    ]
    text = json.dumps(shown)
    assert not any(word in text for word in ("score", "ratio", found["scores"], "P-50"))


EXAMINER = Officer("P-7", frozenset({Role.EXAMINER}))


def lease(pair: Any) -> Any:
    """Have an examiner look at the one case that waits."""
    (case,) = pair.gateway.admin.perform(EXAMINER, "review.list", {})["cases"]
    return pair.gateway.admin.perform(EXAMINER, "review.lease", {"case": case["case"]})


def test_an_examiner_who_looked_decides_and_the_samples_of_both_modalities_are_gone(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    with serve(*enrolled) as pair:
        ask(pair, people, *people.samples(50), face(BOB))
        shown = lease(pair)
        committed.clear()
        decided = {"case": shown["case"], "verdict": "DIFFERENT", "reason": "two people"}
        assert pair.gateway.admin.perform(EXAMINER, "review.decide", decided)["closed"]
        assert facts(committed, EntryType.DESTRUCTION)["modality"] == "FACE,FINGER"
    assert self_check.verify_ledger(enrolled[0]).ok


def test_fingers_of_one_person_and_the_face_of_another_wait_for_an_examiner(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    with serve(*enrolled) as pair:
        committed.clear()
        answer = ask(pair, people, *people.samples(50), face(BOB))
        assert answer.outcome is Outcome.REVIEW_PENDING
        assert "conflict" in facts(committed, EntryType.RESPONSE)


def test_whom_the_law_hides_never_waits_for_an_examiner(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    """law.md 3.3: a citizen of whom fingers and face contradict each other is answered as if nobody had been found."""
    with serve(*enrolled) as pair:
        rows = people.rows(CITIZEN, people.status(SubjectKind.CITIZEN, "CAN"))
        row = Row("f", f"P-{CITIZEN}", 0, "faces-1", record(BOB), modality=Modality.FACE)
        report = pair.gateway.subjects.registry.enrol([*rows, replace(row, status=rows[0].status)])
        assert not report.bad
        with pair.gateway.database.reader() as reader:
            subject = subjects.find(reader, f"P-{CITIZEN}")
        assert subject is not None
        held = (*people.samples(CITIZEN, impression=1), face(BOB))
        pair.serving.engines.apply(Change(subject, held))
        committed.clear()

        answer = ask(pair, people, *people.samples(CITIZEN), face(NOBODY))

        assert answer.outcome is Outcome.NO_MATCH
        found = facts(committed, EntryType.RESPONSE)
        assert (found["true_outcome"], found["conflict"]) == ("REVIEW_PENDING", "FINGER,FACE")


@pytest.fixture
def engines(faces: None) -> Engines:
    del faces
    made = Engines()
    made.load(Nobody())
    return made


def prepared(engines: Engines, *samples: Any) -> Any:
    probes = engines.read({f"s[{at}]": each for at, each in enumerate(samples)})
    engines.prepare(probes)
    return probes


def test_everybody_is_held_against_the_threshold_of_the_modalities_that_they_have(
    engines: Engines, people: Any
) -> None:
    engines.apply(Change(1, (*people.samples(1, impression=1), face(ANN))))
    engines.apply(Change(2, tuple(people.samples(2, impression=1))))
    engines.apply(Change(3, (face(BOB),)))

    found = engines.search(
        prepared(engines, *people.samples(1), face(ANN)), POINT, 10, lambda: 10.0
    )

    tails = {each: of.tails for each, of in found.by_modality.items()}
    assert found.size == 4  # two of each gallery
    for each in found.candidates:
        held = [tails[modality][one.shared] for modality, one in each.scores.items()]
        assert each.threshold == fusion.threshold(POINT.fpir, held, 4).score
        assert each.floor == fusion.threshold(0.01, held, 4).score <= each.threshold
        assert each.score == sum(one.score for one in each.scores.values())
        assert each.alone == {
            modality: fusion.threshold(POINT.fpir, [tails[modality][one.shared]], 2).score
            for modality, one in each.scores.items()
        }
    best, *others = found.candidates
    assert (best.subject, set(best.scores)) == (1, {Modality.FINGER, Modality.FACE})
    assert {each.subject: set(each.scores) for each in others} == {
        2: {Modality.FINGER},
        3: {Modality.FACE},
    }
    assert found.threshold == best.threshold
    margins = [each.score - each.threshold for each in found.candidates]
    assert margins == sorted(margins, reverse=True)


def test_a_person_whom_one_modality_alone_would_miss_gets_the_score_of_both(
    engines: Engines, people: Any
) -> None:
    """Only the best of each modality are named, and each of them is scored exactly by the others."""
    for who in (1, 2, 3):
        engines.apply(Change(who, (*people.samples(who, impression=1), face(BOB))))
    engines.apply(Change(4, (*people.samples(4, impression=1), face(ANN))))
    probes = prepared(engines, *people.samples(1), face(ANN))

    found = engines.search(probes, POINT, 1, lambda: 10.0)

    assert [(each.subject, set(each.scores)) for each in found.candidates] == [
        (1, {Modality.FINGER, Modality.FACE}),
        (4, {Modality.FINGER, Modality.FACE}),
    ]
    whole = engines.search(probes, POINT, 4, lambda: 10.0)
    scores = {each.subject: each.score for each in whole.candidates}
    for each in found.candidates:  # who is aligned beside whom changes the last digits of a product
        assert each.score == pytest.approx(scores[each.subject], abs=1e-3)


def test_one_modality_alone_is_the_search_of_its_engine(engines: Engines, people: Any) -> None:
    engines.apply(Change(1, (*people.samples(1, impression=1), face(ANN))))
    probes = prepared(engines, *people.samples(1))

    found = engines.search(probes, POINT, 10, lambda: 10.0)

    finger = engines.by_modality[Modality.FINGER]
    alone = finger.search(probes[Modality.FINGER], POINT, 10, lambda: 10.0)
    assert found.by_modality == {Modality.FINGER: alone}
    least = fusion.threshold(POINT.fpir, [alone.tails[2]], alone.size)
    floor = fusion.threshold(0.01, [alone.tails[2]], alone.size).score
    assert (found.threshold, found.floor, found.size) == (least.score, floor, alone.size)
    assert found.alone == {Modality.FINGER: least.score}
    assert least.fpir_expected <= found.fpir_expected <= POINT.fpir
    assert [each.scores[Modality.FINGER] for each in found.candidates] == list(alone.candidates)
    assert [each.score for each in found.candidates] == [each.score for each in alone.candidates]


def test_who_is_found_is_no_more_and_no_less_work_than_nobody(
    engines: Engines, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protocol 9: how many people each modality looks at again does not say whether both name the same person."""
    for who in range(1, 5):
        engines.apply(Change(who, (*people.samples(who, impression=1), face(ANN))))
    asked: list[tuple[str, int]] = []
    for engine in engines.by_modality.values():
        exact = engine.scores

        def watched(probe: Any, subjects: Any, engine: Any = engine, exact: Any = exact) -> Any:
            asked.append((engine.modality.name, len(subjects)))
            return exact(probe, subjects)

        monkeypatch.setattr(engine, "scores", watched)
    for seed, vector in ((1, ANN), (1, NOBODY), (99, NOBODY)):
        engines.search(prepared(engines, *people.samples(seed), face(vector)), POINT, 2, lambda: 10)
    engine = engines.by_modality[Modality.FACE]
    near = engine.search
    monkeypatch.setattr(engine, "search", lambda *each: replace(near(*each), candidates=()))
    engines.search(prepared(engines, *people.samples(1), face(NOBODY)), POINT, 2, lambda: 10)

    assert asked == [("FINGER", 2), ("FACE", 2)] * 4


def test_a_modality_that_nobody_is_enrolled_with_leaves_the_other_as_it_is(
    engines: Engines, people: Any
) -> None:
    engines.apply(Change(1, people.samples(1, impression=1)))
    alone = engines.search(prepared(engines, *people.samples(1)), POINT, 10, lambda: 10.0)
    both = engines.search(prepared(engines, *people.samples(1), face(ANN)), POINT, 10, lambda: 10.0)

    assert both.candidates == alone.candidates
    assert (both.threshold, both.floor, both.size) == (alone.threshold, alone.floor, alone.size)

    engines.apply(Change(1, (face(ANN),)))  # and the other way round: of fingers there are none
    found = engines.search(prepared(engines, *people.samples(1), face(ANN)), POINT, 10, lambda: 10)
    (only,) = found.candidates
    assert only.scores == {Modality.FACE: Scored(1, 8.0)}


def test_time_that_ends_between_two_modalities_ends_the_search(
    engines: Engines, people: Any
) -> None:
    engines.apply(Change(1, (*people.samples(1, impression=1), face(ANN))))
    left = iter((1.0,) * 3)  # the fingers' own questions, and none is left for the rest

    with pytest.raises(DeadlineTooShort):
        engines.search(
            prepared(engines, *people.samples(1), face(ANN)), POINT, 10, lambda: next(left, 0.0)
        )


def test_a_modality_whose_engine_is_away_is_not_left_out(engines: Engines, people: Any) -> None:
    probes = prepared(engines, *people.samples(1), face(ANN))
    engine = engines.by_modality[Modality.FACE]
    assert isinstance(engine, FaceEngine)
    engine.people = None

    with pytest.raises(EngineUnavailable):
        engines.search(probes, POINT, 10, lambda: 10.0)


def question(people: Any, agreement: str) -> dict[str, object]:
    """Return what a caseworker asks a partner, by fingers and a face."""
    return {
        "partner": "AUS",
        "agreement": agreement,
        "purpose": "VISA_PERMIT_BENEFIT",
        "case": "C-1",
        "unit": "U-1",
        "status": "FOREIGN_NATIONAL",
        "nationalities": "IND",
        **given(*people.samples(50), face(ANN)),
    }


def test_a_face_goes_to_no_partner_that_does_not_say_that_it_takes_one(
    permitted: Any, faces: None, people: Any, secret: Any, committed: Any
) -> None:
    """The agreement permits it, and nobody answers at AUS: not even that we asked is recorded, nothing left."""
    del faces
    caseworker = Officer("P-5", frozenset({Role.CASEWORKER}))
    with Gateway.open(permitted[0], secret) as gateway:
        committed.clear()
        with pytest.raises(UserError, match=r"AUS did not say what it reads .* records of fingers"):
            gateway.admin.perform(caseworker, "ask", question(people, "au@2"))
        assert [leaf for leaf in committed if leaf.frame.type is EntryType.ASKED] == []


def test_a_face_that_an_agreement_does_not_name_never_leaves(
    homes: Any, faces: None, people: Any, secret: Any, committed: Any
) -> None:
    del faces
    caseworker = Officer("P-5", frozenset({Role.CASEWORKER}))
    with Gateway.open(homes[0], secret) as gateway:
        committed.clear()
        stopped = gateway.admin.perform(caseworker, "ask", question(people, "au@1"))
        assert stopped["state"] == "STOPPED"
        assert facts(committed, EntryType.ASKED)["reason"] == "MODALITY_NOT_PERMITTED"
