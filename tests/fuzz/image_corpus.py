"""Make the kept corpus of images again: python -m tests.fuzz.image_corpus; see `corpus` for the names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.gateway.extraction import image_files as files

FOLDER = Path(__file__).parent / "images"
SMALL = (40, 48)
RAW = bytes(SMALL[0] * SMALL[1])


def made() -> Iterator[tuple[str, bytes]]:
    wsq, png, jpeg = files.wsq(*SMALL), files.png(*SMALL, ppi=500), files.jpeg(*SMALL, ppi=500)
    jp2, j2k = files.jp2(*SMALL, ppi=500), files.j2k(*SMALL)
    for name, data in (("wsq", wsq), ("png", png), ("jpeg", jpeg), ("jp2", jp2), ("j2k", j2k)):
        yield f"accept-{name}", data
        yield f"refuse-{name}-cut", data[:-3]
        yield f"refuse-{name}-trailing", data + b"\0"
    yield "accept-fir-2005-raw", files.fir_first(RAW, 0, SMALL)
    yield "accept-fir-2005-wsq", files.fir_first(wsq, 2, SMALL)
    yield "accept-fir-2011-png", files.fir_second(png, 6, SMALL, extended=b"\0\1\0\0\0\x08ab")
    yield "accept-39794-4", files.finger_39794(jp2, 3)
    yield "accept-fac-2005", files.fac_first(jpeg, 0, SMALL)
    yield "accept-fac-2011", files.fac_second(j2k, 1, SMALL)
    yield "accept-39794-5", files.face_39794(jpeg, 2, SMALL)
    yield "accept-iir-2005", files.iir_first(RAW, 2, SMALL)
    yield "accept-iir-2011", files.iir_second(png, 14, SMALL)
    for name, record in (
        ("type-14", files.type_14(png, b"PNG", f6=b"%d" % SMALL[0], f7=b"%d" % SMALL[1])),
        ("type-14-other-size", files.type_14(png, b"PNG")),
    ):
        accepted = "refuse" if "other" in name else "accept"
        yield f"{accepted}-{name}", files.transaction(record)
    yield "refuse-fir-2005-other-size", files.fir_first(wsq, 2, (41, 48))
    yield "refuse-fir-2011-two", files.fir_second(wsq, 2, SMALL, number=2)
    yield "refuse-png-states-100000", files.png(100_000, 100_000, rows=b"")
    yield "refuse-j2k-of-a-million-tiles", files.j2k(1_024, 1_024, tile=1)
    yield "refuse-39794-4-indefinite-length", b"\x64\x80" + files.finger_39794(jp2, 3)[4:]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, data in made():
        (FOLDER / f"{name}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
