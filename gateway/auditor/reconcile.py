"""Two parties compare what they recorded of each other, and neither shows the other what it recorded.

    statement  = {format, party, with, since, until, made, salt, checkpoint, rows: ["who" "what" …]}
    who        = HMAC-SHA-256(salt, asker ‖ answerer ‖ number ‖ message identifier), 16 bytes
    what       = HMAC-SHA-256(salt, question's transcript ‖ answer's transcript or nothing), 16 bytes

A row says that a question was recorded and, to whoever recorded it too, whether both recorded the same bytes. To
anybody else it is noise: number and identifier have 208 random bits between them, so that nobody tries them all. The
second party answers with the salt of the first. What only the other recorded we can count and not name; they name it.

The ledgers' clocks differ, and a message may be under way at an edge: what is within 15 minutes of one and recorded
on one side alone is told apart, and is no finding.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.audit.entry import EntryType, Frame
from gateway.audit.errors import AuditFault, NoteRefused
from gateway.audit.note import MAX_NOTE
from gateway.audit.proof import LogIdentity
from gateway.auditor.index import Index, Value
from gateway.terms import Direction

FORMAT: Final = "passerelle/1/reconciliation"
SALT: Final = 32  # bytes
DIGEST: Final = 16  # bytes of each half of a row; 2^64 rows until two meet by chance
EDGE_MS: Final = 15 * 60_000  # message life and clock skew (protocol 4), and the walk of a postman
LARGEST: Final = 512 << 20  # bytes of a statement: a year of five million exchanges
_PARTY = re.compile(r"[A-Z0-9-]{2,32}")
_ROW = re.compile(r"[0-9a-f]{64}")
_KEYS: Final = frozenset(
    {"format", "party", "with", "since", "until", "made", "salt", "checkpoint", "rows"}
)


class StatementRefused(AuditFault):
    """A statement is not ours to compare: malformed, of other parties, or not signed for."""


@dataclass(frozen=True, slots=True)
class Message:
    """One question between the two parties as one of them recorded it."""

    asker: str
    number: str
    message_id: bytes = field(repr=False)
    question: bytes = field(repr=False)
    answer: bytes = field(repr=False)
    time_ms: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What a party says that it recorded, in a form that only the other can read.

    since, until   milliseconds since 1970, `until` exclusive
    made           milliseconds since 1970
    checkpoint     of the ledger that it was made from, signed
    """

    party: str
    other: str
    since: int
    until: int
    made: int
    salt: bytes = field(repr=False)
    checkpoint: bytes = field(repr=False)
    rows: frozenset[tuple[bytes, bytes]] = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the file: canonical JSON, rows in order of their digits, so that order tells nothing."""
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

    only_here    questions that the other never recorded
    differing    questions of which the other recorded other bytes
    only_there   how many the other recorded and we did not; the other can name them
    edge         how many stand on one side alone so near to an edge that both may be right
    """

    both: int
    only_here: tuple[Message, ...]
    differing: tuple[Message, ...]
    only_there: int
    edge: int

    @property
    def clean(self) -> bool:
        """Whether each side recorded what the other did."""
        return not (self.only_here or self.differing or self.only_there)


def recorded(index: Index, us: str, other: str, since: int, until: int) -> list[Message]:
    """Return what we recorded between us and a partner, also a little before and after the period."""
    kinds = {
        Direction.INBOUND: (EntryType.REQUEST, EntryType.RESPONSE, other),
        Direction.OUTBOUND: (EntryType.ASKED, EntryType.ANSWER_RECEIVED, us),
    }
    found: list[Message] = []
    for direction, (asking, answering, asker) in kinds.items():
        of = direction, other
        questions = _frames(index, asking, of, since - EDGE_MS, until + EDGE_MS)
        # An answer may come long after its question: a review takes a day.
        answers: dict[bytes, bytes] = {}
        for _, frame in _frames(index, answering, of, since - EDGE_MS, None):
            answers.setdefault(frame.message_id, frame.transcript)  # the first is the receipt's
        found += [
            Message(
                asker,
                frame.transaction_number,
                frame.message_id,
                frame.transcript,
                answers.get(frame.message_id, b""),
                time_ms,
            )
            for time_ms, frame in questions
            if frame.message_id
        ]
    return found


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
    rows = frozenset(
        _row(each, us, other, salt) for each in messages if since <= each.time_ms < until
    )
    moment = int(made.timestamp() * 1000)
    return Statement(us, other, since, until, moment, salt, checkpoint, rows)


def compare(messages: Sequence[Message], us: str, theirs: Statement) -> Compared:
    """Hold what we recorded against the other's statement.

    messages   of the period and of 15 minutes on both sides of it

    Raises `StatementRefused` for a statement of other parties.
    """
    if theirs.other != us:
        raise StatementRefused(f"the statement is for {theirs.other}, not for {us}")
    since, until = theirs.since, theirs.until
    said = dict(theirs.rows)
    only_here, differing = [], []
    both = edge = 0
    for each in messages:
        who, what = _row(each, us, theirs.party, theirs.salt)
        found = said.pop(who, None)
        if found is not None:
            both += found == what
            if found != what:
                differing.append(each)
        elif since + EDGE_MS <= each.time_ms < until - EDGE_MS:
            only_here.append(each)
        else:
            edge += since <= each.time_ms < until
    return Compared(both, tuple(only_here), tuple(differing), len(said), edge)


def _row(message: Message, us: str, other: str, salt: bytes) -> tuple[bytes, bytes]:
    answerer = other if message.asker == us else us
    who = _digest(
        salt,
        b"who",
        message.asker.encode(),
        answerer.encode(),
        message.number.encode(),
        message.message_id,
    )
    return who, _digest(salt, b"what", who, message.question, message.answer)


def _digest(salt: bytes, *parts: bytes) -> bytes:
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(salt, framed, "sha256")[:DIGEST]


def _frames(
    index: Index, kind: EntryType, of: tuple[Direction, str], since: int, until: int | None
) -> Iterator[tuple[int, Frame]]:
    direction, other = of
    said = "type = ? AND direction = ? AND partner = ? AND time_ms >= ?"
    values: list[Value] = [int(kind), int(direction), other, since]
    if until is not None:
        said = f"{said} AND time_ms < ?"
        values.append(until)
    for told in index.told(said, values):
        yield round(told.frame.time.timestamp() * 1000), told.frame


def _parse(octets: bytes) -> Statement:
    if len(octets) > LARGEST:
        raise StatementRefused("the file is larger than any statement")
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.keys() != _KEYS or document["format"] != FORMAT:
        raise StatementRefused("the file is no statement of ours")
    rows, salt, note = document["rows"], document["salt"], document["checkpoint"]
    numbers = [document[name] for name in ("since", "until", "made")]
    names = [document[name] for name in ("party", "with")]
    whole = (
        isinstance(rows, list)
        and all(isinstance(row, str) and _ROW.fullmatch(row) for row in rows)
        and isinstance(salt, str)
        and re.fullmatch(r"[0-9a-f]{64}", salt) is not None
        and isinstance(note, str)
        and len(note) <= MAX_NOTE
        and all(type(each) is int and 0 <= each < 2**53 for each in numbers)
        and all(isinstance(each, str) and _PARTY.fullmatch(each) for each in names)
        and numbers[0] < numbers[1]
    )
    if not whole:
        raise StatementRefused("the statement breaks its form")
    pairs = [(bytes.fromhex(row[:32]), bytes.fromhex(row[32:])) for row in rows]
    if len({who for who, _ in pairs}) != len(pairs):
        raise StatementRefused("the statement names a question twice")
    found = Statement(
        party=names[0],
        other=names[1],
        since=numbers[0],
        until=numbers[1],
        made=numbers[2],
        salt=bytes.fromhex(salt),
        checkpoint=note.encode(),
        rows=frozenset(pairs),
    )
    if found.to_bytes() != octets:
        raise StatementRefused("the statement is not spelt as one is")
    return found
