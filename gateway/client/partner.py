"""One partner to ask: seal, sign, send, and return nothing that did not prove itself.

A question goes through four hands: written by `compose`, carried by `channel`, judged by `verdict`,
remembered by `witness`. Everything is synchronous and may be called from several threads at once.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from gateway.client.answer import Answer, VerifiedAnswer, read
from gateway.client.checkpoint_memory import Witness
from gateway.client.connection import Connections, dialling
from gateway.client.details_request import DetailsMatter, Disclosed, compose_details
from gateway.client.errors import NothingToRedeliver
from gateway.client.freshness import EVERY, Freshness, Keep
from gateway.client.local_settings import read_folder
from gateway.client.request_builder import Author, Matter, Outgoing
from gateway.client.session import Session
from gateway.client.verification import Believed, Question
from gateway.domain.correction import (
    CorrectionAck,
    CorrectionNotice,
    CorrectionStanding,
    QuotaState,
)
from gateway.domain.messages import (
    About,
    Capabilities,
    Operation,
    PriorTransaction,
    QueryState,
    Sample,
)
from gateway.domain.person import FieldCode
from gateway.ledger.signed_note import Checkpoint
from gateway.trust.bundle import PartyBundle
from gateway.wire import correction_payload, query_payload, quota_payload
from gateway.wire import disclosure_payload as wire_details
from keys.keyset import Keyset

DEADLINE = 10.0  # seconds; the default of protocol 12, whose longest is 60
PENDING = 1024  # questions kept for redelivery; a reply key is about 4 KB


class Partner:
    """One peer as we see it: its bundle, a channel to it, and the memory of its ledger and directory."""

    def __init__(
        self,
        *,
        party: str,
        lines: Connections,
        freshness: Freshness,
        witness: Path | None = None,
    ) -> None:
        """Take the parts; `connect` makes them.

        witness  file of the last checkpoint; None keeps it in memory, so that a restart forgets it
        """
        self.party = party
        self._witness = Witness(lines.current.peer.log, witness)
        self._dialogue = Session(lines, freshness, self._witness)
        self._pending: OrderedDict[str, Question] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        home: Path,
        peer: str,
        passphrase: Callable[[], bytes],
        refused: frozenset[bytes] = frozenset(),
    ) -> Self:
        """Return a partner from a home directory: settings, keyset, parties/<peer>.json, witness/.

        refused   as of `read_folder`
        """
        folder = read_folder(home, peer, passphrase, refused)
        return cls.connect(
            folder.party,
            folder.keyset,
            folder.peer,
            witness=folder.witness,
            keep=folder.keep,
            proxy=folder.proxy,
        )

    @classmethod
    def connect(
        cls,
        party: str,
        keyset: Keyset,
        peer: PartyBundle,
        *,
        address: str | None = None,
        witness: Path | None = None,
        keep: Keep | None = None,
        refresh: float = EVERY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        proxy: str | None = None,
    ) -> Self:
        """Return a partner over a new mTLS channel to `address`, else to the bundle's first endpoint.

        keep     makes a newer bundle durable, that the peer's directory vouches for, and returns what to believe
        refresh  seconds between two readings of the peer's directory, where its bundle says where that begins
        proxy    host:port of an HTTP proxy through which the peer is reached; None = directly
        """
        dial = dialling(party, keyset, address, clock, proxy)
        folder = None if witness is None else witness.with_suffix(".tuf")
        return cls(
            party=party,
            lines=Connections(dial(peer), dial),
            freshness=Freshness(folder, keep, refresh),
            witness=witness,
        )

    @property
    def peer(self) -> PartyBundle:
        """The peer's bundle as we hold it now."""
        return self._dialogue.peer

    @property
    def _author(self) -> Author:
        return self._dialogue.author

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel and forget every reply key."""
        self._dialogue.close()
        with self._lock:
            self._pending.clear()

    # Asking

    def query(
        self,
        samples: Sequence[Sample] | PriorTransaction,
        *,
        deadline: float = DEADLINE,
        **matter: Unpack[Matter],
    ) -> Answer:
        """Ask whether the peer knows a person, by samples or by the number of its own earlier query.

        matter    purpose, agreement, case, unit, person and what else `Matter` lists
        deadline  seconds, for everything including repeats

        Raises a `PartnerError`; after `DeadlineExceeded` ask for `state(number)`.
        """
        started = time.monotonic()
        outgoing = self.compose(samples, **matter)
        answer = self.send(outgoing, deadline=deadline - (time.monotonic() - started))
        return replace(answer, seconds=time.monotonic() - started)

    def compose(
        self, samples: Sequence[Sample] | PriorTransaction, **matter: Unpack[Matter]
    ) -> Outgoing:
        """Write a query without sending it; `send` may be called with it more than once."""
        self._dialogue.freshen(time.monotonic() + DEADLINE)
        return self._author.query(samples, matter, floor=self._witness.size)

    def send(self, outgoing: Outgoing, *, deadline: float = DEADLINE) -> Answer:
        """Send a composed query; the peer answers the same bytes with the same answer."""
        started = time.monotonic()
        self._remember(outgoing)
        sent, told = self._dialogue.ask(outgoing, deadline, rewritten=self._remember)
        return self._answer(sent, told, started)

    def state(self, number: str, *, deadline: float = DEADLINE) -> QueryState:
        """Return where an earlier query of ours stands, with its recorded result once decided."""
        outgoing = self._bare(Operation.GET_QUERY_STATE, number)
        _, told = self._dialogue.ask(outgoing, deadline)
        return read(query_payload.read_state, told.believed, number)

    def redeliver(self, number: str, *, deadline: float = DEADLINE) -> Answer:
        """Return the stored answer of an earlier query of this process, the bytes first sent.

        Raises `NothingToRedeliver` where its reply key is gone; `state(number)` then says the outcome.
        """
        started = time.monotonic()
        with self._lock:
            first = self._pending.get(number)
        if first is None:
            raise NothingToRedeliver(
                "this process holds no reply key of that transaction; ask for its state",
                transaction_number=number,
            )
        outgoing = self._bare(Operation.REDELIVER_RESULT, number)
        # An answer of earlier lies in a smaller tree; that it is the beginning of ours is still proved.
        _, told = self._dialogue.ask(outgoing, deadline, question=replace(first, floor=0))
        return self._answer(outgoing, told, started)

    def details(
        self,
        number: str,
        hit_reference: bytes,
        fields: Collection[FieldCode],
        *,
        deadline: float = DEADLINE,
        **matter: Unpack[DetailsMatter],
    ) -> Disclosed:
        """Ask for fields of the person whom our query `number` matched; the answer is as proved as any.

        fields   those that the case needs; a reference that was used gives the same ones again, never more

        Raises `Refused` for a field or a purpose that the agreement does not name. Whatever else is in the
        way, details are UNAVAILABLE and the peer does not say why.
        """
        self._dialogue.freshen(time.monotonic() + deadline)
        outgoing = compose_details(
            self._author, number, hit_reference, fields, matter, floor=self._witness.size
        )
        sent, told = self._dialogue.ask(outgoing, deadline)
        believed = told.believed
        return Disclosed(
            details=read(wire_details.read_details, believed, sent.question.number),
            transaction_number=sent.question.number,
            receipt=believed.receipt,
            receipt_index=believed.index,
            checkpoint_size=believed.checkpoint.size,
            envelope_size=believed.size,
        )

    def capabilities(self, *, deadline: float = DEADLINE) -> Capabilities:
        """Return what the peer accepts from us today."""
        outgoing = self._bare(Operation.GET_CAPABILITIES, "")
        _, told = self._dialogue.ask(outgoing, deadline)
        return read(query_payload.read_capabilities, told.believed, "")

    def quota(self, *, deadline: float = DEADLINE) -> tuple[QuotaState, ...]:
        """Return how much of each quota that binds us with the peer is used, and when it begins again."""
        outgoing = self._bare(Operation.GET_QUOTA, "")
        _, told = self._dialogue.ask(outgoing, deadline)
        return read(quota_payload.read_quotas, told.believed, "")

    def checkpoint(self, *, deadline: float = DEADLINE) -> Checkpoint:
        """Return the peer's newest checkpoint, after it proved to continue the one we keep."""
        return self._dialogue.checkpoint(time.monotonic() + deadline)

    def cosign(self, *, deadline: float = DEADLINE) -> Checkpoint:
        """Cosign the peer's newest checkpoint as its witness, after it proved to continue the one we keep.

        Raises `SplitView` with evidence where it does not, `Refused` where the peer does not know our witness's key.
        """
        return self._dialogue.cosign(time.monotonic() + deadline)

    def cosigned(self, *, deadline: float = DEADLINE) -> bytes:
        """Return the peer's newest checkpoint that enough witnesses cosigned, as a signed note; empty before."""
        return self._dialogue.cosigned(time.monotonic() + deadline)

    def refresh(self, *, deadline: float = DEADLINE) -> bool:
        """Read the peer's directory now; return whether our view of the peer changed.

        Raises DirectoryRefused where it is not to be believed; what we hold stays.
        """
        return self._dialogue.refresh(time.monotonic() + deadline)

    # Following up

    def correct(
        self, number: str, notice: CorrectionNotice, *, deadline: float = DEADLINE
    ) -> CorrectionStanding:
        """Tell the peer that what we disclosed to it under its query `number` is inaccurate."""
        return self._follow(
            Operation.SUBMIT_CORRECTION,
            lambda key: correction_payload.notice_bytes(replace(notice, reply_key=key)),
            About(number=notice.id.hex(), reference=number),
            deadline,
        )

    def acknowledge(
        self, number: str, ack: CorrectionAck, *, deadline: float = DEADLINE
    ) -> CorrectionStanding:
        """Tell the peer what we did about its correction of what our query `number` brought."""
        return self._follow(
            Operation.ACK_CORRECTION,
            lambda key: correction_payload.ack_bytes(replace(ack, reply_key=key)),
            About(number=ack.id.hex(), reference=number),
            deadline,
        )

    def _follow(
        self,
        operation: Operation,
        payload: Callable[[bytes], bytes],
        about: About,
        deadline: float,
    ) -> CorrectionStanding:
        outgoing = self.write(operation, payload, about)
        believed = self.carry(outgoing, deadline=deadline)
        return read(correction_payload.read_standing, believed, about.reference)

    def write(
        self,
        operation: Operation,
        payload: Callable[[bytes], bytes],
        about: About,
        *,
        at_least: int = 0,
        seed: bytes | None = None,
    ) -> Outgoing:
        """Write any envelope; `parcel.pack` makes bytes of it that can be carried after a restart.

        Raises DirectoryRefused where what we last read of the peer's directory has ended.
        """
        self._dialogue.demand()
        return self._author.compose(
            operation, payload, about, floor=self._witness.size, at_least=at_least, seed=seed
        )

    def carry(self, outgoing: Outgoing, *, deadline: float = DEADLINE) -> Believed:
        """Carry an envelope and return its answer, opened and not yet read."""
        return self._dialogue.ask(outgoing, deadline)[1].believed

    # What every call does

    def _bare(self, operation: Operation, reference: str) -> Outgoing:
        """Write a question that holds nothing but its reply key."""
        self._dialogue.freshen(time.monotonic() + DEADLINE)
        return self._author.compose(
            operation,
            lambda reply_key: query_payload.reply_key_bytes(reply_key, operation),
            About(reference=reference),
            floor=self._witness.size,
        )

    def _answer(self, outgoing: Outgoing, told: VerifiedAnswer, started: float) -> Answer:
        believed, number = told.believed, outgoing.question.number
        result = read(query_payload.read_result, believed, number)
        return Answer(
            outcome=result.outcome,
            result=result,
            transaction_number=number,
            receipt=believed.receipt,
            receipt_index=believed.index,
            checkpoint_size=believed.checkpoint.size,
            envelope_size=believed.size,
            attempts=told.attempts,
            seconds=time.monotonic() - started,
            crypto_seconds=outgoing.seconds + told.crypto_seconds,
        )

    def _remember(self, outgoing: Outgoing) -> None:
        """Keep the reply key, so that a lost answer can be delivered again while we live."""
        with self._lock:
            self._pending[outgoing.question.number] = outgoing.question
            while len(self._pending) > PENDING:
                self._pending.popitem(last=False)
