"""A process of askers, seen from the one that measures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Self

from gateway.exercises.child_process import Child
from gateway.exercises.load_client import Plan, Round, Spell


class Askers(Child):
    """`gateway.exercises.load_client`, running; a context manager that leaves no process behind."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("gateway.exercises.load_client")
        self._plan = plan

    def __enter__(self) -> Self:
        """Start it; it connects by itself."""
        super().__enter__()
        self.tell(asdict(self._plan))
        return self

    def wait_ready(self) -> None:
        """Wait until it is connected; raises `UserError` where it cannot."""
        self.hear()

    def begin(self, spell: Spell) -> None:
        """Let it ask for a spell."""
        self.tell(asdict(spell))

    def end(self) -> Round:
        """Wait for the end of the spell, and return what was asked."""
        return Round(**self.hear())
