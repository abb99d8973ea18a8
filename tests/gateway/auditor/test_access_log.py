"""The log of what was looked at in a bundle: kept by one key, and no line altered, moved or taken out unseen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.auditor.console.access_log import ViewLog, ViewsRefused

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_view_of_a_bundle_is_written_beside_it(tmp_path: Path) -> None:
    log = ViewLog(tmp_path / "views", bytes(32))
    log.record("console: entry 3", "complaint 14", NOW)
    log.record("console: entry 4", "complaint 14", NOW)

    (first, second) = ViewLog(tmp_path / "views", bytes(32)).read()

    assert (first.what, second.what) == ("console: entry 3", "console: entry 4")
    assert b"complaint" not in (tmp_path / "views").read_bytes()
    assert (tmp_path / "views").stat().st_mode & 0o077 == 0


def test_two_consoles_on_one_bundle_keep_one_log(tmp_path: Path) -> None:
    logs = [ViewLog(tmp_path / "views", bytes(32)) for _ in range(2)]
    for number in range(6):
        logs[number % 2].record(str(number), "why", NOW)

    found = [each.what for each in ViewLog(tmp_path / "views", bytes(32)).read()]

    assert found == list("012345")


def test_every_altered_byte_of_the_log_of_views_is_found(tmp_path: Path) -> None:
    path = tmp_path / "views"
    log = ViewLog(path, bytes(32))
    for number in range(3):
        log.record(f"console: entry {number}", "why", NOW)
    whole = path.read_bytes()

    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ViewsRefused):
            ViewLog(path, bytes(32))


@pytest.mark.parametrize("order", [(1,), (1, 2), (0, 2), (1, 0, 2), (0, 0, 1, 2)])
def test_lines_of_the_log_taken_out_moved_or_doubled_are_found(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    path = tmp_path / "views"
    log = ViewLog(path, bytes(32))
    for number in range(3):
        log.record(f"console: entry {number}", "why", NOW)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[at] for at in order))

    with pytest.raises(ViewsRefused):
        ViewLog(path, bytes(32))


def test_the_log_of_views_is_read_with_the_auditors_key_alone(tmp_path: Path) -> None:
    ViewLog(tmp_path / "views", bytes(32)).record("x", "why", NOW)

    with pytest.raises(ViewsRefused):
        ViewLog(tmp_path / "views", b"\1" * 32)
