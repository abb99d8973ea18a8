"""What the operations on queries use, and the port to whoever keeps the records of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.domain.person import Record
from gateway.matching.engines import Engines
from gateway.monitoring.misread_alerts import MisreadNotes
from gateway.store.engine import StorageEngine
from keys.data_encryption import DataRing


class People(Protocol):
    """The port to a case system: what is held of people, by the numbers that galleries know.

    Both calls MUST take about the same time for everybody, and `record` MUST answer for a number that
    is nobody's: what a caller learns of their time is knowledge about the person. Whatever they raise ends the
    query unanswered; they MUST NOT answer with a record that is not today's.
    """

    def record(self, subject: int) -> Record:
        """Return what is held of a person today; an empty record where nothing is."""
        ...

    def somebody(self) -> int:
        """Return the number of a person chosen by nothing but chance; 0 where there is nobody."""
        ...


@dataclass(frozen=True, slots=True)
class ExchangeContext:
    """What the operations use; `clock` and `random` are the edge, `misread` is for the alarms of the next round."""

    engines: Engines
    people: People
    database: StorageEngine
    data_key: DataRing
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]
    misread: MisreadNotes
