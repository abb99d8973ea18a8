"""Irises in a query: searched and answered; what is mirrored or exchanged is answered as of nobody, and alarmed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.client import Refused
from gateway.domain.messages import Modality, Outcome, RecordFormat, Sample
from gateway.law import regulation
from gateway.ledger.entry import EntryType
from gateway.matching.finger import FingerCodec
from gateway.matching.iris import IrisCodec
from gateway.monitoring import misread_alerts
from gateway.monitoring.misread_alerts import MisreadAlerts, MisreadNotes
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store import alarms as store
from gateway.subjects.enrolment import Row
from gateway.wire import sample_rules
from matcher.finger import synthetic as fingers
from matcher.iris import record, synthetic
from matcher.iris.calibration import calibration_of
from matcher.iris.coders import MASEK, OPEN_IRIS
from tests.gateway.matching.fake_faces import facts
from tests.gateway.own_calibrations import iris_file

AGREED = ("au", 2)
REVIEW = '[review]\nfloor_fpir = 0.01\npersons = 1\nparagraph = "IRPR 315.39"\n\n'


def captured(seed: int, eye: int, number: int, *, mirror: bool = False) -> bytes:
    person = synthetic.person(seed, synthetic.CLEAR)
    return record.write(eye, synthetic.capture(person, eye, number, mirror=mirror))


def probe(seed: int, *, mirror: bool = False) -> list[Sample]:
    return [
        IrisCodec().sample(captured(seed, eye, 1, mirror=mirror), eye, MASEK.label)
        for eye in (1, 2)
    ]


@pytest.fixture
def by_iris(
    homes: tuple[Path, Path],
    agree: Callable[[Path, str, str], None],
    people: Any,
    secret: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Path, Path]:
    """Have the agreement permit irises, and two people enrolled by both eyes."""
    both = frozenset({Modality.FINGER, Modality.IRIS})
    monkeypatch.setitem(regulation.BOUNDS, 3, replace(regulation.BOUNDS[3], modalities=both))
    text = (homes[0] / "agreements" / "au.toml").read_text()
    for old, new in (
        ("[modalities]\n", '[modalities]\nIRIS = "IRPR 315.38"\n'),
        ("version = 1", "version = 2"),
        ("in_force = 2026-01-01", "in_force = 2026-02-01"),
        ("[disclosure]\n", REVIEW + "[disclosure]\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    agree(homes[0], "au-2.toml", text)
    (status,) = {row.status for row in people.rows(50)}
    rows = [
        Row(
            "a",
            f"P-{seed}",
            eye,
            MASEK.label,
            captured(seed, eye, 0),
            status,
            modality=Modality.IRIS,
        )
        for seed in (50, 51)
        for eye in (1, 2)
    ]
    with Gateway.open(homes[0], secret) as gateway:
        report = gateway.subjects.registry.enrol(rows)
        assert (report.enrolled, report.bad) == (4, [])
    return homes


def test_a_mirrored_probe_is_answered_as_nobodys_recorded_and_alarmed(
    by_iris: tuple[Path, Path], serve: Any, people: Any, committed: Any
) -> None:
    with serve(*by_iris) as pair:
        partner = pair.partner()

        def ask(samples: list[Sample]) -> Any:
            committed.clear()
            return partner.query(samples, **people.matter(agreement=AGREED))

        assert ask(probe(50)).outcome is Outcome.MATCH
        assert facts(committed, EntryType.RESPONSE).get("misread") is None
        assert ask(probe(99)).outcome is Outcome.NO_MATCH
        usual = [leaf.frame.type for leaf in committed]

        answer = ask(probe(50, mirror=True))

        assert answer.outcome is Outcome.NO_MATCH
        assert facts(committed, EntryType.RESPONSE)["misread"] == "IRIS:MIRRORED"
        assert [leaf.frame.type for leaf in committed] == usual
        committed.clear()
        pair.serving.run_jobs(lambda _: None)
        pair.serving.run_jobs(lambda _: None)
        alarm = facts(committed, EntryType.ALARM)
        assert alarm["reason"] == "SAMPLE_MISREAD"
        (leaf,) = [each for each in committed if each.frame.type is EntryType.ALARM]
        assert leaf.frame.subject_reference == "RAISE/MISREAD/IRIS/MIRRORED"
        assert leaf.frame.partner_id == "AUS"
        assert facts_of(ask(exchanged(50)), committed) == (Outcome.NO_MATCH, "IRIS:EXCHANGED")
    assert self_check.verify_ledger(by_iris[0]).ok


def exchanged(seed: int) -> list[Sample]:
    person = synthetic.person(seed, synthetic.CLEAR)
    return [
        IrisCodec().sample(
            record.write(3 - eye, synthetic.capture(person, eye, 1)), 3 - eye, MASEK.label
        )
        for eye in (1, 2)
    ]


def facts_of(answer: Any, committed: Any) -> tuple[Outcome, str]:
    return answer.outcome, facts(committed, EntryType.RESPONSE)["misread"]


def test_a_picture_of_an_iris_is_unsupported_and_the_query_names_it(
    by_iris: tuple[Path, Path], serve: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our library refuses what is none of its format itself; another's may not.
    monkeypatch.setattr(sample_rules.sample_text, "text_in", lambda *_: ())
    right, left = probe(50)
    picture = replace(left, format=RecordFormat.ISO_19794_6_2011, data=b"IIR\x00020\0" + bytes(40))
    with serve(*by_iris) as pair, pytest.raises(Refused) as refused:
        pair.partner().query([right, picture], **people.matter(agreement=AGREED))
    assert refused.value.reason == "FORMAT_UNSUPPORTED"
    assert "samples[1]" in refused.value.metadata["element"]


def test_the_next_query_rests_on_what_two_operators_adopted_and_says_so(
    by_iris: tuple[Path, Path], serve: Any, people: Any, committed: Any
) -> None:
    """The same person, the same pictures: by a calibration that promises less of a score, it is a match no longer."""
    strict = [
        {"samples": eyes, "level": 0.0, "share": [0.5] * 3, "rate": [0.2] * 3} for eyes in (1, 2)
    ]
    two = Officer("P-1", frozenset({Role.OPERATOR}), second="P-9")
    with serve(*by_iris) as pair:
        partner = pair.partner()

        def ask() -> tuple[Outcome, str]:
            committed.clear()
            answer = partner.query(probe(50), **people.matter(agreement=AGREED))
            return answer.outcome, facts(committed, EntryType.RESPONSE)["calibration"]

        before = ask()
        order = {"text": iris_file(tails=strict), "reason": "errors of our cameras"}
        adopted = pair.gateway.admin.perform(two, "calibrations.adopt", order)
        after = ask()

    assert before == (Outcome.MATCH, calibration_of(MASEK).certificate.id)
    assert after == (Outcome.NO_MATCH, adopted["calibration"])


def test_a_probe_by_a_coder_that_nobody_here_has_is_never_a_no_match(
    by_iris: tuple[Path, Path], serve: Any, people: Any
) -> None:
    """Nobody was compared: the answer says so, as of an empty gallery; fingers beside it are searched as ever."""
    made = record.write(1, synthetic.capture(synthetic.person(50), 1, 1, OPEN_IRIS))
    strange = IrisCodec().sample(made, 1, OPEN_IRIS.label)
    with serve(*by_iris) as pair:
        partner, matter = pair.partner(), people.matter(agreement=AGREED)
        with pytest.raises(Refused) as refused:
            partner.query([strange], **matter)
        beside = partner.query([*people.samples(1), strange], **matter)

    assert refused.value.reason == "ENGINE_UNAVAILABLE"
    assert beside.outcome is Outcome.MATCH


def test_fingers_that_nobody_here_has_are_never_a_no_match(
    by_iris: tuple[Path, Path], serve: Any, people: Any
) -> None:
    """Everybody here was enrolled by both index fingers: a middle finger was compared with nothing."""
    made = fingers.record(fingers.impression(fingers.person(1), 3, 2), 3)
    middle = FingerCodec().sample(made, 3, "test")
    with serve(*by_iris) as pair:
        partner, matter = pair.partner(), people.matter(agreement=AGREED)
        with pytest.raises(Refused) as refused:
            partner.query([middle], **matter)
        beside = partner.query([people.samples(people.unknown)[0], middle], **matter)

    assert refused.value.reason == "ENGINE_UNAVAILABLE"
    assert beside.outcome is Outcome.NO_MATCH


class Ledger:
    """Stands for the sequencer: keeps the references that are committed."""

    def __init__(self) -> None:
        self.references: list[str] = []

    def commit(self, leaves: Any, effects: Any = ()) -> None:
        del effects
        self.references += [leaf.frame.subject_reference for leaf in leaves]


def test_an_alarm_of_misread_samples_stands_for_a_day_and_is_raised_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, standing = datetime(2026, 3, 1, tzinfo=UTC), {}
    monkeypatch.setattr(store, "raised", lambda _: frozenset(standing))
    monkeypatch.setattr(store, "raised_since", lambda _: dict(standing))
    notes, ledger = MisreadNotes(), Ledger()
    moment = [now]
    nothing: Any = SimpleNamespace(reader=nullcontext)
    told: Any = ledger
    alerts = MisreadAlerts(notes, nothing, told, lambda: moment[0])
    name = "MISREAD/AUS/IRIS/MIRRORED"

    for _ in range(3):
        notes.note("AUS", Modality.IRIS, "MIRRORED")
    alerts.round()
    assert ledger.references == ["RAISE/MISREAD/IRIS/MIRRORED"]
    standing[name] = now
    notes.note("AUS", Modality.IRIS, "MIRRORED")
    alerts.round()
    moment[0] = now + misread_alerts.STANDS
    notes.note("AUS", Modality.IRIS, "MIRRORED")  # it goes on: the alarm does not end
    alerts.round()
    assert ledger.references == ["RAISE/MISREAD/IRIS/MIRRORED"]
    moment[0] += timedelta(seconds=30)
    alerts.round()
    assert ledger.references[1:] == ["CLEAR/MISREAD/IRIS/MIRRORED"]
