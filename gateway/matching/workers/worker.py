"""A worker process: the engines of this package, asked through a pipe, one thing after another; several searches share one pass.

It is bound to the gateway and shut in before it holds anybody's samples: no network, no other program, no file written. It
ends with the pipe.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from gateway.child import pipes, sandbox
from gateway.child.pipes import SOURCE, TARGET, Garbled
from gateway.domain.messages import Modality
from gateway.errors import PasserelleError
from gateway.matching.calibrations import Calibrations, CalibrationsInForce
from gateway.matching.engine import (
    Batch,
    Change,
    EngineStatus,
    Prepared,
    Probe,
    Scored,
)
from gateway.matching.gallery_engine import Search, UncalibratedRecord
from gateway.matching.modality import engines_of
from gateway.matching.workers import messages, trial
from gateway.matching.workers.messages import Answer, Asked, Fault

TOGETHER = (
    8  # searches that share a pass, of those that wait; more would make the first wait for the last
)
READY = b"{}"
Counts = Mapping[str, int]


def run(said: Mapping[str, Any]) -> NoReturn:
    """Answer until the gateway closes the pipe."""
    sandbox.bind_to_parent(int(said["parent"]))
    sandbox.refuse_the_world()
    worker = Worker(frozenset(Modality(each) for each in said["quantised"]))
    pipes.send(TARGET, pipes.setup_bytes(READY))
    try:
        while True:
            worker.turn()
    except Garbled:  # the gateway has gone, or closed the pipe
        os._exit(0)


class Worker:
    """The engines, and the probes that were prepared by the numbers that the gateway gave them."""

    def __init__(self, quantised: frozenset[Modality] = frozenset()) -> None:
        self._calibrations = CalibrationsInForce()
        self._engines = engines_of(self._calibrations, quantised)
        self._probes: dict[int, Probe] = {}

    def turn(self) -> None:
        """Do the next thing, and with a search those that wait behind it; raises Garbled at the end of the pipe."""
        asked: Asked = messages.receive(SOURCE)
        some = [asked]
        while asked.name == "search" and len(some) < TOGETHER and messages.waits(SOURCE):
            asked = messages.receive(SOURCE)
            some.append(asked)
        searches = [each for each in some if each.name == "search"]
        for modality in dict.fromkeys(each.modality for each in searches):
            self._search_all(modality, [each for each in searches if each.modality is modality])
        for each in some[len(searches) :]:
            self._answer(each, self._done(each))

    def _done(self, asked: Asked) -> object:
        try:
            do = getattr(self, asked.name)
            return do(asked.modality, *asked.values)
        except Exception as error:  # noqa: BLE001 - whatever it was, the gateway says it of this thing
            return fault_of(error)

    def _answer(self, asked: Asked, value: object) -> None:
        messages.send(TARGET, messages.pack(Answer(asked.number, value)))

    def _search_all(self, modality: Modality, asked: Sequence[Asked]) -> None:
        """Answer searches of one modality; each has its own deadline, and one that fails fails alone."""
        searches: list[tuple[int, Search]] = []
        outcomes: dict[int, object] = {}
        for each in asked:
            token, point, limit, until = (
                each.values
            )  # the clock is the machine's, the same in every process
            probe = self._probes.get(token)
            if probe is None:
                outcomes[each.number] = Fault("LookupError")
            else:
                left = lambda until=until: until - time.monotonic()  # noqa: E731 - a deadline of its own
                searches.append((each.number, Search(probe, point, limit, left)))
        found = self._engines[modality].search_all([search for _, search in searches])
        for (number, _), outcome in zip(searches, found, strict=True):
            outcomes[number] = fault_of(outcome) if isinstance(outcome, Exception) else outcome
        for each in asked:
            self._answer(each, outcomes[each.number])

    # What can be asked, by name.

    def calibrate(
        self, modality: Modality, faces: Mapping[str, Any], irises: Mapping[str, Any]
    ) -> None:
        """Take the calibrations that count from now on."""
        del modality
        self._calibrations.current = Calibrations(faces, irises)

    def trial(self, modality: Modality) -> trial.Said:
        """Return what the trial searches come to."""
        del modality
        return trial.answers(self._engines.values())

    def load(self, modality: Modality) -> EngineStatus:
        """Load the batches that follow in the pipe, up to one that is None; then False where the source did not end well."""
        engine = self._engines[modality]
        sent = _Sent()
        try:
            engine.load(sent)
        finally:
            sent.skip()
        return engine.status()

    def apply(self, modality: Modality, change: Change) -> EngineStatus:
        """Change one subject."""
        self._engines[modality].apply(change)
        return self._engines[modality].status()

    def prepare(self, modality: Modality, token: int, probe: Probe) -> tuple[Prepared, Counts]:
        """Keep a probe under a number, made ready; return also what there is of it to be destroyed."""
        self._probes[token] = probe
        engine = self._engines[modality]
        return engine.prepare(probe), engine.count(probe)

    def scores(self, modality: Modality, token: int, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return exact scores."""
        return self._engines[modality].scores(self._probes[token], subjects)

    def destroy(self, modality: Modality, token: int) -> Counts:
        """Destroy a probe, if it came."""
        probe = self._probes.pop(token, None)
        return {} if probe is None else self._engines[modality].destroy(probe)

    def rehearse(self, modality: Modality, searches: int) -> tuple[float, ...]:
        """Return how long searches take."""
        return self._engines[modality].rehearse(searches)


class _Sent:
    """The source of a load: what the gateway sends, batch by batch."""

    def __init__(self) -> None:
        self._ended = False

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        """Yield what comes; raises ValueError where the gateway's source failed."""
        del modality, shard, of
        while (batch := self._next()) is not None:
            yield batch

    def skip(self) -> None:
        """Read on to the end of a load that failed before it."""
        while not self._ended:
            try:
                self._next()
            except ValueError:
                return

    def _next(self) -> Batch | None:
        batch: Batch | bool | None = messages.receive(SOURCE)
        if batch is None or isinstance(batch, bool):
            self._ended = True
            if batch is False:
                raise ValueError("the source failed")
            return None
        return batch


def fault_of(error: Exception) -> Fault:
    """Return what may be said of an exception: of ours and of stored records their text, of others the name."""
    known = isinstance(error, PasserelleError | UncalibratedRecord)
    return Fault(type(error).__name__, str(error) if known else "")
