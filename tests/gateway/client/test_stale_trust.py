"""What was refused once is not asked a moment later: neither under a forged directory nor under one that ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from gateway.client.errors import DirectoryRefused
from gateway.client.freshness import Freshness
from gateway.client.session import Session

if TYPE_CHECKING:
    from gateway.client.checkpoint_memory import Witness
    from gateway.client.connection import Connections
    from gateway.client.directory_client import Source
    from gateway.trust.bundle import PartyBundle

HELD = cast("PartyBundle", SimpleNamespace(root=object(), party="AUS", version=1))


def test_a_forged_directory_is_read_again_before_the_next_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freshness = Freshness(tmp_path, None, 600.0)

    def forged(*_: object) -> bytes:
        raise DirectoryRefused("forged")

    monkeypatch.setattr("gateway.client.directory_client.Trust.update", forged)
    with pytest.raises(DirectoryRefused):
        freshness.read(HELD, cast("Source", None), wait=False)

    assert freshness.due()


def test_a_directory_that_ended_between_two_readings_is_not_asked_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freshness = Freshness(tmp_path, None, 600.0)
    monkeypatch.setattr("gateway.client.directory_client.Trust.update", lambda *_: None)
    freshness.read(HELD, cast("Source", None), wait=False)
    monkeypatch.setattr("gateway.client.directory_client.Trust.stale", lambda _: True)
    lines = cast("Connections", SimpleNamespace(current=SimpleNamespace(peer=HELD)))
    dialogue = Session(lines, freshness, cast("Witness", None))

    with pytest.raises(DirectoryRefused):
        dialogue.freshen(0.0)
