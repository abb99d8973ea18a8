"""What a ledger says of the messages between us and a partner: what must be in both ledgers, and what may.

A question is recorded by both before its answer is: ASKED there, REQUEST here. An answer likewise: RESPONSE before it
leaves, ANSWER_RECEIVED before anybody sees it. Corrections and acknowledgements are messages that are
written anew until they are answered, so their numbers are compared, not their bytes. What reads or asks for a state
changes nothing, and only its answers are compared, where an answer came by that way.

Refusals are left out: of many only their number is recorded (ADR 0012).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.auditor.index import Index, Value
from gateway.auditor.reconcile import EDGE_MS, Message, Part
from gateway.domain.messages import Direction, Operation
from gateway.ledger.entry import EntryClass, EntryType, Frame

ASKING: Final = frozenset({Operation.SUBMIT_QUERY.name, Operation.REQUEST_HIT_DETAILS.name})
STATING: Final = frozenset({Operation.GET_QUERY_STATE.name, Operation.REDELIVER_RESULT.name})
_CORRECTION_PARTS: Final = {
    EntryType.CORRECTION: Part.CORRECTION,
    EntryType.ACKNOWLEDGEMENT: Part.ACKNOWLEDGEMENT,
}
_ANSWERS: Final = frozenset({EntryClass.ACCEPTED, EntryClass.ANSWERED})

Timed = tuple[int, Frame]


def recorded(index: Index, us: str, other: str, since: int, until: int) -> list[Message]:
    """Return what we recorded between us and a partner, also a little before and after the period."""
    ledger = _Between(index, other)
    return [
        *ledger.queries(us, since - EDGE_MS, until + EDGE_MS),
        *ledger.answered(us, since - EDGE_MS, until + EDGE_MS),
        *ledger.corrections(us),
    ]


class _Between:
    """The entries of one partner."""

    def __init__(self, index: Index, other: str) -> None:
        self._index, self._other = index, other

    def queries(self, us: str, since: int, until: int) -> Iterator[Message]:
        """Yield our questions and the answers that we received."""
        # An answer may come long after its question: a review takes a day.
        received = [
            each
            for each in self._entries(EntryType.ANSWER_RECEIVED, Direction.OUTBOUND, since)
            if each[1].entry_class in _ANSWERS
        ]
        answered = {frame.transaction_number for _, frame in received}
        asked = self._entries(EntryType.ASKED, Direction.OUTBOUND, since, until)
        for time_ms, frame in _first(asked):
            if frame.message_id:  # what our own law stopped never left
                sure = frame.transaction_number in answered
                yield _message(Part.QUESTION, us, time_ms, frame, sure=sure)
        for time_ms, frame in _first(received):
            if time_ms < until:
                yield _message(Part.ANSWER, self._other, time_ms, frame, sure=True)

    def answered(self, us: str, since: int, until: int) -> Iterator[Message]:
        """Yield the partner's questions and the answers that we gave."""
        asking, others = set(), set()
        questions = self._entries(EntryType.REQUEST, Direction.INBOUND, since, until)
        for time_ms, frame in _first(questions):
            if frame.subject_reference in ASKING:
                asking.add(frame.message_id)
                yield _message(Part.QUESTION, self._other, time_ms, frame, sure=True)
            elif frame.subject_reference not in STATING:
                others.add(frame.message_id)
        given = self._entries(EntryType.RESPONSE, Direction.INBOUND, since, until)
        for time_ms, frame in _first(each for each in given if each[1].entry_class in _ANSWERS):
            if frame.message_id not in others:
                sure = frame.message_id in asking
                yield _message(Part.ANSWER, us, time_ms, frame, sure=sure)

    def corrections(self, us: str) -> Iterator[Message]:
        """Yield corrections and their acknowledgements of all times: one may be carried for days."""
        for kind, part in _CORRECTION_PARTS.items():
            sent: dict[str, Message] = {}
            for time_ms, frame in self._entries(kind, Direction.OUTBOUND, 0):
                arrived = frame.entry_class is EntryClass.ANSWERED
                known = sent.get(frame.transaction_number)
                if known is None or (arrived and not known.sure):
                    sent[frame.transaction_number] = _correction_message(
                        part, us, time_ms, frame, sure=arrived
                    )
            yield from sent.values()
            came: dict[str, Message] = {}
            for time_ms, frame in self._entries(kind, Direction.INBOUND, 0):
                message = _correction_message(part, self._other, time_ms, frame, sure=True)
                came.setdefault(message.number, message)
            yield from came.values()

    def _entries(
        self, kind: EntryType, direction: Direction, since: int, until: int | None = None
    ) -> Iterator[Timed]:
        said = "type = ? AND direction = ? AND partner = ? AND time_ms >= ?"
        values: list[Value] = [int(kind), int(direction), self._other, since]
        if until is not None:
            said = f"{said} AND time_ms < ?"
            values.append(until)
        for told in self._index.entries_where(said, values):
            yield round(told.frame.time.timestamp() * 1000), told.frame


def _first(entries: Iterable[Timed]) -> Iterator[Timed]:
    """Yield the first entry of each message: the receipt is of that one, whatever was repeated."""
    seen: set[bytes] = set()
    for time_ms, frame in entries:
        if frame.message_id not in seen:
            seen.add(frame.message_id)
            yield time_ms, frame


def _message(part: Part, sender: str, time_ms: int, frame: Frame, *, sure: bool) -> Message:
    number, message_id = frame.transaction_number, frame.message_id
    return Message(part, sender, number, message_id, frame.transcript, time_ms, sure)


def _correction_message(
    part: Part, sender: str, time_ms: int, frame: Frame, *, sure: bool
) -> Message:
    return Message(part, sender, frame.transaction_number, b"", b"", time_ms, sure)
