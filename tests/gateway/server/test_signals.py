"""A process that serves hears at once that it is to end, whichever of its threads was told."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.patience import PATIENCE

_WAITS = """
import os, signal, sys, threading, time
from gateway.server.signals import heard

number, how = int(sys.argv[1]), sys.argv[2]

def tell():
    time.sleep(0.2)
    if how == "this thread":
        signal.pthread_kill(threading.get_ident(), number)
    else:
        os.kill(os.getpid(), number)

with heard() as asked_to_end:
    if how == "before":
        os.kill(os.getpid(), number)
    elif how != "nobody":
        threading.Thread(target=tell, daemon=True).start()
    print(asked_to_end(0.5 if how == "nobody" else 86_400))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", ["this thread", "the process", "before"])
def test_a_signal_ends_the_wait_at_once(number: int, how: str) -> None:
    """Python's own wait goes on asleep where another thread took the signal: a gateway ended half a minute late."""
    said = subprocess.run(
        [sys.executable, "-c", _WAITS, str(int(number)), how],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert said.stdout == "True\n"


_EARLY = """
import os, sys
from gateway.server.signals import heard

told = []
with heard(lambda: told.append(1)) as asked_to_end:
    if sys.argv[1] == "early":
        os.kill(os.getpid(), 15)
        os.kill(os.getpid(), 15)
    else:
        asked_to_end(0.0)
        os.kill(os.getpid(), 15)
    print(len(told), asked_to_end(86_400))
"""


@pytest.mark.parametrize(("when", "told"), [("early", "1 True\n"), ("later", "0 True\n")])
def test_a_signal_before_anybody_waits_is_told_once_and_heard_all_the_same(
    when: str, told: str
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _EARLY, when],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert said.stdout == told


def test_where_nobody_asks_the_wait_ends_by_itself() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _WAITS, "15", "nobody"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert said.stdout == "False\n"
