"""Every file of samples that an operator may have is opened in one place: records, transactions, packets of BIRs."""

from __future__ import annotations

import pytest

from gateway.domain.messages import Modality, RecordFormat
from gateway.matching import sample_files
from gateway.matching.engine import UnreadableSample
from gateway.matching.sample_files import SampleFile, Stated, opened
from gateway.sample_files import ansi_nist, ansi_nist_text, image_record_text
from gateway.sample_files.ansi_nist import text_record
from matcher.finger import record_fmr, synthetic
from matcher.finger.record_fmr import Format, View
from tests import ansi_nist_writer, cbeff_writer
from tests.ansi_nist_writer import image, print_image, transaction
from tests.gateway.extraction import image_files

PERSON = (2, 0, text_record(2, {2: b"00", 18: b"DOE,JANE"}))
JPEG = image_files.jpeg()
WSQ = image_files.wsq()
FACE = image(10, 5, {3: b"FACE", 11: b"JPEGB", 12: b"YCC", 999: JPEG})
EYE = image(17, 6, {3: b"2", 11: b"PNG", 13: b"GRAY", 999: image_files.png()})
PALM = image(15, 7, {13: b"21"})


def minutiae(*positions: int) -> bytes:
    person = synthetic.person(7)
    views = [View(at, 0, 60, synthetic.impression(person, max(at, 1), 1)) for at in positions]
    return record_fmr.write(record_fmr.at_197(Format.INCITS_378_2004, views))


def type_9(*positions: int) -> list[tuple[int, int, bytes]]:
    person = synthetic.person(7)
    return ansi_nist_writer.type_9(
        [View(at, 0, 60, synthetic.impression(person, max(at, 1), 1)) for at in positions]
    )


def said(found: SampleFile) -> list[tuple[Modality | None, int, str]]:
    return [(each.modality, each.position, each.format.name) for each in found.samples]


def test_a_transaction_gives_samples_of_every_modality() -> None:
    found = opened(
        transaction(PERSON, *type_9(2), print_image(7, WSQ, idc=4, compression=1), FACE, EYE, PALM)
    )

    assert said(found) == [
        (Modality.FINGER, 2, "ISO_19794_2_2005"),
        (Modality.FINGER, 7, "ANSI_NIST"),
        (Modality.FACE, 0, "JPEG"),
        (Modality.IRIS, 2, "ANSI_NIST"),
    ]  # fmt: skip
    assert found.samples[2].data == JPEG
    assert found.notes == ("record Type-15 with IDC 7: a palm print, left out",)
    assert found.text == ("record Type-2 (2.018)",)
    assert found.person[18] == b"DOE,JANE"
    assert [each.what for each in found.samples] == ["right index", "left index", "face", "left eye"]  # fmt: skip


def test_a_picture_of_a_transaction_leaves_with_nothing_that_leads_to_a_case() -> None:
    agencies = {7: b"DEST", 8: b"ORIG", 9: b"CASE-77", 10: b"CASE-76", 5: b"20260301"}
    found = opened(transaction(PERSON, print_image(7, WSQ, compression=1), first=agencies))

    alone = found.samples[0].data

    first, picture = ansi_nist.read(alone)
    assert picture.data == print_image(7, WSQ, compression=1)[2]
    assert not any(word in alone for word in (b"DEST", b"ORIG", b"CASE", b"JANE"))
    assert (first.fields[11][1], first.fields[5][1]) == (b"19.69", b"20260301")
    assert ansi_nist_text.descriptive((first, picture)) == ()
    assert said(opened(alone)) == [(Modality.FINGER, 7, "ANSI_NIST")]


def test_the_minutiae_of_a_picture_are_its_sample() -> None:
    """Both have one IDC: they are of one impression, and count once."""
    found = opened(transaction(*type_9(2), print_image(2, WSQ, idc=0, compression=1)))

    assert said(found) == [(Modality.FINGER, 2, "ISO_19794_2_2005")]
    assert "whose minutiae were taken" in found.notes[0]


def test_minutiae_that_name_no_finger_are_of_that_of_their_picture() -> None:
    nameless = opened(transaction(*type_9(0)))
    named = opened(transaction(*type_9(0), print_image(3, WSQ, idc=0, compression=1)))

    assert [each.position for each in nameless.samples] == [0]
    assert said(named) == [(Modality.FINGER, 3, "ISO_19794_2_2005")]


def test_a_vendors_features_give_way_to_the_picture() -> None:
    vendor = (9, 1, text_record(9, {2: b"01", 3: b"0", 4: b"U", 31: b"secret"}))

    found = opened(transaction(vendor, print_image(2, WSQ, compression=1)))

    assert said(found) == [(Modality.FINGER, 2, "ANSI_NIST")]
    assert "Cogent's features, not read" in found.notes[0]
    with pytest.raises(UnreadableSample, match="Cogent"):
        opened(transaction(vendor))


def test_a_finger_that_could_not_be_taken_is_told_with_the_option_that_says_so() -> None:
    found = opened(transaction(image(14, 1, {18: b"3\x1fXX"})))

    assert found.missing == (
        "record Type-14 with IDC 1: right middle could not be taken  → query --missing 3=AMPUTATED",
    )
    assert found.notes == ()  # notes are recorded, and this is of the person


@pytest.mark.parametrize("fields", [False, True], ids=["Type-4", "Type-14"])
def test_of_a_ten_print_card_the_rolled_thumbs_are_taken(fields: bool) -> None:
    """Positions 1-10 rolled, 11 and 12 plain thumbs, 13 and 14 four fingers at once (ANSI/NIST-ITL, table 12)."""
    size = (image_files.WIDTH, image_files.HEIGHT)
    said = {6: b"320", 7: b"400", 11: b"WSQ20", 999: WSQ}
    prints = [
        image(14, at, {**said, 13: b"%d" % at}) if fields else print_image(at, WSQ, idc=at, compression=1, size=size)
        for at in (11, 12, *range(1, 11), 13, 14)
    ]  # fmt: skip

    found = opened(transaction(*prints))

    assert [(each.position, each.where[-2:].strip()) for each in found.samples] == [(at, str(at)) for at in range(1, 11)]  # fmt: skip
    assert [each.partition(": ")[2] for each in found.notes] == [
        "a plain right thumb beside the rolled one, left out",
        "a plain left thumb beside the rolled one, left out",
        *["several fingers on one picture, left out"] * 2,
    ]


def test_a_plain_thumb_alone_is_of_that_thumb() -> None:
    size = (image_files.WIDTH, image_files.HEIGHT)

    found = opened(transaction(print_image(12, WSQ, compression=1, size=size)))

    assert ([each.position for each in found.samples], found.notes) == ([6], ())


def test_two_persons_in_one_transaction_are_refused() -> None:
    other = (2, 1, text_record(2, {2: b"01", 18: b"ROE"}))

    with pytest.raises(UnreadableSample, match="two Type-2"):
        opened(transaction(PERSON, other, FACE))


FIR = image_files.fir_first(image_files.wsq(), 2, position=7)
FAC = image_files.fac_second(image_files.jp2(), 2, (image_files.WIDTH, image_files.HEIGHT))
IIR = image_files.iir_second(image_files.png(), 14, (image_files.WIDTH, image_files.HEIGHT))


def test_a_packet_of_birs_gives_its_blocks() -> None:
    data = cbeff_writer.packet(
        [
            cbeff_writer.block("Finger", "Left IndexFinger", FIR),
            cbeff_writer.block("Face", "", FAC),
            cbeff_writer.block("Iris", "Left", IIR),
            cbeff_writer.block("Finger", "Right Thumb", minutiae(0), format_=("ISO", "2")),
            cbeff_writer.block("Finger", "Left Thumb", b"", others={"EXCEPTION": "true"}),
            cbeff_writer.block("ExceptionPhoto", "", JPEG),
        ]
    )

    found = opened(data)

    assert said(found) == [
        (Modality.FINGER, 7, "ISO_19794_4_2005"),
        (Modality.FACE, 0, "ISO_19794_5_2011"),
        (Modality.IRIS, 2, "ISO_19794_6_2011"),
        (Modality.FINGER, 1, "INCITS_378_2004"),
    ]
    assert {each.quality for each in found.samples} == {80}
    assert found.samples[0].image == Stated(width=320, height=400, ppi=500, compression="WSQ", impression=0)  # fmt: skip
    assert found.missing == ("data block 5: left thumb could not be captured, as the file says",)
    assert found.notes == (
        "data block 6: of nothing that is exchanged, left out",
        "signatures of devices (SB) were not checked",
    )


@pytest.mark.parametrize(
    ("kind", "subtype", "data", "why"),
    [
        ("Face", "", FIR, "something else"),
        ("Finger", "Left Thumb", FIR, "another position"),
        ("Finger", "Left Thumb", minutiae(2), "another position"),
        ("Finger", "Left Thumb", minutiae(2, 7), "holds 2 samples"),
        ("Finger", "Left Thumb", b"\1\2hello", "known"),
        ("Finger", "Left Thumb", FIR[:-1], "length"),
    ],
)
def test_a_block_that_is_not_what_is_said_of_it_is_refused(
    kind: str, subtype: str, data: bytes, why: str
) -> None:
    with pytest.raises(UnreadableSample, match=why):
        opened(cbeff_writer.packet([cbeff_writer.block(kind, subtype, data)]))


def test_the_two_fingers_of_a_card_are_two_samples() -> None:
    """SP 800-76-2, 4.2: a card's record holds two fingers, each in a view of its own."""
    found = opened(minutiae(7, 2))

    assert said(found) == [(Modality.FINGER, 7, "INCITS_378_2004"), (Modality.FINGER, 2, "INCITS_378_2004")]  # fmt: skip
    for each in found.samples:
        assert record_fmr.read(each.data).views[0].position == each.position


@pytest.mark.parametrize(
    ("data", "modality", "position", "form"),
    [
        (image_files.wsq(), Modality.FINGER, 0, "WSQ"), (image_files.jpeg(), None, 0, "JPEG"),
        (image_files.png(), None, 0, "PNG"), (image_files.jp2(), None, 0, "JPEG_2000"),
        (FIR, Modality.FINGER, 7, "ISO_19794_4_2005"), (FAC, Modality.FACE, 0, "ISO_19794_5_2011"),
        (IIR, Modality.IRIS, 2, "ISO_19794_6_2011"),
        (image_files.finger_39794(image_files.wsq(), 1), Modality.FINGER, 2, "ISO_39794_4"),
    ],
    ids=range(8),
)  # fmt: skip
def test_one_image_is_a_sample_as_its_headers_state_it(
    data: bytes, modality: Modality | None, position: int, form: str
) -> None:
    found = opened(data)

    (one,) = found.samples
    assert (one.modality, one.position, one.format) == (modality, position, RecordFormat[form])
    assert one.image is not None
    assert (one.image.width, one.image.height) == (image_files.WIDTH, image_files.HEIGHT)
    assert found.text == ()
    with pytest.raises(UnreadableSample):
        opened(data[:-1])


def test_what_a_record_says_of_the_person_is_found_beside_what_is_written_in_its_picture() -> None:
    commented = image_files.jpeg()[:2] + b"\xff\xfe\0\5ROE" + image_files.jpeg()[2:]
    size = (image_files.WIDTH, image_files.HEIGHT)

    plain = opened(image_files.fac_first(image_files.jpeg(), 0, size))
    found = opened(image_files.fac_first(commented, 0, size, sex=2))
    alone = opened(commented)

    assert plain.text == ()
    assert found.text == (image_record_text.DESCRIBES, "a comment (JPEG, COM)")
    assert alone.text == ("a comment (JPEG, COM)",)
    packet = opened(cbeff_writer.packet([cbeff_writer.block("Face", "", image_files.fac_first(commented, 0, size, sex=2))]))  # fmt: skip
    assert packet.text == tuple(f"data block 1: {each}" for each in found.text)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"FAC\x00020\0", "edition"), (b"%PDF-1.7", "PDF"), (b"PK\3\4", "ZIP"), (b"<?xml", "XML"), (b"GIF89a", "GIF"),
        (b"hello", "no file of samples that is known"), (b"", "empty"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_sample_is_called_what_it_is(start: bytes, kind: str) -> None:
    with pytest.raises(UnreadableSample, match=kind):
        sample_files.opened(start + bytes(100) if start else b"")
