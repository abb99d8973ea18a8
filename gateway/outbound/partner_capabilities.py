"""What a partner reads, by its own word, and whether a query of ours is within it.

Records of fingers are read by whoever answers queries at all: they leave also while a partner is away. An image, a face, an
iris or a query of the largest size leaves only where the partner says that it takes it, so that nothing of a person is sent for
a refusal. A yes is kept for a while; a no is never from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.domain.messages import (
    TEMPLATES,
    About,
    Biometrics,
    Capabilities,
    Modality,
    Operation,
    PriorTransaction,
    Sample,
)
from gateway.errors import Refusal, UserError
from gateway.outbound.transport import NO_KEY, Fate, Transport
from gateway.wire import query_payload
from keys.envelope import LARGEST_BUT_QUERY

KEPT = timedelta(minutes=10)  # as often as partners' directories are read (chosen)


class PartnerCapabilities:
    """What partners said that they read."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[Capabilities, datetime]] = {}

    def demand(
        self, partner: str, transport: Transport, probe: Biometrics | PriorTransaction, size: int
    ) -> None:
        """Raise UserError where a partner does not take a query, or does not say; nothing of the query is sent.

        size   bytes of its padded payload
        """
        if isinstance(probe, PriorTransaction) or not (
            size > LARGEST_BUT_QUERY or any(map(_is_to_be_asked_about, probe.samples))
        ):
            return
        known, until = self._kept.get(partner, (None, self._clock()))
        if known is not None and self._clock() < until and not _beyond(known, probe, size):
            return
        told = _told(partner, transport)
        self._kept[partner] = told, self._clock() + KEPT
        if beyond := _beyond(told, probe, size):
            raise UserError(f"nothing was sent: {partner} {beyond}")

    def forget(self, partner: str) -> None:
        """Believe no more what a partner said: it has refused what it named."""
        self._kept.pop(partner, None)


def _is_to_be_asked_about(sample: Sample) -> bool:
    return sample.modality is not Modality.FINGER or sample.format not in TEMPLATES


def _told(partner: str, transport: Transport) -> Capabilities:
    """Return what a partner says now; raises UserError where it says nothing that could be believed."""
    operation = Operation.GET_CAPABILITIES
    written = transport.write(
        operation, lambda key: query_payload.reply_key_bytes(key, operation), About(), 0
    )
    if written is None:
        raise UserError(NO_KEY)
    delivery = transport.carry(written.octets)
    reason = delivery.reason or "UNREADABLE"
    if delivery.fate is Fate.DELIVERED:
        try:
            return query_payload.read_capabilities(delivery.payload)
        except Refusal as fault:
            reason = fault.reason
    raise UserError(
        f"nothing was sent: {partner} did not say what it reads ({reason}), and only records of fingers go to a partner that"
        " does not: ask again later, or with records of fingers"
    )


def _beyond(told: Capabilities, probe: Biometrics, size: int) -> str:
    """Return what of a query is beyond what a partner takes, and what to do; "" where nothing is."""
    for each in probe.samples:
        what = f"{each.modality.name.lower()} {each.position or ''}".rstrip()
        if each.modality not in told.modalities:
            names = ", ".join(one.name for one in told.modalities) or "none"
            return (
                f"is not asked by {each.modality.name}; modalities that it takes from us: {names}"
                "  → leave out the others"
            )
        if each.format not in told.record_formats:
            names = ", ".join(one.name for one in told.record_formats)
            return (
                f"reads no {each.format.name} ({what}); formats that it reads: {names}"
                "  → ask with a record of one of these"
            )
    if size not in told.size_classes:
        return (
            f"takes queries of at most {max(told.size_classes, default=0)} bytes, and this one has {size}"
            "  → send fewer samples, compressed images, or records in place of images"
        )
    return ""
