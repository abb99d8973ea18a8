"""What a process and all that it started take of this machine, as the kernel counts it (man 5 proc)."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
AFTER_NAME = ") "  # in a line of `stat`; a program's name may hold brackets and spaces itself
PARENT, FIRST, LAST = 1, 11, 15  # fields behind it: ppid; utime, stime, cutime, cstime
SHARE = "Pss:"  # of `smaps_rollup`, in kB: a page that several have counts in each by its part


def processor_seconds(*pids: int) -> float | None:
    """Return the seconds that processes and their descendants have had, user and system; None where no kernel tells.

    Who was waited for is counted with whoever waited: a worker that ends takes nothing away.
    """
    ticks = _ticks(pids)
    return None if ticks is None else sum(ticks.values()) / os.sysconf("SC_CLK_TCK")


def memory_bytes(*pids: int) -> int | None:
    """Return the memory that processes and their descendants have, what they share counted once; None likewise."""
    total = 0
    for pid in _ticks(pids) or {}:
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:  # it ended meanwhile, or the kernel has no such file
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(SHARE))
    return total or None


def _ticks(pids: tuple[int, ...]) -> dict[int, int] | None:
    """Return the ticks of each process of the trees, each once; None where one of the roots is not there."""
    children: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            line = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended meanwhile
            continue
        fields = line.rpartition(AFTER_NAME)[2].split()
        ticks[int(folder.name)] = sum(map(int, fields[FIRST:LAST]))
        children[int(fields[PARENT])].append(int(folder.name))
    if any(pid not in ticks for pid in pids):
        return None
    counted, queue = dict[int, int](), list(pids)
    while queue:
        pid = queue.pop()
        if pid not in counted:
            counted[pid] = ticks[pid]
            queue += children[pid]
    return counted
