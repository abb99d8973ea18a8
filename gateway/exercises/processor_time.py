"""The processor time of a process and of all that it started, as the kernel counts it."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
AFTER_NAME = (
    ") "  # in a line of `stat` (man 5 proc); a program's name may hold brackets and spaces itself
)
PARENT, FIRST, LAST = 1, 11, 15  # fields behind it: ppid; utime, stime, cutime, cstime


def seconds(*pids: int) -> float | None:
    """Return the seconds that processes and their descendants have had, user and system; None where no kernel tells.

    Who was waited for is counted with whoever waited: a worker that ends takes nothing away.
    """
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
    counted, queue = set[int](), list(pids)
    while queue:
        pid = queue.pop()
        if pid not in counted:
            counted.add(pid)
            queue += children[pid]
    return sum(ticks[pid] for pid in counted) / os.sysconf("SC_CLK_TCK")
