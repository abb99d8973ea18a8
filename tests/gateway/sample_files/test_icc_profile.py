"""Colour profiles pass where they say what well-known ones say, and no byte more; all else may be a person's name."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sample_files.icc_profile import is_well_known

XYZ = b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061)
CURVE = b"curv" + bytes(4) + struct.pack(">I4H", 4, 0, 100, 900, 65_535)
D50 = struct.pack(">3I", 63_190, 65_536, 54_061)


VIEW = b"view" + bytes(4) + struct.pack(">6iI", *[1_300_000] * 6, 1)
MEASURED = b"meas" + bytes(4) + struct.pack(">I3iIII", 1, 0, 0, 0, 0, 655, 2)


def text(words: bytes) -> bytes:
    return b"text" + bytes(4) + words + b"\0"


def description(words: bytes, unicode: str = "", script: bytes = b"") -> bytes:
    """Return a description of version 2: three texts of their own."""
    letters = unicode.encode("utf-16-be")
    ascii_part = struct.pack(">I", len(words) + 1) + words + b"\0"
    unicode_part = bytes(4) + struct.pack(">I", len(letters) // 2) + letters
    script_part = struct.pack(">HB", 0, len(script)) + script.ljust(67, b"\0")
    return b"desc" + bytes(4) + ascii_part + unicode_part + script_part


def localised(words: str, language: bytes = b"enUS") -> bytes:
    """Return a text of version 4."""
    letters = words.encode("utf-16-be")
    head = struct.pack(">II4sII", 1, 12, language, len(letters), 28)
    return b"mluc" + bytes(4) + head + letters


TAGS = {
    b"desc": description(b"sRGB IEC61966-2.1", script=b"sRGB IEC61966-2.1\0"),
    b"cprt": text(b"Copyright (c) 1998 Hewlett-Packard Company"),
    b"wtpt": XYZ,
    b"rXYZ": XYZ,
    b"rTRC": CURVE,
    b"tech": b"sig \0\0\0\0CRT ",
}


def profile(tags: Mapping[bytes, bytes] = TAGS, *, gap: bytes = b"", behind: bytes = b"") -> bytes:
    """Return a profile of these tags; of two of the same content that is held once."""
    at = 132 + 12 * len(tags) + len(gap)
    places, table, body = dict[bytes, int](), b"", b""
    for name, content in tags.items():
        if content not in places:
            places[content] = at + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    head = b"lcms" + bytes([2, 0x10, 0, 0]) + b"mntrRGB XYZ "
    head += struct.pack(">6H", 2026, 3, 1, 9, 0, 0) + b"acspMSFT" + bytes(4) + b"IEC sRGB"
    head += bytes(8) + struct.pack(">I", 0) + D50 + b"HP  " + bytes(44)
    rest = head + struct.pack(">I", len(tags)) + table + gap + body + behind
    return struct.pack(">I", 4 + len(rest)) + rest


PLAIN = profile()


def changed(at: int, octets: bytes) -> bytes:
    return PLAIN[:at] + octets + PLAIN[at + len(octets) :]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {b"desc": localised("Display P3"), b"cprt": localised("Copyright Apple Inc., 2022")},
        {b"desc": description(b"Adobe RGB (1998)", unicode="Adobe RGB (1998)")},
        {b"gTRC": b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 144_179)},
        {b"lumi": b"XYZ " + bytes(4) + struct.pack(">3i", 4_983_133, 5_242_880, 5_709_652)},
        {b"chad": b"sf32" + bytes(4) + struct.pack(">9i", 68_674, *[-1_000] * 7, 49_286)},
        {b"chrm": b"chrm" + bytes(4) + struct.pack(">HH6I", 3, 1, *[43_000] * 6)},
        {b"view": VIEW, b"meas": MEASURED},
    ],
)
def test_a_well_known_profile_passes(tags: Mapping[bytes, bytes]) -> None:
    assert is_well_known(profile({**TAGS, **tags}))


def test_a_profile_may_state_its_own_digest_and_no_other() -> None:
    stated = changed(84, hashlib.md5(PLAIN, usedforsecurity=False).digest())

    assert is_well_known(stated)
    assert not is_well_known(changed(84, b"ROE born in 1970"))


@pytest.mark.parametrize(
    "tags",
    [
        {b"desc": description(b"ROE's display")},
        {b"desc": description(b"sRGB", unicode="ROE")},
        {b"desc": description(b"sRGB", script=b"ROE")},
        {b"desc": localised("ROE")},
        {b"desc": localised("sRGB") + b"ROE"},
        {b"desc": localised("sRGB", language=b"ROE ")},
        {b"cprt": text(b"ROE")},
        {b"cprt": text(b"Public Domain\0ROE")},
        {b"dscm": localised("sRGB")},
        {b"ROE ": XYZ},
        {b"wtpt": text(b"sRGB")},
        {b"wtpt": XYZ + b"ROE"},
        {b"rTRC": CURVE + b"ROE"},
        {b"rTRC": b"curv" + bytes(4) + struct.pack(">I", 6) + b"ROE born1970"},
        {b"rTRC": b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 1) + b"ROE"},
        {b"tech": b"sig \0\0\0\0ROE "},
        {b"desc": b"desc\0\0\0\0\xff\xff\xff\xffROE"},
        {b"wtpt": b"XYZ " + bytes(4) + b"ROE born1970"},
        {b"lumi": b"XYZ " + bytes(4) + b"ROE born1970"},
        {b"chad": b"sf32" + bytes(4) + b"ROE born1970" * 3},
        {b"chrm": b"chrm" + bytes(4) + b"\0\3\0\1" + b"ROE born1970" * 2},
        {b"view": b"view" + bytes(4) + b"ROE born1970" * 2 + bytes(4)},
        {b"view": VIEW[:-4] + b"ROE "},
        {b"meas": MEASURED[:8] + b"ROE " + MEASURED[12:]},
        {b"meas": MEASURED[:-4] + b"ROE "},
        {b"gTRC": b"para" + bytes(4) + struct.pack(">HH", 0, 0) + b"ROE "},
    ],
)
def test_a_profile_with_words_of_its_own_does_not_pass(tags: Mapping[bytes, bytes]) -> None:
    assert not is_well_known(profile({**TAGS, **tags}))


@pytest.mark.parametrize(
    "octets",
    [
        profile(gap=b"ROE "),
        profile(behind=b"ROE "),
        changed(4, b"ROE "),
        changed(52, b"ROE "),
        changed(100, b"ROE"),
        changed(56, b"ROE "),
        changed(24, b"ROE born"),
        PLAIN[:-1],
        PLAIN[:130],
        b"",
        b"ROE" * 100,
        changed(128, b"\xff\xff\xff\xff"),
        changed(136, b"\xff\xff\xff\xff"),
    ],
)
def test_a_profile_with_bytes_that_are_none_of_its_tags_does_not_pass(octets: bytes) -> None:
    assert not is_well_known(octets)


def test_a_tag_that_stands_twice_does_not_pass() -> None:
    named = profile({**TAGS, b"bXYZ": XYZ})

    assert is_well_known(named)
    assert not is_well_known(named.replace(b"bXYZ", b"rXYZ"))


@given(st.binary(min_size=1, max_size=12), st.integers(0, len(PLAIN)), st.integers(0, 12))
def test_any_bytes_in_the_middle_are_judged_and_never_raise(
    junk: bytes, place: int, gone: int
) -> None:
    assert is_well_known(PLAIN[:place] + junk + PLAIN[place + gone :]) in (True, False)
