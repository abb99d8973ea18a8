"""A child process as the gateway sees it: started, asked for one record after another, killed at the first doubt."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.child import pipes
from gateway.child.pipes import Garbled
from gateway.child.process import PythonProcess
from gateway.domain.messages import Compression, Modality
from gateway.extraction import frames
from gateway.extraction.extractor import MOST_NAME, Extracted
from gateway.extraction.frames import Status, Task

_named = re.compile(rf"[A-Za-z0-9._-]{{1,{MOST_NAME}}}")
LOADING = 120.0  # seconds; libraries of 400 MB come from a cold disk in a fraction of that


class ExtractorUnavailable(RuntimeError):
    """No child process of an extractor can be had; the text says why and what to do, and holds nothing of a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    """What a child process is told.

    extractor  name of an entry point of the group `passerelle.extractors`
    memory     bytes of address space, for the libraries and one picture together
    seconds    of processor time for one picture; the gateway waits as long by its own clock
    paths      where Python looks for code; None = as this process does
    """

    modality: Modality
    extractor: str
    options: Mapping[str, str] = field(default_factory=dict)
    memory: int
    seconds: int
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a child process that is ready said of itself: whose records it makes, and which pictures it reads."""

    name: str
    version: str
    compressions: tuple[Compression, ...]

    @property
    def extractor(self) -> str:
        """The name that its records carry, as samples state extractors."""
        return f"{self.name}-{self.version}"


class ChildProcess:
    """One child process. Whoever holds it loads it, and kills it.

    offer   what it offers; None until it is ready
    """

    def __init__(self) -> None:
        """Start the process; raises ExtractorUnavailable."""
        self.offer: Offer | None = None
        try:
            self._process = PythonProcess()
        except OSError as fault:
            raise ExtractorUnavailable(f"no process can be started: {fault.strerror}") from None

    @property
    def number(self) -> int:
        """Its process number."""
        return self._process.number

    def extract(self, task: Task, seconds: float) -> tuple[Status, Extracted]:
        """Return how a picture ended, and its record.

        Raises Garbled where the process died, spoke before it was asked, or answered what is no answer, TimeoutError where
        it took too long; after either it has to be killed.
        """
        source, target = self._process.source, self._process.target
        frames.demand_silence(source)  # what stands there already is no answer to this picture
        until = time.monotonic() + seconds
        pipes.send(target, frames.request_bytes(task), until)
        return frames.read_answer(source, until)

    def end(self) -> None:
        """Send the process and what it forked their end; any thread may, and whoever waits for an answer learns of it."""
        self._process.end()

    def kill(self) -> None:
        """End the process and what it forked, whatever they do, and take it from the table of processes."""
        self._process.kill()

    def load(self, settings: ChildSettings) -> Offer:
        """Have it load its extractor and return what it offers once it is ready.

        Raises ExtractorUnavailable, also where somebody ended it meanwhile; then it has to be killed.
        """
        said = {
            "modality": int(settings.modality),
            "extractor": settings.extractor,
            "options": dict(settings.options),
            "memory": settings.memory,
            "seconds": settings.seconds,
        }
        until = time.monotonic() + LOADING
        try:
            answer = self._process.begin("gateway.extraction.child", said, until, settings.paths)
        except (Garbled, TimeoutError, ValueError):
            raise ExtractorUnavailable(
                f"the extractor {settings.extractor} did not start; it may want more than"
                " extraction.memory_mib, or its package be another version"
            ) from None
        if "fault" in answer:
            raise ExtractorUnavailable(
                f"the extractor {settings.extractor} did not start: {answer['fault']}"
            )
        offer = Offer(
            str(answer["name"]),
            str(answer["version"]),
            tuple(Compression(each) for each in answer["compressions"]),
        )
        if not _named.fullmatch(offer.extractor):
            raise ExtractorUnavailable(
                f"the extractor {settings.extractor} did not start: its name and version together are not"
                f" 1 to {MOST_NAME} of A-Z a-z 0-9 . _ -, as records state them"
            )
        self.offer = offer
        return offer
