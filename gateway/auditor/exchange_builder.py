"""Exchanges out of entries: which question an entry belongs to, and what it says of it.

Inbound entries are joined by partner and message identifier, outbound ones by partner and number: an answer that we
received bears the identifier of our question, and one that never came bears none.

A message identifier may come again: a spoilt copy before or after the good one, the same bytes as before. It is one
question, and what became of the good one is what became of it; a copy that was refused stays an entry of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from gateway import errors
from gateway.auditor import schema
from gateway.domain.messages import Direction, Operation
from gateway.ledger.entry import LEAF_SIZE, EntryClass, EntryType, Frame, decode

Facts = Mapping[str, str]

# The newest of them: after a year an identifier may be another message's.
_INBOUND = "WHERE message_id = ? AND partner = ? AND direction = 1 ORDER BY idx DESC LIMIT 1"
_OUTBOUND = "WHERE number = ? AND partner = ? AND direction = 2 ORDER BY idx DESC LIMIT 1"


class Assembler:
    """Writes the table of exchanges while entries are read in order."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def read(self, index: int, time_ms: int, frame: Frame, facts: Facts | None) -> None:
        """Take up one entry."""
        kind, denied = frame.type, frame.entry_class is EntryClass.DENIED
        if kind in {EntryType.REQUEST, EntryType.ASKED}:
            self._never_accepted(frame)
            self._begin(index, time_ms, frame, facts, closing="REFUSED" if denied else "OPEN")
        elif kind is EntryType.ANSWER_RECEIVED and frame.entry_class is EntryClass.ACCEPTED:
            self._note(
                frame, {"closed_idx": index, **_closing_columns(facts)}
            )  # they wait for an examiner
        elif kind in {EntryType.RESPONSE, EntryType.ANSWER_RECEIVED}:
            self._close(index, time_ms, frame, facts, "REFUSED" if denied else "ANSWERED")
        elif kind is EntryType.ABANDONED:
            self._close(index, time_ms, frame, facts, "ABANDONED")
        elif kind is EntryType.REFUSAL and (denied or is_refusal(facts)):
            self._refuse(index, time_ms, frame, facts)
        elif kind is EntryType.REVIEW:
            self._note(frame, {"reviewed_ms": time_ms})
        elif kind is EntryType.VERDICT:
            told = _columns(facts, schema.DECIDED)
            self._note(frame, {"verdict_ms": time_ms, "verdict_idx": index, **told})
        elif kind is EntryType.DESTRUCTION:
            gone = {"destroyed_ms": time_ms, "destroyed_idx": index}
            self._note(frame, {**gone, "receipt": frame.subject_reference})

    def forget(self, index: int) -> None:
        """Blank what came out of the detail beside a leaf."""
        for where, names in (
            ("idx = ?", (*schema.ASKED, "reason", "element", "why")),
            ("idx = ? AND direction = 2", ("subject",)),
            ("closed_idx = ?", tuple(name for name in schema.CLOSED if name != "subject")),
            ("closed_idx = ? AND direction = 1", ("subject",)),
            ("verdict_idx = ?", schema.DECIDED),
        ):
            blank = ", ".join(f'"{name}" = NULL' for name in names)
            self._connection.execute(f"UPDATE exchanges SET {blank} WHERE {where}", (index,))

    def _never_accepted(self, frame: Frame) -> None:
        """Forget that a message was refused before it was accepted: its good copy is here, and is the question."""
        if frame.direction is Direction.INBOUND and frame.message_id:
            self._connection.execute(
                "DELETE FROM exchanges WHERE message_id = ? AND partner = ? AND direction = 1 AND idx = closed_idx",
                (frame.message_id, frame.partner_id),
            )

    def _refuse(self, index: int, time_ms: int, frame: Frame, facts: Facts | None) -> None:
        """End the question that a refusal names, or begin one that was refused at once; of a copy nothing changes."""
        wanted = f"SELECT idx, closing FROM exchanges {_INBOUND}"
        values = (frame.message_id, frame.partner_id)
        known = self._connection.execute(wanted, values).fetchone() if frame.message_id else None
        if known is None:
            self._begin(index, time_ms, frame, facts, closing="REFUSED")
            return
        first, closing = known
        if closing == "OPEN" and self._transcript(first) == frame.transcript:
            self._close(index, time_ms, frame, facts, "REFUSED")

    def _transcript(self, index: int) -> bytes:
        leaf = self._connection.execute("SELECT leaf FROM entries WHERE idx = ?", (index,)).get
        return decode(bytes(leaf).ljust(LEAF_SIZE, b"\0")).transcript

    def _begin(
        self, index: int, time_ms: int, frame: Frame, facts: Facts | None, *, closing: str
    ) -> None:
        direction = frame.direction or Direction.INBOUND
        outbound = direction is Direction.OUTBOUND
        values: dict[str, object] = {
            "idx": index,
            "partner": frame.partner_id,
            "direction": int(direction),
            "number": frame.transaction_number,
            "message_id": frame.message_id,
            "asked_ms": time_ms,
            "operation": frame.subject_reference or _operation(facts, outbound=outbound),
            "agreement": frame.agreement_id,
            "version": frame.agreement_version,
            "closing": closing,
            **_columns(facts, (*schema.ASKED, "subject") if outbound else schema.ASKED),
        }
        if closing != "OPEN":
            values |= {"closed_ms": time_ms, "closed_idx": index, **_columns(facts, schema.CLOSED)}
        if facts and "person" not in facts and "actor" in facts:
            values["person"] = facts["actor"]
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        self._connection.execute(
            f"INSERT INTO exchanges ({names}) VALUES ({marks})",
            tuple(values.values()),
        )

    def _close(
        self, index: int, time_ms: int, frame: Frame, facts: Facts | None, closing: str
    ) -> bool:
        values = {
            "closing": closing,
            "closed_ms": time_ms,
            "closed_idx": index,
            **dict.fromkeys(("reason", "element", "why")),  # of an attempt that was refused before
            **_closing_columns(facts),
        }
        # The first answer is the exchange's; only a review that nobody ended takes one back: it said PENDING.
        given_up = closing == "ABANDONED"
        answered = self._note(
            frame, values, only="closing = 'OPEN'" if given_up else "closing <> 'ANSWERED'"
        )
        if answered or not given_up:
            return answered
        # What was read of the answer is still of the answer's leaf, and is forgotten with its detail.
        ended = {"closing": closing, "closed_ms": time_ms}
        return self._note(frame, ended, only="reviewed_ms IS NOT NULL")

    def _note(self, frame: Frame, values: Mapping[str, object], only: str = "1") -> bool:
        """Write values beside the question of an entry; False where that is not known."""
        outbound = frame.direction is Direction.OUTBOUND
        key = frame.transaction_number if outbound else frame.message_id
        if not key:
            return False
        changes = ", ".join(f'"{name}" = ?' for name in values)
        where = _OUTBOUND if outbound else _INBOUND
        self._connection.execute(
            f"UPDATE exchanges SET {changes} WHERE idx = (SELECT idx FROM exchanges {where}) AND {only}",
            (*values.values(), key, frame.partner_id),
        )
        return self._connection.changes() > 0


def is_refusal(facts: Facts | None) -> bool:
    """Return whether what ended an attempt was a no to the asker, not a fault of the gateway."""
    return (facts or {}).get("reason", "") in _NO


def _reasons(kind: type[errors.Refusal]) -> frozenset[str]:
    own = {kind.__dict__["reason"]} if "reason" in kind.__dict__ else set[str]()
    return frozenset(own.union(*map(_reasons, kind.__subclasses__())))


_NO = _reasons(errors.Refusal) - _reasons(errors.Unavailable) - _reasons(errors.DeadlineExceeded)


def _operation(facts: Facts | None, *, outbound: bool) -> str:
    """Return what is asked: no frame of ours says whether it is a query or what follows a match (protocol 9)."""
    if facts is None:
        return ""
    details = "transaction_reference" in facts
    ours = Operation.REQUEST_HIT_DETAILS if details else Operation.SUBMIT_QUERY
    return facts.get("operation", ours.name if outbound else "")


def _closing_columns(facts: Facts | None) -> dict[str, object]:
    told = _columns(facts, schema.CLOSED)
    if facts and "outcome_received" in facts:
        told["disclosed_outcome"] = facts["outcome_received"]
    return told


def _columns(facts: Facts | None, names: tuple[str, ...]) -> dict[str, object]:
    """Return the facts that have a column; a number that is none is left out."""
    found: dict[str, object] = {}
    for name in names:
        value = (facts or {}).get(schema.FACTS.get(name, name))
        if value is None:
            continue
        if name not in schema.NUMBERS:
            found[name] = value
            continue
        try:
            found[name] = float(value.split(",")[0])
        except ValueError:
            continue
    return found
