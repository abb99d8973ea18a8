"""Calibrations that two operators adopt: proposed by one, approved by another, and counting from that moment on.

At once, without a restart: a calibration that is found to be wrong must not decide until somebody finds time to start the
gateway again. A query that is under way ends by what it began with. Each decision states the calibrations that it rests on,
so that what was decided by a replaced one is found by its name (`passerelle audit recall`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import Any, Final

from gateway import telemetry
from gateway.admin.operation import Answer, Handler, Officer
from gateway.calibrations.counting import Counting, counting
from gateway.domain.messages import Modality
from gateway.errors import UserError
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.matching import calibrations
from gateway.matching.calibrations import Calibration, Calibrations, CalibrationsInForce
from gateway.monitoring.alarms import LatchedAlarms
from gateway.operations.calibrations import Adopt
from gateway.store import adopted_calibrations
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer

ALARM: Final = "CALIBRATIONS"
# At which it is said what a hit needs; a query's own are its agreement's. Few, or no single sample reaches it.
FPIR, PEOPLE = 0.01, 1_000
RAW: Final = {Modality.FACE: "cosine", Modality.IRIS: "closeness"}  # what a score is made of

_log = telemetry.logger("calibrations")


class AdoptedCalibrations:
    """The calibrations in force here: the shipped ones, and in place of some the adopted ones."""

    def __init__(
        self, database: StorageEngine, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        """Read what counts; nothing is recorded before `begin`."""
        self._database, self._sequencer = database, sequencer
        self._alarms = LatchedAlarms(database, sequencer, clock)
        # Of two approvals at once the later one counts, in memory as in the ledger.
        self._adopting = Lock()
        self._found = self._counting()
        self.in_force = CalibrationsInForce(self._found.calibrations)

    def begin(self) -> None:
        """Say what was adopted and does not count, or that all does."""
        self._raise_or_clear(self._found)

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(
                request=Adopt, do=self._adopt, state=self._state, plan=self._plan, about=_about
            ),
        )

    def round(self) -> None:
        """Look whether the texts still are what was adopted. What counts in this process was read before, and stays."""
        with self._adopting:
            self._raise_or_clear(self._counting())

    def _counting(self) -> Counting:
        with self._database.reader() as reader:
            return counting(reader)

    @staticmethod
    @contextmanager
    def _logged() -> Iterator[None]:
        try:
            yield
        except Exception as fault:  # noqa: BLE001 - whatever it was, the adoption is done
            _log.error("calibration_alarm_failed", kind=type(fault).__name__)

    def _raise_or_clear(self, found: Counting) -> None:
        for fault in found.faults.values():
            _log.error("calibration_refused", reason=fault)
        if found.faults:
            reason = next(iter(found.faults.values()))
            self._alarms.raise_once(ALARM, events.alarm(ALARM, reason))
        else:
            self._alarms.clear_once(ALARM, events.alarm_end(ALARM))

    def _state(self, request: Adopt) -> object:
        """Return what counts for the model of the file: the plan compares with that alone, whatever else was adopted since."""
        old = self.in_force.current.of(calibrations.read(request.text.encode()).model)
        return None if old is None else old.digest

    def _adopt(self, officer: Officer, request: Adopt) -> Answer:
        text = request.text.encode()
        with self._adopting:
            new = self._adoptable(text)
            leaf = events.calibration_adoption(
                *(new.modality, new.model, request.reason, officer.facts),
                named=new.id,
                digest=new.digest,
            )
            self._sequencer.commit((leaf,), adopted_calibrations.keep_text(new.digest, text))
            self.in_force.current = self.in_force.current.replaced([new])
            # It counts already: an alarm that fails is the next round's, and makes no failure of what was done.
            with self._logged():
                self._raise_or_clear(self._counting())
        _log.info("calibration_adopted", version=new.id)
        return {
            "modality": new.modality.name,
            "model": new.model,
            "calibration": new.id,
            "digest": new.digest,
        }

    def _plan(self, request: Adopt) -> tuple[str, ...]:
        """Say what adopting a file would change."""
        new = self._adoptable(request.text.encode())
        old = self.in_force.current.of(new.model)
        return (
            f"{new.id} decides for {_whose(new)}: fitted on {new.data}; {new.split}.",
            f"In its place until now: {old.id if old else 'none, nothing of it is compared'}.",
            *_needs(new, old),
            "It counts at once, for every search that begins then, and after each start. Nobody is enrolled anew.",
            f"SHA-256 of the file: {new.digest}.",
        )

    def _adoptable(self, text: bytes) -> Calibration:
        """Return the calibration of a file; raises UserError where it is none, counts already, or is of other vectors."""
        new = calibrations.read(text)
        demand_adoptable(new, self.in_force.current, self._counting().faults)
        return new


def demand_adoptable(new: Calibration, current: Calibrations, lost: Collection[str] = ()) -> None:
    """Raise UserError where a calibration counts already, or is of other vectors than those of its model here.

    lost   models whose adopted text is no longer kept as it was: to adopt the same file again puts it back
    """
    old = current.of(new.model)
    if old is not None and old.digest == new.digest and new.model not in lost:
        raise UserError(f"this file counts already: {old.id}")
    known = old or calibrations.shipped().of(new.model)
    if known is not None and known.dimension != new.dimension:
        raise UserError(
            f"vectors of {new.model} have {known.dimension} numbers here, this is for {new.dimension}: a model that makes"
            " others is another model, and has another name"
        )


def _needs(new: Calibration, old: Calibration | None) -> tuple[str, ...]:
    """Say which score a hit needs by one sample, as it will be and as it is."""
    asked = f"A hit by one sample, at an FPIR of {FPIR:g} among {PEOPLE:,} people, needs"
    then = needed(new)
    return (f"{asked} {then}." if old is None else f"{asked} {then}; until now {needed(old)}.",)


def needed(one: Calibration) -> str:
    """Say which score a hit needs by one sample at FPIR among PEOPLE, and what one comparison has to come to for it."""
    score = one.threshold(FPIR, PEOPLE)
    raw = one.raw(score)
    reached = "which no single sample reaches" if raw is None else f"{RAW[one.modality]} {raw:.3f}"
    return f"a score of {score:.2f}, {reached}"


def _whose(one: Calibration) -> str:
    kind = "the face model" if one.modality is Modality.FACE else "the iris coder"
    return f"{kind} {one.model}"


def _about(officer: Officer, request: Adopt) -> tuple[str, tuple[Leaf, ...]]:
    """Return the calibration that a file holds, in words; nobody in particular is shown by it."""
    del officer
    new = calibrations.read(request.text.encode())
    return f"{new.id}, of {_whose(new)}", ()
