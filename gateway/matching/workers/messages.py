"""What the gateway and a worker process say to each other: values of ours, arrays beside them, over a pipe.

A frame is a prefix, the sizes of its arrays, a body, and the arrays. The body is a pickle, of which only our own values, enumerations and
numpy's arrays are read: nothing that either side writes makes the other run anything. Arrays go beside the body (PEP
574): no copy of a probe's is left on the way, and what arrives can be overwritten by whoever destroys the probe.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import struct
from copy import deepcopy
from dataclasses import dataclass, is_dataclass
from enum import Enum
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from gateway.child.pipes import Garbled, wait
from gateway.domain.messages import Modality
from gateway.matching.engine import Probe

MAGIC = b"PXW1"
MOST_ARRAYS = 4096  # of a frame; a probe of ten fingers has some forty
MOST_BYTES = 1 << 28  # of a body, or of an array
AT_ONCE = 256  # parts that are written by one call (IOV_MAX is 1024)
_prefix = struct.Struct("<4sIQ")  # magic, arrays, bytes of the body
_OURS: Final = ("gateway.domain.", "gateway.matching.", "matcher.")
_PLAIN: Final = {  # what numpy's own pickles name, by version; and what a mapping becomes
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("builtins", "dict")}

Frame = list[memoryview]


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to do, by the name of a method of `worker.Worker`; its answer has the same number."""

    number: int
    name: str
    modality: Modality
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something was not done: the name of an exception, and the text of one that holds nothing of a sample."""

    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it."""

    number: int
    value: Any


def pack(value: object) -> Frame:
    """Return the parts of a frame; the arrays among them are those of the value, not copies."""
    arrays: list[pickle.PickleBuffer] = []
    body = io.BytesIO()
    _Writer(body, protocol=5, buffer_callback=arrays.append).dump(value)
    beside = [each.raw() for each in arrays]
    sizes = struct.pack(f"<{len(beside)}Q", *(len(each) for each in beside))
    head = _prefix.pack(MAGIC, len(beside), body.tell()) + sizes
    return [memoryview(head), body.getbuffer(), *beside]


def send(target: int, frame: Frame, until: float | None = None) -> None:
    """Write a frame into a pipe; raises Garbled where nobody reads any more, TimeoutError where nobody reads in time.

    until   moment of the monotonic clock, of a pipe that does not block; None = as long as it takes
    """
    parts = [each for each in frame if len(each)]
    while parts:
        try:
            if until is not None:
                wait(target, select.POLLOUT, until)
            written = os.writev(target, parts[:AT_ONCE])
        except BlockingIOError:
            continue
        except OSError:
            raise Garbled("nobody reads") from None
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if written:
            parts[0] = parts[0][written:]


def receive(source: int) -> Any:  # noqa: ANN401 - what `pack` was given
    """Return the value of the next frame of a pipe that blocks; raises Garbled, also where the pipe ends."""
    magic, number, size = _prefix.unpack(_read(source, _prefix.size))
    if magic != MAGIC or number > MOST_ARRAYS or size > MOST_BYTES:
        raise Garbled("not a frame")
    sizes = struct.unpack(f"<{number}Q", _read(source, 8 * number))
    if max(sizes, default=0) > MOST_BYTES:
        raise Garbled("not a frame")
    body = _read(source, size)
    arrays = [_read(source, each) for each in sizes]
    try:
        value = _Reader(io.BytesIO(body), buffers=arrays).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, TypeError, ValueError, EOFError):
        raise Garbled("not a value of ours") from None
    if arrays:  # what was read lies in them; its owner is to be able to overwrite it
        value = deepcopy(value)
        for each in arrays:
            each[:] = bytes(len(each))
    return value


def waits(source: int) -> bool:
    """Return whether something stands in a pipe, or it has ended."""
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    return bool(waiting.poll(0))


def _read(source: int, size: int) -> bytearray:
    octets = bytearray(size)
    with memoryview(octets) as whole:
        at = 0
        while at < size:
            part = os.readv(source, [whole[at:]])
            if not part:
                raise Garbled("the pipe ended")
            at += part
    return octets


class _Writer(pickle.Pickler):
    """Writes a body; a mapping that cannot be changed arrives as one that can."""

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401
        """Return how a value is made again, where it is not by pickle's own ways."""
        return (dict, (dict(value),)) if isinstance(value, MappingProxyType) else NotImplemented


class _Reader(pickle.Unpickler):
    """Reads a body; raises UnpicklingError for anything but values of ours."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Return a class of values, or what makes numpy's arrays."""
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if module.startswith(_OURS):
            found = getattr(import_module(module), name)
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum | Probe)):
                return found
        raise pickle.UnpicklingError("not a value of ours")
