"""Make the kept corpus again: small files, one for each way that a record can be right or wrong.

python -m tests.fuzz.corpus      writes tests/fuzz/corpus/{accept,refuse,open,closed}-<what>.bin

A strict reader of records accepts or refuses the first two; an operator's file opens, or does not, of the other two.

Files that a fuzzer found join by hand, under a name that says what they did; they are never made again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import shake_256
from pathlib import Path

import numpy as np

from matcher.face import record as face_record
from matcher.face.template import FaceVector
from matcher.finger import record_fmr
from matcher.finger.record_fmr import Format, View
from matcher.finger.template import Minutiae
from matcher.iris import record as iris_record
from matcher.iris.coders import MASEK
from matcher.iris.template import from_cells
from tests import ansi_nist_writer, cbeff_writer
from tests.gateway.extraction import image_files
from tests.gateway.sample_files.test_piv_card import card

PICTURE = image_files.wsq(40, 40)
FOLDER = Path(__file__).parent / "corpus"
HEADER = ansi_nist_writer.Header("SRE", "20260301", "CAN", "AUS", "T-17")


def finger(count: int = 5) -> Minutiae:
    rows = np.arange(count)
    angle = (rows * 0.4).astype(np.float32)
    place = np.stack([40 + 31 * rows % 200, 60 + 47 * rows % 300], axis=1)
    return Minutiae(place, angle, rows % 3, 10 * rows % 100, 300, 400)


def at(data: bytes, place: int, layout: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, place, *values)
    return bytes(changed)


def made() -> Iterator[tuple[str, bytes]]:
    one, two = [View(2, 0, 60, finger())], [View(2, 0, 60, finger()), View(7, 1, 0, finger(3))]
    records = {form: record_fmr.write(record_fmr.at_197(form, one)) for form in Format}
    for form, data in records.items():
        name = form.name.lower()
        yield f"accept-{name}", data
        yield f"accept-{name}-two-views", record_fmr.write(record_fmr.at_197(form, two))
        yield (
            f"accept-{name}-empty",
            record_fmr.write(record_fmr.at_197(form, [View(0, 0, 0, finger(0))])),
        )
        yield f"refuse-{name}-cut", data[:-3]
        yield f"refuse-{name}-trailing", data + b"\0\0"
        yield f"refuse-{name}-little-endian", data[:8] + data[8:12][::-1] + data[12:]
        yield f"refuse-{name}-extended-data-lie", data[:-2] + b"\xff\xff"
        yield f"refuse-{name}-later-version", data[:4] + b"040\0" + data[8:]
    iso, incits = records[Format.ISO_19794_2_2005], records[Format.INCITS_378_2004]
    long = incits[:8] + struct.pack(">HI", 0, len(incits) + 4) + incits[10:]
    yield "accept-incits_378_2004-long-length", long
    yield "refuse-count-beyond-the-record", at(iso, 27, ">B", 255)
    yield "refuse-no-view", at(iso, 22, ">B", 0)
    yield "refuse-255-views", at(iso, 22, ">B", 255)
    yield "refuse-resolution-zero", at(iso, 18, ">HH", 0, 0)
    yield "refuse-resolution-one", at(iso, 18, ">HH", 1, 1)
    yield "refuse-image-without-area", at(iso, 14, ">HH", 0, 0)
    yield "refuse-image-absurd", at(iso, 14, ">HHHH", 65535, 65535, 79, 79)
    yield "refuse-minutia-outside", at(iso, 28, ">HH", 0x7FFF, 0x3FFF)
    yield "refuse-kind-three", at(iso, 28, ">H", 0xC001)
    yield "refuse-incits-angle-180", at(incits, 34, ">B", 180)
    yield "refuse-not-a-record", b"GIF89a" + bytes(60)
    second = records[Format.ISO_19794_2_2011]
    yield "refuse-iso2011-representation-of-33", at(second, 15, ">I", 33)
    yield "refuse-iso2011-representation-of-4g", at(second, 15, ">I", 0xFFFFFFFF)
    yield "refuse-iso2011-65535-representations", at(second, 12, ">H", 0xFFFF)
    yield "refuse-iso2011-minutia-of-7", at(second, 50, ">B", 0x70)
    transaction = ansi_nist_writer.write(two, HEADER)
    yield "accept-type-9", transaction
    yield "accept-type-9-empty", ansi_nist_writer.write([View(0, 0, 0, finger(0))], HEADER)
    yield "refuse-type-9-cut", transaction[:-1]
    yield "refuse-type-9-trailing", transaction + b"\x1c"
    yield "refuse-type-9-length-lie", transaction.replace(b"9.001:", b"9.001:9", 1)
    yield "refuse-type-9-length-huge", transaction.replace(b"9.001:", b"9.001:99999999", 1)
    yield "refuse-type-9-no-unit", transaction.replace(b"9.130:1", b"9.130:0")
    yield "refuse-type-9-own-end", transaction.replace(b"9.133:0", b"9.133:\x1c")
    yield "refuse-type-2-announced", transaction.replace(b"\x1e9\x1f00", b"\x1e2\x1f00")
    yield "refuse-type-2-smuggled", transaction.replace(b"9.001:", b"2.001:", 1)
    yield (
        "accept-type-9-legacy",
        _transaction(b"9.003:6\x1d9.004:S\x1d9.006:02\x1d9.010:2\x1d9.012:" + LEGACY),
    )
    yield (
        "accept-type-9-extended",
        _transaction(
            b"9.003:0\x1d9.004:U\x1d9.300:2500\x1f2000\x1f0\x1f0\x1d9.302:8\x1d9.331:" + EXTENDED
        ),
    )
    yield from _faces()
    yield from _irises()
    yield "refuse-type-9-vendor", _transaction(b"9.003:0\x1d9.004:U\x1d9.031:secret")
    yield from _files()


def _files() -> Iterator[tuple[str, bytes]]:
    """Yield files of several samples: transactions with pictures, packets of BIRs, objects of cards."""
    two = record_fmr.write(
        record_fmr.at_197(
            Format.INCITS_378_2004, [View(2, 0, 60, finger()), View(7, 0, 0, finger(3))]
        )
    )
    person = (2, 0, ansi_nist_writer.text_record(2, {2: b"00", 18: b"N", 22: b"19900400"}))
    grey = ansi_nist_writer.print_image(7, bytes(6))
    fine = ansi_nist_writer.image(14, 2, {20: b"a comment", 24: b"2\x1f77\x1f0\x1f1"})
    eye = ansi_nist_writer.image(17, 3, {3: b"2", 13: b"GRAY"})
    whole = ansi_nist_writer.transaction(person, grey, fine, eye)
    yield "open-transaction", whole
    for name, picture in (("open", image_files.wsq()), ("closed", image_files.wsq()[:-2])):
        compressed = ansi_nist_writer.print_image(1, picture, size=(320, 400), compression=1)
        yield f"{name}-transaction-wsq", ansi_nist_writer.transaction(compressed)
    yield "closed-transaction-counts-one-less", whole.replace(b"1.003:1\x1f4", b"1.003:1\x1f3")
    yield "closed-transaction-cut", whole[:-1]
    yield "closed-transaction-idc", whole.replace(b"14.002:02", b"14.002:01")
    yield "partly-picture-of-another-size", whole.replace(b"14.006:2", b"14.006:9")
    fir = image_files.fir_first(PICTURE, 2, (40, 40), position=7)
    iir = image_files.iir_first(bytes(1600), 2, (40, 40), eye=2)
    left = cbeff_writer.block("Finger", "Left IndexFinger", fir, others={"RETRIES": "1"})
    left_eye = cbeff_writer.block("Iris", "Left", iir)
    right = cbeff_writer.block("Finger", "Right Thumb", two[:60], format_=("ISO", "2"), older=True)
    yield "open-packet", cbeff_writer.packet([left, left_eye])
    yield "partly-packet-block-cut", cbeff_writer.packet([left, right])
    yield "closed-packet-doctype", cbeff_writer.packet([left], declaration="<!DOCTYPE BIR>")
    yield "open-card", card(two)
    yield "open-wsq", PICTURE[:2] + b"\xff\xa8\0\6note" + PICTURE[2:]
    png = image_files.png(40, 40)
    yield "open-png", png[:33] + image_files.chunk(b"tEXt", b"a\0b") + png[33:]
    yield "closed-card-cut", card(two)[:-1]


def _faces() -> Iterator[tuple[str, bytes]]:
    vector = np.array([(-1) ** row * (1 + row) for row in range(32)], dtype=np.float64)
    data = face_record.write(FaceVector("model-1", vector / np.linalg.norm(vector)))
    first = len(data) - 4 * 32
    yield "accept-face-vector", data
    yield "refuse-face-vector-cut", data[:-1]
    yield "refuse-face-vector-trailing", data + b"\0"
    yield "refuse-face-vector-name-beyond-the-record", at(data, 12, ">B", 255)
    yield "refuse-face-vector-dimension-lie", at(data, first - 3, ">H", 4096)
    yield "refuse-face-vector-nan", at(data, first, ">I", 0x7FC00000)
    yield "refuse-face-vector-infinite", at(data, first, ">I", 0x7F800000)
    yield "refuse-face-vector-zero", data[:first] + bytes(4 * 32)
    yield "refuse-face-vector-long", at(data, first, ">f", 1.0)


def _irises() -> Iterator[tuple[str, bytes]]:
    drawn = np.frombuffer(shake_256(b"iris").digest(MASEK.bits // 8), dtype=np.uint8)
    code = np.unpackbits(drawn).reshape(MASEK.rows, MASEK.columns, MASEK.cell_bits)
    mask = np.ones_like(code)
    mask[12:, 100:160] = 0
    iris = from_cells(MASEK, code, mask)
    data = iris_record.write(1, iris)
    grid = iris_record.HEAD.size + len("masek1")
    size = (len(data) - grid - iris_record.GRID.size) // 2
    yield "accept-iris-code", data
    yield "refuse-iris-code-cut", data[:-1]
    yield "refuse-iris-code-trailing", data + b"\0"
    yield "refuse-iris-code-name-beyond-the-record", at(data, 13, ">B", 255)
    yield "refuse-iris-code-unknown-coder", data.replace(b"masek1", b"masek2")
    yield "refuse-iris-code-no-eye", at(data, 12, ">B", 0)
    yield "refuse-iris-code-grid-lie", at(data, grid, ">H", 65535)
    yield "refuse-iris-code-masked", data[:-size] + bytes(size)
    yield "refuse-iris-code-all-ones", iris_record.write(1, from_cells(MASEK, code | 1, mask))
    yield "refuse-iris-code-bits-under-the-mask", data[: -2 * size] + b"\xff" * size + data[-size:]


LEGACY = b"001\x1f01320715248\x1f0\x1fA\x1f2,1\x1e002\x1f02280918078\x1f63\x1fB"
EXTENDED = b"1908\x1f41\x1f186\x1fE\x1f\x1e1669\x1f46\x1f360\x1fB\x1f"


def _transaction(fields: bytes) -> bytes:
    """Return a transaction file of one Type-9 record with these fields after the second."""
    rest = b"\x1d9.002:00\x1d" + fields + b"\x1c"
    length = len(b"9.001:") + len(rest) + (2 if len(rest) < 92 else 3)
    first = b"\x1d1.002:0500\x1d1.003:1\x1f1\x1e9\x1f00\x1d1.004:SRE\x1c"
    return b"1.001:%d" % (len(first) + 8) + first + b"9.001:%d" % length + rest


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, data in made():
        (FOLDER / f"{name}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
