"""Objects of PIV cards give their data block; whom their header names is told by the field and never sent."""

from __future__ import annotations

import struct

import pytest

from gateway.domain.messages import Modality
from gateway.matching.engine import UnreadableSample
from gateway.matching.sample_files import opened
from gateway.sample_files import piv_card
from gateway.sample_files.errors import MalformedFile
from matcher.finger import record_fmr, synthetic
from matcher.finger.record_fmr import Format, View

SIGNATURE = bytes(range(200))


def two_fingers() -> bytes:
    """Return a card's record: both index fingers in one INCITS 378 record (SP 800-76-2, 4.2)."""
    person = synthetic.person(7)
    views = [View(at, 0, 60, synthetic.impression(person, at, 1)) for at in (2, 7)]
    return record_fmr.write(record_fmr.at_197(Format.INCITS_378_2004, views))


def card(
    block: bytes,
    *,
    options: int = 0x0D,
    kind: int = 0x0201,
    size: int | None = None,
    owner: int = 0x001B,
    holder: bytes = b"\xd4\x32" * 12,
) -> bytes:
    length = len(block) if size is None else size
    head = struct.pack(">BBIHHH8s16s3sbb", 3, options, length, len(SIGNATURE), owner, kind, b"", b"", b"\0\0\x08", -128, 80)  # fmt: skip
    return (
        head + b"Issuer".ljust(18, b"\0") + holder.ljust(25, b"\0") + bytes(4) + block + SIGNATURE
    )


def test_the_header_has_88_bytes() -> None:
    """SP 800-76-2, table 7."""
    assert piv_card.HEADER.size == 88


def test_both_fingers_of_a_card_are_samples() -> None:
    found = opened(card(two_fingers()))

    assert [(each.modality, each.position) for each in found.samples] == [(Modality.FINGER, 2), (Modality.FINGER, 7)]  # fmt: skip
    assert found.text == ("creator", "FASC-N, the number of the card's holder")
    assert found.notes == ("the signature of the card's issuer was not checked",)


def test_what_is_stripped_is_the_record_alone() -> None:
    octets, named = piv_card.stripped(card(two_fingers()))

    assert octets == two_fingers()
    assert len(named) == 2
    assert opened(octets).text == ()


def test_an_object_that_names_nobody_says_so() -> None:
    assert piv_card.read(card(two_fingers(), holder=b"")).described == ("creator",)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (card(two_fingers(), size=1), "lengths"), (card(two_fingers(), size=0xFFFFFFFF), "lengths"),
        (card(two_fingers())[:-1], "lengths"), (card(two_fingers()) + b"\0", "lengths"),
        (card(two_fingers(), options=0x0F), "encrypted"), (card(two_fingers(), kind=0x0101), "type"),
        (card(two_fingers(), owner=0x1B00), "no object"), (b"\x03\x0d", "no object"),
    ],
)  # fmt: skip
def test_what_is_no_object_of_a_card_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(MalformedFile, match=why):
        piv_card.read(octets)


def test_a_block_that_is_not_what_the_header_says_is_refused() -> None:
    with pytest.raises(UnreadableSample, match="something else"):
        opened(card(two_fingers(), kind=0x0501))
    with pytest.raises(UnreadableSample):
        opened(card(b"hello there, this is no record"))
