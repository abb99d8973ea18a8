"""`outbound query` reads files as `query` does: the same words on a command line are the same samples."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.cli.operation_command import Call
from gateway.cli.partner import query
from gateway.domain.messages import Missing, Presence, RecordFormat, ServiceLevel
from gateway.errors import UserError
from gateway.operations import outbound
from matcher.face import synthetic as faces
from matcher.finger import synthetic as fingers
from matcher.iris import record as iris_record
from matcher.iris import synthetic as irises
from tests.ansi_nist_writer import image, text_record, transaction
from tests.gateway.extraction import image_files as files

ABOUT = (
    *("--to", "AUS", "--agreement", "au@1", "--purpose", "VISA_PERMIT_BENEFIT"),
    *("--case", "C-1", "--unit", "U-1"),
)
OURS = (*ABOUT, "--status", "FOREIGN_NATIONAL", "--nationality", "SYR")
PIXELS = {6: b"100", 7: b"100", 999: bytes(range(100)) * 100}


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, object]]:
    """Return what is given to the gateway from now on; it answers that each query was taken."""
    found: list[Mapping[str, object]] = []

    def perform(name: str, values: Mapping[str, object]) -> dict[str, object]:
        assert name == "ask"
        found.append(values)
        return {"partner": values["partner"], "number": "T-1", "state": "ASKED"}

    @contextmanager
    def session(_: object) -> Iterator[Any]:
        yield perform

    monkeypatch.setattr(Call, "session", session)
    return found


def write(folder: Path, name: str, octets: bytes) -> Path:
    (folder / name).write_bytes(octets)
    return folder / name


def minutiae(position: int, impression: int) -> bytes:
    made = fingers.impression(fingers.person(1), 2, impression)
    return bytes(fingers.record(made, position))


@pytest.fixture
def named(tmp_path: Path) -> tuple[str, ...]:
    """Return options that name samples of every kind, in files of several kinds."""
    card = transaction(image(14, 1, {13: b"3", **PIXELS}), image(14, 2, {13: b"4", **PIXELS}))
    eye = irises.capture(irises.person(1), 1, 1)
    one, two, unknown = (
        write(tmp_path, f"{name}.fmr", minutiae(position, impression))
        for name, position, impression in (("one", 2, 1), ("two", 2, 2), ("unknown", 0, 3))
    )
    return (
        str(write(tmp_path, "card.an2", card)),
        *("--finger", f"2={one}", "--finger", f"2={two}", "--finger", f"0={unknown}"),
        *("--finger", f"6={write(tmp_path, 'thumb.png', files.png())}", "--ppi", "500"),
        *("--face", str(write(tmp_path, "face.vec", faces.record(1, 1)))),
        *("--iris", f"1={write(tmp_path, 'right.iri', iris_record.write(1, eye))}"),
        *("--extractor", "acme-2.1", "--missing", "10=AMPUTATED"),
        *("--service-level", "ROUTINE"),
    )


def test_our_own_query_reads_what_a_partners_command_reads(
    *, run: Any, tmp_path: Path, named: Any, performed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: list[Any] = []

    class Partner:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def query(self, probe: Any, **matter: Any) -> None:
            theirs.append((probe, matter["missing"], matter["service_level"]))
            raise UserError("enough")

    monkeypatch.setattr(query, "partner_of", lambda *_: Partner())
    monkeypatch.setattr(query, "demand_no_law", lambda *_: None)

    said = run("query", tmp_path, *named, *ABOUT, "--official", "O-1")
    ours = run("outbound", "query", tmp_path, *named, *OURS, "--json")

    assert "enough" in said.err
    assert (ours.code, len(performed)) == (0, 1)
    ((samples, missing, level),) = theirs
    request = outbound.Ask.read(performed[0])
    assert [
        (each.modality, each.position, each.data, each.extractor, each.ppi)
        for each in request.samples
    ] == [(each.modality, each.position, each.data, each.extractor, each.ppi) for each in samples]
    assert request.service_level is level is ServiceLevel.ROUTINE
    assert request.missing == missing == (Missing(10, Presence.AMPUTATED),)
    assert [(each.format.name, each.position) for each in samples] == [
        *(("ANSI_NIST", 3), ("ANSI_NIST", 4)),
        *(("ISO_19794_2_2005", 2), ("ISO_19794_2_2005", 2), ("ISO_19794_2_2005", 0)),
        *(("PNG", 6), ("FACE_VECTOR", 0), ("IRIS_CODE", 1)),
    ]
    assert [each.extractor for each in samples if each.format is RecordFormat.FACE_VECTOR] == [
        "facenet512"
    ]


def test_several_partners_are_asked_with_the_same_samples(
    run: Any, tmp_path: Path, named: Any, performed: Any
) -> None:
    said = run(
        *("outbound", "query", tmp_path, *named, *OURS, "--to", "NZL", "--agreement", "nz@1"),
        "--json",
    )

    assert said.code == 0
    assert [each["partner"] for each in performed] == ["AUS", "NZL"]
    assert performed[0]["samples"] == performed[1]["samples"]


def test_what_comes_next_is_named_after_a_question_and_after_a_match(
    run: Any, tmp_path: Path, named: Any, performed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = run("outbound", "query", tmp_path, *named, *OURS)
    number = re.search(r"next     passerelle outbound show \S+ (\S+)", asked.out)
    assert number is not None

    answer = {"state": "SHOWN", "number": number[1], "case": "C-17", "withheld": ""}
    answer |= {"problems": [], "fields": [], "corrected": []}
    for outcome, told in (("MATCH", True), ("NO_MATCH", False)):
        found = {**answer, "outcome": outcome}
        monkeypatch.setattr(Call, "perform", lambda *_, found=found, **__: found)
        shown = run("outbound", "show", tmp_path, number[1])
        assert (f"passerelle outbound details {tmp_path} {number[1]}" in shown.out) is told


def test_a_file_with_text_about_a_person_is_not_even_given_to_our_gateway(
    run: Any, tmp_path: Path, performed: Any
) -> None:
    person = (2, 0, text_record(2, {2: b"00", 18: b"CANARY"}))
    file = write(tmp_path, "card.an2", transaction(person, image(14, 1, PIXELS)))

    said = run("outbound", "query", tmp_path, file, *OURS, "--json")

    assert (said.code, performed) == (2, [])
    told = said.document["error"]["message"]
    assert f"passerelle samples strip {file}" in told
    assert "record Type-2 (2.018)" in told
    assert "CANARY" not in said.out


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ((), "name a record: --finger 2=FILE, --face FILE, --iris 1=FILE"),
        (("--prior", "20260301-0001", "--finger"), "not with both"),
        (("--iris", "0={file}"), "a position of 1 to 2"),
        (("--finger", "2={file}.not"), "no such file"),
        (("--finger", "7={file}"), "the record says finger 2, you say 7"),
        (("--face", "{file}"), "with no face in it"),
        (("--missing", "11=DAMAGED", "--finger"), "write POSITION=WHY"),
        (("--service-level", "SOON", "--finger"), "one of REAL_TIME, URGENT, ROUTINE"),
    ],
)
def test_what_was_typed_wrongly_is_told_before_anything_is_asked(
    *, run: Any, tmp_path: Path, performed: Any, words: tuple[str, ...], wrong: str
) -> None:
    file = write(tmp_path, "a.fmr", minutiae(2, 1))
    typed = [each.format(file=file) for each in words]
    typed += [f"2={file}"] if words and words[-1] == "--finger" else []

    said = run("outbound", "query", tmp_path, *OURS, *typed, "--json")

    assert (said.code, performed) == (2, [])
    assert wrong in said.document["error"]["message"]


def test_a_record_is_given_as_it_was_repaired(run: Any, tmp_path: Path, performed: Any) -> None:
    record = minutiae(2, 1)
    file = write(tmp_path, "a.fmr", record + bytes(3))

    said = run("outbound", "query", tmp_path, *OURS, "--finger", f"2={file}")

    assert said.code == 0
    assert "repaired" in said.err
    (given,) = performed[0]["samples"]
    assert base64.b64decode(given["data"]) == record
