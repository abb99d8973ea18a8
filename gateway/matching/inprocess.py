"""The plainest engine: its arrays in our own process. It is the specification of all others."""

from __future__ import annotations

import time
from threading import Lock

from gateway.errors import DeadlineTooShort, EngineUnavailable
from gateway.matching.engine import Change, Deadline, Fingers, Source, no_deadline
from matcher.finger import synthetic
from matcher.finger.gallery import Candidates, Gallery, SearchAbandoned
from matcher.finger.probe import FingerSample, Probe, prepare, read_sample

REHEARSED_FINGERS = (2, 7)  # right and left index, which most exchanges carry
REHEARSED_UNCOUNTED = 3  # searches
REHEARSED_SEED = 315  # of the person who does not exist, whom rehearsals look for


class InProcessEngine:
    """One gallery in this process. It is not loaded until `load` has succeeded."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._gallery: Gallery | None = None
        self._changing = Lock()

    @property
    def loaded(self) -> bool:
        """Whether a search can be answered."""
        return self._gallery is not None

    @property
    def size(self) -> int:
        """How many subjects can be found."""
        return len(self._loaded())

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._loaded().version

    def load(self, source: Source) -> None:
        """Replace everything by what the source yields.

        Raises EngineUnavailable where the source fails or a stored record does not parse or has no usable
        finger: a gallery with a hole would answer "no match" for who is in it.
        """
        with self._changing:
            self._gallery = None
            gallery = Gallery()
            try:
                for batch in source.batches(0, 1):
                    for subject, fingers in batch:
                        _enrol(gallery, subject, fingers)
            except ValueError as fault:
                raise EngineUnavailable("the stored gallery could not be loaded") from fault
            self._gallery = gallery

    def apply(self, change: Change) -> None:
        """Make one subject's fingers what the change says.

        Raises ValueError, with the old fingers still in place, for records that do not parse or are not
        usable; EngineUnavailable when not loaded.
        """
        with self._changing:
            gallery = self._loaded()
            read = [(at, read_sample(FingerSample(at, record))) for at, record in change.fingers]
            gallery.replace(change.subject, read)

    def search(self, probe: Probe, limit: int, deadline: Deadline = no_deadline) -> Candidates:
        """Return the best `limit` people of the whole gallery.

        Raises EngineUnavailable when not loaded, DeadlineTooShort when time runs out before the search is
        complete, and the matcher's NothingUsable for a probe without a usable finger.
        """
        gallery = self._loaded()
        if deadline() <= 0:
            raise DeadlineTooShort
        try:
            return gallery.search(
                probe, limit, threads=self._threads, expired=lambda: deadline() <= 0
            )
        except SearchAbandoned:
            raise DeadlineTooShort from None

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of some searches takes, for two fingers of somebody who does not exist.

        The first ones, which still load the model and touch every page of the gallery, are not counted.
        """
        nobody = synthetic.person(REHEARSED_SEED)
        taken = []
        for number in range(-REHEARSED_UNCOUNTED, searches):
            fingers = [
                (at, synthetic.impression(nobody, at, number + REHEARSED_UNCOUNTED))
                for at in REHEARSED_FINGERS
            ]
            started = time.perf_counter()
            probe = prepare(fingers)
            self.search(probe, 1)
            if number >= 0:
                taken.append(time.perf_counter() - started)
        return tuple(taken)

    def _loaded(self) -> Gallery:
        gallery = self._gallery
        if gallery is None:
            raise EngineUnavailable
        return gallery


def _enrol(gallery: Gallery, subject: int, fingers: Fingers) -> None:
    gallery.add(subject, [(at, read_sample(FingerSample(at, record))) for at, record in fingers])
