"""`passerelle samples`: what a file holds is told without what it says of a person, drawn without a pixel, and stripped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.cli.subjects.sample_sheet import Panel, sheet
from gateway.matching.finger_marks import Marks, Minutia
from gateway.matching.sample_files import opened
from gateway.sample_files import ansi_nist
from gateway.sample_files.ansi_nist import text_record
from matcher.face import record as face_record
from matcher.face.template import FaceVector
from matcher.finger import synthetic
from matcher.finger.record_fmr import View
from matcher.iris import record as iris_record
from matcher.iris.synthetic import capture, person
from matcher.iris.template import to_cells
from tests import cbeff_writer
from tests.ansi_nist_writer import image, print_image, transaction, type_9
from tests.gateway.extraction import image_files
from tests.gateway.matching.test_iris import output
from tests.gateway.sample_files.test_piv_card import card

PERSON = (2, 0, text_record(2, {2: b"00", 18: b"CANARY,JANE", 21: b"IND\x1eSYR"}))
WSQ = image_files.wsq()
COMMENTED = image_files.jpeg()[:2] + image_files.segment(0xFFFE, b"ROE") + image_files.jpeg()[2:]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "person.an2"
    view = View(2, 0, 60, synthetic.impression(synthetic.person(7), 2, 1))
    picture = print_image(7, WSQ, idc=4, size=(512, 480), compression=1)
    palm = image(15, 5, {13: b"21"})
    path.write_bytes(transaction(PERSON, *type_9([view]), picture, palm))
    return path


def test_a_file_is_told_in_words_and_in_json(run: Any, file: Path) -> None:
    words = run("samples", "show", file)
    document = run("samples", "show", file, "--json").document

    assert words.code == 0
    assert "right index, ISO_19794_2_2005" in words.out
    assert "left index, ANSI_NIST, 512 × 480 pixels at 500 ppi, WSQ20" in words.out
    assert [(one["modality"], one["position"]) for one in document["samples"]] == [("FINGER", 2), ("FINGER", 7)]  # fmt: skip
    assert document["samples"][0]["minutiae"] > 10
    assert document["samples"][1]["image"]["compression"] == "WSQ20"
    assert document["notes"] == ["record Type-15 with IDC 5: a palm print, left out"]


def test_text_that_strip_takes_out_is_told_with_the_command(run: Any, file: Path) -> None:
    out = file.with_name("alone.an2")

    assert f"passerelle samples strip {file} -o NEW" in run("samples", "show", file).out
    assert run("samples", "strip", file, "-o", out).code == 0
    assert "samples strip" not in run("samples", "show", out).out


def test_what_a_file_says_of_a_person_is_shown_to_whoever_asks_for_it_alone(
    run: Any, file: Path
) -> None:
    plain, asked = run("samples", "show", file, "--json"), run("samples", "show", file, "--values")

    assert plain.document["text"] == ["record Type-2 (2.018, 2.021)"]
    assert "values" not in plain.document
    assert "CANARY" not in plain.out + plain.err
    assert "2.018  CANARY,JANE" in asked.out
    assert "2.021  IND; SYR" in asked.out


def test_a_picture_draws_minutiae_and_frames_images(run: Any, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "person.svg"

    said = run("samples", "show", file, "--svg", out, "--json")

    root = ET.fromstring(out.read_text())  # noqa: S314 - our own picture
    count = said.document["samples"][0]["minutiae"]
    assert len(root.findall(f".//{SVG}line")) == count
    frames = [each for each in root.findall(f".//{SVG}rect") if each.get("stroke-dasharray")]
    assert len(frames) == 1  # the image, of which no pixel is decoded
    assert "CANARY" not in out.read_text()
    assert (out.stat().st_mode & 0o077) == 0
    again = run("samples", "show", file, "--svg", out, "--json")
    assert again.code == 2
    assert "there already" in again.document["error"]["message"]


def test_kinds_of_minutiae_are_told_apart_by_shape() -> None:
    each = [Minutia(50, 60, 0.0, kind) for kind in ("ending", "bifurcation", "other")]

    drawn = sheet([Panel(("<a> & b",), 300, 400, Marks(300, 400, tuple(each)))], "t")

    root = ET.fromstring(drawn)  # noqa: S314 - our own picture
    group = root.find(f"{SVG}g/{SVG}g")
    assert group is not None
    assert [child.tag.removeprefix(SVG) for child in group] == ["rect", "circle", "line", "rect", "line", "path", "line"]  # fmt: skip


@pytest.mark.parametrize("count", [1, 4, 5, 11])
def test_panels_stand_four_in_a_row_within_the_sheet(count: int) -> None:
    root = ET.fromstring(sheet([Panel(("x",), 10, 10)] * count, "t"))  # noqa: S314 - our own

    _, _, width, height = (float(each) for each in root.attrib["viewBox"].split())
    places = [each.attrib["transform"] for each in root.findall(f"{SVG}g")]
    corners = [tuple(float(part) for part in each[10:-1].split()) for each in places]
    assert len(set(corners)) == count
    assert all(x + 240 <= width and y + 240 <= height for x, y in corners)


def test_stripping_says_what_it_removed_and_no_value(run: Any, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.an2"

    said = run("samples", "strip", file, "-o", out, "--json")

    assert (said.code, said.document["removed"]) == (0, ["record Type-2, text about a person (2.018, 2.021)"])  # fmt: skip
    assert "CANARY" not in said.out + said.err + out.read_text("latin-1")
    before, after = (ansi_nist.read(each.read_bytes()) for each in (file, out))
    assert [each.data for each in after[1:]] == [each.data for each in before[2:]]
    assert run("samples", "show", out, "--json").document["text"] == []


def test_what_leads_to_a_case_is_told_by_its_number_and_no_reason_to_refuse_the_samples(
    run: Any, tmp_path: Path
) -> None:
    """Every file has a control number, and no sample takes it along."""
    file = tmp_path / "case.an2"
    file.write_bytes(transaction(print_image(2, bytes(6)), first={9: b"CANARY", 10: b"CANARY"}))

    shown = run("samples", "show", file, "--json")
    run("samples", "strip", file, "-o", tmp_path / "out.an2")
    after = run("samples", "show", tmp_path / "out.an2", "--json")

    assert (shown.document["text"], shown.document["case"]) == ([], ["1.009", "1.010"])
    assert "CANARY" not in shown.out + (tmp_path / "out.an2").read_text("latin-1")
    assert after.document["case"] == []


@pytest.mark.parametrize(
    "more", [b"", image_files.tlv(0x8F, b"ROE")], ids=["in the picture", "beside"]
)
def test_a_record_of_a_finger_is_cut_where_its_lengths_can_be_put_right(
    run: Any, tmp_path: Path, more: bytes
) -> None:
    named, out = tmp_path / "in.bin", tmp_path / "out.bin"
    picture = image_files.wsq(comment=b"ROE")
    named.write_bytes(image_files.finger_39794(picture, 1, more=more))

    said = run("samples", "strip", named, "-o", out, "--json")

    if more:
        assert said.code == 2
        assert "cannot be cut from there" in said.document["error"]["message"]
        assert not out.exists()
    else:
        assert said.document["removed"] == ["a comment (WSQ, COM)"]
        assert b"ROE" not in out.read_bytes()


def test_stripping_never_replaces_a_file(run: Any, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.an2"
    out.write_bytes(b"mine")

    said = run("samples", "strip", file, "-o", out)

    assert said.code == 2
    assert out.read_bytes() == b"mine"


def test_a_packet_is_stripped_likewise(run: Any, tmp_path: Path) -> None:
    block = cbeff_writer.block("Face", "", image_files.jpeg(), others={"fullName": "CANARY"})
    (tmp_path / "p.xml").write_bytes(cbeff_writer.packet([block]))

    said = run("samples", "strip", tmp_path / "p.xml", "-o", tmp_path / "q.xml", "--json")

    assert said.document["removed"] == ["others: fullName"]
    assert "CANARY" not in (tmp_path / "q.xml").read_text()


def test_a_vector_is_told_by_its_model_and_size_and_not_by_its_numbers(
    run: Any, tmp_path: Path
) -> None:
    vector = np.zeros(64)
    vector[3] = 1.0
    (tmp_path / "face.vec").write_bytes(face_record.write(FaceVector("model-1", vector)))

    said = run("samples", "show", tmp_path / "face.vec", "--svg", tmp_path / "f.svg", "--json")

    [one] = said.document["samples"]
    assert (one["what"], one["format"]) == ("face", "FACE_VECTOR")
    assert one["features"] == "64 numbers of the model model-1"
    assert "64 numbers of the model model-1" in (tmp_path / "f.svg").read_text()


def test_an_iris_code_is_drawn_bit_by_bit(run: Any, tmp_path: Path) -> None:
    iris = capture(person(3), 1, 0)
    (tmp_path / "right.iri").write_bytes(iris_record.write(1, iris))

    said = run("samples", "show", tmp_path / "right.iri", "--svg", tmp_path / "i.svg", "--json")

    [one] = said.document["samples"]
    assert (one["what"], one["format"]) == ("right eye", "IRIS_CODE")
    assert f"by the coder {iris.coder.name} {iris.coder.version}" in one["features"]
    code, mask = to_cells(iris)
    root = ET.fromstring((tmp_path / "i.svg").read_text())  # noqa: S314 - our own picture
    black, grey = (each.attrib["d"] for each in root.findall(f".//{SVG}path"))
    drawn = [sum(int(size) for size in re.findall(r"h(\d+)v", path)) for path in (black, grey)]
    assert drawn == [int(code.sum()), int((mask == 0).sum())]


def test_a_file_that_reads_once_it_is_stripped_names_the_command(run: Any, tmp_path: Path) -> None:
    picture = image_files.png(ppi=500)
    file, out = tmp_path / "finger.png", tmp_path / "cut.png"
    file.write_bytes(picture + b"taken at the desk")

    shown = run("samples", "show", file)
    assert (shown.code, shown.out) == (2, "")
    assert f"passerelle samples strip {file} -o NEW" in " ".join(shown.err.split())
    assert run("samples", "strip", file, "-o", out).code == 0
    assert out.read_bytes() == picture

    file.write_bytes(picture[:-8])  # nothing to be cut mends this
    assert "strip" not in run("samples", "show", file).err


@pytest.mark.parametrize("text", ["{}", '{"x": 1}', '{"iris_codes": []}', "{"])
def test_json_that_is_no_sample_is_told_in_one_line(run: Any, tmp_path: Path, text: str) -> None:
    file = tmp_path / "sample.json"
    file.write_text(text)

    for said in (run("samples", "show", file), run("samples", "strip", file, "-o", tmp_path / "n")):
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"passerelle: {file}: ")
        assert "fault of ours" not in said.err


def test_a_face_record_that_describes_is_stripped_to_its_picture(run: Any, tmp_path: Path) -> None:
    size = (image_files.WIDTH, image_files.HEIGHT)
    (tmp_path / "face.fac").write_bytes(image_files.fac_first(COMMENTED, 0, size, sex=2))
    (tmp_path / "plain.fac").write_bytes(image_files.fac_first(image_files.jpeg(), 0, size))

    face = run("samples", "strip", tmp_path / "face.fac", "-o", tmp_path / "face.jpg", "--json")
    plain = run("samples", "strip", tmp_path / "plain.fac", "-o", tmp_path / "same.fac", "--json")

    assert (tmp_path / "face.jpg").read_bytes() == image_files.jpeg()
    assert "the record around the picture" in face.document["removed"]
    assert plain.document["removed"] == []
    assert (tmp_path / "same.fac").read_bytes() == (tmp_path / "plain.fac").read_bytes()


def _card_of_a_face(picture: bytes) -> bytes:
    block = image_files.fac_first(picture, 0, (image_files.WIDTH, image_files.HEIGHT), sex=2)
    return card(block, kind=0x0501)


def _transaction_of_a_face(picture: bytes) -> bytes:
    size = {6: b"320", 7: b"400"}
    return transaction(
        PERSON, image(10, 1, {**size, 3: b"FACE", 11: b"JPEGB", 12: b"YCC", 999: picture})
    )


@pytest.mark.parametrize("picture", [image_files.jpeg(), COMMENTED, COMMENTED[:-2]], ids=["plain", "commented", "no end"])  # fmt: skip
@pytest.mark.parametrize(
    "around",
    [
        lambda picture: picture,
        lambda picture: cbeff_writer.packet([cbeff_writer.block("Face", "", picture)]),
        _card_of_a_face,
        _transaction_of_a_face,
        lambda picture: image_files.fir_first(picture, 3),
        lambda picture: image_files.fac_first(picture, 0, (image_files.WIDTH, image_files.HEIGHT)),
    ],
    ids=["picture", "packet", "card", "transaction", "finger", "face"],
)
def test_what_was_stripped_holds_no_text_or_nothing_is_written(
    run: Any, tmp_path: Path, around: Callable[[bytes], bytes], picture: bytes
) -> None:
    (tmp_path / "in").write_bytes(around(picture))

    said = run("samples", "strip", tmp_path / "in", "-o", tmp_path / "out", "--json")

    if said.code == 0:
        assert opened((tmp_path / "out").read_bytes()).text == ()
        assert b"ROE" not in (tmp_path / "out").read_bytes()
    else:
        assert said.code == 2
        assert not (tmp_path / "out").exists()
        assert picture != image_files.jpeg()


def test_a_comment_that_cannot_be_cut_is_told_by_its_block(run: Any, tmp_path: Path) -> None:
    (tmp_path / "p.xml").write_bytes(cbeff_writer.packet([cbeff_writer.block("Face", "", COMMENTED)]))  # fmt: skip

    said = run("samples", "strip", tmp_path / "p.xml", "-o", tmp_path / "q.xml", "--json")

    assert said.code == 2
    assert "data block 1: a comment (JPEG, COM)" in said.document["error"]["message"]


def test_a_face_of_a_card_is_stripped_to_its_picture(run: Any, tmp_path: Path) -> None:
    (tmp_path / "face.piv").write_bytes(_card_of_a_face(COMMENTED))

    said = run("samples", "strip", tmp_path / "face.piv", "-o", tmp_path / "face.jpg", "--json")

    assert (tmp_path / "face.jpg").read_bytes() == image_files.jpeg()
    assert "header and signature of the card's object" in said.document["removed"]
    assert "the record around the picture" in said.document["removed"]


def test_an_output_of_open_iris_with_text_beside_the_code_is_stripped_to_the_code(
    run: Any, tmp_path: Path
) -> None:
    (tmp_path / "named.json").write_bytes(output(image_id="ROE"))
    (tmp_path / "plain.json").write_bytes(output())

    named, plain = (
        run("samples", "strip", tmp_path / f"{each}.json", "-o", tmp_path / each, "--json")
        for each in ("named", "plain")
    )

    assert named.document["removed"][0] == "image_id beside the template"
    assert opened((tmp_path / "named").read_bytes()).samples[0].position == 2
    assert b"ROE" not in (tmp_path / "named").read_bytes()
    assert plain.document["removed"] == []
    assert (tmp_path / "plain").read_bytes() == output()


def test_a_picture_that_cannot_be_looked_through_is_told_by_its_record(
    run: Any, tmp_path: Path
) -> None:
    (tmp_path / "p.an2").write_bytes(_transaction_of_a_face(COMMENTED[:-2]))

    said = run("samples", "strip", tmp_path / "p.an2", "-o", tmp_path / "q.an2", "--json")

    assert said.code == 2
    assert "record Type-10 with IDC 1" in said.document["error"]["message"]


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        (b"%PDF-1.7 x", "PDF document"), (b"PK\3\4" + bytes(9), "ZIP archive"), (b"just some words here", "plain text"),
        (bytes(40), "known"), (b"", "empty"), (b"1.001:9999\x1d1.002:0500\x1c", "cut short"), (b"<html></html>", "no BIR"),
        (b"<BIR><BDB/></BIR>", "BDBInfo"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["show", "strip"])
def test_a_file_of_no_samples_is_called_what_it_is_in_one_sentence(
    run: Any, tmp_path: Path, octets: bytes, what: str, command: str
) -> None:
    (tmp_path / "x").write_bytes(octets)
    more = ["-o", tmp_path / "y"] if command == "strip" else []

    said = run("samples", command, tmp_path / "x", *more, "--json")

    assert said.code == 2
    assert what in said.document["error"]["message"]
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("words", [("show", "/nowhere"), ("strip", "/nowhere", "-o", "x"), ("strip",), ("show",)])  # fmt: skip
def test_wrong_usage_is_told(run: Any, words: tuple[str, ...]) -> None:
    assert run("samples", *words).code == 2
