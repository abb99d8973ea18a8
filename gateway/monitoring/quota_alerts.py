"""Who is about to use a quota up: reported once a period, while there is time to speak with the partner.

The ALARM says agreement, purpose and counter; it stays until the counter starts again, and a restart does not repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from gateway import telemetry
from gateway.domain.messages import Direction
from gateway.isolated_loop import each
from gateway.law.agreement import Agreement, AgreementsInForce
from gateway.law.quota_policy import Counter, counters
from gateway.ledger import events
from gateway.monitoring.alarms import LatchedAlarms
from gateway.store.engine import StorageEngine
from gateway.store.exchange import quotas
from gateway.store.ledger.sequencer import Sequencer

_PREFIX = "QUOTA/"

_log = telemetry.logger("quota_alerts")


class QuotaAlerts:
    """Looks at the counters of every agreement in force, in the gateway's rounds."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        agreements: AgreementsInForce,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._alarms = LatchedAlarms(database, sequencer, clock)
        self._agreements = agreements
        self._clock = clock

    def round(self) -> None:
        """Report each counter that has reached its warning; forget those whose period is over."""
        now = self._clock()
        told = {_PREFIX + name for name in self._alarms.standing(_PREFIX)}
        due = {
            _name(agreement, counter): (agreement, counter)
            for agreement, counter in self._counters(now)
        }
        try:
            each(sorted(due.keys() - told), lambda name: self._alarm(name, *due[name]), "quotas")
        finally:  # begun again, or the agreement allows more now
            each(sorted(told - due.keys()), self._alarms.clear_once, "quotas")

    def _counters(self, now: datetime) -> Iterator[tuple[Agreement, Counter]]:
        for agreement in (
            one for versions in self._agreements.current.values() for one in versions
        ):
            limits = agreement.answering.quotas
            if limits is None or not agreement.covers(now):
                continue
            with self._database.reader() as reader:
                used = quotas.used(reader, agreement.partner, Direction.INBOUND, now)
            for counter in counters(limits, used, now):
                if counter.reaches(limits.warn_percent):
                    yield agreement, counter

    def _alarm(self, name: str, agreement: Agreement, counter: Counter) -> None:
        _log.warning("quota_nearly_used", partner=agreement.partner, count=counter.used)
        self._alarms.raise_once(name, events.quota_alarm(agreement, counter))


def _name(agreement: Agreement, counter: Counter) -> str:
    """Return what names a counter and its period: another period is another name."""
    period = "year" if counter.yearly else "day"
    return f"{_PREFIX}{agreement.name}/{int(counter.purpose)}/{period}/{counter.resets:%Y-%m-%d}"
