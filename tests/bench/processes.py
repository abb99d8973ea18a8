"""Searches a second by one search process and by several, by turns; the probes are made before.

python tests/bench/processes.py [--people 2000] [--searches 200] [--processes 1 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from parity import People, answer, samples

from gateway.matching.engines import Engines

ASKERS = 16


def main() -> None:
    """Load each, ask by turns, and say what was found."""
    parser = argparse.ArgumentParser()
    for name, value in (("people", 2000), ("searches", 200), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    wanted = parser.parse_args()
    people = People(wanted.people)
    asked = [samples(2 * number, 1) for number in range(wanted.searches)]
    engines = {number: Engines(workers=number) for number in wanted.processes}
    for each in engines.values():
        each.load(people)
    rates: dict[int, list[float]] = {number: [] for number in engines}
    for _ in range(wanted.rounds):
        for number, each in engines.items():
            begun = time.perf_counter()
            with ThreadPoolExecutor(ASKERS) as threads:
                for _ in threads.map(lambda one, each=each: answer(each, one), asked):
                    pass
            rates[number].append(wanted.searches / (time.perf_counter() - begun))
    first = median(rates[wanted.processes[0]])
    for number, each in engines.items():
        each.close()
        rate = median(rates[number])
        sys.stdout.write(f"{number} processes: {rate:.1f} searches/s, {rate / first:.2f} ×\n")


if __name__ == "__main__":
    main()
