"""A cosignature is verified under the partner's turn at the processors, and kept after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from gateway.ledger_ops.witnesses import Examined
from gateway.server.listener import interceptor
from gateway.server.rpc import exchange
from gateway.v1 import ledger_pb2


class Turn:
    def enter(self, _: Any) -> bool:
        return True


class Told:
    """A gate, and witnesses, that tell in which order they are asked."""

    def __init__(self) -> None:
        self.order: list[str] = []

    @contextmanager
    def turn(self, partner: str) -> Iterator[Turn]:
        self.order.append(f"turn of {partner}")
        yield Turn()
        self.order.append("over")

    def examine(self, party: str, _: bytes) -> Examined:
        self.order.append(f"examine for {party}")
        return Examined(("w",), ())

    def keep(self, _: Examined) -> None:
        self.order.append("keep")


def test_nobody_waits_for_the_disk_behind_a_cosignature_that_is_kept() -> None:
    told = Told()
    ledger = exchange.Ledger(cast("Any", told), cast("Any", told), cast("Any", told))
    token = interceptor._caller.set(
        interceptor.Caller("AUS", b"", 0.0, remaining=lambda: 10.0, alive=lambda: True)
    )
    try:
        ledger.AddCosignature(
            ledger_pb2.AddCosignatureRequest(checkpoint=b"a note"), cast("Any", None)
        )
    finally:
        interceptor._caller.reset(token)

    assert told.order == ["turn of AUS", "examine for AUS", "over", "keep"]
