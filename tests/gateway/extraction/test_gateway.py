"""A gateway with an extractor, from the enrolment of images to the answer to a query with one."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Refused, Unreachable
from gateway.domain.messages import Modality, Outcome, ProblemCode, RecordFormat
from gateway.errors import UserError
from gateway.extraction.service import ExtractionService
from gateway.ledger.entry import EntryType
from gateway.server import self_check
from gateway.server.image_extraction import build_extraction
from gateway.store.casework import reviews
from gateway.store.ledger.sequencer import Sequencer
from gateway.subjects.enrolment import Row
from gateway.wire import query_payload, sample_rules
from matcher.finger import synthetic
from tests.gateway.extraction import image_files as files
from tests.gateway.extraction.children import PATIENT, SIDE, image, picture, task
from tests.gateway.extraction.offered import trial_extractor as orders

NOISE = random.Random(7).randbytes(SIDE * (SIDE - 1))


def photographed(seed: int, position: int = 2, order: int = orders.WELL) -> bytes:
    """A record of a picture whose rows but the first are noise, so that it would be known again."""
    rows = picture(order, seed)[:SIDE] + NOISE
    return files.fir_second(rows, 0, (SIDE, SIDE), position=position)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """Return the facts of answers that are sealed from now on."""
    found: list[Mapping[str, str]] = []
    commit = Sequencer.commit

    def watched(sequencer: Sequencer, leaves: Any, effects: Any = ()) -> Any:
        found.extend(
            each.detail for each in leaves if each.frame.type is EntryType.RESPONSE and each.detail
        )
        return commit(sequencer, leaves, effects)

    monkeypatch.setattr(Sequencer, "commit", watched)
    return found


def test_check_names_the_extractors_and_what_is_missing_of_one(
    images_home: Path, homes: Any, serve: Any, secret: Any
) -> None:
    def said() -> self_check.Check:
        found = self_check.check(images_home, secret, datetime.now(UTC))
        return next(each for each in found if each.name == "images")

    assert (said().ok, said().detail) == (True, "finger by trial-1")
    with serve(*homes):  # a second model would take memory beside it
        assert said().detail == "trial: started with the gateway that serves"

    settings = images_home / "passerelle.toml"
    settings.write_text(settings.read_text().replace('finger = "trial"', 'finger = "trail"'))
    assert not said().ok
    assert "no extractor trail is installed here; there are: " in said().detail


def test_an_image_gets_its_answer_and_is_kept_nowhere(
    images_pair: Any,
    people: Any,
    answered: list[Mapping[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partner = images_pair.partner()
    asked = image(seed=1, data=photographed(1))
    # Our library refuses such a record itself; another's may not.
    with monkeypatch.context() as unseen:
        unseen.setattr(sample_rules.sample_text, "text_in", lambda *_: ())
        with pytest.raises(Refused) as refused:
            partner.query([image(data=photographed(1)[:-1])], **people.matter())
    assert refused.value.reason == "RECORD_UNPARSEABLE"
    assert images_pair.serving.engines.images.counts()[Modality.FINGER] == {}  # nothing was decoded

    answer = partner.query([asked], **people.matter())
    failed = partner.query([image(orders.DIE)], **people.matter())
    mixed = partner.query([image(orders.NOTHING), *people.samples(2)[1:]], **people.matter())
    told = partner.capabilities()
    facts_of = [facts for facts in answered if "extracted" in facts]

    assert answer.outcome is Outcome.MATCH
    assert failed.outcome is Outcome.QUALITY_INSUFFICIENT
    for each in (failed, mixed):
        assert [(one.position, one.code) for one in each.result.problems] == [(2, ProblemCode.EXTRACTION_FAILED)]  # fmt: skip
    assert mixed.outcome is Outcome.MATCH
    assert RecordFormat.ISO_19794_4_2011 in told.record_formats
    assert [facts["extracted"] for facts in facts_of] == [
        "FINGER 2 trial-1 quality 80",
        "FINGER 2 failed",
        "FINGER 2 failed",
    ]
    assert not found_in(images_pair.home, NOISE[:64])


def test_who_was_enrolled_by_an_image_is_found_and_only_the_record_is_held(
    images_pair: Any, people: Any
) -> None:
    seed = people.unknown  # the extractor makes the same minutiae whenever it sees this picture
    rows = [
        Row("a", "P-image", 2, "unstated", photographed(seed), people.status(), image=True),
        Row("b", "P-other", 2, "unstated", photographed(seed, order=orders.NOTHING), image=True),
    ]

    report = images_pair.gateway.subjects.registry.enrol(rows, images_pair.serving.engines.images)

    assert report.enrolled == 1
    (made,) = report.extracted
    assert (made.label, made.sample.extractor, made.sample.quality) == ("a", "trial-1", 80)
    (bad,) = report.bad
    assert "no features could be extracted" in bad.reason
    assert not found_in(images_pair.home, NOISE[:64])
    again = images_pair.gateway.subjects.registry.enrol(
        rows[:1], images_pair.serving.engines.images
    )
    assert (again.enrolled, again.unchanged) == (0, 1)


def test_a_gateway_that_stops_ends_a_query_that_waits_for_a_record_and_destroys_its_picture(
    images_pair: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = list[tuple[EntryType, str | None]]()
    commit = Sequencer.commit

    def watched(sequencer: Sequencer, leaves: Any, effects: Any = ()) -> Any:
        written.extend((each.frame.type, (each.detail or {}).get("reason")) for each in leaves)
        return commit(sequencer, leaves, effects)

    monkeypatch.setattr(Sequencer, "commit", watched)
    # Its one process is held by pictures that are never done: the query waits behind them.
    images = images_pair.serving.engines.images
    images.begin(Modality.FINGER, [task(orders.HANG)] * 30)
    partner = images_pair.partner()
    begin, asked = images.begin, threading.Event()

    def seen(*arguments: Any) -> Any:
        begun = begin(*arguments)
        asked.set()
        return begun

    monkeypatch.setattr(ExtractionService, "begin", lambda _, *each: seen(*each))
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(partner.query, [image(seed=1)], **people.matter())
        assert asked.wait(PATIENT)
        images_pair.serving.stop()
        partner.close()  # nobody is there any more to be asked again
        with pytest.raises((Refused, Unreachable)):
            call.result(PATIENT)

    closed = {(EntryType.REFUSAL, "ENGINE_UNAVAILABLE"), (EntryType.DESTRUCTION, None)}
    assert written[0] == (EntryType.REQUEST, None)
    assert set(written[1:3]) == closed
    assert [each for each, _ in written[3:]] == [EntryType.STOP]
    assert images.processes() == ()


def test_without_an_extractor_an_image_is_unsupported_and_enrols_nobody(
    shared_pair: Any, people: Any
) -> None:
    with pytest.raises(Refused) as refused:
        shared_pair.partner().query([image(seed=1)], **people.matter())
    report = shared_pair.gateway.subjects.registry.enrol(
        [Row("a", "P-none", 2, "unstated", photographed(1), image=True)]
    )

    assert refused.value.reason == "FORMAT_UNSUPPORTED"
    assert report.enrolled == 0
    assert "extraction.finger in the settings" in report.bad[0].reason


def test_an_extractor_that_cannot_be_had_stops_the_start_and_names_the_remedy() -> None:
    from gateway.config import Extraction

    with pytest.raises(UserError, match=r"no extractor absent is installed here.*extraction\.\*"):
        build_extraction(Extraction(finger="absent"))


@pytest.fixture
def in_review(homes: Any, agree: Any) -> None:
    """The next version of the agreement, by which an examiner sees whoever is found."""
    text = (homes[0] / "agreements" / "au.toml").read_text()
    text = text.replace("version = 1", "version = 2").replace("fpir = 1e-4", "fpir = 1e-90")
    band = '\n[review]\nfloor_fpir = 1e-4\npersons = 1\nparagraph = "IRPR 315.39"\n'
    agree(homes[0], "au-2.toml", text + band)


def held(position: int, finger: int, impression: int = 2) -> bytes:
    """The record of a finger of somebody who is enrolled, as it is stated."""
    seen = synthetic.impression(synthetic.person(1), finger, impression)
    return synthetic.record(seen, position)


UNKNOWN = [image(seed=1, position=0, finger=finger) for finger in (7, 4, 2)]
BESIDE = [image(seed=1, position=2, print=3), image(orders.NOTHING, seed=1, position=7)]
TWICE = [image(seed=1, position=2, print=number) for number in (2, 3)]


@pytest.mark.usefixtures("in_review")  # before the gateway starts
@pytest.mark.parametrize(
    ("images", "with_record", "seen"),
    [
        (UNKNOWN, False, [held(0, 7), held(0, 4), held(0, 2)]),
        (BESIDE, True, [held(2, 2), held(2, 2, 3)]),  # and nothing of the one that gave no record
        (TWICE, False, [held(2, 2), held(2, 2, 3)]),
    ],
    ids=["unknown positions", "a record beside an image", "two impressions"],
)
def test_an_examiner_sees_the_record_of_each_sample_and_no_other(
    images_pair: Any, people: Any, images: Any, with_record: bool, seen: Any
) -> None:
    sent = [*(people.samples(1)[:1] if with_record else []), *images]
    answer = images_pair.partner().query(sent, **people.matter(agreement=("au", 2)))

    assert answer.outcome is Outcome.REVIEW_PENDING
    gateway = images_pair.gateway
    with gateway.database.reader() as reader:
        (waiting,) = reviews.waiting(reader)
        case = reviews.case(reader, waiting.case)
    assert case is not None
    query = query_payload.read_query(reviews.unseal(gateway.keys.data_key, case).payload)
    assert [each.data for each in query.probe.samples] == seen


def found_in(home: Path, octets: bytes) -> bool:
    return any(octets in each.read_bytes() for each in home.rglob("*") if each.is_file())
