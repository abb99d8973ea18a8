"""The drill of pressure, run for real and short; that it would say so where something gave way; and its pure parts."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import UserError
from gateway.exercises.child_process import Child
from gateway.exercises.drill import pressure, pressure_kinds
from gateway.exercises.drill.pressure import Figures, Trial, most_entries, together, trial
from gateway.exercises.drill.pressure_client import PRESSERS, Bodiless, Plan, Pressure
from gateway.exercises.drill.pressure_kinds import FEW, MEMORY_MIB, PRESSES, Kind, KindNotes
from gateway.exercises.drill.pressure_target import Holding, Spell

FINE = Trial(
    kind="replay",
    asked=40,
    unanswered=0,
    unanswered_by_reason={},
    p95_ms=120.0,
    quiet_p95_ms=100.0,
    p95_ratio=1.2,
    memory_kept_mib=3.0,
    descriptors_kept=1,
    entries=0,
    sent={"sent": 400, "answered": 400},
    missed=(),
)
WHOLE = Figures(
    kinds=1,
    trials=40,
    unanswered=0,
    p95_ratio=1.2,
    memory_kept_mib=3.0,
    descriptors_kept=1,
    stop_s=1.0,
    clean_stops=True,
    ledger_ok=True,
    by_kind=(FINE,),
)


@pytest.mark.slow
def test_under_replay_and_bodiless_calls_another_partner_is_answered(tmp_path: Path) -> None:
    """The ratio of the times is the drill's to judge, on a machine that does nothing else."""
    kinds = (Kind.REPLAY, Kind.STREAMS)
    figures = pressure.drill(tmp_path / "drill", kinds=kinds, questions=5)
    streams, replay = figures.by_kind

    assert (streams.kind, replay.kind) == ("many-streams", "replay")
    assert (figures.kinds, figures.trials, figures.unanswered) == (2, 10, 0)
    assert figures.p95_ratio > 0
    assert replay.sent["answered"] > 0
    assert streams.sent["CERTIFICATE_NOT_PINNED"] > 0
    assert figures.clean_stops
    assert figures.ledger_ok
    assert not (tmp_path / "drill").exists()


@pytest.mark.parametrize(("figures", "code"), [(WHOLE, 0), (replace(WHOLE, ledger_ok=False), 1)])
def test_the_command_says_all_figures_and_leaves_with_1_where_one_does_not_hold(
    monkeypatch: Any, tmp_path: Path, figures: Figures, code: int
) -> None:
    asked: dict[str, Any] = {}

    def drill(workdir: Path, **how: Any) -> Figures:
        asked.update(how)
        return figures

    monkeypatch.setattr(pressure, "drill", drill)
    words = ["drill", "pressure", "--kind", "replay", "--questions", "7", "--json"]
    done = CliRunner().invoke(app, words)
    told = json.loads(done.stdout)

    assert done.exit_code == code
    assert told["ok"] is (code == 0)
    assert set(asdict(figures)) <= set(told)
    assert (asked["kinds"], asked["questions"]) == ([Kind.REPLAY], 7)


def test_a_kind_that_nobody_knows_is_refused_with_those_there_are() -> None:
    done = CliRunner().invoke(app, ["drill", "pressure", "--kind", "noise"])

    assert done.exit_code == 2
    assert "replay" in done.output


def test_a_drill_in_which_nothing_gave_way_is_fine() -> None:
    assert WHOLE.ok


@pytest.mark.parametrize(
    "found",
    [
        {"asked": 0},
        {"unanswered": 1},
        {"p95_ratio": pressure.RATIO + 0.01},
        {"memory_kept_mib": MEMORY_MIB + 1},
        {"descriptors_kept": FEW + 1},
        {"missed": ("an envelope to another partner did not leave",)},
    ],
    ids=lambda found: next(iter(found)),
)
def test_one_kind_that_gave_way_fails_the_drill(found: dict[str, Any]) -> None:
    assert not replace(WHOLE, by_kind=(FINE, replace(FINE, **found))).ok


@pytest.mark.parametrize(
    "found",
    [
        {"by_kind": ()},
        {"stop_s": pressure.STOP + 0.1},
        {"clean_stops": False},
        {"ledger_ok": False},
    ],
    ids=lambda found: next(iter(found)),
)
def test_a_gateway_that_does_not_stop_cleanly_or_is_not_whole_fails_the_drill(
    found: dict[str, Any],
) -> None:
    assert not replace(WHOLE, **found).ok


def test_a_kind_is_compared_with_the_quiet_before_and_after_it() -> None:
    """What came in 0.3 s at worst is 1.5 times a quiet p95 of 0.2 s, of both spells together."""
    pressed = Spell(asked=4, latencies=[0.1, 0.1, 0.3], unanswered=Counter({"TOO_MANY_CALLS": 1}))
    told = KindNotes(sent={"sent": 3}, entries=7, missed=["it was slow"])

    found = trial(Kind.REPLAY, pressed, [0.1, 0.2], (Holding(100.0, 30), Holding(130.5, 28)), told)

    assert (found.p95_ms, found.quiet_p95_ms, found.p95_ratio) == (300.0, 200.0, 1.5)
    assert (found.asked, found.unanswered) == (4, 1)
    assert found.unanswered_by_reason == {"TOO_MANY_CALLS": 1}
    assert (found.memory_kept_mib, found.descriptors_kept) == (30.5, 0)
    assert (found.entries, found.sent, found.missed) == (7, {"sent": 3}, ("it was slow",))


def test_a_kind_under_which_nobody_was_answered_has_no_ratio_and_fails() -> None:
    pressed = Spell(asked=2, unanswered=Counter({"DeadlineExceeded": 2}))
    held = Holding(100.0, 30)

    found = trial(Kind.SILENT, pressed, [0.1], (held, held), KindNotes())

    assert found.p95_ratio == 0.0
    assert not found.ok


def test_the_worst_of_all_kinds_is_told() -> None:
    other = replace(FINE, unanswered=2, p95_ratio=1.4, memory_kept_mib=1.0, descriptors_kept=5)

    found = together((FINE, other), [(0.5, True), (2.345, False)], ledger_ok=True)

    assert (found.kinds, found.trials, found.unanswered) == (2, 80, 2)
    assert (found.p95_ratio, found.memory_kept_mib, found.descriptors_kept) == (1.4, 3.0, 5)
    assert (found.stop_s, found.clean_stops) == (2.35, False)


def test_a_drill_that_never_stopped_the_gateway_proved_no_stop() -> None:
    assert not together((FINE,), [], ledger_ok=True).clean_stops


def test_entries_are_bounded_by_what_was_sent() -> None:
    few = most_entries({})

    assert most_entries({"sent": 200, "answered": 200}) == few + 200 * pressure.ENTRIES_EACH


def test_every_kind_can_be_pressed_with() -> None:
    assert set(PRESSES) == set(Kind)
    assert set(PRESSERS) == set(Pressure)


def test_all_presses_together_are_more_than_the_gateway_has_and_still_few() -> None:
    """Bounded in count: hundreds of connections, a few thousand calls; nothing that fills a machine."""
    from gateway.exercises.drill import pressure_client
    from gateway.exercises.drill import pressure_target as pressed

    assert pressed.DESCRIPTORS < 4 * pressure_client.SILENT <= 1000
    assert max(pressure_client.CALLS, pressure_client.REPLAYS, pressure_client.POOR) <= 2000
    assert pressure_client.CORRECTIONS * pressure_client.PICTURE <= 5_000_000


def test_what_a_process_holds_is_read_and_what_ended_holds_nothing() -> None:
    held = Holding.of(os.getpid())

    assert held.memory_mib > 1
    assert held.descriptors > 2
    with pytest.raises(UserError, match="no more"):
        Holding.of(2**31 - 1)


def test_a_body_that_never_comes_ends_when_its_call_does() -> None:
    body = Bodiless()
    body.end()

    assert list(body) == []


def test_a_stuck_reader_is_let_go_and_nothing_is_left_in_its_folder(tmp_path: Path) -> None:
    fifo = tmp_path / "stuck.toml"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    pressure_kinds._let_go(fifo)
    left = os.read(reader, 1)
    os.close(reader)

    assert left == b""
    assert not fifo.exists()


def test_a_child_that_ends_early_is_said_to_have(capfd: Any) -> None:
    with Child("gateway.exercises.nothing") as child, pytest.raises(UserError, match="ended early"):
        child.hear()

    assert "gateway.exercises.nothing" in capfd.readouterr().err


def test_a_plan_goes_over_a_pipe_and_comes_back() -> None:
    plan = Plan("replay", "nzl", "nzl.pass", "CAN", {"exchange": 1}, ("nz", 1), "N-1")

    told = json.loads(json.dumps(asdict(plan)))

    assert Plan(**{**told, "agreement": tuple(told["agreement"])}) == plan
