"""The port through which our own signed envelopes leave, and what can become of one.

A transport writes envelopes to one partner and sends them. An envelope that it wrote is bytes: kept sealed, it can
be carried again after a restart, and its answer still be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol

from gateway.domain.messages import About, Header, Operation, Receipt
from gateway.trust.partners import Directory
from keys.keyset import KeysetInForce

NO_KEY: Final = (  # what is said where a transport writes nothing
    "the partner's bundle holds no key that is valid now; import its new one"
)


class Fate(Enum):
    """What became of an envelope."""

    DELIVERED = auto()  # answered, and the answer proved itself
    AWAY = auto()  # nobody answered, or not now: the same bytes again, later
    STALE = auto()  # it was not accepted as it is written: write it anew
    REFUSED = auto()  # the partner understood and said no
    DOUBTED = auto()  # an answer came that is not to be believed


@dataclass(frozen=True, slots=True)
class Written:
    """An envelope ready to be sent.

    octets       all that carrying it and believing its answer needs; holds a private key, so keep it sealed
    header       its header
    transcript   its 32-byte hash
    """

    octets: bytes = field(repr=False)
    header: Header
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of carrying it; payload and receipt where it was delivered, a stable reason where not.

    element   what in our envelope the partner refused it for, where it said so
    """

    fate: Fate
    reason: str = ""
    payload: bytes = field(default=b"", repr=False)
    receipt: Receipt | None = field(default=None, repr=False)
    element: str = ""


class Transport(Protocol):
    """Sends envelopes to one partner.

    MUST return a Delivery whatever happens on the way; MUST NOT say DELIVERED without a receipt that proved
    itself.
    """

    def write(
        self, operation: Operation, payload: Callable[[bytes], bytes], about: About, at_least: int
    ) -> Written | None:
        """Write an envelope; None where the partner has no key to seal to. `payload` is given a reply key."""

    def carry(self, octets: bytes) -> Delivery:
        """Send an envelope and judge its answer; takes seconds at most."""


Transports = Callable[[str], Transport]  # by partner id; raises UnknownParty


@dataclass(frozen=True, slots=True)
class Sender:
    """As whom we call partners: our party, its home directory, its keys now, whom it knows, by which proxy."""

    party: str
    home: Path
    keyset: KeysetInForce
    directory: Directory
    proxy: str | None
    clock: Callable[[], datetime]
