"""GetCapabilities and GetQuota: what a partner may ask today, and what of its quota is used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.domain.correction import QuotaState
from gateway.domain.messages import FORMAT, SUITE, Capabilities, Direction, Header, RecordFormat
from gateway.exchange.operation import Admitted, Conclusion, Request
from gateway.exchange.rate_limits import Turn
from gateway.law.agreement import Agreement, Agreements, AgreementsInForce
from gateway.law.query_policy import in_force
from gateway.law.quota_policy import counters
from gateway.ledger.exchange_facts import operation_facts
from gateway.matching.modality import list_modalities
from gateway.store.engine import StorageEngine
from gateway.store.exchange import quotas
from gateway.telemetry import Stages
from gateway.trust.partners import OwnEntry
from gateway.wire import query_payload, signed_envelope
from gateway.wire.quota_payload import quotas_bytes
from keys.envelope import SIZE_CLASSES


class _OfKeyAlone:
    """An operation whose request says nothing but to which key the answer is sealed."""

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:  # noqa: ARG002 - the port's shape
        """Read the key that the answer is sealed to."""
        key = query_payload.read_reply_key(payload, request.header.operation)
        return Admitted(request, key, operation_facts(request.header), None)


class GetCapabilities(_OfKeyAlone):
    """What we accept from the caller: formats, suites, and what the agreements in force permit."""

    def __init__(
        self,
        agreements: AgreementsInForce,
        own: OwnEntry,
        clock: Callable[[], datetime],
        largest: int,
        formats: tuple[RecordFormat, ...],
    ) -> None:
        """Offer no larger size class than `largest` bytes of a message that is received, and the formats that are read."""
        self._formats = formats
        self._agreements = agreements
        self._own = own
        self._clock = clock
        self._size_classes = tuple(
            each for each in SIZE_CLASSES if each + signed_envelope.AROUND <= largest
        )

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Say what the agreements with the caller permit at this moment."""
        header = admitted.request.header
        now = self._clock()
        agreements = _between(header, self._agreements.current, now)
        answer = Capabilities(
            envelope_formats=(FORMAT,),
            suites=(SUITE,),
            size_classes=self._size_classes,
            modalities=tuple(
                sorted({m for a in agreements for m in a.modalities} & list_modalities())
            ),
            record_formats=self._formats,
            purposes=tuple(sorted({p for a in agreements for p in a.answer_purposes})),
            directory_version=self._own.version,
        )
        stages.mark("capabilities")
        return Conclusion(query_payload.capabilities_bytes(answer), operation_facts(header))


class GetQuota(_OfKeyAlone):
    """How much of each of its quotas the caller has used, and when they begin again."""

    def __init__(
        self,
        agreements: AgreementsInForce,
        database: StorageEngine,
        clock: Callable[[], datetime],
    ) -> None:
        self._agreements = agreements
        self._database = database
        self._clock = clock

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Count what is recorded at this moment under the agreements with the caller."""
        header, now = admitted.request.header, self._clock()
        with self._database.reader() as reader:
            used = quotas.used(reader, header.sender, Direction.INBOUND, now)
        states = tuple(
            QuotaState(
                agreement_id=agreement.id,
                purpose=counter.purpose,
                yearly=counter.yearly,
                used=counter.used,
                limit=counter.limit,
                resets=counter.resets,
            )
            for agreement in _between(header, self._agreements.current, now)
            if agreement.answering.quotas is not None
            for counter in counters(agreement.answering.quotas, used, now)
        )
        stages.mark("quota")
        return Conclusion(quotas_bytes(states), operation_facts(header))


def _between(header: Header, agreements: Agreements, now: datetime) -> list[Agreement]:
    """Return the agreements in force between the two parties of a header."""
    return [
        agreement
        for versions in agreements.values()
        for agreement in versions
        if (agreement.home, agreement.partner) == (header.recipient, header.sender)
        and in_force(agreement, now)
    ]
