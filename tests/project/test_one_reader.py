"""Text of others is read through one bounded reader of each kind: TOML, and JSON."""

from __future__ import annotations

import re
from pathlib import Path

LOADS = re.compile(r"\b(json|tomllib)\.loads?\(")
OURS = {
    "gateway/bounded_toml.py": "the reader of TOML",
    "keys/strict_json.py": "the reader of JSON",
    "gateway/exercises/compliance_table.py": "a table of the documentation, and agreements that travel with us",
    "gateway/auditor/index.py": "rows of an index that this program wrote and sealed",
    "gateway/auditor/console/access_log.py": "lines that this program wrote and sealed",
    "gateway/cli/admin_session.py": "where our own gateway listens, out of its own folder",
    "gateway/child/main.py": "the parent process",
    "gateway/child/process.py": "a child process of ours, before it has been asked anything",
    "gateway/exercises/child_process.py": "a child process of ours",
    "gateway/exercises/subprocess_cli.py": "a child process of ours",
    "gateway/exercises/load_client.py": "the parent process",
    "gateway/exercises/drill/pressure_client.py": "the parent process",
    "gateway/exercises/steady_client.py": "the parent process",
    "gateway/admin/approvals.py": "what keys.approval read and spelt again",
    "gateway/cli/maintenance.py": "what the process that it started says on its pipe",
    "gateway/store/people/person_records.py": "records that this program wrote and sealed",
    "gateway/store/casework/outbound_queries.py": "rows of our own store",
    "gateway/store/keys/adopted_versions.py": "rows of our own store",
    "gateway/store/exchange/replay.py": "rows of our own store",
    "gateway/store/casework/reviews.py": "rows of our own store",
    "gateway/store/keys/blocklist.py": "rows of our own store",
    "gateway/store/keys/rotations.py": "rows of our own store",
    "keys/approval.py": "its own values, spelt again",
    "keys/selftest.py": "known answers that travel with us",
    "matcher/calibration.py": "tables that travel with us",
    "matcher/face/models.py": "tables that travel with us",
    "matcher/finger/score_fusion.py": "tables that travel with us",
    "matcher/iris/calibration.py": "tables that travel with us",
}


def test_nothing_from_outside_is_read_past_the_bounded_readers(root: Path) -> None:
    found = {
        path.relative_to(root).as_posix()
        for part in ("gateway", "keys", "matcher")
        for path in (root / part).rglob("*.py")
        if LOADS.search(path.read_text(encoding="utf-8"))
    }

    assert found == set(OURS)


WHOLE = re.compile(r"\.(read_bytes|read_text)\(|\.open\((\"rb\"|encoding)")
STREAMED = {
    "gateway/cli/subjects/registry_file.py": "a table or JSON lines, line by line, each bounded",
    "gateway/cli/output.py": "a passphrase, which may come out of a pipe; at most 1 KiB",
    "gateway/cli/admin_session.py": "where our own gateway listens, out of its own folder",
    "gateway/cli/subjects/biometric_files.py": "a manifest, line by line",
    "gateway/cli/subjects/registry.py": "a table, to count its lines",
}


def test_a_file_that_a_person_names_is_read_within_a_bound(root: Path) -> None:
    """`gateway.user_files` looks at kind and size first: no device, no FIFO, nothing that fills the memory."""
    found = {
        path.relative_to(root).as_posix()
        for path in (root / "gateway/cli").rglob("*.py")
        if WHOLE.search(path.read_text(encoding="utf-8"))
    }

    assert found == set(STREAMED)


def test_no_channel_of_ours_is_captured_by_a_proxy_of_the_environment(root: Path) -> None:
    opening = {
        path.relative_to(root).as_posix(): text
        for path in (root / "gateway").rglob("*.py")
        if re.search(r"\bgrpc\.(in)?secure_channel\(", text := path.read_text(encoding="utf-8"))
    }

    assert set(opening) == {
        "gateway/client/channel.py",
        "gateway/exercises/drill/pressure_client.py",
        "gateway/server/listener/tls_identity.py",
    }
    assert all('("grpc.enable_http_proxy", 0)' in text for text in opening.values())
