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
    found = killed(homes[0], tmp_path, secret(), kind, every)

    assert found["killed"] >= 2
    assert found["old"] + found["new"] == found["killed"]
    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0)


@pytest.mark.slow
def test_a_turn_of_the_data_key_killed_anywhere_loses_nothing_and_comes_to_its_end(
    homes: Any, secret: Any, tmp_path: Path
) -> None:
    found = killed(homes[0], tmp_path, secret(), "END_OF_DATA", 151)

    assert found["killed"] >= 2
    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0)


def killed(home: Path, folder: Path, passphrase: bytes, kind: str, every: int) -> dict[str, int]:
    """Run the driver; return how often what was found."""
    shutil.copytree(home, folder / "base")
    shutil.rmtree(folder / "base" / "parties")  # nobody to wait for: one act goes from end to end
    (folder / "base" / "parties").mkdir(mode=0o700)
    (folder / "pass").write_bytes(passphrase)
    run = subprocess.run(
        [sys.executable, DRIVER, folder, kind, str(every)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, int] = json.loads(run.stdout)
    return found
