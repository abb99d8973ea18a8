"""What an officer may ask of retention: its state, and to erase what is due now."""

from __future__ import annotations

from collections.abc import Callable

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, Officer
from gateway.law.retention_policy import RULES, RetentionClass
from gateway.operations.declaration import Role
from gateway.retention.erasure import DueItems, Retention
from gateway.retention.watchdog import RetentionWatchdog

MOST_BATCHES = (
    500  # of a class in one act; 100,000 things, so that an act ends before its caller's patience
)
_READERS = frozenset({Role.OPERATOR, Role.CASEWORKER, Role.AUDITOR})


class RetentionOperations:
    """The operations of retention."""

    def __init__(self, retention: Retention, watchdog: RetentionWatchdog) -> None:
        self._retention, self._watchdog = retention, watchdog

    def acts(self) -> tuple[Act, ...]:
        """Return what may be asked here."""
        return (
            Act("retention.status", _READERS, self._status),
            Act("retention.run", frozenset({Role.OPERATOR}), self._run),
        )

    def _status(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        del officer, arguments

        def do() -> Answer:
            shelves = [_told(one) for one in self._retention.survey()]
            beside = self._retention.late_traces()
            shelves += [
                _row(kept, due=beside.get(kept, 0), late=beside.get(kept, 0))
                for kept in (RetentionClass.PROBE, RetentionClass.TRACE)
            ]
            return {"classes": shelves, "overdue": [row["class"] for row in shelves if row["late"]]}

        return do

    def _run(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        batches = arguments.number("batches", 1, MOST_BATCHES, 50)

        def do() -> Answer:
            done = self._retention.run(actor=officer.person, batches=batches)
            self._watchdog.look()
            return {
                "erased": {kept.name: count for kept, count in done.erased.items()},
                "more": done.more,
                "journal_empty": done.tidy,
                "overdue": sorted(self._watchdog.late),
            }

        return do


def _told(one: DueItems) -> dict[str, object]:
    return _row(one.kept, total=one.total, due=one.due, late=one.late, held=dict(one.held))


def _row(kept: RetentionClass, **counts: object) -> dict[str, object]:
    rule = RULES[kept]
    return {
        "class": kept.name,
        "what": kept.value,
        "period_days": rule.period.total_seconds() / 86400,
        "ground": rule.ground,
        "total": None,
        "due": 0,
        "late": 0,
        "held": {},
        **counts,
    }
