"""Transports of a gateway: its client, as the exchange's port wants it; one for each partner, made anew with its bundle.

gRPC's words end here: what can go wrong on the way becomes one of five fates.
"""

from __future__ import annotations

import math
import re
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress

from gateway.client import (
    AnswerRejected,
    KeyStale,
    Partner,
    PartnerError,
    Refused,
    SplitView,
    signed_request,
)
from gateway.client.errors import DirectoryRefused, OwnCertificateEnded, TlsTooOld
from gateway.domain.messages import About, Operation
from gateway.home_layout import WITNESS
from gateway.outbound.transport import Delivery, Fate, Sender, Written
from gateway.trust.bundle import PartyBundle
from keys.keyset import Keyset

PATIENCE = 5.0  # seconds for one carrying; the rounds come again

# Refusals that another moment, another key or a person at either side cures; the duty to correct remains.
_ANEW = frozenset(
    {"KEY_STALE", "OUTSIDE_TIME_WINDOW", "ENVELOPE_REJECTED", "SENDER_MISMATCH", "REPLAY_CONFLICT"}
)
_LATER = frozenset(
    {"CERTIFICATE_NOT_PINNED", "OPERATION_NOT_AUTHORISED", "RETENTION_OVERDUE", "EVIDENCE_OVERDUE"}
)
_LATER_CODES = frozenset(
    {
        "UNAVAILABLE",
        "RESOURCE_EXHAUSTED",
        "INTERNAL",
        "UNKNOWN",
        "UNIMPLEMENTED",
        "DEADLINE_EXCEEDED",
        "CANCELLED",
    }
)


# Why nobody was reached, where it is for people to mend; all else is UNREACHABLE.
_AWAY: Mapping[type[PartnerError], str] = {
    OwnCertificateEnded: "OWN_CERTIFICATE_ENDED",
    TlsTooOld: "TLS_TOO_OLD",
}


class GrpcTransport:
    """The transport to one partner, over one mTLS channel."""

    def __init__(
        self, partner: Partner, accuse: Callable[[SplitView], None] = lambda _: None
    ) -> None:
        """Prepare; `accuse` is called with two histories of the partner's ledger that an answer showed."""
        self._partner, self._accuse = partner, accuse
        self._shown: int | None = None  # version of the partner's entry that it was shown we know

    def write(
        self, operation: Operation, payload: Callable[[bytes], bytes], about: About, at_least: int
    ) -> Written | None:
        """Write an envelope under a reply key that can be made again from its payload."""
        seed = secrets.token_bytes(signed_request.SEED)
        try:
            outgoing = self._partner.write(operation, payload, about, at_least=at_least, seed=seed)
        except (KeyStale, DirectoryRefused):  # it is written when a key is known, and believed
            return None
        question = outgoing.question
        return Written(signed_request.pack(outgoing, seed), question.header, question.transcript)

    def carry(self, octets: bytes) -> Delivery:
        """Carry it and say what came of it."""
        try:
            believed = self._partner.carry(signed_request.unpack(octets), deadline=PATIENCE)
        except Refused as refused:
            if isinstance(refused, KeyStale):
                with suppress(PartnerError):
                    self.keep_up()  # so that what is written anew is sealed to a key that opens
            return _refusal(refused)
        except SplitView as split:
            self._accuse(split)
            return Delivery(Fate.DOUBTED, "SPLIT_VIEW")
        except AnswerRejected as rejected:
            return Delivery(Fate.DOUBTED, f"ANSWER_REJECTED:{rejected.step}")
        except PartnerError as fault:
            return Delivery(Fate.AWAY, _AWAY.get(type(fault), "UNREACHABLE"))
        return Delivery(Fate.DELIVERED, "", believed.payload, believed.receipt)

    def keep_up(self) -> bool:
        """Read the partner's directory and show the partner once what we know of it. Return whether it was newer.

        What could not be shown is shown at the next reading: the partner waits for it before it promotes a key.
        Then cosign its newest checkpoint. Raises a `PartnerError`, and SplitView with evidence.
        """
        newer = self._partner.refresh(deadline=PATIENCE)
        version = self._partner.peer.version
        if version != self._shown:
            self._partner.capabilities(
                deadline=PATIENCE
            )  # its header names the version: evidence of it
            self._shown = version
        # A partner that does not know our witness's key does not keep its line.
        with suppress(Refused):
            self._partner.cosign(deadline=PATIENCE)
        return newer

    def close(self) -> None:
        """Close the channel."""
        self._partner.close()


class Pool:
    """The transports of a gateway, by partner; each keeps to the bundle and to our keys that are in force."""

    def __init__(
        self,
        own: Sender,
        accuse: Callable[[str, SplitView], None],
    ) -> None:
        """Prepare; `accuse` is called with the partner whose ledger has two histories."""
        self._own, self._accuse = own, accuse
        self._made: dict[str, tuple[PartyBundle, Keyset, GrpcTransport]] = {}
        self._making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, party: str) -> GrpcTransport:
        """Return the transport to a partner; raises UnknownParty where no bundle of it is known.

        Where the pool was closed it is a closed one, which carries nothing. Making one reads files of the partner's
        that another process may hold: that is waited for by whoever wants this partner.
        """
        bundle, keyset = self._own.directory.party(party), self._own.keyset.current
        with self._lock:
            making = self._making[party]
        with making:
            known = self._made.get(party)
            if known is not None and known[0] == bundle and known[1] is keyset:
                return known[2]
            transport = GrpcTransport(
                self._partner(bundle, keyset), lambda split: self._accuse(party, split)
            )
            with self._lock:
                self._made[party] = bundle, keyset, transport
                late = self._closed
            for old in (known and known[2], transport if late else None):
                if old is not None:
                    old.close()
            return transport

    def close(self) -> None:
        """Close every channel; what is under way ends at once as if nobody had answered."""
        with self._lock:
            self._closed = True
            made = [transport for _, _, transport in self._made.values()]
        for transport in made:
            transport.close()

    def _partner(self, bundle: PartyBundle, keyset: Keyset) -> Partner:
        return Partner.connect(
            self._own.party,
            keyset,
            bundle,
            witness=self._own.home / WITNESS / f"{bundle.party}.checkpoint",
            keep=self._own.directory.update_bundle,
            refresh=math.inf,  # the outbound worker reads partners' directories; messages do not wait for it
            clock=self._own.clock,
            proxy=self._own.proxy,
        )


# What a partner says of a refusal is kept and shown as it came, so it is taken only in the form that ours have.
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_ELEMENT = re.compile(r"[A-Za-z0-9_.\[\]]{1,100}")


def _refusal(refused: Refused) -> Delivery:
    reason = refused.reason if _REASON.fullmatch(refused.reason) else refused.code
    element = refused.metadata.get("element", "")
    return Delivery(_fate(refused), reason, element=element if _ELEMENT.fullmatch(element) else "")


def _fate(refused: Refused) -> Fate:
    if refused.reason in _ANEW:
        return Fate.STALE
    if refused.reason in _LATER or (
        refused.code in _LATER_CODES and refused.reason != "QUOTA_EXCEEDED"
    ):
        return Fate.AWAY
    return Fate.REFUSED
