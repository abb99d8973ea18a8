"""Partners' entries that do not count as they are: said once each in the log and the ledger, until they are right."""

from __future__ import annotations

import re
from typing import Final

from gateway import telemetry
from gateway.monitoring.alarms import LatchedAlarms
from gateway.trust.partners import Directory

PREFIX: Final = "PARTNER_FILE/"  # of the alarms' names
LONGEST_REASON: Final = 300  # characters of a complaint that an entry keeps
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,45}")  # what a reference has room for

_log = telemetry.logger("partners")


class PartnerFiles:
    """Looks at the faults of a directory, in the gateway's rounds."""

    def __init__(self, directory: Directory, alarms: LatchedAlarms) -> None:
        self._directory, self._alarms = directory, alarms
        self._told: dict[str, str] = {}

    def round(self) -> None:
        """Raise an alarm for each file that does not count, and end those of files that do again."""
        found = {}
        for fault in self._directory.faults:
            name = fault.file if _NAME.fullmatch(fault.file) else "unnamed"
            found[name] = fault.why[:LONGEST_REASON]
        standing = self._alarms.standing(PREFIX)
        for name in sorted(standing - found.keys()):
            self._alarms.end(PREFIX + name)
        for name, why in found.items():
            if self._told.get(name) != why:
                _log.warning("bundle_unreadable", file=name)
            if name not in standing:
                self._alarms.begin(PREFIX + name, why)
        self._told = found
