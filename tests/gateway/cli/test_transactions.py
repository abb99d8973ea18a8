"""Transactions and packets through the commands: enrolled, their text mapped or dropped and told, and never sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.cli.subjects import biometric_files, type2_map
from gateway.domain.person import FieldCode
from gateway.errors import UserError
from gateway.sample_files.ansi_nist import text_record
from gateway.server.application import Gateway
from gateway.store.people import person_records, subjects
from matcher.face import record as face_record
from matcher.face.template import FaceVector
from matcher.finger import record_fmr, synthetic
from matcher.finger.record_fmr import Format, View
from tests import cbeff_writer
from tests.ansi_nist_writer import image, print_image, transaction, type_9
from tests.gateway.extraction import image_files

FOREIGN = ("--status", "FOREIGN_NATIONAL", "--nationality", "IND")
NAME = b"CANARY,JANE ANN"
PERSON = (
    2,
    0,
    text_record(
        2, {2: b"00", 18: NAME, 22: b"19900400", 24: b"F", 21: b"IND\x1eSYR", 67: b"REMARK"}
    ),
)
MAP = """
[LAST_NAME]
field = 18
form = "LAST"
[FIRST_NAME]
field = 18
form = "FIRST"
[DATE_OF_BIRTH]
field = 22
form = "DATE"
[GENDER]
field = 24
form = "CODE"
codes = { F = "FEMALE", M = "MALE" }
[nationalities]
field = 21
[ALIAS]
field = 99
"""
ASKED = (
    "--agreement",
    "au@1",
    "--purpose",
    "TRAVEL_ENTER_REMAIN",
    "--case",
    "C-1",
    "--unit",
    "U-1",
    "--official",
    "P-1",
)


def prints(*positions: int) -> list[View]:
    person = synthetic.person(7)
    return [View(at, 0, 60, synthetic.impression(person, at, 1)) for at in positions]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "F-7.an2"
    path.write_bytes(transaction(PERSON, *type_9(prints(2, 7))))
    return path


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "type2.toml"
    path.write_text(MAP)
    return path


def enrol(run: Any, homes: Any, passphrase: Any, *words: Any) -> Any:
    return run("gallery", "enrol", homes["CAN"], *words, *passphrase, "--json")


def test_without_a_map_type_2_is_dropped_and_that_is_told(
    run: Any, homes: Any, passphrase: Any, file: Path
) -> None:
    said = enrol(run, homes, passphrase, file, *FOREIGN)

    assert (said.code, said.document["enrolled"], said.document["people"]) == (0, 2, 1)
    [told] = said.document["repaired"]
    assert told["repairs"] == [
        "text about a person dropped: record Type-2 (2.018, 2.022, 2.024, 2.021, 2.067)"
    ]
    assert "CANARY" not in said.out + said.err


def test_a_map_says_which_field_is_which_and_the_rest_is_dropped(
    run: Any, homes: Any, passphrase: Any, file: Path, mapping: Path
) -> None:
    said = enrol(
        run, homes, passphrase, file, "--type2-map", mapping, "--status", "FOREIGN_NATIONAL"
    )

    assert (said.code, said.document["enrolled"]) == (0, 2)
    assert said.document["repaired"][0]["repairs"] == ["text about a person dropped: 2.067"]
    with (
        Gateway.open(homes["CAN"], passphrase[1].read_bytes().strip) as gateway,
        gateway.database.reader() as reader,
    ):
        known = subjects.find(reader, "F-7")
        record = person_records.read_record(reader, gateway.keys.data_key, known)
    assert record.status.nationalities == {"IND", "SYR"}
    assert {code.name: datum.value.decode() for code, datum in record.data.items()} == {
        "LAST_NAME": "CANARY", "FIRST_NAME": "JANE ANN", "DATE_OF_BIRTH": "1990-04", "GENDER": "FEMALE",
    }  # fmt: skip
    assert FieldCode.ALIAS not in record.data
    again = enrol(
        run, homes, passphrase, file, "--type2-map", mapping, "--status", "FOREIGN_NATIONAL"
    )
    assert (again.code, again.document["unchanged"]) == (0, 2)


@pytest.mark.parametrize(
    ("content", "text", "left"),
    [
        (b"ROE", "ROE", ()), (b"ROE\x1eSMITH", "ROE", ("2.018 beyond its first value",)),
        (b"ROE\x1fJANE", "ROE", ("2.018 beyond its first value",)), (b"\x1eROE\x1e\x1f", "ROE", ()),
    ],
)  # fmt: skip
def test_that_a_further_value_was_left_is_told_and_not_repeated(
    content: bytes, text: str, left: tuple[str, ...]
) -> None:
    mapped = type2_map.apply((type2_map.Entry("ALIAS", 18, "TEXT"),), {2: b"00", 18: content})

    assert (mapped.texts, mapped.left) == ({"ALIAS": text}, left)


def test_several_nationalities_are_all_taken() -> None:
    entry = type2_map.Entry("nationalities", 21, "TEXT")

    assert type2_map.apply((entry,), {21: b"IND\x1eSYR"}) == type2_map.Mapped({"nationalities": "IND SYR"}, ())  # fmt: skip


@pytest.mark.parametrize(
    ("content", "names"), [(b"ROE,JANE ANN", ("ROE", "JANE ANN")), (b"ROE,", ("ROE", None))]
)
def test_a_comma_says_which_name_is_which(content: bytes, names: tuple[str, str | None]) -> None:
    entries = (type2_map.Entry("LAST_NAME", 18, "LAST"), type2_map.Entry("FIRST_NAME", 18, "FIRST"))

    texts = type2_map.apply(entries, {18: content}).texts

    assert (texts.get("LAST_NAME"), texts.get("FIRST_NAME")) == names


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ({22: b"1 APR 1990"}, "DATE_OF_BIRTH: no date"), ({22: b"19901399"}, "DATE_OF_BIRTH"), ({24: b"X"}, "GENDER: a code"),
        ({18: b"JANE ANN CANARY"}, "LAST_NAME: no LAST,FIRST"), ({21: b"IN"}, "nationalities"), ({18: b"\xff\xfe,X"}, "LAST_NAME: no text"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_makes_the_file_bad_and_is_not_repeated(  # noqa: PLR0917 - fixtures
    run: Any,
    homes: Any,
    passphrase: Any,
    tmp_path: Path,
    mapping: Path,
    person: dict[int, bytes],
    why: str,
) -> None:
    fields = {2: b"00", 18: NAME, 22: b"19900400", 24: b"F", 21: b"IND"} | person
    file = tmp_path / "F-8.an2"
    file.write_bytes(transaction((2, 0, text_record(2, fields)), *type_9(prints(2))))

    said = enrol(
        run, homes, passphrase, file, "--type2-map", mapping, "--status", "FOREIGN_NATIONAL"
    )

    assert (said.code, said.document["enrolled"]) == (1, 0)
    assert why in said.document["bad"][0]["reason"]
    assert not any(word in said.err for word in ("CANARY", "1 APR", "19901399"))


def test_fields_of_a_person_are_recorded_with_a_status_alone(
    run: Any, homes: Any, passphrase: Any, file: Path, mapping: Path
) -> None:
    said = enrol(run, homes, passphrase, file, "--type2-map", mapping)

    assert said.code == 1
    assert "status: one of" in said.document["bad"][0]["reason"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "maps nothing"), ("[SHOE_SIZE]\nfield = 3", "no known name"), ("[PHOTOGRAPH]\nfield = 3", "no known name"),
        ("[LAST_NAME]\nfield = 1", "field:"), ("[LAST_NAME]\nfield = true", "field:"), ("[LAST_NAME]\nfield = 18\nform = 'X'", "form:"),
        ("[GENDER]\nfield = 24\nform = 'CODE'", "codes:"), ("[LAST_NAME]\nfield = 18\nitem = 2", "nothing else"),
        ("LAST_NAME = 18", "nothing else"), ("[LAST_NAME", "not TOML"),
    ],
)  # fmt: skip
def test_a_map_that_is_wrong_is_told_before_anything_is_enrolled(  # noqa: PLR0917 - fixtures
    run: Any, homes: Any, passphrase: Any, file: Path, mapping: Path, text: str, why: str
) -> None:
    mapping.write_text(text)

    said = enrol(run, homes, passphrase, file, "--type2-map", mapping, *FOREIGN)

    assert said.code == 2
    assert why in said.document["error"]["message"]


def test_no_query_leaves_with_text_about_a_person(
    run: Any, homes: Any, passphrase: Any, file: Path
) -> None:
    """IRPR 315.38: whoever names such a file is told before anything is sent, and told how to go on."""
    said = run("query", homes["AUS"], "--to", "CAN", *ASKED, file, *passphrase, "--json")

    assert said.code == 2
    assert said.document["error"]["reason"] == "BIOGRAPHIC_IN_QUERY"
    assert "record Type-2 (2.018" in said.document["error"]["message"]
    assert "passerelle samples strip" in said.document["error"]["message"]
    assert "CANARY" not in said.out + said.err


def test_a_packet_with_a_key_that_is_not_known_is_not_sent_either(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path
) -> None:
    data = record_fmr.write(record_fmr.at_197(Format.INCITS_378_2004, prints(2)))
    named = cbeff_writer.block(
        "Finger", "Right IndexFinger", data, others={"fullName": "CANARY"}, format_=("ISO", "2")
    )
    file = tmp_path / "packet.xml"
    file.write_bytes(cbeff_writer.packet([named]))

    said = run("query", homes["AUS"], "--to", "CAN", *ASKED, file, *passphrase, "--json")
    enrolled = enrol(run, homes, passphrase, file, *FOREIGN)

    assert said.document["error"]["reason"] == "BIOGRAPHIC_IN_QUERY"
    assert "others: fullName" in said.document["error"]["message"]
    assert (enrolled.code, enrolled.document["enrolled"]) == (0, 1)
    assert "others: fullName" in str(enrolled.document["repaired"])


def test_what_is_read_is_enrolled_and_what_is_not_is_named(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path
) -> None:
    eye = image(17, 9, {3: b"2", 11: b"PNG", 13: b"GRAY", 999: image_files.png()})
    file = tmp_path / "F-9.an2"
    file.write_bytes(transaction(*type_9(prints(2)), eye))

    said = enrol(run, homes, passphrase, file, *FOREIGN)

    assert (said.code, said.document["enrolled"]) == (1, 1)
    assert "Type-17" in said.document["bad"][0]["file"]
    assert "no extractor of modality IRIS" in said.document["bad"][0]["reason"]


def _packet_with_a_bad_block() -> bytes:
    finger = image_files.fir_first(image_files.wsq(), 2, position=7)
    blocks = [
        cbeff_writer.block("Finger", "Left IndexFinger", finger),
        cbeff_writer.block("Face", "", b"\1\2broken"),
    ]
    return cbeff_writer.packet(blocks)


def _transaction_with(*bad: tuple[int, int, bytes]) -> bytes:
    size = (image_files.WIDTH, image_files.HEIGHT)
    return transaction(print_image(7, image_files.wsq(), compression=1, size=size), *bad)


@pytest.mark.parametrize(
    ("octets", "where"),
    [
        (_packet_with_a_bad_block(), "data block 2"),
        (_packet_with_a_bad_block().replace(b"<BDB>AQJ", b"<BDB>*"), "data block 2"),
        (_transaction_with(image(14, 2, {6: b"0"})), "record Type-14 with IDC 2"),
        (_transaction_with(image(10, 2, {3: b"FACE", 11: b"JPEGB", 999: image_files.jpeg()[:-2]})), "record Type-10 with IDC 2"),
        (_transaction_with((9, 2, text_record(9, {2: b"02", 3: b"0", 4: b"U", 126: b"x"}))), "record Type-9 with IDC 2"),
    ],
    ids=["block", "no base64", "header", "picture", "Type-9"],
)  # fmt: skip
def test_one_bad_sample_is_named_and_the_others_are_taken(
    run: Any, tmp_path: Path, octets: bytes, where: str
) -> None:
    file = tmp_path / "F-12"
    file.write_bytes(octets)
    [source] = biometric_files.from_paths([file], 0, "unstated").good

    taken = biometric_files.read(source)

    assert [each.position for each in taken.samples] == [7]
    assert [each.label for each in taken.unread] == [where]
    with pytest.raises(UserError, match=where):  # a question with a bad sample is not asked
        biometric_files.query_samples(source)
    stripped = run("samples", "strip", file, "-o", tmp_path / "out", "--json")
    assert (stripped.code, (tmp_path / "out").exists()) == (2, False)
    assert where in stripped.document["error"]["message"]


@pytest.mark.parametrize("stated", [0, 1])
def test_a_ten_print_card_gives_each_finger_once(tmp_path: Path, stated: int) -> None:
    size = (image_files.WIDTH, image_files.HEIGHT)
    prints = [print_image(at, image_files.wsq(), idc=at, compression=1, size=size) for at in range(1, 15)]  # fmt: skip
    (tmp_path / "F-11.an2").write_bytes(transaction(*prints))
    [source] = biometric_files.from_paths([tmp_path / "F-11.an2"], stated, "unstated").good

    taken = biometric_files.read(source)

    assert [each.position for each in taken.samples] == ([1] if stated else [*range(1, 11)])
    assert taken.samples[0].where == "record Type-4 with IDC 1"
    assert any("a plain right thumb beside the rolled one" in each for each in taken.repairs)


def test_two_records_of_one_finger_are_refused_and_nothing_of_the_file_is_kept(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path
) -> None:
    file = tmp_path / "F-10.an2"
    file.write_bytes(transaction(*type_9(prints(2, 7, 2))))

    said = enrol(run, homes, passphrase, file, *FOREIGN)

    assert (said.code, said.document["enrolled"]) == (1, 0)
    assert "holds 3 records, two of one finger" in said.document["bad"][0]["reason"]


def test_a_manifest_may_say_the_modality(run: Any, homes: Any, passphrase: Any, file: Path) -> None:
    rows = [
        "path,subject,position,modality",
        f"{file.name},P-1,2,finger",
        f"{file.name},P-2,1,iris",
        f"{file.name},P-3,0,toe",
    ]
    (file.parent / "people.csv").write_text("\n".join(rows) + "\n")

    said = enrol(run, homes, passphrase, "--manifest", file.parent / "people.csv", *FOREIGN)

    assert (said.code, said.document["enrolled"]) == (1, 1)
    reasons = [one["reason"] for one in said.document["bad"]]
    assert any("finger, face or iris" in reason for reason in reasons)
    assert any("with no iris in it" in reason for reason in reasons)


def test_a_folder_may_hold_fingers_and_faces_each_by_its_own_codec(
    run: Any, homes: Any, passphrase: Any, file: Path
) -> None:
    vector = np.random.default_rng(7).standard_normal(512)
    record = face_record.write(FaceVector("facenet512", vector / np.linalg.norm(vector)))
    (file.parent / "face.vec").write_bytes(record)
    rows = ["path,subject,position,extractor,modality"]
    rows += [f"{file.name},P-1,2,unstated,finger", "face.vec,P-1,0,facenet512,face"]
    (file.parent / "people.csv").write_text("\n".join(rows) + "\n")

    said = enrol(run, homes, passphrase, "--manifest", file.parent / "people.csv", *FOREIGN)

    assert (said.code, said.document["enrolled"], said.document["people"]) == (0, 2, 1), said.err
