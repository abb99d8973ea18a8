"""What goes between the gateway and the process of one picture: frames of fixed fields and two lengths, over pipes.

Nothing that comes back is text: a fault is a number, so that nothing of a stranger's can reach a log.
"""

from __future__ import annotations

import os
import select
import struct
import time
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.domain.messages import Compression
from gateway.extraction.containers.image import MOST_SIDE, Image, Picture
from gateway.extraction.extractor import MOST_RECORD, Extracted

REQUEST, ANSWER, READY = b"PXQ1", b"PXA1", b"PXR1"
MOST_DATA = 1 << 24  # bytes of a picture; a query has room for a fraction of that
MOST_SETUP = 65_536  # bytes; paths and options of our own
_request = struct.Struct(">4sBBHHIII")  # magic, compression, channels, position, ppi, w, h, length
_answer = struct.Struct(">4sBBI")  # magic, status, quality, length
_setup = struct.Struct(">4sI")


class Status(IntEnum):
    """How the extraction of one picture ended."""

    EXTRACTED = 1
    UNDECODABLE = 2  # the decoder refused the picture
    OTHER_SIZE = 3  # it decoded to another size than its header says
    NOTHING_FOUND = 4
    TOO_LARGE = 5  # it needs more memory than there is
    FAILED = 6


class Garbled(RuntimeError):
    """What came through the pipe is no frame, or none came: the process at the other end is no longer believed."""


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to make a record of."""

    picture: Picture
    ppi: int
    position: int
    data: bytes = field(repr=False)


def task_of(image: Image, position: int, ppi: int) -> Task:
    """Return the task that an image is, with position and resolution as they were settled."""
    return Task(image.picture, ppi, position, image.data)


def request_bytes(task: Task) -> bytes:
    """Return the frame of a task."""
    picture = task.picture
    head = (int(picture.compression), picture.channels, task.position, task.ppi)
    return _request.pack(REQUEST, *head, picture.width, picture.height, len(task.data)) + task.data


def read_request(source: int) -> Task:
    """Return the task that stands in a pipe; raises Garbled."""
    magic, compression, channels, position, ppi, width, height, size = _request.unpack(
        _exactly(source, _request.size)
    )
    if magic != REQUEST or size > MOST_DATA or max(width, height) > MOST_SIDE:
        raise Garbled("not a task")
    picture = Picture(Compression(compression), width, height, channels)
    return Task(picture, ppi, position, _exactly(source, size))


def answer_bytes(status: Status, extracted: Extracted | None = None) -> bytes:
    """Return the frame of an answer."""
    if extracted is None:
        return _answer.pack(ANSWER, status, 0, 0)
    head = _answer.pack(ANSWER, status, extracted.quality, len(extracted.record))
    return head + extracted.record


def read_answer(source: int, until: float) -> tuple[Status, Extracted]:
    """Return status and record of an answer; raises Garbled, and TimeoutError at the moment `until` (monotonic)."""
    magic, status, quality, size = _answer.unpack(_exactly(source, _answer.size, until))
    if magic != ANSWER or size > MOST_RECORD or status not in tuple(Status):
        raise Garbled("not an answer")
    record = _exactly(source, size, until)
    if (status == Status.EXTRACTED) is not bool(size) or not (quality <= 100 or quality == 255):
        raise Garbled("an answer that contradicts itself")
    return Status(status), Extracted(record, quality)


def setup_bytes(text: bytes) -> bytes:
    """Return the frame of what is said once, at the beginning, by either side."""
    return _setup.pack(READY, len(text)) + text


def read_setup(source: int, until: float | None = None) -> bytes:
    """Return what is said once, at the beginning; raises Garbled or TimeoutError."""
    magic, size = _setup.unpack(_exactly(source, _setup.size, until))
    if magic != READY or size > MOST_SETUP:
        raise Garbled("not a beginning")
    return _exactly(source, size, until)


def send(target: int, octets: bytes, until: float | None = None) -> None:
    """Write all bytes into a pipe; raises Garbled where nobody reads any more, TimeoutError where nobody reads in time."""
    rest = memoryview(octets)
    try:
        while rest:
            if until is not None:
                _wait(target, select.POLLOUT, until)
            rest = rest[os.write(target, rest[: select.PIPE_BUF]) :]
    except OSError:
        raise Garbled("nobody reads") from None


def _exactly(source: int, size: int, until: float | None = None) -> bytes:
    parts, left = list[bytes](), size
    while left:
        if until is not None:
            _wait(source, select.POLLIN, until)
        part = os.read(source, min(left, 1 << 16))
        if not part:
            raise Garbled("the pipe ended")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _wait(pipe: int, event: int, until: float) -> None:
    """Wait until a pipe can be read or written; raises TimeoutError at the moment `until`."""
    waiting = select.poll()
    waiting.register(pipe, event)
    left = until - time.monotonic()
    if left <= 0 or not waiting.poll(left * 1000):
        raise TimeoutError
