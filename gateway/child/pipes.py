"""Bytes through the two pipes of a child process, in a bounded time; and the one frame that either side begins with."""

from __future__ import annotations

import os
import select
import struct
import time

SOURCE, TARGET = 0, 1  # in a child process: the pipes of the gateway
SETUP = b"PXR1"
MOST_SETUP = 65_536  # bytes; paths and options of our own
_prefix = struct.Struct(">4sI")  # magic, bytes that follow


class Garbled(RuntimeError):
    """What came through the pipe is no frame, or none came: the process at the other end is no longer believed."""


def setup_bytes(text: bytes) -> bytes:
    """Return the frame of what is said once, at the beginning, by either side."""
    return _prefix.pack(SETUP, len(text)) + text


def read_setup(source: int, until: float | None = None) -> bytes:
    """Return what is said once, at the beginning; raises Garbled or TimeoutError."""
    magic, size = _prefix.unpack(read(source, _prefix.size, until))
    if magic != SETUP or size > MOST_SETUP:
        raise Garbled("not the frame that is due")
    return read(source, size, until)


def send(target: int, octets: bytes | memoryview, until: float | None = None) -> None:
    """Write all bytes into a pipe; raises Garbled where nobody reads any more, TimeoutError where nobody reads in time."""
    at = 0
    with memoryview(octets) as whole:
        while at < len(whole):
            if until is not None:
                wait(target, select.POLLOUT, until)
            with whole[at : at + select.PIPE_BUF] as part:
                at += _written(target, part)


def read(source: int, size: int, until: float | None = None) -> bytes:
    """Return so many bytes of a pipe; raises Garbled where it ends before, TimeoutError at the moment `until` (monotonic)."""
    parts, left = list[bytes](), size
    while left:
        if until is not None:
            wait(source, select.POLLIN, until)
        part = os.read(source, min(left, 1 << 16))
        if not part:
            raise Garbled("the pipe ended")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def wait(pipe: int, event: int, until: float) -> None:
    """Wait until a pipe can be read or written; raises TimeoutError at the moment `until` (monotonic)."""
    waiting = select.poll()
    waiting.register(pipe, event)
    left = until - time.monotonic()
    if left <= 0 or not waiting.poll(left * 1000):
        raise TimeoutError


def _written(target: int, part: memoryview) -> int:
    try:
        return os.write(target, part)
    except OSError:
        raise Garbled("nobody reads") from None
