"""The galleries in service, which follow each change of the records that they were loaded from."""

from __future__ import annotations

from gateway.matching.engine import Change
from gateway.matching.engines import Engines


class ServedGalleries:
    """None until the gateway serves. A change is applied to each, after it is durable."""

    def __init__(self) -> None:
        self._engines: list[Engines] = []

    def add(self, engines: Engines) -> None:
        """Have loaded engines follow from now on."""
        self._engines.append(engines)

    def apply(self, change: Change) -> None:
        """Apply one change to every gallery."""
        for engines in self._engines:
            engines.apply(change)
