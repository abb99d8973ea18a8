"""The n-th flush or write of the ledger's files fails: nothing more is answered, it is said why, nothing is lost.

A small library stands between SQLite and the kernel, in the process under test alone, and fails once, as a disk
does that loses a sector or is full. All that is above it is the real thing; the trials are in `failing_flush.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.slow  # the trials, once for all tests
DRIVER = Path(__file__).with_name("failing_flush.py")
BEFORE, CEDED, LEFT = 3, 9, 74  # as the driver says; EX_IOERR, as docs/operators.md says
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int flushes, writes, failure;

void arm(int flush, int write, int error) { flushes = flush; writes = write; failure = error; }

static int ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "passerelle.db") != NULL;
}

static int due(int *left, int fd) {
    if (*left == 0 || !ours(fd) || --*left) return 0;
    errno = failure;
    return 1;
}

#define FLUSH(name) int name(int fd) { \
    int (*real)(int) = dlsym(RTLD_NEXT, #name); \
    return due(&flushes, fd) ? -1 : real(fd); }
#define WRITE(name) ssize_t name(int fd, const void *from, size_t count, off_t at) { \
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, #name); \
    return due(&writes, fd) ? -1 : real(fd, from, count, at); }

FLUSH(fsync)
FLUSH(fdatasync)
WRITE(pwrite)
WRITE(pwrite64)
"""

FLUSHES = [("flush", nth, error, "stay") for nth in (1, 2, 3, 7) for error in ("EIO", "ENOSPC")]
WRITES = [
    ("write", nth, error, "stay") for nth in (1, 2, 3, 5, 13, 40) for error in ("EIO", "ENOSPC")
]
LEAVING = [("flush", 2, "EIO", "leave"), ("write", 4, "ENOSPC", "leave")]
TRIALS = [*FLUSHES, *WRITES, *LEAVING]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What each trial came to."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler here for what stands between SQLite and the disk")
    folder = tmp_path_factory.mktemp("failing")
    (folder / "shim.c").write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder)],
        input=json.dumps(TRIALS),
        env={**os.environ, "LD_PRELOAD": str(folder / "shim.so")},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(TRIALS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("trial", FLUSHES)
def test_a_flush_that_fails_is_the_last_and_loses_nothing(told: Any, trial: Any) -> None:
    """A second fsync would say that all is well: the kernel has dropped the pages and forgotten."""
    found = told[trial]

    assert found["code"] == CEDED
    assert found["said"]
    acknowledged = found["acknowledged"]
    assert acknowledged == list(range(len(acknowledged)))
    assert BEFORE <= len(acknowledged) < BEFORE + trial[1] + 1
    # What was written and not flushed may be there; nobody was told that it is.
    assert len(acknowledged) <= found["size"] <= len(acknowledged) + 1


@pytest.mark.parametrize("trial", WRITES)
def test_a_write_that_the_disk_refuses_is_the_last_and_loses_nothing(told: Any, trial: Any) -> None:
    found = told[trial]

    assert found["code"] == CEDED
    assert ("full" if trial[2] == "ENOSPC" else "disk I/O error") in found["said"]
    assert found["acknowledged"] == list(range(found["size"]))
    assert found["size"] >= BEFORE


@pytest.mark.parametrize("trial", LEAVING)
def test_a_gateway_whose_disk_fails_exits_at_once(told: Any, trial: Any) -> None:
    found = told[trial]

    assert found["code"] == LEFT
    assert found["acknowledged"] == list(range(len(found["acknowledged"])))
    assert len(found["acknowledged"]) >= BEFORE
