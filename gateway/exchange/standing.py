"""GetCapabilities: how a partner stands with us today."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.exchange.walk import Admitted, Conclusion, Request
from gateway.law.agreement import Agreements
from gateway.law.policy import in_force
from gateway.telemetry import Stages
from gateway.terms import FORMAT, SUITE, Capabilities, RecordFormat
from gateway.wire import payloads
from keys.envelope import SIZE_CLASSES


class GetCapabilities:
    """What we accept from the caller: formats, suites, and what the agreements in force permit."""

    def __init__(
        self,
        agreements: Callable[[], Agreements],
        own_version: Callable[[], int],
        clock: Callable[[], datetime],
    ) -> None:
        self._agreements = agreements
        self._own_version = own_version
        self._clock = clock

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:  # noqa: ARG002 - the port's shape
        """Read the key that the answer is sealed to."""
        key = payloads.read_reply_key(payload, request.header.operation)
        return Admitted(request, key, {"operation": request.header.operation.name}, None)

    def perform(self, admitted: Admitted, request_leaf: bytes, stages: Stages) -> Conclusion:  # noqa: ARG002
        """Say what the agreements with the caller permit at this moment."""
        header = admitted.request.header
        now = self._clock()
        agreements = [
            agreement
            for versions in self._agreements().values()
            for agreement in versions
            if (agreement.home, agreement.partner) == (header.recipient, header.sender)
            and in_force(agreement, now)
        ]
        answer = Capabilities(
            envelope_formats=(FORMAT,),
            suites=(SUITE,),
            size_classes=SIZE_CLASSES,
            modalities=tuple(sorted({m for a in agreements for m in a.modalities})),
            record_formats=tuple(RecordFormat),
            purposes=tuple(sorted({p for a in agreements for p in a.answer_purposes})),
            directory_version=self._own_version(),
        )
        stages.mark("capabilities")
        return Conclusion(payloads.capabilities_bytes(answer), {"operation": header.operation.name})
