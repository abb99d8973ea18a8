"""Erase what is due, batch by batch, each with its entry; and say what is kept, due, late or held back.

A batch is one commit: what it erases and the RETENTION entry that counts it. Before it, holds and due rows are read;
in it, both must still be so, or nothing is done and we look again. So a run may stop anywhere and begin again, two
runs at once erase nothing twice, and a hold that was placed in between is kept. What was erased is gone when the
journal of the database is empty too (ledger.md 3); the last step of a run sees to it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.isolated_loop import each
from gateway.law.agreement import AgreementsInForce
from gateway.law.retention_policy import RULES, RetentionClass, schedule_of
from gateway.ledger import events
from gateway.ledger.crypto_shredding import CLASS_OF, Erased
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.retention import due_data, holds
from gateway.store.retention.data_classes import DATA_CLASSES
from gateway.store.retention.due_data import Item, Key, Moved
from gateway.store.retention.holds import Hold
from gateway.watchdog import Watchdog
from keys.data_encryption import DataRing

BATCH = 200  # things erased by one commit; well below a second, so that no query waits long for the writer lock
LOOKS = (
    5  # times that a batch is read anew because something moved, before it is left to the next run
)
TIDYINGS = 10  # tries to empty the journal between two readers
CARETAKER = "caretaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueItems:
    """What one data class holds.

    due    how many must go now, and nothing holds; late = how many of them are beyond the grace
    held   how many must go and are kept, by hold
    """

    kept: RetentionClass
    total: int
    due: int
    late: int
    held: Mapping[str, int]


@dataclass(slots=True)
class Run:
    """What a run did.

    erased   how many of each class
    more     whether its batches were used up before it saw everything
    """

    erased: Counter[RetentionClass] = field(default_factory=Counter)
    more: bool = False
    tidy: bool = True


@dataclass(frozen=True, slots=True)
class _Page:
    """Some of what is due of a class, as it was at one moment."""

    free: list[Item]
    held: list[tuple[Item, Hold]]
    last: Key
    serial: int
    until: Mapping[str, int]


class Retention:
    """The erasure of what is due. Safe to call from any thread; one run at a time."""

    def __init__(  # noqa: PLR0917 - an erasure needs all of these
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        data_key: DataRing,
        agreements: AgreementsInForce,
        clock: Callable[[], datetime],
        watchdog: Watchdog,
    ) -> None:
        """Prepare; `data_key` opens whom a query found, `agreements` say the periods."""
        self._database, self._sequencer = database, sequencer
        self._data_key, self._agreements, self._clock = data_key, agreements, clock
        self._watchdog = watchdog
        self._lock = threading.Lock()
        self._cursors: dict[RetentionClass, Key] = {}
        self._traces: datetime | None = clock()  # since when the journal may hold what was erased

    def run(self, *, actor: str = CARETAKER, batches: int) -> Run:
        """Erase what is due, so many batches of each class at most; the next run goes on where this one stopped."""
        self._watchdog.hold(self._lock)  # another run may have it for longer than we may be silent
        try:
            done = Run()
            try:
                each(
                    DATA_CLASSES, lambda kept: self._clear(kept, done, actor, batches), "retention"
                )
            finally:
                self._tidied(done)
            done.tidy = self._traces is None
            return done
        finally:
            self._lock.release()

    def _tidied(self, done: Run) -> None:
        if done.erased:
            self._traces = self._traces or self._clock()
        if self._traces and any(self._sequencer.forget_traces() for _ in range(TIDYINGS)):
            self._traces = None
        self._database.sweep_copies()

    def survey(self) -> tuple[DueItems, ...]:
        """Return what each data class holds now."""
        return tuple(self._surveyed(kept) for kept in DATA_CLASSES)

    def late(self) -> dict[RetentionClass, int]:
        """Return what is overdue beyond its grace and not held, by class: the first page of each."""
        now = self._clock()
        found: dict[RetentionClass, int] = {}
        for kept in DATA_CLASSES:
            pages = self._pages(kept, now - RULES[kept].grace)
            late = next((len(page.free) for page in pages if page.free), 0)
            if late:
                found[kept] = late
        return {**found, **self.late_traces()}

    def late_traces(self) -> dict[RetentionClass, int]:
        """Return what no data class holds and is overdue: prints past their end, and an unemptied journal."""
        now, found = self._clock(), {}
        with self._database.reader() as reader:
            probes = due_data.late_probes(reader, now)
        if probes:
            found[RetentionClass.PROBE] = probes
        if self._traces is not None and now - self._traces > RULES[RetentionClass.TRACE].grace:
            found[RetentionClass.TRACE] = 1
        return found

    def _clear(self, kept: RetentionClass, done: Run, actor: str, batches: int) -> None:
        looks = 0
        while (page := self._page(kept, self._cursors.get(kept), self._clock())) is not None:
            if page.free:
                if not batches:
                    done.more = True
                    return
                batches -= 1
                try:
                    self._erase(kept, page, actor)
                except Moved:
                    looks += 1
                    if looks < LOOKS:
                        continue
                else:
                    done.erased[kept] += len(page.free)
            looks = 0
            self._cursors[kept] = page.last
        self._cursors.pop(kept, None)

    def _erase(self, kept: RetentionClass, page: _Page, actor: str) -> None:
        """Commit one batch; raises Moved."""
        items = page.free
        told = Erased(kept.name, len(items))
        if kept.name in CLASS_OF.values():
            indices = [int(item.key[0]) for item in items]
            told = Erased(kept.name, len(items), min(indices), max(indices))
        since = [item.since for item in items]
        leaf = events.erasure(told, RULES[kept].ground, min(since), max(since), {"actor": actor})
        effects = due_data.erase(kept, items, page.until, page.serial)
        self._sequencer.commit((leaf,), effects)

    def _surveyed(self, kept: RetentionClass) -> DueItems:
        now, rule = self._clock(), RULES[kept]
        schedule = schedule_of(self._agreements.current)
        with self._database.reader() as reader:
            total = due_data.tally(reader, kept)
        free: list[Item] = []
        held: Counter[str] = Counter()
        for page in self._pages(kept, now):
            free += page.free
            held.update(hold.id for _, hold in page.held)
        late = sum(
            item.since <= now - schedule.period(kept, item.named.partner) - rule.grace
            for item in free
        )
        return DueItems(kept=kept, total=total, due=len(free), late=late, held=dict(held))

    def _pages(self, kept: RetentionClass, now: datetime) -> Iterator[_Page]:
        after = None
        while (page := self._page(kept, after, now)) is not None:
            yield page
            after = page.last

    def _page(self, kept: RetentionClass, after: Key | None, now: datetime) -> _Page | None:
        """Return the next of what is due of a class, and the holds of the same moment."""
        self._watchdog.beat()  # a page of held things commits nothing, which would be a sign
        with self._database.reader() as reader:
            until = due_data.cutoffs(reader, kept, schedule_of(self._agreements.current), now)
            items = due_data.due(reader, kept, until, after=after, most=BATCH)
            if not items:
                return None
            standing = holds.standing(reader)  # of the same snapshot
            if standing.narrow:
                items = due_data.widened(reader, self._data_key, items)
        judged = [(item, standing.keeps(item.named)) for item in items]
        return _Page(
            free=[item for item, hold in judged if hold is None],
            held=[(item, hold) for item, hold in judged if hold is not None],
            last=items[-1].key,
            serial=standing.serial,
            until=until,
        )
