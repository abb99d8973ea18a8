"""The galleries in service, which follow each change of the records that they were loaded from."""

from __future__ import annotations

from gateway.matching.engine import Change, Engine


class ServedGalleries:
    """None until the gateway serves. A change is applied to each, after it is durable."""

    def __init__(self) -> None:
        self._engines: list[Engine] = []

    def add(self, engine: Engine) -> None:
        """Have a loaded engine follow from now on."""
        self._engines.append(engine)

    def apply(self, change: Change) -> None:
        """Apply one change to every gallery."""
        for engine in self._engines:
            engine.apply(change)
