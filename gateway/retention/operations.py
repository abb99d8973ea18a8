"""What an officer may ask of retention: its state, and to erase what is due now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.law.retention_policy import RULES, RetentionClass, life
from gateway.operations.retention import Run, Status
from gateway.retention.copies import Copies
from gateway.retention.erasure import DueItems, Retention
from gateway.retention.watchdog import RetentionWatchdog


class RetentionOperations:
    """The operations of retention."""

    def __init__(self, retention: Retention, watchdog: RetentionWatchdog, copies: Copies) -> None:
        self._retention, self._watchdog, self._copies = retention, watchdog, copies

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be asked here."""
        return (
            Handler(request=Status, do=self._status),
            Handler(request=Run, do=self._run),
        )

    def _status(self, officer: Officer, request: Status) -> Answer:
        del officer, request
        classes = [_told(one) for one in self._retention.survey()]
        beside = self._retention.late_traces()
        classes += [
            _row(kept, due=beside.get(kept, 0), late=beside.get(kept, 0))
            for kept in (RetentionClass.PROBE, RetentionClass.TRACE)
        ]
        copies = self._copies.look()
        days = copies.period / timedelta(days=1)
        keys = {"period_days": days, "due": copies.late, "late": copies.late}
        classes.append(_row(RetentionClass.DATA_KEY, **keys))
        return {
            "classes": classes,
            "overdue": [row["class"] for row in classes if row["late"]],
            "copies": {
                "final_before": copies.final_before.isoformat(),
                "oldest_key": copies.key.hex(),
                "scheduled": copies.scheduled,
                "final_by": None if copies.final_by is None else copies.final_by.isoformat(),
                "kept": [kid.hex() for kid in copies.kept],
            },
        }

    def _run(self, officer: Officer, request: Run) -> Answer:
        done = self._retention.run(actor=officer.person, batches=request.batches)
        self._watchdog.look()
        return {
            "erased": {kept.name: count for kept, count in done.erased.items()},
            "more": done.more,
            "journal_empty": done.tidy,
            "overdue": sorted(self._watchdog.late),
        }


def _told(one: DueItems) -> dict[str, object]:
    return _row(one.kept, total=one.total, due=one.due, late=one.late, held=dict(one.held))


def _row(kept: RetentionClass, **counts: object) -> dict[str, object]:
    return {
        "class": kept.name,
        "what": kept.value,
        "period_days": life(kept).total_seconds() / 86400,
        "ground": RULES[kept].ground,
        "total": None,
        "due": 0,
        "late": 0,
        "held": {},
        **counts,
    }
