"""What keeps keys and prints out of files that nobody meant to write: no core image, no attached debugger.

Python cannot wipe all it copied (keys.md 2.8); what it can do is leave no image of its memory.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

PR_SET_DUMPABLE = 4  # prctl(2)
SWAPS = Path("/proc/swaps")


def forbid_core() -> None:
    """Let this process write no core file and be read by no other of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def swap_in_use() -> bool:
    """Return whether the machine may write our memory to a swap device."""
    try:
        return len(SWAPS.read_text().splitlines()) > 1
    except OSError:
        return False
