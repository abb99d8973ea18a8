"""Listeners together never have the descriptors that the ledger and the store need."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config
from gateway.server import self_check
from gateway.server.listener import file_descriptors


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    config.write_default(tmp_path, "CAN", "127.0.0.1:0", "localhost")
    return config.load(tmp_path)


@pytest.mark.parametrize("most", [64, 128, 256, 512, 868, 1024, 65_536])
def test_all_listeners_full_leave_a_reserve_however_low_the_limit(
    settings: config.Settings, most: int
) -> None:
    shares = file_descriptors.shares(settings, most)

    kept = min(file_descriptors.RESERVE + file_descriptors.BURST, int(most * file_descriptors.OURS))
    assert sum(shares.values()) <= most - kept + 3 * file_descriptors.FEWEST
    assert all(count >= file_descriptors.FEWEST for count in shares.values())


def test_where_there_are_enough_each_listener_has_what_the_settings_say(
    settings: config.Settings,
) -> None:
    need = file_descriptors.enough(settings)

    assert file_descriptors.shares(settings, need) == file_descriptors.wanted(settings)
    assert file_descriptors.shares(settings, need - 1)["exchange"] < settings.limits.connections


def test_check_says_that_the_limit_is_too_low_and_what_to_do(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_descriptors, "within_reach", lambda: 256)
    assert file_descriptors.summary(settings).startswith("TOO LOW: 256 file descriptors of 1896")
    assert "ulimit -n" in file_descriptors.summary(settings)
    monkeypatch.setattr(file_descriptors, "within_reach", lambda: 4096)
    assert file_descriptors.summary(settings).startswith("4096 file descriptors, 1896 needed")


def test_check_says_that_health_is_open_to_whoever_reaches_it(settings: config.Settings) -> None:
    def said(listen: str) -> str:
        return self_check._health(
            settings.model_copy(update={"health": config.Health(listen=listen)})
        )

    for near in ("127.0.0.1:7444", "[::1]:7444", "localhost:7444"):
        assert "on this machine alone" in said(near)
    for far in ("0.0.0.0:7444", "[::]:7444", "gateway.example:7444"):
        assert "WHOEVER REACHES IT" in said(far)


def test_descriptors_in_use_are_those_of_this_process(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert file.fileno() in file_descriptors.in_use()
    assert file_descriptors.excess(90, 100) == 5
    assert file_descriptors.excess(10, 100) == 0
