"""Two parties compare what they recorded of each other, and neither shows the other what it recorded.

    statement  = {format, party, with, since, until, made, salt, checkpoint, rows: ["who" "what" …], possible: […]}
    who        = HMAC-SHA-256(salt, part ‖ sender ‖ receiver ‖ number ‖ message identifier), 16 bytes
    what       = HMAC-SHA-256(salt, who ‖ transcript), 16 bytes

A row says that a message was recorded and, to whoever recorded it too, whether both recorded the same bytes. To
anybody else it is noise: a message identifier has 128 random bits, so that nobody tries them all. The second party
answers with the salt of the first. What only the other recorded we can count and not name; they name it.

Each party records before it sends (ledger.md). So what one received, the other MUST have recorded, and it is in
`rows`; what one sent, the other may never have got, and it is in `possible` until an answer proves that it came.

The ledgers' clocks differ, and a message may be under way at an edge: what is within 15 minutes of one and recorded
on one side alone is counted apart, and is no finding.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from gateway import calendar_bounds
from gateway.ledger.errors import AuditFault, NoteRefused
from gateway.ledger.signed_note import MAX_NOTE, LogIdentity
from keys import strict_json
from keys.strict_json import JsonRefused

FORMAT: Final = "passerelle/1/reconciliation"
DIGEST: Final = 16  # bytes of each half of a row; 2^64 rows until two meet by chance
EDGE_MS: Final = (
    15 * 60_000
)  # message life and clock skew (protocol 4), and the round of the outbound worker
LARGEST: Final = (
    64 << 20
)  # bytes of a statement: 480,000 exchanges; a partner's year has 400,000 (law.md section 11)
_PARTY = re.compile(r"[A-Z0-9-]{2,32}")
_ROW = re.compile(r"[0-9a-f]{64}")
_KEYS: Final = frozenset(
    {"format", "party", "with", "since", "until", "made", "salt", "checkpoint", "rows", "possible"}
)


class StatementRefused(AuditFault):
    """A statement is not ours to compare: malformed, of other parties, or not signed for."""


class Part(Enum):
    """What a message between the two parties is."""

    QUESTION = "question"
    ANSWER = "answer"
    CORRECTION = "correction"
    ACKNOWLEDGEMENT = "acknowledgement"


CORRECTION_PARTS: Final = frozenset({Part.CORRECTION, Part.ACKNOWLEDGEMENT})


@dataclass(frozen=True, slots=True)
class Message:
    """One message between the two parties as one of them recorded it.

    number      of the transaction; of an answer for the reader alone, since who asks again for an answer names it anew
    message_id  16 bytes; empty for a correction and its acknowledgement, whose envelope may be written several times
    sure        whether the other MUST have recorded it: it came from there, or an answer proves that it arrived
    """

    part: Part
    sender: str
    number: str
    message_id: bytes = field(repr=False)
    transcript: bytes = field(repr=False)
    time_ms: int
    sure: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """What a party says that it recorded, in a form that only the other can read.

    since, until   milliseconds since 1970, `until` exclusive
    made           milliseconds since 1970
    checkpoint     of the ledger that it was made from, signed
    rows           of what the other MUST have recorded too
    possible       of what we sent and cannot know whether it came; of what is near an edge; of messages of other times
    """

    party: str
    other: str
    since: int
    until: int
    made: int
    salt: bytes = field(repr=False)
    checkpoint: bytes = field(repr=False)
    rows: frozenset[tuple[bytes, bytes]] = field(repr=False)
    possible: frozenset[tuple[bytes, bytes]] = field(default=frozenset(), repr=False)

    def to_bytes(self) -> bytes:
        """Return the file: canonical JSON, rows in order of their digits, so that order reveals nothing."""
        document = {
            "format": FORMAT,
            "party": self.party,
            "with": self.other,
            "since": self.since,
            "until": self.until,
            "made": self.made,
            "salt": self.salt.hex(),
            "checkpoint": self.checkpoint.decode(),
            "rows": sorted((who + what).hex() for who, what in self.rows),
            "possible": sorted((who + what).hex() for who, what in self.possible),
        }
        return (json.dumps(document, sort_keys=True, indent=0) + "\n").encode("ascii")

    @classmethod
    def parse(cls, octets: bytes) -> Statement:
        """Read a file strictly; raises `StatementRefused`."""
        return _parse(octets)

    def signed_size(self, log: LogIdentity) -> int:
        """Return how many entries the ledger had that it was made from; raises `StatementRefused`."""
        try:
            return log.open(self.checkpoint).size
        except NoteRefused as fault:
            raise StatementRefused(f"its checkpoint is not {self.party}'s: {fault}") from None


@dataclass(frozen=True, slots=True)
class Compared:
    """What two statements say of each other, seen from one side.

    only_here    messages that the other must have recorded, and did not
    differing    messages of which the other recorded other bytes
    only_there   how many the other recorded and we should have and did not; the other can name them
    unanswered   how many we sent and the other never recorded, where nothing proves that they came: no finding. Not
                 counted is what was only sent again, for whom that brought nothing new records nothing
    edge         how many are on one side alone so near to an edge that both may be right
    """

    both: int
    only_here: tuple[Message, ...]
    differing: tuple[Message, ...]
    only_there: int
    unanswered: int
    edge: int

    @property
    def clean(self) -> bool:
        """Whether each side recorded what the other did."""
        return not (self.only_here or self.differing or self.only_there)


def state(
    messages: Iterable[Message],
    us: str,
    other: str,
    period: tuple[int, int],
    *,
    salt: bytes,
    made: datetime,
    checkpoint: bytes,
) -> Statement:
    """Return our statement over a period, made of a ledger under this checkpoint."""
    since, until = period
    rows: dict[bool, set[tuple[bytes, bytes]]] = {True: set(), False: set()}
    for each in messages:
        # What is near an edge, and a message that may be sent for days, is there to be found, and is not demanded.
        inside = since + EDGE_MS <= each.time_ms < until - EDGE_MS
        if since <= each.time_ms < until or each.part in CORRECTION_PARTS:
            rows[each.sure and inside].add(_row(each, us, other, salt))
    return Statement(
        us,
        other,
        since,
        until,
        int(made.timestamp() * 1000),
        salt,
        checkpoint,
        frozenset(rows[True]),
        frozenset(rows[False]),
    )


def compare(messages: Sequence[Message], us: str, theirs: Statement) -> Compared:
    """Hold what we recorded against the other's statement.

    messages   of the period and of 15 minutes on both sides of it

    Raises `StatementRefused` for a statement of other parties.
    """
    if theirs.other != us:
        raise StatementRefused(f"the statement is for {theirs.other}, not for {us}")
    since, until = theirs.since, theirs.until
    said, possible = dict(theirs.rows), dict(theirs.possible)
    only_here, differing = [], []
    both = unanswered = edge = 0
    for each in messages:
        who, what = _row(each, us, theirs.party, theirs.salt)
        found = said.pop(who, None) or possible.pop(who, None)
        if found is not None:
            both += found == what and since <= each.time_ms < until
            if found != what:
                differing.append(each)
        elif not each.sure:
            unanswered += each.part is not Part.ANSWER and since <= each.time_ms < until
        elif since + EDGE_MS <= each.time_ms < until - EDGE_MS:
            only_here.append(each)
        else:
            edge += since <= each.time_ms < until
    return Compared(both, tuple(only_here), tuple(differing), len(said), unanswered, edge)


def _row(message: Message, us: str, other: str, salt: bytes) -> tuple[bytes, bytes]:
    receiver = other if message.sender == us else us
    who = _digest(
        salt,
        b"who",
        message.part.value.encode(),
        message.sender.encode(),
        receiver.encode(),
        b"" if message.part is Part.ANSWER else message.number.encode(),
        message.message_id,
    )
    return who, _digest(salt, b"what", who, message.transcript)


def _digest(salt: bytes, *parts: bytes) -> bytes:
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(salt, framed, "sha256")[:DIGEST]


def _parse(octets: bytes) -> Statement:
    if len(octets) > LARGEST:
        raise StatementRefused(
            "the file is larger than any statement: ask for one of a shorter period"
        )
    try:
        document = strict_json.read(octets, LARGEST)
    except JsonRefused:
        document = None
    if not isinstance(document, dict) or document.keys() != _KEYS or document["format"] != FORMAT:
        raise StatementRefused("the file is no statement of ours")
    rows, possible = document["rows"], document["possible"]
    salt, note = document["salt"], document["checkpoint"]
    numbers = [document[name] for name in ("since", "until", "made")]
    names = [document[name] for name in ("party", "with")]
    whole = (
        isinstance(rows, list)
        and isinstance(possible, list)
        and all(isinstance(row, str) and _ROW.fullmatch(row) for row in (*rows, *possible))
        and isinstance(salt, str)
        and re.fullmatch(r"[0-9a-f]{64}", salt) is not None
        and isinstance(note, str)
        and len(note) <= MAX_NOTE
        and all(
            type(each) is int and 0 <= each <= calendar_bounds.END_SECOND * 1000 for each in numbers
        )
        and all(isinstance(each, str) and _PARTY.fullmatch(each) for each in names)
        and numbers[0] < numbers[1]
    )
    if not whole:
        raise StatementRefused("the statement breaks its form")
    sure, unsure = (
        [(bytes.fromhex(row[:32]), bytes.fromhex(row[32:])) for row in each]
        for each in (rows, possible)
    )
    if len({who for who, _ in (*sure, *unsure)}) != len(sure) + len(unsure):
        raise StatementRefused("the statement names a message twice")
    found = Statement(
        party=names[0],
        other=names[1],
        since=numbers[0],
        until=numbers[1],
        made=numbers[2],
        salt=bytes.fromhex(salt),
        checkpoint=note.encode(),
        rows=frozenset(sure),
        possible=frozenset(unsure),
    )
    if found.to_bytes() != octets:
        raise StatementRefused("the statement is not spelt as one is")
    return found
