"""What counts of the calibrations of a home directory that nobody serves, and packages whose calibrations count no longer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from gateway import config
from gateway.calibrations import counting
from gateway.calibrations.counting import Counting
from gateway.errors import UserError
from gateway.matching.calibrations import Calibration
from gateway.store.address import open_store

# Earlier releases read calibrations of faces from installed packages: one person with pip decided thresholds.
PACKAGES: Final = "passerelle.face_models"


def calibrations(home: Path) -> Counting:
    """Return what a gateway counts of the calibrations in its store."""
    with closing(open_store(config.load(home).store.path)) as database, database.reader() as reader:
        return counting.counting(reader)


def known(home: Path) -> Mapping[str, Calibration]:
    """Return by id every calibration that can have decided there, whether it counts or was replaced."""
    with closing(open_store(config.load(home).store.path)) as database, database.reader() as reader:
        return counting.known(reader)


def demand_no_package() -> None:
    """Raise UserError where a package is installed whose calibrations counted under earlier releases.

    They would be gone without anybody's decision: the thresholds would be those of the shipped ones, and a gallery of a
    model of theirs could not be loaded.
    """
    found = sorted({point.module for point in entry_points(group=PACKAGES)})
    if found:
        raise UserError(
            f"{', '.join(found)}: calibrations of installed packages count no longer. Have two operators adopt each file,"
            " also while the gateway is stopped: passerelle calibrations adopt DIR FILE; then uninstall the package"
        )
