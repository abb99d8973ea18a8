"""The state of corrections, where each wrong datum went, and what a caseworker says where no record can.

`corrections.trace` is the propagation graph of one person or query: who received it, what was corrected, who
has not acknowledged, and the text of the note where it was used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.admin.pages import WRONG, Page
from gateway.admin.personal_data_access import About, seen
from gateway.casework import correction_settlement
from gateway.casework.correction_settlement import Files, Word
from gateway.domain.messages import Direction
from gateway.domain.outbound_query import OutboundQuery
from gateway.errors import InProgress, UserError
from gateway.law.correction_policy import Use
from gateway.law.correction_text import Noted, note_to_file
from gateway.ledger import exchange_events
from gateway.ledger.entry import EntryType
from gateway.ledger.exchange_events import Corrected
from gateway.operations.corrections import List, Retry, Settle, Trace
from gateway.store import correction_lifecycle
from gateway.store.casework import corrections, outbound_queries, recipients
from gateway.store.casework.recipients import Recipient
from gateway.store.correction_lifecycle import Correction, CorrectionPhase
from gateway.store.people import subjects
from gateway.store.times import milliseconds, moment

_UNSETTLED = (CorrectionPhase.OPEN, CorrectionPhase.LATE)


class CorrectionTrace:
    """Where corrections are looked at and settled."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=List, do=self._list),
            Handler(request=Trace, do=self._trace),
            Handler(request=Settle, do=self._settle),
            Handler(request=Retry, do=self._retry),
        )

    def _list(self, officer: Officer, request: List) -> Answer:
        page, partner = Page(request), request.partner
        after = _after(page)
        with self._files.database.reader() as reader:
            found = corrections.every(
                reader, partner, unfinished=request.open, after=after, limit=page.size + 1
            )
        shown, more = page.cut(found, _key)
        rows = [About(number=each.number) for each in shown]
        self._files.sequencer.commit(seen(officer, "corrections", rows, partner=partner), ())
        return {
            "corrections": [self._state_with_note(each) for each in shown],
            "next_page_token": more,
        }

    def _trace(self, officer: Officer, request: Trace) -> Answer:
        number, key = request.number, self._files.data_key
        subject: int | None = None
        with self._files.database.reader() as reader:
            if number:
                found = recipients.of_query(reader, key, number)
            else:
                subject = subjects.find(reader, request.subject)
                found = () if subject is None else recipients.of_subject(reader, key, subject)
            shown, more = Page(request).slice(found)
            received = outbound_queries.by_number(reader, number) if number else ()
            pairs = [
                *((each.partner, each.number) for each in shown),
                *((each.partner, each.number) for each in received),
            ]
            links = {pair: corrections.every(reader, *pair) for pair in pairs}
        rows = [
            About(subject, number=number),
            *(About(each.subject, number=each.number) for each in shown),
            *(About(case=each.case, number=each.number) for each in received),
        ]
        self._files.sequencer.commit(seen(officer, "trace", rows), ())
        now = self._files.clock()
        return {
            "subject": request.subject,
            "number": number,
            "disclosed": [
                _recipient(each, links[each.partner, each.number], now) for each in shown
            ],
            "next_page_token": more,
            "received": [
                {
                    "partner": each.partner,
                    "number": each.number,
                    "case": each.case,
                    "state": each.state.name,
                    "used_in": each.used_in,
                    "corrections": [
                        self._state_with_note(one) for one in _of(links, each, Direction.INBOUND)
                    ],
                }
                for each in received
            ],
        }

    def _settle(self, officer: Officer, request: Settle) -> Answer:
        used_in = request.used_in
        correction = self._found(request.correction, _UNSETTLED)
        with self._files.database.reader() as reader:
            query = outbound_queries.outline(reader, correction.partner, correction.number)
        if used_in and query is not None and correction_settlement.use_of(query) is Use.NONE:
            raise UserError("nobody was ever shown it, so it cannot have been used")
        word = Word(officer.person, request.reason, used_in)
        try:
            correction_settlement.settle(self._files, correction, word)
        except InProgress:
            raise UserError("it was touched at this moment; look at it and say it again") from None
        return self._state_with_note(self._found(request.correction, tuple(CorrectionPhase)))

    def _retry(self, officer: Officer, request: Retry) -> Answer:
        correction = self._found(request.correction, (CorrectionPhase.REFUSED,))
        outbound = correction.direction is Direction.OUTBOUND
        leaf = exchange_events.correction_retry(
            EntryType.CORRECTION if outbound else EntryType.ACKNOWLEDGEMENT,
            Corrected(correction.partner, correction.id, correction.number),
            officer.person,
            correction.state,
        )
        now = milliseconds(self._files.clock())
        again = corrections.moved(
            correction, correction_lifecycle.Act.RETRY, next_ms=now, attempts=0
        )
        self._files.sequencer.commit((leaf,), again)
        return self._state_with_note(self._found(request.correction, tuple(CorrectionPhase)))

    def _found(self, identifier: bytes, states: tuple[CorrectionPhase, ...]) -> Correction:
        with self._files.database.reader() as reader:
            found = [each for each in corrections.under(reader, identifier) if each.state in states]
        if len(found) != 1:
            names = ", ".join(state.name for state in states)
            raise UserError(
                f"no correction under this identifier is {names}; `passerelle corrections list` shows"
                " where each stands"
            )
        return found[0]

    def _state_with_note(self, correction: Correction) -> dict[str, object]:
        """Return what is said of a correction; of one that was noted to a file, the note's text too."""
        facts = _state(correction, self._files.clock())
        if not correction.note or correction.direction is Direction.OUTBOUND:
            return facts
        with self._files.database.reader() as reader:
            query = outbound_queries.outline(reader, correction.partner, correction.number)
        english, french = note_to_file(
            Noted(
                reference=correction.note,
                partner=correction.partner,
                number=correction.number,
                kind=correction.kind,
                told=correction.open,
                used_in=query.used_in if query else "",
            )
        )
        return {**facts, "note_en": english, "note_fr": french}


def _key(correction: Correction) -> tuple[int | str, ...]:
    opened, partner, identifier, direction = corrections.key_of(correction)
    return opened, partner, identifier.hex(), direction


def _after(page: Page) -> corrections.Key | None:
    values = page.after(int, str, str, int)
    if values is None:
        return None
    opened, partner, identifier, direction = values
    try:
        return int(str(opened)), str(partner), bytes.fromhex(str(identifier)), int(str(direction))
    except ValueError:
        raise UserError(WRONG) from None


def _state(correction: Correction, now: datetime) -> dict[str, object]:
    """Return what is said of a correction, in plain values; of one that was noted, the note's text."""
    return {
        "correction": correction.id.hex(),
        "direction": correction.direction.name,
        "partner": correction.partner,
        "number": correction.number,
        "kind": correction.kind.name,
        "state": correction.state.name,
        "opened_by": correction.opened_by,
        "open": correction.open.isoformat(),
        "due": correction.due.isoformat(),
        "sent": correction.send.isoformat() if correction.send else "",
        "acknowledged": correction.ack.isoformat() if correction.ack else "",
        "outcome": correction.outcome.name if correction.outcome else "",
        "late": correction.state is not CorrectionPhase.ACKNOWLEDGED and now > correction.due,
        "note": correction.note,
    }


def _recipient(to: Recipient, links: tuple[Correction, ...], now: datetime) -> dict[str, object]:
    return {
        "partner": to.partner,
        "number": to.number,
        "fields": [
            {
                "field": code.name,
                "authority": sent.authority,
                "record_version": sent.version,
                "disclosed": moment(sent.disclose_ms).isoformat(),
            }
            for code, sent in sorted(to.fields.items())
        ],
        "corrections": [
            _state(each, now) for each in links if each.direction is Direction.OUTBOUND
        ],
    }


def _of(
    links: dict[tuple[str, str], tuple[Correction, ...]], each: OutboundQuery, way: Direction
) -> list[Correction]:
    return [one for one in links[each.partner, each.number] if one.direction is way]
