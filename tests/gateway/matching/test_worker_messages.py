"""What goes between the gateway and a search process arrives as it was; whatever else stands in a pipe is refused."""

from __future__ import annotations

import os
import pickle
import struct
import threading
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.child.pipes import Garbled
from gateway.domain.messages import Modality
from gateway.matching.engine import Change, EngineStatus, OperatingPoint
from gateway.matching.finger import FingerEngine, FingerProbe
from gateway.matching.workers import messages
from gateway.matching.workers.messages import MAGIC, MOST_ARRAYS, MOST_BYTES, Answer, Asked
from tests.gateway.matching.test_finger import read, samples


def received(octets: bytes) -> Any:
    """Return what is read of a pipe in which these bytes stand, and then its end."""
    source, target = os.pipe()

    def write() -> None:
        with os.fdopen(target, "wb") as pipe:
            pipe.write(octets)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return messages.receive(source)
    finally:
        os.close(source)
        writer.join()


def framed(body: bytes) -> bytes:
    return struct.pack("<4sIQ", MAGIC, 0, len(body)) + body


@pytest.mark.parametrize(
    "value",
    [
        Asked(3, "apply", Modality.FINGER, (Change(7, samples(1)),)),
        Answer(3, EngineStatus(loaded=True, size=4, version=9)),
        OperatingPoint(fpir=0.001),
        MappingProxyType({"records": 2}),
        [(1 << 63, samples(2))],
        None,
    ],
)
def test_values_arrive_as_they_were(value: object) -> None:
    assert received(b"".join(messages.pack(value))) == value


def test_a_probe_arrives_whole_and_can_be_overwritten() -> None:
    probe = read(FingerEngine(), 4)

    arrived = received(b"".join(messages.pack(probe)))

    assert isinstance(probe, FingerProbe)
    assert isinstance(arrived, FingerProbe)
    for (at, sent), (there, got) in zip(probe.minutiae, arrived.minutiae, strict=True):
        assert there == at
        assert np.array_equal(sent.xy, got.xy)
        got.destroy()
        assert not got.xy.any()
        assert sent.xy.any()


def test_no_copy_of_a_probe_is_left_where_it_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    read_by, octets = messages._read, list[bytearray]()

    def kept(source: int, size: int) -> bytearray:
        octets.append(read_by(source, size))
        return octets[-1]

    monkeypatch.setattr(messages, "_read", kept)
    numbers = np.full(500, 7.5)

    assert np.array_equal(received(b"".join(messages.pack(numbers))), numbers)
    (arrived,) = (each for each in octets if len(each) == numbers.nbytes)
    assert not any(arrived)


class _Foreign:
    """Is made again by whatever it names."""

    def __init__(self, *how: Any) -> None:
        self._how = how

    def __reduce__(self) -> Any:
        return self._how


def test_what_is_read_runs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    for how in (
        (os.mkdir, (str(folder),)),
        (messages.waits, (0,)),  # ours, and no value
        (FingerEngine, ()),
        (list, ([1],)),
    ):
        with pytest.raises(Garbled, match="not a value of ours"):
            received(framed(pickle.dumps(_Foreign(*how), protocol=5)))
    assert not folder.exists()


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<4sIQ", b"PXW0", 0, 4),
        struct.pack("<4sIQ", MAGIC, MOST_ARRAYS + 1, 4),
        struct.pack("<4sIQ", MAGIC, 0, MOST_BYTES + 1),
        struct.pack("<4sIQQ", MAGIC, 1, 4, MOST_BYTES + 1),
    ],
)
def test_sizes_beyond_the_bounds_are_refused_before_memory_is_taken(head: bytes) -> None:
    with pytest.raises(Garbled, match="not a frame"):
        received(head)


@given(st.binary(max_size=200))
def test_garbage_is_garbled(octets: bytes) -> None:
    for each in (octets, framed(octets)):
        try:
            received(each)
        except Garbled:
            continue
        assert framed(octets) == each  # bytes that happen to be a plain value


def test_a_frame_cut_short_is_garbled() -> None:
    whole = b"".join(messages.pack(read(FingerEngine(), 4)))

    for end in range(0, len(whole), 97):
        with pytest.raises(Garbled, match="ended"):
            received(whole[:end])
