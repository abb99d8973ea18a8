"""An extractor for tests, offered as an entry point by a distribution that the tests write; the first pixel says what to do."""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from gateway.domain.messages import Modality
from gateway.extraction import frames
from gateway.extraction.extractor import Extracted, NothingFound
from matcher.finger import synthetic

(
    WELL, NOTHING, RAISE, DIE, HANG, GARBAGE, LONG, EAT, SOCKET, OPEN, RUN, SEEN, LARGE, FORK, CODE,
    TWICE, LINGER, READ, PREFACE, BURN, POOR, OTHER,
) = range(22)  # fmt: skip
FORGED = b"the minutiae of nobody"


def tried(what: Callable[[], object]) -> bool:
    """Whether something can be done here."""
    try:
        what()
    except (OSError, ValueError):
        return False
    return True


class Trial:
    """Minutiae that are a function of the pixels, so that a wrong answer would be seen."""

    name, version = "trial", "1"
    modality = Modality.FINGER

    def __init__(self, *, lazy: bool) -> None:
        self.seen = 0
        self.lazy = lazy  # opens a file with the second picture

    def extract(self, pixels: np.ndarray, ppi: int, position: int) -> Extracted:
        del ppi
        self.seen += 1
        order = int(pixels[0, 0])
        if self.lazy and self.seen > 1:
            Path("/etc/hostname").read_bytes()
        if order == NOTHING:
            raise NothingFound
        if order == RAISE:
            raise RuntimeError("whatever a package says of a picture")
        if order == DIE:
            os.abort()
        while order == HANG:
            time.sleep(0.01)
        while order == BURN:
            pass
        if order == GARBAGE:
            everywhere(b"no frame at all")
        if order in (TWICE, LINGER):
            everywhere(frames.answer_bytes(frames.Status.EXTRACTED, Extracted(FORGED, 99)))
        while order == LINGER:  # for the picture of another
            tried(lambda: os.read(0, 1))
            time.sleep(0.01)
        if order in (LONG, OTHER, POOR):
            return Extracted({LONG: bytes(70_000), OTHER: FORGED}.get(order) or two(position))
        if order == EAT:
            np.ones(1 << 33, dtype=np.uint8)
        able = {
            SOCKET: socket.socket,
            OPEN: lambda: Path("/etc/hostname").read_bytes(),
            RUN: lambda: os.posix_spawn("/bin/true", ["true"], {}),
            FORK: os.fork,
            CODE: executable_memory,
            READ: lambda: os.read(0, 1),
            PREFACE: lambda: os.write(1, b"x"),
        }
        if order in able:
            # The quality says whether it could be done: 100 yes, 1 no.
            return Extracted(self._record(pixels, position), 100 if tried(able[order]) else 1)
        return Extracted(self._record(pixels, position), self.seen if order == SEEN else 80)

    @staticmethod
    def _record(pixels: np.ndarray, position: int) -> bytes:
        """The record of a synthetic person, whose seed the second pixel says; of unknown position, the third says the finger.

        The fourth says which impression it is, where it is not the second.
        """
        seed, finger, impression = (*map(int, pixels[0, 1:4]), 0, 0)[:3]  # some are two pixels wide
        seen = synthetic.impression(synthetic.person(seed), position or finger, impression or 2)
        return synthetic.record(seen, position)


def two(position: int) -> bytes:
    """A record of two minutiae, too few to find anybody by."""
    seen = synthetic.impression(synthetic.person(0), position, 2)
    rows = {each: getattr(seen, each)[:2] for each in ("xy", "angle", "kind", "quality")}
    return synthetic.record(replace(seen, **rows), position)


def everywhere(octets: bytes) -> None:
    """Write into whatever is open."""
    for each in range(64):
        with suppress(OSError):
            os.write(each, octets)


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)


def make(options: Mapping[str, str]) -> Trial:
    """What the entry point names; the options say how it should fail while it is loaded."""
    if options.get("network"):
        socket.socket()
    if options.get("rename"):
        Path("/nowhere/at").rename("/nowhere/all")
    if options.get("environment"):
        raise RuntimeError(" ".join(sorted(os.environ)))
    made = Trial(lazy=bool(options.get("lazy")))
    made.name = options.get("name", Trial.name)
    return made
