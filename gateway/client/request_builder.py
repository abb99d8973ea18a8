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

from gateway.client.errors import KeyStale, PartnerError
from gateway.client.verification import Question
from gateway.domain.messages import (
    About,
    Biometrics,
    Header,
    MessageType,
    Missing,
    Operation,
    PriorTransaction,
    Purpose,
    Query,
    Sample,
    ServiceLevel,
    SignedEnvelope,
)
from gateway.trust.bundle import PartyBundle
from gateway.wire import query_payload, sample_rules, signed_envelope
from gateway.wire.sample_rules import RuleBroken
from keys import envelope, signatures
from keys.errors import PayloadTooLarge
from keys.keyset import Keyset

LIFE = timedelta(minutes=5)  # of a message; protocol 3 allows ten, and a deadline is at most one
MESSAGE_ID = 16  # bytes; random


class Unaskable(PartnerError):
    """A question breaks a rule of the exchange, so it was neither sealed nor sent.

    element  which part of it, by its name in `Matter`; what was typed there is not repeated
    """

    def __init__(self, element: str, rule: str) -> None:
        super().__init__(f"not asked: {element} {rule}")
        self.element = element


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """A question ready to be sent, as often as need be: the same bytes are the same question.

    seconds  that composing it took
    rewrite  writes the same matter anew, by another view of the peer and size of its tree; None where it may not be
    """

    question: Question
    envelope: SignedEnvelope = field(repr=False)
    seconds: float
    rewrite: Callable[[Author, int], Outgoing] | None = None


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
        seed: bytes | None = None,
    ) -> Outgoing:
        """Return a question; `payload` makes its payload around the public half of the reply key.

        floor     size of the peer's tree that we keep now
        at_least  bytes; the smallest size class allowed
        seed      of the reply key, where whoever asks must still open the answer after a restart

        Raises `KeyStale` where the peer's bundle has no key to seal to yet.
        """
        started = time.perf_counter()
        now = _whole(self.clock())
        recipient = self._recipient(now)
        reply_key = (
            envelope.OpeningKey.generate() if seed is None else envelope.OpeningKey.from_seed(seed)
        )
        signer = self.keyset.signing()
        query = operation is Operation.SUBMIT_QUERY
        at_most = envelope.SIZE_CLASSES[-1] if query else envelope.LARGEST_BUT_QUERY
        packed = envelope.pack(payload(reply_key.public), at_least, at_most=at_most)
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
        octets = signed_envelope.header_bytes(header)
        sealed = envelope.seal(packed, octets, recipient)
        text = envelope.transcript(octets, sealed)
        question = Question(
            header=header,
            transcript=envelope.transcript_hash(octets, sealed),
            reply_key=reply_key,
            floor=floor,
        )
        signed = SignedEnvelope(octets, sealed, signer.sign(text, signatures.REQUEST))

        def rewrite(author: Author, size: int) -> Outgoing:
            return author.compose(operation, payload, about, floor=size, at_least=at_least)

        return Outgoing(
            question,
            signed,
            time.perf_counter() - started,
            rewrite
            if seed is None
            else None,  # a kept envelope is written anew by whoever keeps it
        )

    def query(
        self, samples: Sequence[Sample] | PriorTransaction, matter: Matter, *, floor: int
    ) -> Outgoing:
        """Return a query in at least the size class that hides what it holds (protocol 6).

        Raises `Unaskable` before anything is sealed where the peer would have to refuse it.
        """
        probe: Biometrics | PriorTransaction = (
            samples
            if isinstance(samples, PriorTransaction)
            else Biometrics(tuple(samples), tuple(matter.get("missing", ())))
        )
        _refuse_unaskable(matter, probe)

        def payload(reply_key: bytes) -> bytes:
            return query_payload.query_bytes(
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
            number=matter.get("transaction_number") or self.number(),
            agreement=matter["agreement"],
            purpose=matter["purpose"],
            service_level=matter.get("service_level", ServiceLevel.REAL_TIME),
        )
        try:
            return self.compose(
                Operation.SUBMIT_QUERY,
                payload,
                about,
                floor=floor,
                at_least=envelope.SMALLEST_REQUEST_QUERY,
            )
        except PayloadTooLarge as fault:
            why = f"are too large together: {fault}; compress images, or send fewer"
            raise Unaskable("samples", why) from None

    def number(self) -> str:
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


def _refuse_unaskable(matter: Matter, probe: Biometrics | PriorTransaction) -> None:
    """Refuse what breaks the rules of protocol 3 while it is still in the gateway.

    A name typed where a pseudonym belongs would be refused by the peer, but only after it was read there.
    """
    refuse_names(matter["case"], matter["unit"], matter["person"])
    refuse_number(matter.get("transaction_number"))
    if isinstance(probe, PriorTransaction):
        if not signed_envelope.TRANSACTION.fullmatch(probe.number):
            raise Unaskable("prior_transaction_number", "must be 8 to 64 of letters, digits and -")
        return
    try:
        sample_rules.demand_sendable(probe)
    except RuleBroken as broken:
        raise Unaskable(broken.element, broken.rule) from None


def refuse_names(case: str, unit: str, person: str) -> None:
    """Refuse what is no pseudonym: a name must not leave, not even sealed."""
    for element, text in (("case", case), ("unit", unit), ("person", person)):
        if not query_payload.PSEUDONYM.fullmatch(text):
            raise Unaskable(
                element, "must be a pseudonym, 1 to 64 of letters, digits and . _ -; never a name"
            )


def refuse_number(number: str | None, element: str = "transaction_number") -> None:
    """Refuse a transaction number, where one is given, that is none."""
    if number and not signed_envelope.TRANSACTION.fullmatch(number):
        raise Unaskable(element, "must be 8 to 64 of letters, digits and -")


def _whole(moment: datetime) -> datetime:
    """Cut a time to the whole milliseconds that the wire carries."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
