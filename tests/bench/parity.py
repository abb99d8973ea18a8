"""Compare searches by worker processes with those of the engine in this process, to the last bit; end some processes meanwhile.

python tests/bench/parity.py [--searches 10000] [--people 200] [--processes 2] [--kills 20]
    half of the searches are for enrolled people; exit code 1 where one differs or has no answer
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from gateway.domain.messages import Modality, Sample
from gateway.matching.engine import Batch, OperatingPoint
from gateway.matching.engines import Engines
from gateway.matching.finger import FingerCodec
from gateway.matching.identification import Identified
from matcher.finger import synthetic

POSITIONS = (2, 7)
POINT = OperatingPoint(fpir=0.001, review_fpir=0.01)
ASKERS, LIMIT = 8, 10


def samples(seed: int, number: int) -> list[Sample]:
    """Return an impression of each of a person's fingers."""
    person, codec = synthetic.person(seed), FingerCodec()
    made = ((at, synthetic.impression(person, at, number)) for at in POSITIONS)
    return [codec.sample(synthetic.record(each, at), at, "synthetic") for at, each in made]


class People:
    """So many people who do not exist."""

    def __init__(self, number: int) -> None:
        self._stored = [(seed, samples(seed, 0)) for seed in range(number)]

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        """Yield them all."""
        del shard, of
        if modality is Modality.FINGER:
            yield self._stored


def answer(engines: Engines, asked: Sequence[Sample]) -> Identified:
    """Search for one person."""
    probes = engines.read({f"s[{at}]": one for at, one in enumerate(asked)})
    try:
        engines.prepare(probes)
        return engines.search(probes, POINT, LIMIT, lambda: math.inf)
    finally:
        engines.destroy(probes)


def main() -> int:
    """Compare, and say what was found."""
    parser = argparse.ArgumentParser()
    for name, value in (("searches", 10_000), ("people", 200), ("processes", 2), ("kills", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    wanted = parser.parse_args()
    people = People(wanted.people)
    here, there = Engines(), Engines(workers=wanted.processes)
    here.load(people)
    there.load(people)
    done, wrong, lost = 0, 0, 0
    lock = threading.Lock()

    def compare(number: int) -> None:
        nonlocal done, wrong, lost
        seed, impression = number % (2 * wanted.people), 1 + number // (2 * wanted.people)
        differs = failed = False
        try:
            asked = samples(seed, impression)
            differs = answer(there, asked) != answer(here, asked)
        except Exception as fault:  # noqa: BLE001 - whatever it was, there is no answer
            failed = True
            sys.stderr.write(f"search {number}: {fault!r}\n")
        with lock:
            done, wrong, lost = done + 1, wrong + differs, lost + failed
            at_kill = wanted.kills and done % max(1, wanted.searches // wanted.kills) == 0
        if at_kill and (some := there.pool.processes() if there.pool else ()):
            os.kill(random.choice(some), signal.SIGKILL)

    with ThreadPoolExecutor(ASKERS) as threads:
        for _ in threads.map(compare, range(wanted.searches)):
            pass
    there.close()
    sys.stdout.write(
        f"{done} searches, {wrong} differ, {lost} without an answer, {wanted.kills} processes killed\n"
    )
    return 1 if wrong or lost else 0


if __name__ == "__main__":
    sys.exit(main())
