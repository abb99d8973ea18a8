"""What goes between the gateway, a child process and the process of one picture: frames over pipes, each after its length.

A child process passes frames on by magic and length alone (`Passed`); what is in a request is read by the process of its
picture, what is in an answer by the gateway. Nothing that comes back is text: a fault is a number, so that nothing of a
stranger's can reach a log.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.child import pipes
from gateway.child.pipes import Garbled
from gateway.domain.messages import Compression
from gateway.extraction.extractor import MOST_RECORD, Extracted
from gateway.sample_files.containers.image import MOST_SIDE, Image, Picture

REQUEST, ANSWER = b"PXQ1", b"PXA1"
MOST_DATA = 1 << 24  # bytes of a picture; a query has room for a fraction of that
_prefix = struct.Struct(">4sI")  # magic, bytes that follow
_request = struct.Struct(
    ">BBHHII"
)  # compression, channels, position, ppi, width, height; the picture
_answer = struct.Struct(">BB")  # status, quality; the record
MOST_BODY = {
    REQUEST: _request.size + MOST_DATA,
    ANSWER: _answer.size + MOST_RECORD,
}  # bytes after the prefix


class Status(IntEnum):
    """How the extraction of one picture ended."""

    EXTRACTED = 1
    UNDECODABLE = 2  # the decoder refused the picture
    OTHER_SIZE = 3  # it decoded to another size than its header says
    NOTHING_FOUND = 4
    TOO_LARGE = 5  # it needs more memory than there is
    FAILED = 6


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
    fields = (int(picture.compression), picture.channels, task.position, task.ppi)
    head = _request.pack(*fields, picture.width, picture.height)
    return _prefix.pack(REQUEST, len(head) + len(task.data)) + head + task.data


def request_task(frame: Passed) -> Task:
    """Return the task that a frame holds; raises Garbled."""
    body = frame.body()
    if len(body) < _request.size:
        raise Garbled("not a task")
    compression, channels, position, ppi, width, height = _request.unpack_from(body)
    if max(width, height) > MOST_SIDE:
        raise Garbled("not a task")
    picture = Picture(Compression(compression), width, height, channels)
    return Task(picture, ppi, position, body[_request.size :])


def answer_bytes(status: Status, extracted: Extracted | None = None) -> bytes:
    """Return the frame of an answer."""
    quality, record = (0, b"") if extracted is None else (extracted.quality, extracted.record)
    return _prefix.pack(ANSWER, _answer.size + len(record)) + _answer.pack(status, quality) + record


def read_answer(source: int, until: float) -> tuple[Status, Extracted]:
    """Return status and record of an answer; raises Garbled, and TimeoutError at the moment `until` (monotonic)."""
    body = pipes.read(source, _size(pipes.read(source, _prefix.size, until), ANSWER), until)
    if len(body) < _answer.size:
        raise Garbled("not an answer")
    status, quality = _answer.unpack_from(body)
    record = body[_answer.size :]
    if status not in tuple(Status):
        raise Garbled("not an answer")
    if (status == Status.EXTRACTED) is not bool(record) or not (quality <= 100 or quality == 255):
        raise Garbled("an answer that contradicts itself")
    return Status(status), Extracted(record, quality)


class Passed:
    """A frame that is passed on unread, in pages of its own: once it is closed, nothing of it is in this process any more."""

    def __init__(self, source: int, magic: bytes, until: float | None = None) -> None:
        """Take one frame from a pipe, of which the prefix alone is read; raises Garbled or TimeoutError."""
        prefix = pipes.read(source, _prefix.size, until)
        whole = _prefix.size + _size(prefix, magic)
        self._pages = mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._pages[: _prefix.size] = prefix
        at = _prefix.size
        with memoryview(self._pages) as octets:
            while at < whole:
                if until is not None:
                    pipes.wait(source, select.POLLIN, until)
                with octets[at:] as rest:
                    part = os.readv(source, [rest])
                if not part:
                    raise Garbled("the pipe ended")
                at += part

    def body(self) -> bytes:
        """Return a copy of what follows the prefix."""
        return self._pages[_prefix.size :]

    def send(self, target: int) -> None:
        """Write the frame into a pipe; raises Garbled where nobody reads any more."""
        with memoryview(self._pages) as octets:
            pipes.send(target, octets)

    def close(self) -> None:
        """Give the pages back to the kernel."""
        self._pages.close()


def demand_end(source: int, until: float) -> None:
    """Wait until a pipe ends; raises Garbled where another byte comes, TimeoutError where it does not end in time."""
    pipes.wait(source, select.POLLIN, until)
    if os.read(source, 1):
        raise Garbled("more than one frame")


def demand_silence(source: int) -> None:
    """Raise Garbled where something stands in a pipe, or it ended, though nothing was asked."""
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    if waiting.poll(0):
        raise Garbled("an answer to nothing, or an end")


def _size(prefix: bytes, magic: bytes) -> int:
    """Return how many bytes follow a prefix; raises Garbled for another frame than is due, or too long a one."""
    found, size = _prefix.unpack(prefix)
    if found != magic or size > MOST_BODY[magic]:
        raise Garbled("not the frame that is due")
    return int(size)
