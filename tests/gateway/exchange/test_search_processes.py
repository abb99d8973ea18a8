"""A gateway whose searches run in processes of their own: what partners and operators see of it, also when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway import telemetry
from gateway.admin.operation import Officer
from gateway.domain.messages import Outcome
from gateway.errors import EngineUnavailable
from gateway.matching.workers import process
from gateway.operations.declaration import Role
from gateway.server import search_processes, self_check
from gateway.store.ledger import stored_ledger
from tests.conftest import WORKERS
from tests.gateway.conftest import ENROLLED
from tests.gateway.matching.worker_pools import gone
from tests.patience import PATIENCE

REGISTRAR = Officer("P-1", frozenset({Role.REGISTRAR}))
ASKERS, QUESTIONS = 4, 12  # of each


@pytest.fixture
def with_workers(homes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(WORKERS, "2")
    return homes


@pytest.fixture
def served(with_workers: Any, serve: Any) -> Iterator[Any]:
    with serve(*with_workers) as pair:
        yield pair


def asked(pair: Any, people: Any, first: int) -> list[bool]:
    """Ask by turns for somebody who is enrolled and somebody who is not; return whether each answer is right."""
    partner, right = pair.partner(), list[bool]()
    for number in range(QUESTIONS):
        seed, wanted = ((1, Outcome.MATCH), (40 + first, Outcome.NO_MATCH))[number % 2]
        answer = partner.query(people.samples(seed), **people.matter())
        right.append(answer.outcome is wanted)
    return right


def test_killed_under_load_no_answer_is_wrong_and_none_is_lost(served: Any, people: Any) -> None:
    pool = served.serving.engines.pool
    before = served.gateway.sequencer.size

    with ThreadPoolExecutor(ASKERS) as threads:
        asking = [threads.submit(asked, served, people, first) for first in range(ASKERS)]
        killed = 0
        while not all(each.done() for each in asking):
            if len(numbers := pool.processes()) == 2:  # a question may see three of them end
                os.kill(numbers[0], signal.SIGKILL)
                killed += 1
            time.sleep(0.2)

    assert killed
    assert [each.result() for each in asking] == [[True] * QUESTIONS] * ASKERS
    with served.gateway.database.reader() as reader:
        said = stored_ledger.extent(reader)[0] - before
    assert said == 3 * ASKERS * QUESTIONS  # REQUEST, DESTRUCTION and RESPONSE of each, once
    assert self_check.verify_ledger(served.home).ok


def test_who_is_removed_while_we_serve_is_found_by_no_process(served: Any, people: Any) -> None:
    partner, pool = served.partner(), served.serving.engines.pool
    assert partner.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH

    served.gateway.admin.perform(
        REGISTRAR, "registry.remove", {"reference": "P-1", "reason": "order of a court"}
    )

    assert served.serving.engines.size == len(ENROLLED) - 1
    for killed in pool.processes():  # nor by whoever was loaded after it
        for _ in range(3):
            assert partner.query(people.samples(1), **people.matter()).outcome is Outcome.NO_MATCH
        os.kill(killed, signal.SIGKILL)
        while killed in (now := pool.processes()) or len(now) < 2:
            time.sleep(0.01)


def test_the_metric_says_how_many_answer(served: Any) -> None:
    assert b"passerelle_search_processes 2.0" in telemetry.exposition()
    served.serving.engines.pool.close()
    assert b"passerelle_search_processes 0.0" in telemetry.exposition()


_SERVES = """
import sys, time
from pathlib import Path
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving

with Gateway.open(Path(sys.argv[1]), sys.argv[2].encode) as gateway:
    serving = Serving(gateway)
    serving.start()
    print(*serving.engines.pool.processes(), flush=True)
    time.sleep(86_400)
"""


def test_killed_with_the_gateway_they_end_too(with_workers: Any, secret: Any) -> None:
    words = sys.executable, "-c", _SERVES, str(with_workers[0]), secret().decode()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        numbers = [int(each) for each in gateway.stdout.readline().split()]
        gateway.kill()

    assert len(numbers) == 2
    for _ in range(round(PATIENCE / 0.01)):
        if all(map(gone, numbers)):
            return
        time.sleep(0.01)
    raise TimeoutError


def test_how_many_there_are_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for here, known, wanted in ((1, True, 0), (2, True, 2), (64, True, 8), (4, False, 0)):
        monkeypatch.setattr(search_processes, "processors", lambda here=here: here)
        monkeypatch.setattr(search_processes.sandbox, "known_here", lambda known=known: known)
        assert search_processes.number("auto") == wanted
    assert search_processes.number(3) == 3


def test_check_starts_one_and_says_what_to_do_where_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert search_processes.try_one(0).startswith("the gateway's own process")
    assert search_processes.try_one(2).startswith("2 search processes")
    monkeypatch.setattr(process, "MODULE", "gateway.matching.workers.nowhere")
    with pytest.raises(EngineUnavailable, match=r"set matching\.workers = 0"):
        search_processes.try_one(2)
