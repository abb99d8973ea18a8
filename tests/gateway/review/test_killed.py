"""kill -9 around every commit of a case: it is decided whole, with its prints gone, or it still waits."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from gateway.domain.messages import Outcome, State
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.casework.reviews import CaseState
from tests.programs import Programs

_ACT = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from gateway.admin.operation import Officer
from gateway.operations.declaration import Role
from gateway.server import application as rooms
from gateway.store.ledger.sequencer import Sequencer

home, case, what, when = sys.argv[1:]
if what == "expire":
    now = rooms.utc_now
    rooms.utc_now = lambda: now() + timedelta(hours=25)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def armed():
    commit, tidy = Sequencer.commit, Sequencer.forget_traces

    def killing(self, leaves, effects=()):
        if when == "before":
            die()
        done = commit(self, leaves, effects)
        if when == "after":
            die()
        return done

    Sequencer.commit = killing
    Sequencer.forget_traces = lambda self: (tidy(self), die())

with rooms.Gateway.open(Path(home), lambda: b"a passphrase for tests") as gateway:
    officer = Officer("P-7", frozenset({Role.EXAMINER}))
    if what == "expire":
        armed()
        gateway.casework.reviews.expire()
    else:
        gateway.admin.perform(officer, "review.lease", {"case": case})
        armed()
        values = {"case": case, "verdict": what, "reason": "as seen"}
        gateway.admin.perform(officer, "review.decide", values)
"""


@pytest.mark.parametrize("when", ["before", "after", "tidied"])
@pytest.mark.parametrize("what", ["SAME", "DIFFERENT", "expire"])
def test_killed_around_a_commit_a_case_is_whole(
    bench: Any, secret: Any, programs: Programs, what: str, when: str
) -> None:
    case = bench.pending()
    sealed = case.sealed
    bench.gateway.close()

    done = programs.run(_ACT, bench.gateway.home, case.case, what, when)
    assert done.returncode == -signal.SIGKILL, done.stderr

    if what == "expire":
        bench.clock.move(hours=25)
    with Gateway.open(bench.gateway.home, secret) as again:
        bench.gateway = again
        state, row = bench.case(case.case).state, bench.row(case)
        if when == "before":
            assert state in {CaseState.LEASED, CaseState.OPEN}
            assert row.state is State.REVIEWING
            assert bench.case(case.case).sealed == sealed
        elif what == "expire":
            assert (state, row.state, row.outcome) == (CaseState.EXPIRED, State.ABANDONED, None)
        else:
            outcome = Outcome.MATCH if what == "SAME" else Outcome.NO_MATCH
            assert (state, bench.result(case).outcome) == (CaseState.CLOSED, outcome)
        assert self_check.verify_ledger(again.home).ok
    if when != "before":
        folder = again.settings.store.path.parent
        files = [file.read_bytes() for file in folder.iterdir() if file.is_file()]
        assert not any(sealed[:64] in octets for octets in files)
