"""What the gallery's gateway holds of its people: records of nobody, so plainly invented that nobody takes them for real."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

from gateway import user_files
from gateway.exercises.demo.people import NATIONALITY, Cast, Person, standing

SIDE = 64  # pixels of the picture that stands for a photograph
BIRTH = "1970-01-{:02}"  # by the person's place in the cast
PHOTOGRAPH = "specimen.png"


def write_records(cast: Cast, folder: Path) -> Path:
    """Write what `registry import` reads, a row for each enrolled person, and the picture that they share."""
    user_files.write(folder / PHOTOGRAPH, picture())
    file = folder / "people.jsonl"
    rows = [
        json.dumps(_row(number, person))
        for number, person in enumerate(cast.people, 1)
        if person.enrolled
    ]
    user_files.write(file, ("\n".join(rows) + "\n").encode())
    return file


def _row(number: int, person: Person) -> dict[str, str]:
    kind, nationality = standing(person)
    return {
        "reference": person.pseudonym,
        "status": kind,
        "nationalities": nationality,
        "LAST_NAME": "SPECIMEN",
        "FIRST_NAME": f"INVENTED {person.pseudonym}",
        "DATE_OF_BIRTH": BIRTH.format(number),
        "COUNTRY_OF_BIRTH": NATIONALITY,
        "IMMIGRATION_STATUS": "NONE, THIS PERSON DOES NOT EXIST",
        "PHOTOGRAPH": PHOTOGRAPH,
    }


def picture() -> bytes:
    """Return a grey square with a cross through it, as a PNG (ISO/IEC 15948): the photograph of nobody."""
    rows = bytearray()
    for y in range(SIDE):
        crossed = bytes(64 if x in (y, SIDE - 1 - y) else 192 for x in range(SIDE))
        rows += b"\0" + crossed  # filter type 0, none
    shape = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)  # 8 bits a pixel, greyscale
    parts = ((b"IHDR", shape), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
