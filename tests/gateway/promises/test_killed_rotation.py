"""A rotation that is killed anywhere leaves the old key or the new one, and goes on when the gateway opens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("rotation_crashes.py")
WRONG = ("neither", "not_opened", "not_verified", "not_believed", "not_resumed")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "every"), [("KEM", 41), ("TLS_LEAF", 61), ("LOG", 61)])
def test_a_rotation_killed_anywhere_leaves_the_old_key_or_the_new_one(
    homes: Any, secret: Any, tmp_path: Path, kind: str, every: int
) -> None:
    """Real SIGKILLs at some of the points; the driver, run by hand, takes every one of them."""
    shutil.copytree(homes[0], tmp_path / "base")
    shutil.rmtree(tmp_path / "base" / "parties")  # nobody to wait for: one act goes from end to end
    (tmp_path / "base" / "parties").mkdir(mode=0o700)
    (tmp_path / "pass").write_bytes(secret())

    run = subprocess.run(
        [sys.executable, DRIVER, tmp_path, kind, str(every)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout)
    assert found["killed"] >= 2
    assert found["old"] + found["new"] == found["killed"]
    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0)
