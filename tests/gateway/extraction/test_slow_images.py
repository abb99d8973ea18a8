"""An image that takes long: its query waits without a turn, and a second partner is served meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import Queue
from typing import Any

import pytest

from gateway.domain.messages import Modality, Outcome
from gateway.errors import EngineUnavailable
from gateway.exchange.rate_limits import Gate
from gateway.extraction.extractor import Extracted
from gateway.extraction.frames import Task
from gateway.ledger.entry import EntryType, decode
from gateway.server import self_check
from gateway.store.ledger import stored_ledger
from tests.gateway.extraction.children import image
from tests.patience import CALL, PATIENCE

LOOKS = 20  # of some seconds in all, while whoever holds the turn would hold it for a minute
TRIED_TWICE = [
    *(EntryType.REQUEST, EntryType.DESTRUCTION, EntryType.REFUSAL),
    *(EntryType.DESTRUCTION, EntryType.RESPONSE),
]


class Slow:
    """The extractor for tests, but each record is handed over when a test says so."""

    def __init__(self, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pair = pair
        self.gate = Gate(1)  # one turn, so that whoever holds it keeps everybody else waiting
        self.held: Queue[tuple[Future[Extracted], Task]] = Queue()
        pipeline, self.engines = pair.serving.pipeline, pair.serving.engines
        self.begin = self.engines.images.begin
        monkeypatch.setattr(pipeline, "_services", replace(pipeline._services, gate=self.gate))
        monkeypatch.setattr(self.engines.images, "begin", self._begin)
        self.size = pair.gateway.sequencer.size

    def _begin(self, modality: Modality, tasks: Sequence[Task]) -> tuple[Future[Extracted], ...]:
        assert modality is Modality.FINGER
        made: list[tuple[Future[Extracted], Task]] = [(Future(), task) for task in tasks]
        for each in made:
            self.held.put(each)
        return tuple(future for future, _ in made)

    def next(self) -> tuple[Future[Extracted], Task]:
        """Wait for the next image that comes to be extracted."""
        return self.held.get(timeout=PATIENCE)

    def extract(self, made: Future[Extracted], task: Task) -> None:
        (future,) = self.begin(Modality.FINGER, [task])
        made.set_result(future.result(PATIENCE))

    def serve_second_partner(self) -> None:
        """Return once a second partner had a turn."""
        served: Future[bool] = Future()

        def serve() -> None:
            with self.gate.turn("NZL") as turn:
                # One look too many fails the test, and leaves no thread behind.
                looks = iter([PATIENCE] * LOOKS)
                served.set_result(turn.enter(lambda: next(looks, 0.0)))

        with ThreadPoolExecutor(1) as pool:
            pool.submit(serve)
            assert served.result(PATIENCE)

    def kinds(self) -> list[EntryType]:
        leaves = stored_ledger.iter_leaves(self.pair.gateway.database, self.size)
        return [decode(leaf).type for leaf in leaves]


@pytest.fixture
def slow(images_pair: Any, monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(images_pair, monkeypatch)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_a_second_partner_is_served_while_an_image_is_extracted(
    slow: Slow, pool: ThreadPoolExecutor, people: Any
) -> None:
    sent = pool.submit(slow.pair.partner().query, [image(seed=1)], deadline=CALL, **people.matter())

    made, task = slow.next()
    slow.serve_second_partner()
    slow.extract(made, task)

    assert sent.result(PATIENCE).outcome is Outcome.MATCH


def test_a_second_partner_is_served_while_the_image_of_a_repeated_query_is_extracted(
    slow: Slow, pool: ThreadPoolExecutor, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = slow.engines.by_modality[Modality.FINGER]
    search, failed = engine.search, []

    def once(*given: Any) -> Any:
        if not failed:
            failed.append(True)
            raise EngineUnavailable
        return search(*given)

    monkeypatch.setattr(engine, "search", once)
    sent = pool.submit(slow.pair.partner().query, [image(seed=1)], deadline=CALL, **people.matter())
    slow.extract(*slow.next())

    made, task = slow.next()  # of the identical message, whose REQUEST is recorded already
    assert failed
    slow.serve_second_partner()
    slow.extract(made, task)

    answer = sent.result(PATIENCE)
    assert (answer.outcome, answer.attempts) == (Outcome.MATCH, 2)
    assert slow.kinds() == TRIED_TWICE


def test_an_image_that_is_late_gets_no_more_time_in_a_turn_and_is_no_no_match(
    slow: Slow, pool: ThreadPoolExecutor, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said of the person, not even by the sample that is ready: the same message again is answered."""
    wait, finish = slow.engines.await_images, slow.engines.images.finish
    ended, granted = list[bool](), list[float]()

    def out_of_time_once(probes: Any, deadline: Any) -> None:
        wait(probes, deadline if ended else lambda: 0.0)
        ended.append(True)

    def granting(made: Future[Extracted], seconds: float) -> Extracted:
        granted.append(seconds)
        return finish(made, seconds)

    monkeypatch.setattr(slow.engines, "await_images", out_of_time_once)
    monkeypatch.setattr(slow.engines.images, "finish", granting)
    sent = pool.submit(
        slow.pair.partner().query,
        [image(seed=1), *people.samples(people.unknown)[1:]],
        deadline=CALL,
        **people.matter(),
    )
    late, _ = slow.next()

    made, task = slow.next()  # the first try has ended, though its image was never extracted
    assert late.cancelled()
    slow.extract(made, task)

    answer = sent.result(PATIENCE)
    assert answer.attempts == 2
    assert granted == [0.0, 0.0]
    assert not answer.result.problems
    assert slow.kinds() == TRIED_TWICE
    assert self_check.verify_ledger(slow.pair.home).ok
