"""A clock that is set is recorded; one that is set back stops the answers until it is right."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gateway.errors import InternalError
from gateway.ledger.entry import EntryType, Leaf, decode
from gateway.ledger_ops.clock_monitor import ClockMonitor
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger


class Clocks:
    """A wall clock and a monotonic one, which a test moves together or apart."""

    def __init__(self, gateway: Gateway) -> None:
        self.wall, self.ticks = gateway.clock(), 1000.0

    def __call__(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def pass_(self, seconds: float, *, step: float = 0.0) -> None:
        self.ticks += seconds
        self.wall += timedelta(seconds=seconds + step)


@pytest.fixture
def clocks(gateway: Gateway) -> Clocks:
    return Clocks(gateway)


@pytest.fixture
def watch(gateway: Gateway, clocks: Clocks) -> ClockMonitor:
    return ClockMonitor(gateway.sequencer, clocks, clocks.monotonic)


def told(gateway: Gateway) -> list[str]:
    frames = map(decode, stored_ledger.iter_leaves(gateway.database))
    return [frame.subject_reference for frame in frames if frame.type is EntryType.CLOCK]


@pytest.mark.parametrize("step", [0.0, 0.015, -0.015, 1.9, -1.9])
def test_time_that_passes_and_slewing_are_no_step(
    gateway: Gateway, watch: ClockMonitor, clocks: Clocks, step: float
) -> None:
    clocks.pass_(30, step=step)

    watch.round()

    assert told(gateway) == []


@pytest.mark.parametrize(
    ("step", "name"), [(2.5, "FORWARD"), (-2.5, "BACKWARD"), (7200, "FORWARD")]
)
def test_a_step_is_recorded_once(
    gateway: Gateway, watch: ClockMonitor, clocks: Clocks, step: float, name: str
) -> None:
    clocks.pass_(30, step=step)

    watch.round()
    clocks.pass_(30)
    watch.round()

    assert told(gateway) == [name]


def test_how_far_is_in_the_detail(
    gateway: Gateway, watch: ClockMonitor, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Leaf] = []
    monkeypatch.setattr(gateway.sequencer, "commit", said.extend)
    clocks.pass_(30, step=-3.25)

    watch.round()

    assert [one.detail for one in said] == [{"step_ms": "-3250"}]


def test_a_step_back_stops_the_answers_and_is_recorded_when_the_clock_is_right(
    gateway: Gateway, watch: ClockMonitor, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.sequencer, "_clock", clocks)
    clocks.pass_(1)
    clocks.pass_(30, step=-3600)

    watch.round()

    assert not gateway.sequencer.healthy
    assert told(gateway) == []
    clocks.pass_(3600)
    watch.round()
    assert gateway.sequencer.healthy
    assert told(gateway) == ["BACKWARD"]


def test_a_gateway_does_not_open_with_a_clock_behind_its_last_entry(gateway: Gateway) -> None:
    home, leaves = gateway.home, list(stored_ledger.iter_leaves(gateway.database))
    gateway.close()
    early = decode(leaves[-1]).time - timedelta(minutes=5)

    with pytest.raises(InternalError, match="behind leaf"):
        Gateway.open(home, lambda: b"a passphrase for tests", clock=lambda: early)
