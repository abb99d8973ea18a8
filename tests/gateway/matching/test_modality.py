"""A second modality has its place everywhere: enrolled, stored, loaded, searched, decided, destroyed and recorded."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from gateway.client import Refused
from gateway.domain.messages import Modality, Outcome
from gateway.errors import EngineUnavailable
from gateway.ledger.entry import EntryType
from gateway.matching import modality
from gateway.matching.engine import Change, UnreadableSample
from gateway.matching.engines import Engines
from gateway.matching.finger import FingerEngine
from gateway.matching.modality import codec_of
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.people import subjects
from gateway.subjects.enrolment import Row
from tests.gateway.matching.fake_faces import (
    ANN,
    BOB,
    NOBODY,
    FaceEngine,
    Nobody,
    face,
    facts,
    permit_faces,
    record,
)


def test_a_face_is_enrolled_stored_searched_decided_destroyed_and_recorded(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    with serve(*enrolled) as pair:
        engine = pair.serving.engines.by_modality[Modality.FACE]
        assert engine.status().size == 2
        assert pair.serving.engines.by_modality[Modality.FINGER].status().size == 6
        partner = pair.partner()
        committed.clear()

        answer = partner.query([face(ANN)], **people.matter(agreement=("au", 2)))

        assert answer.outcome is Outcome.MATCH
        asked = facts(committed, EntryType.REQUEST)
        assert (asked["modality"], asked["positions"]) == ("FACE", "0")
        assert facts(committed, EntryType.DESTRUCTION) == {
            "destroyed": "vectors=1",
            "modality": "FACE",
        }
        found = facts(committed, EntryType.RESPONSE)
        assert (found["scores"], found["calibration"]) == ("8.0", "faces-1")
        assert engine.destroyed
        assert not any(vector.any() for vector in engine.destroyed)
        assert (
            partner.query([face(NOBODY)], **people.matter(agreement=("au", 2))).outcome
            is Outcome.NO_MATCH
        )
        by_finger = partner.query(people.samples(50), **people.matter(agreement=("au", 2)))
        assert by_finger.outcome is Outcome.MATCH
    assert self_check.verify_ledger(enrolled[0]).ok


def test_the_entry_of_an_enrolment_names_the_modality_of_each_sample(
    permitted: Any, faces: None, people: Any, secret: Any, committed: Any
) -> None:
    """Fingers alone are recorded as they always were: without a word about it."""
    del faces
    with Gateway.open(permitted[0], secret) as gateway:
        committed.clear()
        first = people.rows(50)[0]
        gateway.subjects.registry.enrol([first])
        assert "modality" not in facts(committed, EntryType.ENROLLED)
        committed.clear()
        both = replace(people.rows(50)[1], subject="P-52")
        row = Row("a", "P-52", 0, "faces-1", record(ANN), modality=Modality.FACE)

        gateway.subjects.registry.enrol([both, row])

    told = facts(committed, EntryType.ENROLLED)
    assert (told["modality"], told["positions"]) == ("FINGER,FACE", f"{both.position},0")


def test_who_is_removed_or_changed_is_so_in_every_gallery(enrolled: Any, serve: Any) -> None:
    with serve(*enrolled) as pair:
        engines = pair.serving.engines
        with pair.gateway.database.reader() as reader:
            subject = subjects.find(reader, "P-50")
        assert subject is not None
        engines.apply(Change(subject, (face(BOB),)))

        assert engines.by_modality[Modality.FACE].status().size == 2
        assert engines.by_modality[Modality.FINGER].status().size == 5
        engines.apply(Change(subject))
        assert engines.by_modality[Modality.FACE].status().size == 1


def test_a_modality_that_nothing_here_reads_is_refused_by_its_element(
    permitted: Any, serve: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit_faces(monkeypatch)
    fingers = {Modality.FINGER: modality.TABLE[Modality.FINGER]}
    monkeypatch.setattr(modality, "TABLE", MappingProxyType(fingers))
    with serve(*permitted) as pair, pytest.raises(Refused) as refused:
        pair.partner().query([face(ANN)], **people.matter(agreement=("au", 2)))

    assert refused.value.reason == "FORMAT_UNSUPPORTED"
    assert refused.value.metadata["element"] == "biometrics.samples[0].modality"
    with pytest.raises(UnreadableSample, match="FACE"):
        codec_of(Modality.FACE)


def test_nothing_is_answered_until_every_gallery_is_loaded(faces: None) -> None:
    """A gateway that has loaded fingers alone would answer by face from nobody."""
    del faces
    engines = Engines()
    engines.load(Nobody())
    engines.demand_loaded()

    engine = engines.by_modality[Modality.FACE]
    assert isinstance(engine, FaceEngine)
    engine.people = None
    with pytest.raises(EngineUnavailable):
        engines.demand_loaded()


def test_the_floor_of_the_response_time_is_that_of_a_query_of_every_modality(
    faces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query by one takes no less: its time does not say what it carried."""
    del faces
    monkeypatch.setattr(FingerEngine, "rehearse", lambda _, searches: (0.25,) * searches)
    engines = Engines()
    engines.load(Nobody())

    taken = engines.rehearse(2)

    assert taken == pytest.approx((0.251, 0.251))  # faces take 0.001, irises of nobody nothing
