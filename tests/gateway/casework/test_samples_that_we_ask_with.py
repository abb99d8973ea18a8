"""Canada asks with everything that partners may ask with: images, faces, irises, unknown fingers, further impressions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.agreements import signatures
from gateway.cli import admin_session
from gateway.domain.messages import UNSTATED, Capabilities, Compression, Modality, RecordFormat
from gateway.domain.messages import Sample as Given
from gateway.errors import UserError
from gateway.extraction.service import ExtractionService
from gateway.law.regulation import BOUNDS
from gateway.ledger.entry import EntryClass, EntryType
from gateway.matching.modality import codec_of
from gateway.outbound import partner_capabilities
from gateway.outbound.transport import Delivery, Fate
from gateway.server import application, lifecycle, self_check
from gateway.server.application import Gateway
from gateway.server.workers import outbound
from gateway.store.ledger.sequencer import Sequencer
from gateway.subjects.enrolment import Row
from keys.custody import open_custody
from keys.keyset import Keyset
from matcher.face import synthetic as faces
from matcher.finger import synthetic as fingers
from matcher.iris import record as iris_record
from matcher.iris import synthetic as irises
from tests.ansi_nist_writer import image, text_record, transaction
from tests.gateway.casework.conftest import Clock, Side, _secret
from tests.gateway.casework.outbound_requests import LAWFUL, given
from tests.gateway.conftest import let_in
from tests.gateway.extraction import image_files as files
from tests.gateway.matching.extracting import SIDE, Extracting, face_image, iris_image

FINGER, FACE, IRIS = Modality.FINGER, Modality.FACE, Modality.IRIS
PERSON = 1  # enrolled at AUS by fingers, face and both eyes
MARK = bytes(range(1, 101)) * SIDE  # the rows of a picture, which would be known again
ALL = ("FINGER", "FACE", "IRIS")


def face(seed: int, number: int = 1) -> Given:
    return codec_of(FACE).sample(faces.record(seed, number), 0, UNSTATED)


def eyes(seed: int, number: int = 1) -> list[Given]:
    person, found = irises.person(seed), []
    for eye in (1, 2):
        code = iris_record.write(eye, irises.capture(person, eye, number))
        found.append(codec_of(IRIS).sample(code, eye, UNSTATED))
    return found


def print_of(seed: int, position: int, impression: int) -> bytes:
    made = fingers.impression(fingers.person(seed), position, impression)
    return bytes(fingers.record(made, position))


def finger_image(position: int = 2) -> Given:
    return Given(
        modality=FINGER,
        position=position,
        format=RecordFormat.ISO_19794_4_2011,
        extractor=UNSTATED,
        data=files.fir_second(MARK, 0, (SIDE, SIDE), position=position),
    )


def png(position: int, size: int) -> Given:
    """A picture of a finger of so many bytes, whose pixels are of no matter."""
    drawn = files.png()
    end = drawn.index(b"IEND") - 4
    filler = files.chunk(b"IDAT", bytes([position]) * (size - len(drawn) - 12))
    return Given(
        modality=FINGER,
        position=position,
        format=RecordFormat.PNG,
        extractor=UNSTATED,
        data=drawn[:end] + filler + drawn[end:],
        ppi=500,
    )


@dataclass
class Both:
    """CAN, who asks, and AUS, whose extractors read images of fingers and faces; `written` are CAN's entries, opened."""

    can: Side
    aus: Side
    written: list[Any] = field(default_factory=list)

    def ask(self, *samples: Given, **other: object) -> Mapping[str, Any]:
        asked = {**LAWFUL, "agreement": "au@2", **given(*samples), **other}
        return self.can.act("ask", **asked)

    def outcome(self, *samples: Given, **other: object) -> str:
        told = self.ask(*samples, **other)
        assert told["state"] == "ANSWERED", told
        return str(self.can.act("asked.show", number=told["number"])["outcome"])

    def requests(self, operation: str) -> int:
        sent = self.aus.frames(EntryType.REQUEST)
        return sum(each.subject_reference == operation for each in sent)

    def asked(self) -> Mapping[str, str]:
        (*_, last) = [each for each in self.written if each.frame.type is EntryType.ASKED]
        return dict(last.detail)

    def forget(self) -> None:
        """Have CAN know nothing of what AUS reads."""
        self.can.gateway.outbound.worker._outbound._capabilities._kept.clear()


def agree(home: Path, text: str) -> None:
    for old, new in (
        ("[modalities]\n", '[modalities]\nFACE = "IRPR 315.38"\nIRIS = "IRPR 315.38"\n'),
        ("version = 1", "version = 2"),
        ("in_force = 2026-01-01", "in_force = 2026-02-01"),
        (
            "[disclosure]\n",
            (
                '[modality_purposes.IRIS]\npurposes = ["VISA_PERMIT_BENEFIT"]\nparagraph = "IRPR 315.38"\n\n'
                '[review]\nfloor_fpir = 0.01\npersons = 1\nparagraph = "IRPR 315.39"\n\n[disclosure]\n'
            ),
        ),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    file = home / "agreements" / "au-2.toml"
    file.write_text(text)
    custody = open_custody(f"file:{home}/keys/kek.json", _secret)
    signer = Keyset.load(home / "keys" / "keyset.json", custody).signing()
    file.with_name(f"{file.name}{signatures.SUFFIX}").write_text(
        signatures.signature(signer, text.encode()), encoding="ascii"
    )


def enrol(home: Path, people: Any) -> None:
    with Gateway.open(home, _secret) as gateway:
        status = people.rows(PERSON)[0].status
        rows = [
            Row(
                "s",
                f"P-{PERSON}",
                each.position,
                UNSTATED,
                each.data,
                status,
                modality=each.modality,
            )
            for each in (face(PERSON, 0), *eyes(PERSON, 0))
        ]
        report = gateway.subjects.registry.enrol(rows)
        assert (report.enrolled, report.bad) == (3, [])


@pytest.fixture(scope="module")
def both(
    two_folders: Path, tmp_path_factory: pytest.TempPathFactory, people: Any
) -> Iterator[Both]:
    root = tmp_path_factory.mktemp("samples")
    clock = Clock()
    reading = {FINGER: print_of(PERSON, 2, 2), FACE: faces.record(PERSON, 1)}
    services = iter((ExtractionService(), Extracting(reading)))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as closing:
        patch.setitem(BOUNDS, 3, replace(BOUNDS[3], modalities=frozenset(Modality)))
        patch.setattr(application, "utc_now", clock.now)
        patch.setattr(outbound, "EVERY", 3600.0)
        patch.setattr(lifecycle, "build_extraction", lambda _: next(services))
        for name in ("can", "aus"):
            shutil.copytree(two_folders / name, root / name)
            agree(root / name, (root / name / "agreements" / "au.toml").read_text())
        enrol(root / "aus", people)
        let_in(root / "can", "P-7", ["caseworker"], root / "p7", passphrase=_secret)
        sides = [Side(root / name, clock) for name in ("can", "aus")]
        clock.sides += sides
        for side in sides:
            closing.callback(side.close)
            side.open()
        made = Both(*sides)
        commit = Sequencer.commit

        def watched(sequencer: Sequencer, leaves: Any, *rest: Any, **named: Any) -> Any:
            if sequencer is made.can.gateway.sequencer:
                made.written.extend(leaves)
            return commit(sequencer, leaves, *rest, **named)

        patch.setattr(Sequencer, "commit", watched)
        yield made
    for side in sides:
        verdict = self_check.verify_ledger(side.home)
        assert verdict.ok, verdict


def unknown_fingers(seed: int) -> list[Given]:
    return [
        codec_of(FINGER).sample(fingers.record(fingers.impression(fingers.person(seed), at, 2), 0), 0, "synthetic-1")
        for at in (2, 7)
    ]  # fmt: skip


def two_impressions(seed: int) -> list[Given]:
    return [
        codec_of(FINGER).sample(print_of(seed, 2, impression), 2, "synthetic-1")
        for impression in (2, 3)
    ]


@pytest.mark.parametrize(
    ("samples", "recorded"),
    [
        (lambda: [face(PERSON)], {"modality": "FACE", "positions": "0"}),
        (lambda: eyes(PERSON), {"modality": "IRIS,IRIS", "positions": "1,2"}),
        (lambda: unknown_fingers(PERSON), {"positions": "0,0"}),
        (lambda: two_impressions(PERSON), {"positions": "2,2"}),
        (lambda: [finger_image()], {"positions": "2", "formats": "ISO_19794_4_2011"}),
        (lambda: [face_image()], {"modality": "FACE", "positions": "0", "formats": "JPEG"}),
        (
            lambda: [*two_impressions(PERSON), face(PERSON), *eyes(PERSON), finger_image(7)],
            {
                "modality": "FINGER,FINGER,FACE,IRIS,IRIS,FINGER",
                "formats": "ISO_19794_2_2005,ISO_19794_2_2005,FACE_VECTOR,IRIS_CODE,IRIS_CODE,ISO_19794_4_2011",
            },
        ),
    ],
    ids=["face", "irises", "unknown fingers", "impressions", "image of a finger", "image of a face", "all"],
)  # fmt: skip
def test_a_person_is_found_at_the_partner_by_whatever_we_ask_with(
    both: Both, samples: Any, recorded: dict[str, str]
) -> None:
    asked = samples()

    assert both.outcome(*asked) == "MATCH"

    facts = both.asked()
    told = {name: facts[name] for name in ("modality", "positions", "formats") if name in facts}
    assert {**told, **recorded} == told
    assert ("formats" in facts) == any(each.format > 6 for each in asked)
    assert facts["sizes"] == ",".join(str(len(each.data)) for each in asked)


def test_nobody_is_found_by_the_face_of_a_stranger(both: Both) -> None:
    assert both.outcome(face(99)) == "NO_MATCH"


def test_no_picture_that_we_asked_with_stays_here(both: Both) -> None:
    both.ask(finger_image())

    held = [file for file in both.can.home.rglob("*") if file.is_file()]
    assert len(held) > 10
    assert not [file for file in held if MARK[:64] in file.read_bytes()]


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (lambda: [*two_impressions(PERSON), iris_image(1)], r"AUS reads no ISO_19794_6_2011 \(iris 1\)"),
        (lambda: [*two_impressions(PERSON)[:1]] * 2, "hold one record twice"),
        (lambda: [png(at, 600_000) for at in (2, 3, 4, 5)],
         r"too large together: .* compress images, or send fewer"),
        (lambda: [png(2, 1_048_577)], r"samples\[0\].data must have 1 to 1048576 bytes"),
        (lambda: [replace(png(2, 1000), ppi=0)], "does not say its resolution"),
        (lambda: [replace(finger_image(), data=finger_image().data[:-1])], r"samples\[0\]: no record that"),
        (lambda: [replace(finger_image(2), position=3)], "says finger 2, you say 3"),
    ],
    ids=["format", "twice", "together", "one", "resolution", "cut short", "another finger"],
)  # fmt: skip
def test_what_a_partner_would_refuse_is_not_sent_and_uses_nothing_up(
    both: Both, samples: Any, said: str
) -> None:
    def state() -> tuple[object, ...]:
        asked = len(both.can.frames(EntryType.ASKED))
        return asked, both.requests("SUBMIT_QUERY"), both.can.act("asked.list")["asked"]

    before = state()

    with pytest.raises(UserError, match=said):
        both.ask(*samples())

    assert state() == before


def test_text_about_a_person_in_a_sample_is_stopped_by_our_law_and_recorded(both: Both) -> None:
    """Our command looks into the file; who uses the listener without it does not get around the law (IRPR 315.38)."""
    before = both.requests("SUBMIT_QUERY")
    described = transaction(
        (2, 0, text_record(2, {2: b"00", 18: b"CANARY"})),
        image(14, 1, {6: b"100", 7: b"100", 999: MARK}),
    )

    told = both.ask(replace(finger_image(), data=described))

    assert (told["state"], told["reason"]) == ("STOPPED", "BIOGRAPHIC_IN_QUERY")
    assert (told["element"], "samples strip" in told["remedy"]) == ("samples[0].data", True)
    assert both.can.frames(EntryType.ASKED)[-1].entry_class is EntryClass.DENIED
    assert "CANARY" not in str(both.asked())
    assert both.requests("SUBMIT_QUERY") == before


def test_a_modality_leaves_for_the_purposes_that_the_agreement_names_alone(both: Both) -> None:
    before = both.requests("SUBMIT_QUERY"), both.requests("GET_CAPABILITIES")
    both.forget()

    told = both.ask(*eyes(PERSON), purpose="TRAVEL_ENTER_REMAIN")

    assert (told["state"], told["reason"]) == ("STOPPED", "MODALITY_NOT_PERMITTED")
    # Not even what the partner reads was asked: the law comes first.
    assert (both.requests("SUBMIT_QUERY"), both.requests("GET_CAPABILITIES")) == before


def test_a_yes_is_remembered_for_a_while_a_no_is_not_and_records_of_fingers_ask_nothing(
    both: Both,
) -> None:
    def told() -> int:
        return both.requests("GET_CAPABILITIES") - before

    both.forget()
    before = both.requests("GET_CAPABILITIES")

    both.ask(*two_impressions(PERSON))
    assert told() == 0
    both.ask(face(PERSON))
    both.ask(face_image())
    assert told() == 1
    for number in (2, 3):
        with pytest.raises(UserError):
            both.ask(iris_image(1))
        assert told() == number


def test_what_a_partner_refuses_though_it_said_yes_is_believed_no_more(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its capabilities name formats for all modalities together; or its settings were changed since."""
    transport = both.can.gateway.outbound.worker._connections("AUS")
    both.ask(face(PERSON))
    assert both.can.gateway.outbound.worker._outbound._capabilities._kept
    refused = Delivery(Fate.REFUSED, "FORMAT_UNSUPPORTED", element="biometrics.samples[0].format")
    monkeypatch.setattr(transport, "carry", lambda _: refused)

    told = both.ask(face_image())

    assert (told["state"], told["reason"]) == ("REFUSED", "FORMAT_UNSUPPORTED")
    assert "Ask with a record" in told["remedy"]
    assert not both.can.gateway.outbound.worker._outbound._capabilities._kept


@pytest.mark.parametrize(
    "delivery",
    [
        Delivery(Fate.AWAY, "UNREACHABLE"),
        Delivery(Fate.DOUBTED, "ANSWER_REJECTED:signature"),
        Delivery(Fate.REFUSED, "RATE_LIMITED"),
        Delivery(Fate.DELIVERED, payload=b"\xff"),
    ],
)
def test_a_partner_that_does_not_say_what_it_reads_gets_no_image(
    both: Both, monkeypatch: pytest.MonkeyPatch, delivery: Delivery
) -> None:
    both.forget()
    before = len(both.can.frames(EntryType.ASKED))
    transport = both.can.gateway.outbound.worker._connections("AUS")
    monkeypatch.setattr(transport, "carry", lambda _: delivery)

    with pytest.raises(
        UserError, match=r"AUS did not say what it reads .*or with records of fingers"
    ):
        both.ask(finger_image())

    assert len(both.can.frames(EntryType.ASKED)) == before


TOLD = Capabilities(
    envelope_formats=(1,),
    suites=(1,),
    size_classes=(4096, 65_536, 262_144),
    modalities=(FINGER, FACE),
    record_formats=(RecordFormat.ISO_19794_2_2005, RecordFormat.FACE_VECTOR, RecordFormat.PNG),
    purposes=(),
    directory_version=1,
)


@pytest.mark.parametrize(
    ("sample", "size", "said"),
    [
        ({}, 65_536, ""),
        ({"format": RecordFormat.PNG, "compression": Compression.PNG}, 262_144, ""),
        ({"format": RecordFormat.WSQ}, 65_536, "reads no WSQ (finger 2); formats that it reads: ISO_19794_2_2005,"),
        ({"modality": IRIS}, 65_536, "is not asked by IRIS; modalities that it takes from us: FINGER, FACE"),
        ({}, 2_097_152, "takes queries of at most 262144 bytes, and this one has 2097152"),
    ],
)  # fmt: skip
def test_a_refusal_names_what_is_beyond_a_partner_and_what_to_do(
    people: Any, sample: dict[str, Any], size: int, said: str
) -> None:
    from gateway.domain.messages import Biometrics

    probe = Biometrics((replace(people.samples(1)[0], **sample),))

    found = partner_capabilities._beyond(TOLD, probe, size)

    assert found.startswith(said)
    assert bool(said) == ("  → " in found)


def test_a_sample_that_was_too_poor_is_named_to_whoever_asked(both: Both, people: Any) -> None:
    poor = people.poor(people.samples(1)[0], 3)

    told = both.can.act("asked.show", number=both.ask(poor)["number"])

    assert told["outcome"] == "QUALITY_INSUFFICIENT"
    (problem,) = told["problems"]
    assert (problem["modality"], problem["position"], problem["recapture"]) == ("FINGER", 2, True)
    assert (told["withheld"], told["ground"]) == ("", "")


def test_a_question_that_may_wait_says_so_to_the_partner_and_in_the_ledger(both: Both) -> None:
    """An examiner of the partner has a day in place of an hour; the usual level is recorded as it always was."""
    both.ask(face(99), service_level="ROUTINE")
    assert both.asked()["service_level"] == "ROUTINE"

    both.ask(face(99))
    assert "service_level" not in both.asked()


def test_a_missing_finger_is_declared_and_none_that_is_sampled(both: Both) -> None:
    missing = [{"position": 7, "presence": "AMPUTATED"}]

    assert both.outcome(*two_impressions(PERSON), missing=missing) == "MATCH"
    with pytest.raises(UserError, match="names a finger that is sampled too"):
        both.ask(*two_impressions(PERSON), missing=[{**missing[0], "position": 2}])


def test_as_much_as_a_partner_takes_goes_through_the_listener_of_our_own_people(both: Both) -> None:
    """Two megabytes of images, in base64, in one message; and one of the largest size on to the partner."""
    samples = [png(2, 1_048_576), png(3, 1_000_000)]
    asked = {**LAWFUL, "agreement": "au@2", **given(*samples)}

    with admin_session.open_session(both.can.home, officer=both.can.home.parent / "p7") as perform:
        told = perform("ask", asked)
        shown = perform("asked.show", {"number": told["number"]})

    assert (told["state"], shown["outcome"]) == ("ANSWERED", "MATCH")
    assert both.asked()["sizes"] == "1048576,1000000"
