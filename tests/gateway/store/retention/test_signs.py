"""A run of the rounds gives signs of life while another run has the lock, and while it reads what is held."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from gateway import watchdog as module
from gateway.domain.hold import HoldKind
from gateway.law.agreement import AgreementsInForce
from gateway.retention import erasure
from gateway.retention.erasure import Retention
from gateway.watchdog import Watchdog

if TYPE_CHECKING:
    from tests.gateway.store.retention.conftest import ErasingGateway

LONG = 20.0  # seconds after which a test gives up


def test_the_rounds_go_on_giving_signs_while_an_officer_erases(
    erasing: ErasingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 0.01)
    watchdog, beats = Watchdog(5.0), threading.Semaphore(0)
    beat = watchdog.beat
    monkeypatch.setattr(watchdog, "beat", lambda: (beat(), beats.release()))
    store = Retention(
        erasing.database,
        erasing.sequencer,
        erasing.counter.store.data_key,
        AgreementsInForce({}),
        erasing.clock,
        watchdog,
    )

    def rounds() -> None:
        with watchdog.watching("rounds"):
            store.run(batches=1)

    thread = threading.Thread(target=rounds, daemon=True)
    with store._lock:  # as an officer's run has it
        thread.start()
        for _ in range(3):
            assert beats.acquire(timeout=LONG)
    thread.join(LONG)

    assert not thread.is_alive()
    assert not store._lock.locked()


def test_a_run_that_fails_leaves_the_lock_to_the_next(
    erasing: ErasingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(erasing.store._database, "sweep_copies", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasing.run()

    assert erasing.run() == {}


def test_each_page_of_held_things_is_a_sign(
    erasing: ErasingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "BATCH", 2)
    for number in range(1, 8):
        erasing.query(number, f"AUS-{number:04}")
    erasing.hold(HoldKind.EVERYTHING, "")
    erasing.clock.move(days=1, minutes=2)
    signs: list[int] = []
    watchdog = Watchdog(60.0)
    monkeypatch.setattr(watchdog, "beat", lambda: signs.append(1))
    store = Retention(
        erasing.database,
        erasing.sequencer,
        erasing.counter.store.data_key,
        AgreementsInForce({}),
        erasing.clock,
        watchdog,
    )

    assert not store.run(batches=100).erased
    ran = len(signs)
    erasing.clock.move(days=300)
    store.late()

    assert ran >= 4
    assert len(signs) - ran >= 4
