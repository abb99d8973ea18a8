"""The child process: what a picture can do there, and what is left of it; nothing of it reaches the gateway or the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gateway.child import pipes
from gateway.child.pipes import Garbled
from gateway.domain.messages import Compression, Modality, RecordFormat
from gateway.extraction import frames
from gateway.extraction.child_process import (
    ChildProcess,
    ChildSettings,
    ExtractorUnavailable,
    Offer,
)
from gateway.extraction.extractor import Extracted
from gateway.extraction.service import CRASHED, HUNG, ExtractionFailed, ExtractionService, OutOfTime
from tests.gateway.extraction.children import PATIENT, SECONDS, ask, picture, task, trial
from tests.gateway.extraction.offered import trial_extractor as orders
from tests.patience import PATIENCE


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(round(PATIENCE / 0.01)):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError


def expected(seed: int) -> bytes:
    import numpy as np

    return orders.Trial._record(np.array([[0, seed]]), 2)


def test_a_record_comes_back_as_the_extractor_made_it(service: ExtractionService) -> None:
    offer = service.offer(Modality.FINGER)

    assert offer is not None
    assert offer.extractor == "trial-1"
    assert ask(service, seed=7) == Extracted(expected(7), 80)


def test_a_gateway_whose_extractor_has_no_decoder_lists_no_bare_picture(
    service: ExtractionService,
) -> None:
    """The extractor for tests lives without Pillow: pictures that are not compressed are all it reads."""
    assert RecordFormat.ISO_19794_4_2011 in service.formats(Modality.FINGER)
    if Compression.WSQ not in service.offer(Modality.FINGER).compressions:  # type: ignore[union-attr]
        assert RecordFormat.WSQ not in service.formats(Modality.FINGER)
    assert service.formats(Modality.FACE) == ()


@pytest.mark.parametrize(
    "order",
    [orders.SOCKET, orders.OPEN, orders.RUN, orders.FORK, orders.CODE, orders.READ, orders.PREFACE],
)
def test_in_the_process_of_a_picture_there_is_no_network_no_file_no_program_no_new_code(
    service: ExtractionService, order: int
) -> None:
    assert ask(service, order).quality == 1  # it says 100 of what it could do


def test_nothing_of_one_picture_is_there_for_the_next(service: ExtractionService) -> None:
    """The extractor counts what it has seen: each picture meets it as it was loaded."""
    assert {ask(service, orders.SEEN).quality for _ in range(4)} == {2}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (orders.NOTHING, "NOTHING_FOUND"),
        (orders.RAISE, "FAILED"),
        (orders.LONG, "FAILED"),
        (orders.EAT, "TOO_LARGE"),
        (orders.DIE, CRASHED),
        (orders.GARBAGE, CRASHED),
        (orders.TWICE, CRASHED),
        (orders.LINGER, HUNG),
        (orders.HANG, HUNG),
    ],
)
def test_an_extractor_that_fails_dies_hangs_or_talks_nonsense_fails_that_picture_alone(
    service: ExtractionService, order: int, reason: str
) -> None:
    with pytest.raises(ExtractionFailed) as failed:
        ask(service, order)

    assert failed.value.reason == reason
    assert service.counts()[Modality.FINGER][reason] >= 1
    assert ask(service, seed=9).record == expected(9)


def test_who_has_no_time_left_is_told_and_the_next_picture_is_answered(
    service: ExtractionService,
) -> None:
    with pytest.raises(OutOfTime):
        service.extract(Modality.FINGER, task(orders.HANG), 0.05)

    assert ask(service, seed=4).record == expected(4)


def test_processes_killed_in_the_middle_of_their_work_give_no_wrong_record(
    service: ExtractionService,
) -> None:
    wrong, failed, right = list[int](), list[int](), list[int]()

    def one(seed: int) -> None:
        try:
            (right if ask(service, seed=seed).record == expected(seed) else wrong).append(seed)
        except ExtractionFailed:
            failed.append(seed)

    with ThreadPoolExecutor(4) as callers:
        answers = [callers.submit(one, seed) for seed in range(60)]
        for _ in range(3):
            wait_until(lambda: bool(service.processes()))
            os.kill(service.processes()[0], signal.SIGKILL)
            time.sleep(0.05)
        for each in answers:
            each.result()

    assert wrong == []
    assert len(right) + len(failed) == 60
    assert ask(service, seed=5).record == expected(5)


def test_more_pictures_than_may_wait_are_refused_at_once(paths: tuple[str, ...]) -> None:
    small = ExtractionService((trial(paths),), processes=1, waiting=1)
    try:
        with ThreadPoolExecutor(4) as callers:
            asked = [callers.submit(ask, small, orders.HANG) for _ in range(4)]
            faults = [type(each.exception()) for each in asked]
    finally:
        small.close()

    # One was with the extractor, one waited; the other two were told.
    assert faults.count(ExtractorUnavailable) >= 1
    assert set(faults) == {ExtractorUnavailable, ExtractionFailed}
    assert small.processes() == ()


def test_a_query_of_more_pictures_than_queries_may_wait_gets_all_its_records(
    paths: tuple[str, ...],
) -> None:
    small = ExtractionService((trial(paths),), processes=1, waiting=1)
    try:
        for _ in range(2):  # the first leaves its room to the second
            begun = small.begin(Modality.FINGER, [task(seed=seed) for seed in range(20)])
            records = [small.finish(each, PATIENT).record for each in begun]
            assert records == [expected(seed) for seed in range(20)]
    finally:
        small.close()
    with pytest.raises(ExtractorUnavailable):
        small.begin(Modality.FINGER, [task()])


class Started:
    """Child processes that were started, and what becomes of the second one while it loads."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, second: Callable[[Any, Offer], Offer]
    ) -> None:
        self.all: list[Any] = []
        load = ChildProcess.load

        def loaded(child: Any, settings: ChildSettings) -> Offer:
            self.all.append(child)
            offer = load(child, settings)
            return second(child, offer) if len(self.all) == 2 else offer

        monkeypatch.setattr(ChildProcess, "load", loaded)

    def left(self) -> int:
        return sum(each._process.running for each in self.all)


def test_a_fault_of_ours_after_a_process_was_replaced_leaves_none_behind(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(monkeypatch, lambda _, offer: offer)
    faults = iter([Garbled("the first one"), MemoryError()])

    def extract(*_: object) -> None:
        raise next(faults)

    alone = ExtractionService((trial(paths),), processes=1)
    try:
        with monkeypatch.context() as failing:
            failing.setattr(ChildProcess, "extract", extract)
            with pytest.raises(ExtractorUnavailable):
                ask(alone)
        assert started.left() == 0
        assert ask(alone, seed=3).record == expected(3)
    finally:
        alone.close()

    assert (len(started.all), started.left()) == (3, 0)


def test_a_picture_that_uses_up_its_time_gets_no_second_try(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is ended by the kernel before the gateway calls it hung: that is no crash, and costs no time twice."""
    started, extract = Started(monkeypatch, lambda _, offer: offer), ChildProcess.extract
    alone = ExtractionService((trial(paths),), processes=1)
    try:
        with monkeypatch.context() as waiting:
            waiting.setattr(
                ChildProcess, "extract", lambda child, task, _: extract(child, task, 3 * SECONDS)
            )
            with pytest.raises(ExtractionFailed, match=HUNG):
                ask(alone, orders.BURN)
        assert ask(alone, seed=3).record == expected(3)
    finally:
        alone.close()

    assert alone.counts()[Modality.FINGER] == {HUNG: 1, "EXTRACTED": 1}
    assert len(started.all) == 2


def test_a_service_that_is_closed_while_a_process_loads_does_not_wait_for_it(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = threading.Event()

    def never_ready(child: Any, _: Offer) -> Offer:
        loading.set()
        child._process._process.wait(PATIENT)
        raise ExtractorUnavailable("it ended while it loaded")

    started = Started(monkeypatch, never_ready)
    alone = ExtractionService((trial(paths),), processes=1)
    with ThreadPoolExecutor(2) as callers:
        asked = callers.submit(ask, alone, orders.DIE)
        assert loading.wait(PATIENT)
        callers.submit(alone.close).result(PATIENT / 2)
        with pytest.raises(ExtractorUnavailable, match="stopping"):
            asked.result(PATIENT)

    assert started.left() == 0


class _FirstEnds:
    """A queue whose first end mark is taken, and its thread over, before the next step."""

    def __init__(self, pool: Any) -> None:
        self._jobs, self._threads = pool._jobs, pool._threads

    def put(self, job: object) -> None:
        self._jobs.put(job)
        wait_until(lambda: not all(each.is_alive() for each in self._threads))


def test_a_service_ends_whichever_of_its_threads_takes_an_end_mark(paths: tuple[str, ...]) -> None:
    """The second thread may take the mark of the first and be over: the first needs one all the same."""
    two = ExtractionService((trial(paths),), processes=2)
    pool: Any = two._pools[Modality.FINGER]
    wait_until(lambda: len(two.processes()) == 2)
    real, pool._jobs = pool._jobs, _FirstEnds(pool)
    pool._threads.reverse()  # whoever waited longest takes the first mark: it is looked at last
    closing = threading.Thread(target=two.close, daemon=True)
    closing.start()
    closing.join(PATIENT)
    ended = not closing.is_alive()
    for _ in pool._threads:
        real.put(None)

    assert ended


def test_an_extractor_that_was_replaced_meanwhile_makes_no_record_under_the_name_of_the_first(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = Started(monkeypatch, lambda _, offer: replace(offer, version="2"))
    alone = ExtractionService((trial(paths),), processes=1)
    try:
        with pytest.raises(ExtractorUnavailable, match="restart the gateway"):
            ask(alone, orders.DIE)
        assert started.left() == 0
    finally:
        alone.close()
    assert '"extractor_replaced"' in capsys.readouterr().err


def test_an_extractor_that_does_not_start_again_is_told_to_the_operator(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> Offer:
        raise ExtractorUnavailable("its package is gone")

    started = Started(monkeypatch, gone)
    alone = ExtractionService((trial(paths),), processes=1)
    try:
        with pytest.raises(ExtractorUnavailable):
            ask(alone, orders.DIE)
        assert started.left() == 0
        assert ask(alone, seed=3).record == expected(3)  # it is there again
    finally:
        alone.close()
    assert '"extractor_not_started"' in capsys.readouterr().err


class Seen(frames.Task):
    """A task that one can look after without holding it."""


def test_a_gateway_that_waits_for_the_next_picture_holds_no_other(
    service: ExtractionService,
) -> None:
    for order in (orders.WELL, orders.RAISE, orders.DIE):
        asked = Seen(task().picture, 500, 2, picture(order))
        gone = weakref.ref(asked)
        begun = service.begin(Modality.FINGER, [asked])
        del asked
        with suppress(ExtractionFailed):
            service.finish(begun[0], PATIENT)
        del begun
        wait_until(lambda: gone() is None)  # noqa: B023 - asked within the turn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": "1"}, "PermissionError"),
        ({"rename": "1"}, "PermissionError"),
        ({"environment": "1"}, "RuntimeError: LC_ALL MKL_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS"),
        ({"lazy": "1"}, "in a process of its own for each picture"),
        ({"name": "a name"}, "its name and version together"),
        ({"name": "n" * 48}, "its name and version together"),
    ],
)  # fmt: skip
def test_an_extractor_that_wants_network_environment_later_files_or_no_name_does_not_start(
    paths: tuple[str, ...], options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERELLE_SECRET", "x")

    with pytest.raises(ExtractorUnavailable) as refused:
        ExtractionService((trial(paths, **options),))

    assert said in str(refused.value)


def test_an_extractor_that_is_not_installed_is_named_with_those_that_are(
    paths: tuple[str, ...],
) -> None:
    with pytest.raises(
        ExtractorUnavailable,
        match=r"did not start: no extractor absent is installed here; there are: .*trial",
    ):
        ExtractionService((replace(trial(paths), extractor="absent"),))


ORPHANS = """
import sys, threading
sys.path[:0] = {inner!r}
from tests.gateway.extraction.children import *
service = ExtractionService((trial({paths!r}),), processes=1)
threading.Thread(target=ask, args=(service, orders.HANG), daemon=True).start()
print(*service.processes(), flush=True)
print(sorted({{"PIL", "wsq", "onnxruntime", "gateway.extraction.pixels"}} & set(sys.modules)), flush=True)
threading.Event().wait()
"""


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_process_outlives_a_gateway_that_was_killed_and_no_decoder_is_in_its_own(
    paths: tuple[str, ...],
) -> None:
    inner = sys.path
    gateway = subprocess.Popen(
        [sys.executable, "-c", ORPHANS.format(paths=paths, inner=inner)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert gateway.stdout is not None
        group = int(gateway.stdout.readline())
        assert gateway.stdout.readline() == "[]\n"
        assert _alive(group)
    finally:
        gateway.kill()
        gateway.wait()
        if gateway.stdout is not None:
            gateway.stdout.close()

    wait_until(lambda: not _alive(group))


@pytest.mark.parametrize("order", [orders.TWICE, orders.LINGER])
def test_a_picture_that_took_a_decoder_over_answers_for_no_other_picture(
    paths: tuple[str, ...], order: int
) -> None:
    """One process for all: the pictures of others stand in the queue behind it, and get their own records."""
    alone = ExtractionService((trial(paths),), processes=1)
    try:
        hostile, *others = alone.begin(
            Modality.FINGER, [task(order), *(task(seed=seed) for seed in range(5))]
        )
        records = [alone.finish(each, PATIENT).record for each in others]
        with pytest.raises(ExtractionFailed):
            alone.finish(hostile, PATIENT)
    finally:
        alone.close()

    assert records == [expected(seed) for seed in range(5)]


ANSWER = frames.answer_bytes(frames.Status.EXTRACTED, Extracted(b"record", 50))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    source, target = os.pipe()
    yield source, target
    for each in (source, target):
        with suppress(OSError):
            os.close(each)


def test_what_stands_in_the_pipe_before_a_picture_was_sent_is_no_answer_to_it(
    pipe: tuple[int, int],
) -> None:
    frames.demand_silence(pipe[0])
    os.write(pipe[1], ANSWER)
    with pytest.raises(Garbled):
        frames.demand_silence(pipe[0])
    frames.read_answer(pipe[0], time.monotonic() + PATIENT)
    frames.demand_silence(pipe[0])
    os.close(pipe[1])
    with pytest.raises(Garbled):
        frames.demand_silence(pipe[0])


def answered(source: int) -> tuple[frames.Status, Extracted | None]:
    return frames.read_answer(source, time.monotonic() + PATIENT)


def test_a_frame_is_passed_on_as_it_came_and_nothing_but_the_end_may_follow(
    pipe: tuple[int, int],
) -> None:
    until = time.monotonic() + PATIENT
    os.write(pipe[1], ANSWER + b"x")
    passed = frames.Passed(pipe[0], frames.ANSWER, until)
    with pytest.raises(Garbled):
        frames.demand_end(pipe[0], until)
    passed.send(pipe[1])
    passed.close()
    assert answered(pipe[0]) == (frames.Status.EXTRACTED, Extracted(b"record", 50))
    with pytest.raises(TimeoutError):
        frames.demand_end(pipe[0], time.monotonic())
    os.close(pipe[1])
    frames.demand_end(pipe[0], until)


def test_a_request_comes_through_as_it_was_and_a_longer_one_is_not_read(
    pipe: tuple[int, int],
) -> None:
    asked = task(seed=3)
    pipes.send(pipe[1], frames.request_bytes(asked))
    assert frames.request_task(frames.Passed(pipe[0], frames.REQUEST)) == asked

    for prefix in (b"PXQ1\xff\xff\xff\xff", b"PXA1\x02\x00\x00\x00"):
        os.write(pipe[1], prefix)
        with pytest.raises(Garbled):
            frames.Passed(pipe[0], frames.REQUEST)


def test_an_answer_that_is_no_frame_or_contradicts_itself_is_not_believed() -> None:
    good = ANSWER
    bad = [
        b"",
        good[:-1],
        b"PXA2" + good[4:],
        good[:4] + b"\xff\xff\xff\xff" + good[8:],
        good[:4] + b"\x01\x00\x00\x00" + good[8:],
        good[:8] + b"\x09" + good[9:],
        good[:8] + b"\x02" + good[9:],
        good[:9] + b"\x65" + good[10:],
        frames.answer_bytes(frames.Status.EXTRACTED),
    ]
    for octets in bad:
        source, target = os.pipe()
        os.write(target, octets)
        os.close(target)
        with pytest.raises(Garbled):
            frames.read_answer(source, time.monotonic() + PATIENT)
        os.close(source)
