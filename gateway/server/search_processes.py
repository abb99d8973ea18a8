"""How many processes search, and whether this machine can run one."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.child import sandbox
from gateway.domain.messages import Modality
from gateway.exchange.rate_limits import processors
from gateway.matching.engine import Batch
from gateway.matching.engines import Engines

MOST_UNASKED = 8  # processes that nobody asked for; each takes memory


def number(setting: int | str) -> int:
    """Return how many processes search by `matching.workers`; 0 = the gateway's own.

    "auto" is none where they would share one processor with the gateway, or could not be shut in.
    """
    if isinstance(setting, int):
        return setting
    here = processors()
    return min(here, MOST_UNASKED) if here > 1 and sandbox.known_here() else 0


def try_one(setting: int | str) -> str:
    """Start one, hold it to the trial and end it; raises EngineUnavailable. Return what serves by the setting."""
    wanted = number(setting)
    if not wanted:
        return "the gateway's own process searches, one question at a time"
    engines = Engines(workers=1)
    try:
        engines.load(_Nobody())
    finally:
        engines.close()
    return f"{wanted} search processes, each of which holds everybody"


class _Nobody:
    """A gallery without anybody."""

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        """Yield nothing."""
        del modality, shard, of
        return iter(())
