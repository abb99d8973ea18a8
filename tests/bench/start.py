"""What a command costs before it does anything: processor time of a start, of this tree and of another one by turns.

python tests/bench/start.py [--runs 20] [--against TREE] [--command="keys list can"]...
    TREE      a checkout to compare with, run by the same interpreter
    command   words after `passerelle`, once or more; else --version, --help, keys list --help

Prints one JSON document: user + system seconds of each process as the kernel counted them, and where there are two
trees, the ratio of the medians. Compile both trees before (`python -m compileall -q gateway keys matcher`), or the
compiler is what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("--version", "--help", "keys list --help")
START = "from gateway.cli.main import app; app(prog_name='passerelle')"


def seconds(tree: Path, words: list[str]) -> tuple[float, int]:
    """Run one command from a tree; return its processor time and its exit code."""
    nothing = os.open(os.devnull, os.O_RDWR)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-c", START, *words],  # -P: the tree named, not the folder we are in
        {**os.environ, "PYTHONPATH": str(tree)},
        file_actions=[(os.POSIX_SPAWN_DUP2, nothing, each) for each in (0, 1, 2)],
    )
    os.close(nothing)
    _, status, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime, os.waitstatus_to_exitcode(status)


def measure(trees: list[Path], command: str, runs: int) -> dict[str, object]:
    """Run a command by turns from each tree; the first turn, which warms the disk's cache, does not count."""
    words = shlex.split(command)
    taken: list[list[float]] = [[] for _ in trees]
    codes = set()
    for turn in range(runs + 1):
        order = range(len(trees)) if turn % 2 else reversed(range(len(trees)))
        for which in order:
            used, code = seconds(trees[which], words)
            codes.add(code)
            if turn:
                taken[which].append(used)
    medians = [statistics.median(each) for each in taken]
    found: dict[str, object] = {
        "command": f"passerelle {command}",
        "exit_codes": sorted(codes),
        "median_s": [round(each, 4) for each in medians],
        "least_s": [round(min(each), 4) for each in taken],
    }
    if len(trees) > 1:
        found["ratio"] = round(medians[0] / medians[1], 3)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    words.add_argument("--runs", type=int, default=20)
    words.add_argument("--against", type=Path)
    words.add_argument("--command", action="append")
    asked = words.parse_args()
    if asked.runs < 1:
        words.error("--runs is 1 or more")
    if asked.against and not (asked.against / "gateway" / "cli").is_dir():
        words.error(f"{asked.against} is no checkout: it has no gateway/cli")
    trees = [ROOT, *([asked.against.resolve()] if asked.against else [])]
    found = [measure(trees, each, asked.runs) for each in asked.command or COMMANDS]
    document = {"trees": [str(each) for each in trees], "runs": asked.runs, "starts": found}
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
