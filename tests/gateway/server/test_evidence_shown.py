"""What a partner waits for before it promotes a key: that we are seen to know its directory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from gateway.client import Partner, Refused, Unreachable
from gateway.server.partner_transport import GrpcTransport


class Peer:
    """A partner whose directory is newer once, and that does not answer the first call after it."""

    def __init__(self) -> None:
        self.peer = SimpleNamespace(version=1)
        self.calls = 0

    def refresh(self, *, deadline: float) -> bool:
        """Bring version 2, once."""
        del deadline
        newer = bool(self.peer.version == 1)
        self.peer = SimpleNamespace(version=2)
        return newer

    def capabilities(self, *, deadline: float) -> None:
        """Fail the first time."""
        del deadline
        self.calls += 1
        if self.calls == 1:
            raise Unreachable("nobody answers")

    def cosign(self, *, deadline: float) -> None:
        """Take no cosignature."""
        del deadline
        raise Refused("INVALID_ARGUMENT", "ELEMENT_INVALID", "not known")


def test_evidence_that_was_lost_on_the_way_is_shown_at_the_next_reading_and_then_no_more() -> None:
    peer = Peer()
    transport = GrpcTransport(cast("Partner", peer))
    with pytest.raises(Unreachable):
        transport.keep_up()

    transport.keep_up()
    transport.keep_up()

    assert peer.calls == 2
