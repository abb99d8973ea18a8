"""File descriptors: how many this process may have, how many it has, and how many of them listeners may take.

A connection is a descriptor, and so is a file of the store. Where they run out, a partner who is connected gets an error,
and the ledger cannot be read. So they must not run out: listeners
together have no more than is left beside a reserve of our own and beside connections that are accepted to be closed.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from gateway.config import Settings

MOST: Final = 65_536  # what we ask the system for, at most; more than any listener here is allowed
RESERVE: Final = (
    256  # ours: 40 threads with two files of the store each, key files, tiles, messages to partners
)
BURST: Final = 1024  # accepted at a moment when the listener is full, and not closed yet: a tenth of a second of a flood
OURS: Final = 3 / 4  # of a limit that is too low for all this is kept from the listeners
FEWEST: Final = 4  # connections that each listener has however low the limit is
PRESSED: Final = 0.85  # share of the limit above which connections of unidentified callers are cut
FOLDER: Final = "/dev/fd"  # this process's own, on Linux and macOS

# Connections in all to the listeners that are not the partners'. An officer's command makes one, a probe one.
ADMIN: Final = 64
HEALTH: Final = 32
METRICS: Final = 8


def raise_limit() -> int:
    """Let this process have as many descriptors as the system lets it, up to MOST; return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a second limit, below what it calls hard
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """Return how many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def within_reach() -> int:
    """Return how many `raise_limit` would reach, without asking for them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)


def in_use() -> list[int]:
    """Return the descriptors in use; where none is left to look with, each number is tried."""
    try:
        return [int(name) for name in os.listdir(FOLDER)]  # noqa: PTH208 - twice a second; no objects
    except OSError:
        return [number for number in range(limit()) if _open(number)]


def wanted(settings: Settings) -> dict[str, int]:
    """Return how many connections each listener may have by the settings."""
    return {
        "exchange": settings.limits.connections,
        "admin": ADMIN,
        "health": HEALTH,
        "metrics": METRICS,
    }


def shares(settings: Settings, most: int) -> dict[str, int]:
    """Return how many connections each listener gets where the process may have `most` descriptors.

    As the settings say, or less in proportion where the limit is too low for them.
    """
    asked = wanted(settings)
    left, total = most - min(RESERVE + BURST, int(most * OURS)), sum(asked.values())
    if total <= left:
        return asked
    return {name: max(FEWEST, count * left // total) for name, count in asked.items()}


def enough(settings: Settings) -> int:
    """Return how many descriptors the settings need: every listener full, a burst, and our reserve."""
    return sum(wanted(settings).values()) + RESERVE + BURST


def excess(used: int, most: int) -> int:
    """Return how many descriptors are in use beyond the share that may be."""
    return max(0, used - int(most * PRESSED))


def summary(settings: Settings) -> str:
    """Return the line of `passerelle check`."""
    reach, need = within_reach(), enough(settings)
    if reach >= need:
        return f"{reach} file descriptors, {need} needed when every listener is full"
    cut: Mapping[str, int] = shares(settings, reach)
    return (
        f"TOO LOW: {reach} file descriptors of {need}, so partners get {cut['exchange']} connections instead of"
        f" {settings.limits.connections}; raise the limit (ulimit -n, LimitNOFILE=, ulimits:) or lower limits.connections"
    )


def _open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
