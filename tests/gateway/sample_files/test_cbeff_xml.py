"""Packets of BIRs give each block with its position; nothing is expanded, and what no name of the format is, is named."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Modality
from gateway.sample_files import bounded_xml, cbeff_xml
from gateway.sample_files.cbeff_xml import SEVERAL
from gateway.sample_files.errors import MalformedFile
from tests.cbeff_writer import NAMESPACE, block, packet

DATA = b"FIR\x00010\x00" + bytes(range(251, 256)) * 3
OTHERS = {"EXCEPTION": "false", "RETRIES": "1", "SDK_SCORE": "80.0"}
WHOLE = packet(
    [block("Finger", "Left IndexFinger", DATA, others=OTHERS), block("Face", "", DATA), block("Iris", "Right", DATA)]
)  # fmt: skip


def test_every_block_has_its_modality_position_and_quality() -> None:
    found = cbeff_xml.read(WHOLE)

    assert [(each.number, each.modality, each.position, each.quality) for each in found.blocks] == [
        (1, Modality.FINGER, 7, 80), (2, Modality.FACE, 0, 80), (3, Modality.IRIS, 1, 80),
    ]  # fmt: skip
    assert {each.data for each in found.blocks} == {DATA}
    assert found.described == ()
    assert found.signed


@pytest.mark.parametrize("older", [True, False])
def test_older_and_newer_packets_are_read_alike(older: bool) -> None:
    """Newer ones write base64url without padding and entries with a key, older ones neither."""
    data = packet([block("Finger", "Right Thumb", DATA[:-1], others=OTHERS, older=older)])

    (found,) = cbeff_xml.read(data).blocks

    assert (found.position, found.data) == (1, DATA[:-1])


@pytest.mark.parametrize(
    ("kind", "words", "position"),
    [
        ("Finger", "Right Thumb", 1), ("Finger", "Right IndexFinger", 2), ("Finger", "Right LittleFinger", 5),
        ("Finger", "Left Thumb", 6), ("Finger", "Left RingFinger", 9), ("Finger", "left  indexfinger", 7),
        ("Finger", "", 0), ("Finger", "UNKNOWN", 0), ("Finger", "Left", 0), ("Iris", "Left", 2), ("Iris", "", 0),
        ("Finger", "Left IndexFinger MiddleFinger RingFinger LittleFinger", SEVERAL),
        ("Finger", "Left Thumb Right Thumb", SEVERAL), ("Face", "Face", 0), ("Finger", "Right Index Finger", 2),
    ],
)  # fmt: skip
def test_subtypes_are_words(kind: str, words: str, position: int) -> None:
    (found,) = cbeff_xml.read(packet([block(kind, words, DATA)])).blocks

    assert found.position == position


@pytest.mark.parametrize("format_", [("Mosip", "257"), ("257", "7"), ("ISO", "2")])
def test_the_formats_organisation_is_spelt_in_three_ways(format_: tuple[str, str]) -> None:
    data = packet([block("Finger", "Left Thumb", DATA, format_=format_)])

    assert cbeff_xml.read(data).blocks[0].modality is Modality.FINGER


def test_a_photograph_of_hands_is_of_nothing_that_is_exchanged() -> None:
    data = packet([block("ExceptionPhoto", "", DATA), block("Face", "", DATA)])

    assert [each.modality for each in cbeff_xml.read(data).blocks] == [None, Modality.FACE]


def test_a_finger_that_could_not_be_captured_is_a_block_without_data() -> None:
    missing = block("Finger", "Left Thumb", b"", others={"EXCEPTION": "true"})

    (found,) = cbeff_xml.read(packet([missing])).blocks
    (empty,) = cbeff_xml.read(packet([block("Finger", "Left Thumb", b"")])).blocks

    assert (found.position, found.data, found.fault) == (6, b"", "")
    assert "empty" in empty.fault


def test_what_is_no_name_of_the_format_is_named_and_no_value() -> None:
    named = block("Finger", "Left Thumb", DATA, others={**OTHERS, "fullName": "JANE ROE"})
    older = block("Iris", "Left", DATA, others={"birthDate": "1990"}, older=True)
    more = block("Face", "", DATA, more="<Gender>F</Gender>")
    head = '<n:Holder xmlns:n="urn:x">ROE</n:Holder><!-- ROE -->'

    found = cbeff_xml.read(packet([named, older, more], head=head)).described

    names = ["Holder", "a comment", "others: fullName", "Others: birthDate", "Gender"]
    assert [str(each) for each in found] == names


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"<!-- ROE --><?who ROE?>" + packet([block("Face", "", DATA)], declaration=" "), 2),
        (packet([block("Face", "", DATA)], declaration='<?xml version="1.0"?><!-- ROE -->'), 1),
        (packet([block("Face", "", DATA)]) + b"<!-- ROE --> <?who ROE?>", 2),
        (packet([block("Face", "", DATA, others=OTHERS, older=True)]).replace(b"<Key>EXC", b'<Key n="ROE">EXC'), 2),
        (packet([block("Face", "", DATA, others=OTHERS, older=True)]).replace(b"<Value>80", b'<Value n="ROE">80'), 2),
        (packet([block("Face", "", DATA, others={**OTHERS, "RETRIES": "ROE " * 90})]), 1),
        (packet([block("Face", "", DATA, others={**OTHERS, "SDK_SCORE": "ROE"}, older=True)]), 1),
        (packet([block("Face", "", DATA, others={"PAYLOAD": "ROE," * 5000})]), 1),
        (packet([block("Face", "", DATA)]).replace(b"<BIRInfo>", b"<BIRInfo><Creator>ROE</Creator>", 1), 1),
    ],
    ids=["before", "after the declaration", "after", "key", "value", "long", "no number", "payload", "creator"],
)  # fmt: skip
def test_wherever_text_stands_it_is_named_and_cut(data: bytes, names: int) -> None:
    octets, removed = cbeff_xml.stripped(data)

    assert (len(removed), cbeff_xml.read(data).described) == (names, removed)
    assert b"ROE" not in octets
    assert cbeff_xml.stripped(octets) == (octets, ())


def test_what_the_packet_manager_writes_is_no_text() -> None:
    payload = '{"digitalId":"eyJhbGciOiJSUzI1NiJ9.e30.c2ln","qualityScore":"80"}'.replace(
        '"', "&quot;"
    )
    others = {**OTHERS, "PAYLOAD": payload, "SPEC_VERSION": "0.9.5", "CONFIGURED": "leftEye,rightEye", "FORCE_CAPTURED": "false"}  # fmt: skip

    assert cbeff_xml.read(packet([block("Face", "", DATA, others=others)])).described == ()


@pytest.mark.parametrize("key", ["", "JANE ROE", "Jane,Roe", "x" * 50])
def test_a_key_that_may_itself_be_a_name_is_not_repeated(key: str) -> None:
    data = packet([block("Face", "", DATA, others={key: "x"})])

    (found,) = cbeff_xml.read(data).described

    assert str(found) == "others: an entry without a plain key"


def test_a_long_text_where_a_word_belongs_is_denied() -> None:
    data = packet([block("Face", "", DATA, more=f"<Index>{'x' * 201}</Index>")])

    assert [each.name for each in cbeff_xml.read(data).described] == ["Index"]


def test_stripping_cuts_what_is_denied_and_leaves_every_other_byte() -> None:
    named = block("Finger", "Left Thumb", DATA, others={"RETRIES": "1", "fullName": "JANE > <ROE/>".replace("<", "&lt;")})  # fmt: skip
    head = '<n:Holder xmlns:n="urn:x" of="a>b"/><!-- ROE --><?who ROE?>'

    octets, removed = cbeff_xml.stripped(packet([named], head=head))

    assert octets == packet([block("Finger", "Left Thumb", DATA, others={"RETRIES": "1"})])
    assert len(removed) == 4
    assert cbeff_xml.stripped(octets) == (octets, ())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packet([], declaration='<!DOCTYPE BIR [<!ENTITY a "x">]>'), "document type"),
        (packet([], declaration='<!DOCTYPE BIR SYSTEM "elsewhere">'), "document type"),
        (packet([block("Face", "", DATA, more="<Index>&a;</Index>")]), "not XML"),
        (b"\xff\xfe" + "<BIR/>".encode("utf-16-le"), "not XML"),
        (packet([]), "no data block"),
        (b"<BIRD/>", "no BIR"),
        (f'<BIR xmlns="{NAMESPACE}">{"<BIR>" * 9}{"</BIR>" * 9}</BIR>'.encode(), "deeper"),
        (packet([block("Face", "", DATA, more="<Index/>" * bounded_xml.MOST_ELEMENTS)]), "larger"),
        (packet([block("Face", "", DATA)] * 101), "100"),
        (WHOLE.replace(b"<BDBInfo>", b"<BDBInfo>ROE", 1), "text between"),
        (WHOLE[:-9], "not XML"),
        (b"", "not XML"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_packet_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedFile, match=why):
        cbeff_xml.read(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packet([block("Finger", "Left Elbow", DATA)]), "subtype"),
        (packet([block("Finger", "Left Thumb", DATA, format_=("Mosip", "9"))]), "two modalities"),
        (packet([block("Finger", "Left Thumb", DATA, format_=("Acme", "7"))]), "organisation"),
        (packet([block("Finger Face", "", DATA)]), "two modalities"),
        (packet([block("Face", "", DATA, more="<Encryption>true</Encryption>")]), "encrypted"),
        (WHOLE.replace(b"<BDB>", b"<BDB>*", 1), "base64"),
        (WHOLE.replace(b"<BDB>", b"<BDB>AB-_+/", 1), "base64"),
        (WHOLE.replace(b"<BDB>", b"<BDB></BDB><BDB>", 1), "several"),
        (WHOLE.replace(b"<Score>80", b"<Score>999", 1), "quality"),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_block_that_cannot_be_read_is_told_and_the_others_are_read(data: bytes, why: str) -> None:
    beside = block("Iris", "Left", DATA).encode()
    bad, *_, good = cbeff_xml.read(data[: data.rindex(b"</BIR>")] + beside + b"</BIR>").blocks

    assert why in bad.fault
    assert (bad.modality, bad.data) == (None, b"")
    assert (good.fault, good.modality, good.position, good.data) == ("", Modality.IRIS, 2, DATA)


def test_every_truncation_is_refused() -> None:
    for size in range(0, len(WHOLE), 3):
        with pytest.raises(MalformedFile):
            cbeff_xml.read(WHOLE[:size])


@given(st.binary(max_size=40), st.integers(0, len(WHOLE)), st.integers(0, 60))
def test_any_bytes_in_the_middle_are_malformed_or_read(junk: bytes, place: int, gone: int) -> None:
    with suppress(MalformedFile):
        cbeff_xml.stripped(WHOLE[:place] + junk + WHOLE[place + gone :])


def test_a_packet_is_told_from_other_xml() -> None:
    assert cbeff_xml.is_cbeff(WHOLE)
    assert cbeff_xml.is_cbeff(b"\xef\xbb\xbf<!-- x --><cb:BIR>")
    assert not cbeff_xml.is_cbeff(b"<svg><BIR/></svg>")
    assert not cbeff_xml.is_cbeff(b"<BIRD/>")
    assert cbeff_xml.is_cbeff(b"<!-- a --> <!----><BIR>")
    # Comments that could be paired in many ways are looked at once.
    assert not cbeff_xml.is_cbeff(b"<?xml?>" + b"<!---->" * 500 + b"<x>")


def test_an_element_of_many_attributes_is_refused() -> None:
    many = " ".join(f'a{number}="1"' for number in range(17))

    with pytest.raises(MalformedFile, match="attributes"):
        cbeff_xml.read(packet([block("Face", "", DATA, more=f"<Index {many}/>")]))
