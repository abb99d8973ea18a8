"""What engines of every modality do alike: load and change a gallery, say its state, read whole probes or nothing, and time.

An engine of one gallery in this process inherits `GalleryEngine` and says what its gallery is and what of a sample it holds.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from gateway.domain.messages import Modality, Sample
from gateway.errors import EngineUnavailable
from gateway.matching.engine import (
    Change,
    Deadline,
    EngineStatus,
    Found,
    OperatingPoint,
    Prepared,
    Probe,
    Scored,
    Source,
    UnreadableSample,
)

REHEARSED_UNCOUNTED = 3  # searches, which still load models and touch every page of the gallery


class UncalibratedRecord(UnreadableSample):
    """A record is of a model or coder whose scores mean nothing here."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"no calibration of {model} counts here: have one adopted (passerelle calibrations list, adopt)"
        )


class Destroyed(Protocol):
    """What was read of a sample."""

    def destroy(self) -> None:
        """Overwrite it with zeros, in place."""
        ...


class Enrolling(Protocol):
    """A gallery that people are added to; ValueError for samples that it cannot hold."""

    def __len__(self) -> int: ...

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        ...

    def add(self, subject: int, samples: Any, /) -> object:  # noqa: ANN401 - of its own modality
        """Enrol a person."""
        ...

    def replace(self, subject: int, samples: Any, /) -> object:  # noqa: ANN401
        """Make a person's samples these; none = the person is removed."""
        ...


Kept = TypeVar("Kept", bound=Enrolling)
Read = TypeVar("Read", bound=Destroyed)
Own = TypeVar("Own", bound=Probe)
Ready = TypeVar("Ready")
Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class Search:
    """One of several searches that share a pass: what `Engine.search` takes."""

    probe: Probe
    point: OperatingPoint
    limit: int
    deadline: Deadline


class GalleryEngine(ABC, Generic[Kept]):
    """One gallery of one modality in this process. It is not loaded until `load` has succeeded."""

    modality: Modality

    def __init__(self) -> None:
        self._gallery: Kept | None = None
        self._changing = Lock()

    @abstractmethod
    def _empty(self) -> Kept:
        """Return a gallery of nobody."""

    @abstractmethod
    def _held(self, samples: Sequence[Sample]) -> Sequence[object]:
        """Return what the gallery holds of stored samples; raises ValueError for a record that cannot be used."""

    @abstractmethod
    def read(self, samples: Mapping[str, Sample]) -> Probe:
        """Read one person's samples; see the port."""

    @abstractmethod
    def prepare(self, probe: Probe) -> Prepared:
        """Make a probe ready to be searched; see the port."""

    @abstractmethod
    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        """Return the best people; see the port."""

    @abstractmethod
    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return the exact scores of a few people; see the port."""

    @abstractmethod
    def count(self, probe: Probe) -> Mapping[str, int]:
        """Return how much there is of a probe to be destroyed, by kind."""

    @abstractmethod
    def destroy(self, probe: Probe) -> Mapping[str, int]:
        """Overwrite and drop what a probe holds; return what `count` said of it."""

    @abstractmethod
    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of so many searches takes; see the port."""

    @abstractmethod
    def trial(self) -> tuple[tuple[int, float], ...]:
        """Return subject and score of everybody whom a few searches name, in a gallery of people who do not exist.

        Whatever is to answer in this engine's place says the same, to the last bit.
        """

    def search_all(self, searches: Sequence[Search]) -> Sequence[Found | Exception]:
        """Return what `search` says of each, or what it raises; searches that can share a pass do."""
        return [self._searched(each) for each in searches]

    def _searched(self, one: Search) -> Found | Exception:
        try:
            return self.search(one.probe, one.point, one.limit, one.deadline)
        except Exception as error:  # noqa: BLE001 - it is this search's alone
            return error

    def load(self, source: Source) -> None:
        """Replace everything by what the source yields.

        Raises EngineUnavailable where the source fails or a stored record cannot be used: a gallery with a hole would
        answer "no match" for who is in it.
        """
        with self._changing:
            self._gallery = None
            gallery = self._empty()
            try:
                for batch in source.batches(self.modality, 0, 1):
                    for subject, samples in batch:
                        gallery.add(subject, self._held(samples))
            except UncalibratedRecord as fault:
                raise EngineUnavailable(
                    f"the stored gallery could not be loaded: {fault}"
                ) from fault
            except ValueError as fault:
                raise EngineUnavailable("the stored gallery could not be loaded") from fault
            self._gallery = gallery

    def apply(self, change: Change) -> None:
        """Make one subject's samples what the change says.

        Raises ValueError, with the old samples still in place, for records that cannot be used; EngineUnavailable when
        not loaded.
        """
        with self._changing:
            self._loaded().replace(change.subject, self._held(change.samples))

    def status(self) -> EngineStatus:
        """Return how many people can be found."""
        gallery = self._gallery
        if gallery is None:
            return EngineStatus(False)
        return EngineStatus(True, len(gallery), gallery.version)

    def _loaded(self) -> Kept:
        gallery = self._gallery
        if gallery is None:
            raise EngineUnavailable
        return gallery


def read_whole(
    samples: Mapping[str, Sample], read: Callable[[Sample, str], Read]
) -> list[tuple[int, Read]]:
    """Return position and content of each sample, read by the element that holds it; one bad record leaves nothing of others."""
    done: list[tuple[int, Read]] = []
    try:
        for element, sample in samples.items():
            done.append((sample.position, read(sample, element)))
    except BaseException:
        for _, each in done:
            each.destroy()
        raise
    return done


def demand_own(probe: Probe, kind: type[Own]) -> Own:
    """Return a probe of this engine; one of another engine is nothing that we can read."""
    if not isinstance(probe, kind):
        raise TypeError("a probe goes back to the engine that read it")
    return probe


def demand_ready(ready: Ready | None) -> Ready:
    """Return what a probe was prepared to."""
    if ready is None:
        raise TypeError("a probe is prepared before it is searched")
    return ready


def timed(
    searches: int, invent: Callable[[int], Asked], search: Callable[[Asked], object]
) -> tuple[float, ...]:
    """Return how many seconds each of so many searches takes, for what is invented beforehand by its number.

    The first ones are not counted.
    """
    taken = []
    for number in range(-REHEARSED_UNCOUNTED, searches):
        invented = invent(number + REHEARSED_UNCOUNTED)
        started = time.perf_counter()
        search(invented)
        if number >= 0:
            taken.append(time.perf_counter() - started)
    return tuple(taken)
