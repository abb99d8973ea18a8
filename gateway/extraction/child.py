"""The child process: an extractor loaded once, and for each picture a process of its own that dies with the picture.

1. Bound to the gateway, limited and filtered (`sandbox`) before the extractor's package is imported.
2. The extractor is loaded, and every decoder and the extractor itself are tried on pictures of ours: what they load late
   is loaded then, for in the process of a picture no file can be opened. Then all is tried once more in such a process: an
   extractor that needs a thread or a file that a fork has not is refused now, and not with the first picture.
3. Each request is taken from the gateway whole, unread but for its length, in pages of its own. This process forks with a
   pipe for the one answer. The fork has no other file, not the gateway's pipes either; it puts on the second filter, decodes,
   answers and ends: pixels, minutiae and whatever a picture did to a decoder end with it, and it can speak for no other picture.
4. The answer is passed on, as unread, once the fork has ended well and written this one frame and nothing more; its pages
   are given back. Anything else, or a fork that lingers, ends this process, and the kernel the fork with it. The gateway
   starts another, and gives a picture another try that did not take all of its time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from gateway.child import pipes, sandbox
from gateway.child.pipes import SOURCE, TARGET, Garbled
from gateway.domain.messages import POSITIONS, Compression, Modality
from gateway.extraction import extractor, frames
from gateway.extraction.extractor import Extracted, Extractor
from gateway.extraction.frames import Status

TRIAL = (320, 320)  # pixels of the picture that the extractor is tried on
WELL = 0
POLLED = 0.001  # seconds
LONGER = 10.0  # seconds beyond those of a picture: the gateway, which waits one, is the first to call it hung


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Of the process of a picture: whose it is, bytes of address space, seconds of processor time."""

    parent: int
    memory: int
    seconds: int


def run(said: Mapping[str, Any]) -> NoReturn:
    """Load what the settings name, say what it is, and answer until the gateway closes the pipe."""
    try:
        sandbox.bind_to_parent(int(said["parent"]))
        sandbox.limit(int(said["memory"]))
        sandbox.refuse_the_world()
        loaded = extractor.load(said["extractor"], said["options"])
        able = _tried(loaded, Modality(int(said["modality"])))
        bounds = _Bounds(os.getpid(), int(said["memory"]), int(said["seconds"]))
        _prove(loaded, bounds)
    except Exception as fault:  # noqa: BLE001 - whatever a package raises while it is loaded, before any stranger's byte
        ours = isinstance(fault, extractor.NotInstalled)
        said_of = str(fault) if ours else f"{type(fault).__name__}: {fault}"
        _tell({"fault": said_of[:500]})
        sys.exit(1)
    _tell(
        {"name": loaded.name, "version": loaded.version, "compressions": [int(one) for one in able]}
    )
    while _waiting():
        try:
            _one(loaded, bounds)
        except (Garbled, TimeoutError, OSError):
            os._exit(1)  # at once: the fork, if there still is one, ends with this process
    sys.exit(0)


def _one(loaded: Extractor, bounds: _Bounds) -> None:
    """Pass one request to a fork, and its one answer to the gateway; raises Garbled or TimeoutError for a fork not to be believed."""
    request = frames.Passed(SOURCE, frames.REQUEST)
    until = time.monotonic() + bounds.seconds + LONGER
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        _picture(loaded, request, target, bounds)
    os.close(target)
    request.close()
    try:
        answer = frames.Passed(source, frames.ANSWER, until)
        frames.demand_end(source, until)
    except Garbled:
        if (
            _end(child, until) == -signal.SIGXCPU
        ):  # it used up its time: as silent as one that hangs
            time.sleep(max(0.0, until - time.monotonic()))
        raise
    if _end(child, until) != WELL:
        raise Garbled("the process of a picture failed")
    answer.send(TARGET)
    answer.close()
    os.close(source)


def _tried(loaded: Extractor, modality: Modality) -> tuple[Compression, ...]:
    """Return the compressions that can be read, once decoders and extractor have worked on pictures of ours."""
    from gateway.extraction import pixels

    if loaded.modality is not modality:
        raise ValueError(f"the extractor is not one of modality {modality.name}")
    able = pixels.available()
    _try(loaded)
    return able


def _try(loaded: Extractor) -> None:
    """Have the extractor make a record of a picture of ours; that it finds nothing in it is no fault."""
    import numpy as np

    ridges = np.sin(np.indices(TRIAL)[1] * (2 * np.pi / 9)) * 100 + 128
    picture = ridges.astype(np.uint8)
    if loaded.modality is Modality.FACE:
        picture = np.stack([picture] * 3, axis=2)
    with suppress(extractor.NothingFound):
        loaded.extract(picture, 500, POSITIONS[loaded.modality][0])


def _prove(loaded: Extractor, bounds: _Bounds) -> None:
    """Raise ValueError unless the extractor works in a process such as each picture has."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _shut_in(bounds)
            _try(loaded)
            code = WELL
        finally:
            os._exit(code)
    if _end(child, time.monotonic() + bounds.seconds) != WELL:  # one that hangs ends with us
        raise ValueError(
            "it does not work in a process of its own for each picture: there it has no file and"
            " no other thread, only so much memory (extraction.memory_mib) and time (picture_s)"
        )


def _end(child: int, until: float) -> int | None:
    """Return how a fork ends, its exit code or less than 0 for a signal; None where it does not before the moment `until`."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(POLLED)


def _waiting() -> bool:
    """Wait until a picture begins to arrive; return whether one does, or the gateway has closed the pipe."""
    waiting = select.poll()
    waiting.register(SOURCE, select.POLLIN)
    ((_, event),) = waiting.poll()
    return bool(event & select.POLLIN)


def _picture(loaded: Extractor, request: frames.Passed, target: int, bounds: _Bounds) -> NoReturn:
    """Answer one picture, in a process of its own, and end it."""
    code = 1
    try:
        _shut_in(bounds, target)
        answer = frames.answer_bytes(*_answer(loaded, frames.request_task(request)))
        pipes.send(target, answer)
        code = WELL
    finally:
        os._exit(code)


def _shut_in(bounds: _Bounds, target: int | None = None) -> None:
    """Give up all but calculation and, where there is one, the pipe of the answer; ends this process if its parent ended."""
    sandbox.bind_to_parent(bounds.parent)
    sandbox.close_all_but(target)
    sandbox.limit(bounds.memory, bounds.seconds)
    sandbox.refuse_all_but_calculation()


def _answer(loaded: Extractor, task: frames.Task) -> tuple[Status, Extracted | None]:
    from gateway.extraction import pixels

    try:
        found = loaded.extract(pixels.decode(task.data, task.picture), task.ppi, task.position)
    except Exception as fault:  # noqa: BLE001 - its text could hold something of the picture; a number leaves
        known: dict[type[Exception], Status] = {
            pixels.Undecodable: Status.UNDECODABLE,
            pixels.OtherSize: Status.OTHER_SIZE,
            extractor.NothingFound: Status.NOTHING_FOUND,
            MemoryError: Status.TOO_LARGE,
        }
        found_out = (status for kind, status in known.items() if isinstance(fault, kind))
        return next(found_out, Status.FAILED), None
    if not 0 < len(found.record) <= extractor.MOST_RECORD:
        return Status.FAILED, None
    return Status.EXTRACTED, found


def _tell(what: Mapping[str, object]) -> None:
    pipes.send(TARGET, pipes.setup_bytes(json.dumps(what).encode()))
