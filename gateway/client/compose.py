"""How a question is written: a fresh reply key, the payload packed, the header, the seal, the signature.

The order is the protocol's (2): the header commits to the payload and is bound into the seal; the
signature covers both. The reply key exists nowhere but in the `Question`; when that is forgotten, its
answer can no longer be opened by anyone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Required, TypedDict

from gateway.bundle import PartyBundle
from gateway.client.errors import KeyStale
from gateway.client.verdict import Question
from gateway.terms import (
    Biometrics,
    Header,
    Letter,
    MessageType,
    Missing,
    Operation,
    PriorTransaction,
    Purpose,
    Query,
    Sample,
    ServiceLevel,
)
from gateway.wire import letters, payloads
from keys import envelope, sign
from keys.keyset import Keyset

LIFE = timedelta(minutes=5)  # of a message; protocol 3 allows ten, and a deadline is at most one
MESSAGE_ID = 16  # bytes; random


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """A question ready to be sent, as often as need be: the same bytes are the same question.

    seconds  that composing it took
    """

    question: Question
    letter: Letter = field(repr=False)
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a header says of the matter; the operations that ask about nobody say nothing."""

    number: str = ""
    reference: str = ""
    agreement: tuple[str, int] = ("", 0)
    purpose: Purpose = Purpose.NONE
    service_level: ServiceLevel = ServiceLevel.REAL_TIME


class Matter(TypedDict, total=False):
    """What a query is about, beside the samples.

    agreement           id and version, as both parties hold them
    case, unit, person  pseudonyms, [A-Za-z0-9._-]{1,64}; never a name
    refugee_claimant    whether the person has claimed refuge in the asking country
    missing             fingers that could not be sampled
    transaction_number  ours, [A-Za-z0-9-]{8,64}, used once; made up where none is given
    """

    purpose: Required[Purpose]
    agreement: Required[tuple[str, int]]
    case: Required[str]
    unit: Required[str]
    person: Required[str]
    refugee_claimant: bool
    missing: Sequence[Missing]
    service_level: ServiceLevel
    transaction_number: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Author:
    """Writes one party's questions to one peer."""

    keyset: Keyset
    party: str
    peer: PartyBundle
    clock: Callable[[], datetime]

    def compose(
        self,
        operation: Operation,
        payload: Callable[[bytes], bytes],
        about: About,
        *,
        floor: int,
        at_least: int = 0,
    ) -> Outgoing:
        """Return a question; `payload` makes its payload around the public half of the reply key.

        floor     size of the peer's tree that we keep now
        at_least  bytes; the smallest size class allowed

        Raises `KeyStale` where the peer's bundle has no key to seal to yet.
        """
        started = time.perf_counter()
        now = _whole(self.clock())
        recipient = self._recipient(now)
        reply_key = envelope.OpeningKey.generate()
        signer = self.keyset.signing()
        packed = envelope.pack(payload(reply_key.public), at_least)
        header = Header(
            message_type=MessageType.REQUEST,
            operation=operation,
            sender=self.party,
            signing_key_id=signer.key_id,
            recipient=self.peer.party,
            kem_key_id=recipient.key_id,
            message_id=secrets.token_bytes(MESSAGE_ID),
            create_time=now,
            expire_time=now + LIFE,
            directory_version=self.peer.version,
            transaction_number=about.number,
            transaction_reference=about.reference,
            agreement_id=about.agreement[0],
            agreement_version=about.agreement[1],
            purpose=about.purpose,
            service_level=about.service_level,
            payload_commitment=packed.commitment,
        )
        octets = letters.header_bytes(header)
        sealed = envelope.seal(packed, octets, recipient)
        text = envelope.transcript(octets, sealed)
        question = Question(
            header=header,
            transcript=envelope.transcript_hash(octets, sealed),
            reply_key=reply_key,
            floor=floor,
        )
        letter = Letter(octets, sealed, signer.sign(text, sign.REQUEST))
        return Outgoing(question, letter, time.perf_counter() - started)

    def query(
        self, samples: Sequence[Sample] | PriorTransaction, matter: Matter, *, floor: int
    ) -> Outgoing:
        """Return a query in at least the size class that hides what it holds (protocol 6)."""
        probe: Biometrics | PriorTransaction = (
            samples
            if isinstance(samples, PriorTransaction)
            else Biometrics(tuple(samples), tuple(matter.get("missing", ())))
        )

        def payload(reply_key: bytes) -> bytes:
            return payloads.query_bytes(
                Query(
                    case=matter["case"],
                    unit=matter["unit"],
                    person=matter["person"],
                    reply_key=reply_key,
                    probe=probe,
                    refugee_claimant=matter.get("refugee_claimant", False),
                )
            )

        about = About(
            number=matter.get("transaction_number") or self._number(),
            agreement=matter["agreement"],
            purpose=matter["purpose"],
            service_level=matter.get("service_level", ServiceLevel.REAL_TIME),
        )
        return self.compose(
            Operation.SUBMIT_QUERY,
            payload,
            about,
            floor=floor,
            at_least=envelope.SMALLEST_REQUEST_QUERY,
        )

    def _number(self) -> str:
        """Make up a transaction number: the day for people, 80 random bits for uniqueness."""
        return f"{self.clock():%Y%m%d}-{secrets.token_hex(10)}"

    def _recipient(self, now: datetime) -> envelope.SealingKey:
        key = self.peer.sealing_key(now)
        if key is None:
            raise KeyStale(
                "FAILED_PRECONDITION",
                "KEY_STALE",
                f"the bundle of {self.peer.party} holds no key that has begun; import its new one",
            )
        return key


def _whole(moment: datetime) -> datetime:
    """Cut a time to the whole milliseconds that the wire carries."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
