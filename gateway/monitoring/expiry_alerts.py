"""Looks ahead: what ends soon is shown as a gauge, and said once in the ledger for each level that it crosses.

An alarm is for one object at one level. A nearer level takes its place with an entry of its own; where the
object was renewed, or is no more, an entry says that it is over. A restart repeats nothing: what is raised is in the
store, written with its entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Protocol

from gateway import telemetry
from gateway.isolated_loop import each
from gateway.ledger import events
from gateway.monitoring.alarms import LatchedAlarms
from gateway.monitoring.expiry import Expiring, ExpiryNotice, Level, of_partner, outlook
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.trust.partners import Directory

PREFIX = "EXPIRY/"
MOST_SHOWN = 256  # gauges; the soonest ends, so that a folder of a thousand partners stays readable

_log = telemetry.logger("expiry_alerts")


class Source(Protocol):
    """Something that expires, of whichever part of the gateway."""

    def expiring(self, now: datetime) -> Iterable[Expiring]:
        """Yield what ends; raises what its reading raises."""
        ...


class ExpiryAlerts:
    """The outlook of an open gateway.

    sources     each is read alone: one that cannot be read hides no other's end
    directory   of the partners, whose entries are read alone likewise; None where there are none
    """

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        sources: Sequence[Source] = (),
        directory: Directory | None = None,
    ) -> None:
        self._alarms, self._clock = LatchedAlarms(database, sequencer, clock), clock
        self._sources, self._directory = tuple(sources), directory
        self._last: dict[int | str, tuple[Expiring, ...]] = {}  # by place of the source, or partner

    def look(self) -> tuple[ExpiryNotice, ...]:
        """Return everything that ends, the soonest first.

        If a source cannot be read, its last state is reported: silence would end its alarms.
        """
        now = self._clock()
        for place, source in enumerate(self._sources):
            self._read(place, partial(source.expiring, now))
        try:
            self._look_at_partners()
        except Exception as fault:  # noqa: BLE001 - what ends with us is reported all the same
            _log.warning("outlook_unreadable", kind=type(fault).__name__)
        return outlook(now, chain.from_iterable(self._last.values()))

    def _look_at_partners(self) -> None:
        partners = () if self._directory is None else self._directory.parties()
        known = {bundle.party: bundle for bundle in partners}
        for name in [key for key in self._last if isinstance(key, str) and key not in known]:
            del self._last[name]
        for party, bundle in known.items():
            self._read(party, partial(of_partner, bundle))

    def _read(self, key: int | str, source: Callable[[], Iterable[Expiring]]) -> None:
        try:
            self._last[key] = tuple(source())
        except Exception as fault:  # noqa: BLE001 - the other sources are read all the same
            _log.warning("outlook_unreadable", kind=type(fault).__name__)

    def round(self) -> None:
        """Show the gauges, raise what has come nearer, clear what was renewed."""
        told = self.look()
        telemetry.show_expiries(
            {
                (one.thing.kind.value, one.thing.partner, one.thing.name): one.left.total_seconds()
                for one in told[:MOST_SHOWN]
            }
        )
        stand = {PREFIX + name for name in self._alarms.standing(PREFIX)}
        due = {_name(one): one for one in told if one.level is not Level.FINE}
        live = {_object(name) for name in due}
        over = [name for name in sorted(stand - due.keys()) if _object(name) not in live]
        try:
            each(
                sorted(due.keys() - stand),
                lambda name: self._raise(due[name], name, {n for n in stand if _same(n, name)}),
                "expiry",
            )
        finally:
            each(over, self._clear, "expiry")

    def _raise(self, one: ExpiryNotice, name: str, before: set[str]) -> None:
        thing = one.thing
        _log.warning("ends_soon", operation=thing.kind.value, partner=thing.partner, state=one.step)
        reference, partner = _alarm_name(name)
        leaf = events.expiry_alarm(reference, partner, one.level, thing.ends, thing.remedy)
        self._alarms.raise_once(name, leaf, instead_of=before)

    def _clear(self, name: str) -> None:
        _log.info("ends_soon_over", operation=name.split("/")[1])
        self._alarms.clear_once(name, events.alarm_end(*_alarm_name(name)))


def _name(one: ExpiryNotice) -> str:
    """Return what an alarm is called: kind, partner, name and level, in a form that can be taken apart."""
    thing = one.thing
    return f"{PREFIX}{thing.kind.value}/{thing.partner}/{thing.name}/{one.step}"


def _object(name: str) -> str:
    return name.rpartition("/")[0]


def _same(one: str, other: str) -> bool:
    return _object(one) == _object(other)


def _alarm_name(name: str) -> tuple[str, str]:
    """Return what an entry calls an alarm, and its partner, who has a place of their own in it."""
    prefix, kind, partner, of, step = name.split("/")
    return f"{prefix}/{kind}/{of}/{step}", partner
