"""Exchanges out of entries: which question an entry belongs to, and what it says of it.

Inbound entries are joined by partner and message identifier, outbound ones by partner and number: an answer that we
received bears the identifier of our question, and one that never came bears none.
"""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.auditor import schema
from gateway.terms import Direction

Facts = Mapping[str, str]

_INBOUND = "WHERE message_id = ? AND partner = ? AND direction = 1"
_OUTBOUND = "WHERE number = ? AND partner = ? AND direction = 2"


class Assembler:
    """Writes the table of exchanges while entries are read in order."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def read(self, index: int, time_ms: int, frame: Frame, facts: Facts | None) -> None:
        """Take up one entry."""
        kind, denied = frame.type, frame.entry_class is EntryClass.DENIED
        if kind in {EntryType.REQUEST, EntryType.ASKED}:
            self._begin(index, time_ms, frame, facts, closing="REFUSED" if denied else "OPEN")
        elif kind is EntryType.ANSWER_RECEIVED and frame.entry_class is EntryClass.ACCEPTED:
            self._note(frame, {"closed_idx": index, **_told(facts)})  # they wait for an examiner
        elif kind in {EntryType.RESPONSE, EntryType.ANSWER_RECEIVED}:
            self._close(index, time_ms, frame, facts, "REFUSED" if denied else "ANSWERED")
        elif kind is EntryType.ABANDONED:
            self._close(index, time_ms, frame, facts, "ABANDONED")
        elif kind is EntryType.REFUSAL and denied:
            if not self._close(index, time_ms, frame, facts, "REFUSED"):
                self._begin(index, time_ms, frame, facts, closing="REFUSED")
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
            ("idx", (*schema.ASKED, "reason", "element", "why")),
            ("closed_idx", schema.CLOSED),
            ("verdict_idx", schema.DECIDED),
        ):
            blank = ", ".join(f'"{name}" = NULL' for name in names)
            self._connection.execute(
                f"UPDATE exchanges SET {blank} WHERE {where} = ?",
                (index,),
            )

    def _begin(
        self, index: int, time_ms: int, frame: Frame, facts: Facts | None, *, closing: str
    ) -> None:
        direction = frame.direction or Direction.INBOUND
        values: dict[str, object] = {
            "idx": index,
            "partner": frame.partner_id,
            "direction": int(direction),
            "number": frame.transaction_number,
            "message_id": frame.message_id,
            "asked_ms": time_ms,
            "operation": frame.subject_reference or (facts or {}).get("operation", ""),
            "agreement": frame.agreement_id,
            "version": frame.agreement_version,
            "closing": closing,
            **_columns(facts, schema.ASKED),
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
            **_told(facts),
        }
        # The first answer is the exchange's; only a review that nobody ended takes one back: it said PENDING.
        answered = self._note(frame, values, only="AND closing <> 'ANSWERED'")
        if answered or closing != "ABANDONED":
            return answered
        # What was read of the answer is still of the answer's leaf, and is forgotten with its detail.
        ended = {"closing": closing, "closed_ms": time_ms}
        return self._note(frame, ended, only="AND reviewed_ms IS NOT NULL")

    def _note(self, frame: Frame, values: Mapping[str, object], only: str = "") -> bool:
        """Write values beside the question of an entry; False where that is not known."""
        outbound = frame.direction is Direction.OUTBOUND
        key = frame.transaction_number if outbound else frame.message_id
        if not key:
            return False
        changes = ", ".join(f'"{name}" = ?' for name in values)
        where = _OUTBOUND if outbound else _INBOUND
        self._connection.execute(
            f"UPDATE exchanges SET {changes} {where} {only}",
            (*values.values(), key, frame.partner_id),
        )
        return self._connection.changes() > 0


def _told(facts: Facts | None) -> dict[str, object]:
    told = _columns(facts, schema.CLOSED)
    if facts and "outcome_received" in facts:
        told["disclosed_outcome"] = facts["outcome_received"]
    return told


def _columns(facts: Facts | None, names: tuple[str, ...]) -> dict[str, object]:
    """Return the facts that have a column; a number that is none is left out."""
    found: dict[str, object] = {}
    for name in names:
        value = (facts or {}).get(name)
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
