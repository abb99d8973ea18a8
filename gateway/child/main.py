"""The first lines of a child process, run as a file by `python -I -S -B`: where the code lies, and on to it.

The gateway sends one frame of settings; everything else is done by the module that it names, whose `run` takes them.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Read from standard input where the code lies, and go on there."""
    head = _exactly(8)
    said = json.loads(_exactly(int.from_bytes(head[4:], "big")))
    sys.path[:] = said["paths"]
    from importlib import import_module

    import_module(said["module"]).run(said)


def _exactly(size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        part = os.read(0, size - len(octets))
        if not part:
            sys.exit(1)
        octets += part
    return octets


if __name__ == "__main__":
    main()
