"""Text of others is read through one bounded reader of each kind: TOML, and JSON."""

from __future__ import annotations

import re
from pathlib import Path

LOADS = re.compile(r"\b(json|tomllib)\.loads?\(")
OURS = {
    "gateway/toml.py": "the reader of TOML",
    "keys/strictjson.py": "the reader of JSON",
    "gateway/kit/lawbook.py": "a table of the documentation, and agreements that travel with us",
    "gateway/auditor/index.py": "rows of an index that this program wrote and sealed",
    "gateway/auditor/console/viewlog.py": "lines that this program wrote and sealed",
    "gateway/cli/desk.py": "where our own gateway listens, out of its own folder",
    "gateway/kit/child.py": "a child process of ours",
    "gateway/kit/commands.py": "a child process of ours",
    "gateway/kit/load.py": "the parent process",
    "gateway/kit/pressing.py": "the parent process",
    "gateway/kit/steady.py": "the parent process",
    "gateway/office/ceremony.py": "what keys.approval read and spelt again",
    "gateway/store/bars.py": "rows of our own store",
    "gateway/store/dossier.py": "records that this program wrote and sealed",
    "gateway/store/errands.py": "rows of our own store",
    "gateway/store/governance.py": "rows of our own store",
    "gateway/store/replay.py": "rows of our own store",
    "gateway/store/reviews.py": "rows of our own store",
    "gateway/store/rotations.py": "rows of our own store",
    "keys/approval.py": "its own values, spelt again",
    "keys/selftest.py": "known answers that travel with us",
    "matcher/calibration.py": "tables that travel with us",
    "matcher/fusion.py": "tables that travel with us",
}


def test_nothing_from_outside_is_read_past_the_bounded_readers(root: Path) -> None:
    found = {
        path.relative_to(root).as_posix()
        for part in ("gateway", "keys", "matcher")
        for path in (root / part).rglob("*.py")
        if LOADS.search(path.read_text(encoding="utf-8"))
    }

    assert found == set(OURS)
