"""What is searched: one person's eyes, prepared once, as stated or as a wrong capture would have stated them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from matcher.iris.calibration import shipped_calibrations
from matcher.iris.code_table import Turned, turn
from matcher.iris.coders import EYES
from matcher.iris.template import IrisCode, mirrored
from matcher.score_calibration import ScoreCalibration


class Orientation(Enum):
    """How a probe is read: as stated, or as if eyes had been exchanged, or pictures mirrored, or both.

    Whoever mirrors a picture hides its eye from a search. A camera's program that is fed mirrored pictures often takes
    the right eye for the left one too, by where the nose is.
    """

    AS_STATED = (False, False)
    EXCHANGED = (True, False)
    MIRRORED = (False, True)
    MIRRORED_AND_EXCHANGED = (True, True)

    @property
    def exchanged(self) -> bool:
        """Whether right is read as left."""
        return self.value[0]

    @property
    def mirrored(self) -> bool:
        """Whether pictures are read as mirrored."""
        return self.value[1]


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Eyes and their codes under all rotations, in the order that they were given, and what closeness is worth.

    calibrations   of each coder of its codes, by label; it is searched by them from beginning to end
    """

    eyes: tuple[tuple[int, IrisCode], ...] = field(repr=False)
    turned: tuple[tuple[int, Turned], ...] = field(repr=False)
    calibrations: Mapping[str, ScoreCalibration] = field(repr=False)

    @property
    def positions(self) -> tuple[int, ...]:
        """The eyes that are here, ascending."""
        return tuple(sorted({eye for eye, _ in self.eyes}))

    def destroy(self) -> None:
        """Overwrite the rotations with zeros, in place; the codes are whoever's who gave them."""
        for _, each in self.turned:
            each.destroy()


def prepare(
    eyes: Sequence[tuple[int, IrisCode]],
    calibrations: Mapping[str, ScoreCalibration] | None = None,
) -> Probe:
    """Return a probe of codes, each with its eye.

    calibrations   by the coder's label; None = the ones that are shipped

    Raises ValueError for an eye that is neither 1 nor 2 and for a coder without a calibration.
    """
    check_eyes(eye for eye, _ in eyes)
    known = shipped_calibrations() if calibrations is None else calibrations
    if not {iris.coder.label for _, iris in eyes} <= known.keys():
        raise ValueError("no calibration of the code's coder is known here")
    return Probe(tuple(eyes), tuple((eye, turn(iris)) for eye, iris in eyes), known)


def oriented(probe: Probe, orientation: Orientation) -> Probe:
    """Return a probe of its own, read so."""
    eyes = [
        (
            3 - eye if orientation.exchanged else eye,
            mirrored(iris) if orientation.mirrored else iris,
        )
        for eye, iris in probe.eyes
    ]
    made = prepare(eyes, probe.calibrations)
    if orientation.mirrored:  # codes of ours, which nobody else overwrites
        for _, iris in eyes:
            iris.destroy()
    return made


def check_eyes(eyes: Iterable[int]) -> None:
    """Raise ValueError unless each is 1, right, or 2, left."""
    if not set(eyes) <= set(EYES):
        raise ValueError("an eye is 1, right, or 2, left")
