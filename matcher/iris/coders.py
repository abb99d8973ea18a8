"""The coders whose codes are compared here: what a code of each looks like, and how its distances are read.

A code is a grid of cells, rows from the pupil outwards and columns around it; a cell holds the sign bits of complex
filter responses, for each filter the real part and then the imaginary part. Codes of two coders, or of two versions
of one, never meet: neither the places of their bits nor their distances mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
PHASES: Final = 2  # real, imaginary
EYES: Final = (1, 2)  # right, left (ANSI/NIST-ITL 1-2011, field 17.003)
WORD: Final = 64  # bits


@dataclass(frozen=True, slots=True)
class Root:
    """HD' = 0.5 - (0.5 - HD) · √(n / typical): a distance counts by its standard deviations from chance.

    typical   bits that are usually compared; 911 for codes of 2,048 bits (Daugman, How iris recognition works,
              IEEE Trans. CSVT 14(1), 2004, and Probing the uniqueness and randomness of iris codes, Proc. IEEE 94(11),
              2006), for another length the mean of a public set
    """

    typical: float

    def closeness(self, distance: Doubles, compared: Doubles) -> Doubles:
        """Return 0.5 - HD' for fractions of bits that differ, of so many compared: higher = more alike."""
        found: Doubles = (0.5 - distance) * np.sqrt(compared / self.typical)
        return found


@dataclass(frozen=True, slots=True)
class Linear:
    """HD' = mean - (mean - HD) · (gradient · n + 0.5), as open-iris 1.11 normalises (`iris.nodes.matcher.utils`)."""

    mean: float
    gradient: float  # per compared bit

    def closeness(self, distance: Doubles, compared: Doubles) -> Doubles:
        """Return 0.5 - HD' for fractions of bits that differ, of so many compared: higher = more alike."""
        found: Doubles = (0.5 - self.mean) + (self.mean - distance) * (
            self.gradient * compared + 0.5
        )
        return found


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a part of a code, without masks, by which a pair is given up before it is compared in full.

    columns   every so many-th column is looked at
    filters   the first so many filters are
    turns     every so many-th rotation is tried
    slack     a pair is given up where the part lies further than this, in closeness, below what is asked of the whole;
              measured in docs/performance-card.md
    """

    columns: int
    filters: int
    turns: int
    slack: float


@dataclass(frozen=True, slots=True)
class Coder:
    """What makes a code, by name and version, and how its codes are compared.

    rows, columns, filters   cells of the grid; filters whose signs a cell holds, two bits each
    reach, step      rotations that are tried: -reach … reach columns, each `step`-th
    sectors          parts of the circumference that may each be turned by one column more or less than the whole, for
                     a pupil that widens and a boundary that is off stretch the code; 1 = all turn as one
    drift_cost       differing bits that a sector loses by it
    normalisation    how distance and number of compared bits become one number
    mirror           a mirrored picture (left and right exchanged) has in column j what column mirror - j had, with
                     the imaginary bits inverted: a filter's response to a reversed signal is its complex conjugate
    least_usable     unmasked bits under which a code is refused
    least_compared   jointly unmasked bits under which a rotation says nothing
    first, second    looks that a search takes before it compares in full; the second is at all filters
    """

    name: str
    version: str
    rows: int
    columns: int
    filters: int
    reach: int
    step: int
    sectors: int
    drift_cost: float
    normalisation: Root | Linear
    mirror: int
    least_usable: int
    least_compared: int
    first: Look
    second: Look

    @property
    def label(self) -> str:
        """Name and version, as samples and calibrations state it."""
        return f"{self.name}-{self.version}"

    @property
    def cell_bits(self) -> int:
        """Bits of a cell: two for each filter."""
        return self.filters * PHASES

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.rows * self.columns * self.cell_bits

    @property
    def words(self) -> int:
        """64-bit words that hold one column."""
        return -(-self.rows * self.cell_bits // WORD)

    @property
    def drift(self) -> int:
        """Columns by which a sector may be turned more or less than the whole."""
        return 0 if self.sectors == 1 else 1

    @property
    def rotations(self) -> tuple[int, ...]:
        """Columns by which a probe is turned, ascending."""
        return tuple(range(-self.reach, self.reach + 1, self.step))


MASEK: Final = Coder(
    name="masek",
    version="1",
    rows=20,
    columns=240,
    filters=1,
    reach=15,
    step=1,
    sectors=8,
    drift_cost=5.0,
    normalisation=Root(7066.0),  # mean of jointly unmasked bits, CASIA-IrisV1, 54 eyes
    mirror=120,
    least_usable=2400,
    least_compared=600,
    first=Look(columns=8, filters=1, turns=2, slack=0.05),
    second=Look(columns=4, filters=1, turns=1, slack=0.055),
)
"""One log-Gabor filter of wavelength 18 along each of 20 rows (Masek, Recognition of human iris patterns for
biometric identification, University of Western Australia, 2003)."""

OPEN_IRIS: Final = Coder(
    name="open-iris",
    version="v0.1",
    rows=16,
    columns=256,
    filters=2,
    reach=15,
    step=1,
    sectors=1,
    drift_cost=0.0,
    normalisation=Linear(0.45, 0.00005),
    mirror=128,
    least_usable=4096,
    least_compared=1024,
    first=Look(columns=6, filters=1, turns=2, slack=0.035),
    second=Look(columns=4, filters=2, turns=1, slack=0.025),
)
"""open-iris 1.11: two Gabor filters, its own `iris_code_version` v0.1; `least_usable` is its validator's too."""

CODERS: Final = {(each.name, each.version): each for each in (MASEK, OPEN_IRIS)}


def any_coder(name: str, version: str) -> Coder | None:
    """Return the coder of a name and version; None for one whose codes are not compared here."""
    return CODERS.get((name, version))


def closeness(coder: Coder, differing: NDArray[Any], compared: NDArray[Any]) -> Doubles:
    """Return 0.5 - HD' of pairs that differ in some of the compared bits; -inf where too few are compared.

    differing, compared   counts of bits, any one shape; float64 of that shape comes back
    """
    counted = np.asarray(compared, dtype=np.float64)
    enough = counted >= coder.least_compared
    distance = np.asarray(differing, dtype=np.float64) / np.maximum(counted, 1.0)
    found: Doubles = np.where(enough, coder.normalisation.closeness(distance, counted), -np.inf)
    return found
