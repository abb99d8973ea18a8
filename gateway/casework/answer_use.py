"""Answers are shown, details asked for, and their use recorded: without a record of use no duty can be computed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.admin.pages import Page, token
from gateway.admin.personal_data_access import About, seen
from gateway.casework.correction_settlement import Files
from gateway.casework.outbound_queries import Asker, query_state
from gateway.casework.unanswered_queries import denials
from gateway.domain.messages import Direction, Outcome
from gateway.domain.outbound_query import OutboundAct, OutboundQuery, OutboundState, Seeking
from gateway.domain.person import TEXT, Field
from gateway.errors import InProgress, UserError
from gateway.law.retention_policy import RetentionClass
from gateway.ledger import events, exchange_events
from gateway.ledger.crypto_shredding import Erased
from gateway.ledger.entry import Leaf
from gateway.ledger.exchange_history import ANSWER
from gateway.operations import outbound
from gateway.store.casework import corrections, outbound_queries
from gateway.store.retention import holds
from gateway.store.times import milliseconds
from gateway.wire import correction_payload as corrections_wire
from gateway.wire import json_values, query_payload
from gateway.wire.received_fields import fields_in, with_details_apart

_SHOWN = (OutboundState.ANSWERED, OutboundState.SHOWN, OutboundState.USED)
# Bytes of what a page of an answer holds. The largest item, a notice with a photograph and every text at its longest, is
# written in about half a megabyte; both together stay below what one message holds (`gateway.wire.json_values`).
PAGE_BYTES = 450_000
_TOUCHED = "it was touched at this moment; look at it and say it again"


@dataclass(frozen=True, slots=True)
class _Filed:
    """A notice that lies apart; read when its page is shown."""

    id: bytes


class AnswerUse:
    """Where answers are looked at and used."""

    def __init__(self, files: Files, asker: Asker) -> None:
        self._files, self._asker = files, asker

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=outbound.List, do=self._list),
            Handler(request=outbound.Show, do=self._show),
            Handler(request=outbound.Details, do=self._details),
            Handler(request=outbound.Use, do=self._use),
            Handler(request=outbound.Irrelevant, do=self._irrelevant),
        )

    def _list(self, officer: Officer, request: outbound.List) -> Answer:
        page = Page(request)
        after = _after(page)
        with self._files.database.reader() as reader:
            found = outbound_queries.every(reader, request.case, after=after, limit=page.size + 1)
        shown, more = page.cut(found, outbound_queries.key_of)
        rows = [About(case=each.case, number=each.number) for each in shown]
        self._files.sequencer.commit(seen(officer, "asked", rows or [About(case=request.case)]), ())
        why = denials(self._files, shown)
        listed = [{**query_state(each), **denied} for each, denied in zip(shown, why, strict=True)]
        return {"asked": listed, "next_page_token": more}

    def _show(self, officer: Officer, request: outbound.Show) -> Answer:
        page = Page(request)
        start = page.start()
        query = self._find(request.number, request.partner)
        if query.state not in _SHOWN:
            self._files.sequencer.commit(_shown(query, officer, "state"), ())
            return {**query_state(query), **denials(self._files, (query,))[0]}
        contents = self._contents(query, start, page.size)
        entries = _shown(query, officer, ANSWER)
        try:
            moved = outbound_queries.moved(query, OutboundAct.SHOW)
            self._files.sequencer.commit(entries, (moved,))
        except InProgress:
            raise UserError(_TOUCHED) from None
        return {**query_state(self._find(request.number, request.partner)), **contents}

    def _contents(self, query: OutboundQuery, start: int, most: int) -> dict[str, object]:
        """Return what was answered, from item `start` on; corrected values are beside those that were used (315.27(3)).

        An item is a field, or a notice. Either may be a photograph, so a page ends at so many bytes too; it has one
        item at least.
        """
        key = self._files.data_key
        stored = with_details_apart(outbound_queries.stored_answer_of(key, query))
        fields: list[dict[str, object]] = []
        corrected: list[dict[str, object]] = []
        with self._files.database.reader() as reader:
            filed = corrections.notices_filed(reader, query.partner, query.number)
            items: tuple[Field | bytes | _Filed, ...] = (
                *fields_in(stored),
                *stored.corrected,
                *map(_Filed, filed),
            )
            end, size = start, 0
            for item in items[start : start + most]:
                if isinstance(item, Field):
                    shown = _shown_field(item)
                elif isinstance(item, bytes):
                    shown = _shown_notice(item)
                else:
                    named = query.partner, query.number, item.id
                    shown = _shown_notice(corrections.notice_filed(reader, key, *named))
                size += len(json_values.write(shown))
                if size > PAGE_BYTES and end > start:
                    break
                (fields if isinstance(item, Field) else corrected).append(shown)
                end += 1
        return {
            "outcome": query.outcome.name if query.outcome else "",
            **_said(stored.answer, query.outcome),
            "fields": fields,
            "corrected": corrected,
            "next_page_token": token(end) if end < len(items) else "",
        }

    def _details(self, officer: Officer, request: outbound.Details) -> Answer:
        seeking = Seeking(
            fields=request.fields, case=request.case, unit=request.unit, person=officer.person
        )
        query = self._find(request.number, request.partner)
        try:
            found = self._asker.seek(query, seeking)
        except InProgress:
            raise UserError(_TOUCHED) from None
        withheld = found.withholding
        return {
            **query_state(self._find(request.number, request.partner)),
            "outcome": found.outcome.name,
            "fields": [field.code.name for field in found.fields],
            "withheld": withheld.scope.name if withheld else "",
        }

    def _use(self, officer: Officer, request: outbound.Use) -> Answer:
        query, used_in = self._find(request.number, request.partner), request.used_in
        if query.state not in (OutboundState.SHOWN, OutboundState.USED):
            raise UserError(
                f"this query is {query.state.name}: only an answer that was shown can be used"
            )
        now = milliseconds(self._files.clock())
        used = outbound_queries.moved(query, OutboundAct.USE, used_ms=now, used_in=used_in)
        try:
            leaf = exchange_events.use(query, officer.person, used_in)
            self._files.sequencer.commit((leaf,), (used,))
        except InProgress:
            raise UserError(_TOUCHED) from None
        return query_state(self._find(request.number, request.partner))

    def _irrelevant(self, officer: Officer, request: outbound.Irrelevant) -> Answer:
        """Destroy an answer that an officer finds not relevant, with its details, now (IRPR 315.26)."""
        query = self._find(request.number, request.partner)
        if query.state not in (OutboundState.ANSWERED, OutboundState.SHOWN):
            raise UserError(
                f"this query is {query.state.name}: only an answer that is here, and was not used, is destroyed"
            )
        with self._files.database.reader() as reader:
            standing = holds.standing(reader)
        whom = frozenset() if query.subject is None else frozenset({query.subject})
        about = holds.Named(query.partner, frozenset({query.number}), whom)
        hold = standing.keeps(about)
        if hold is not None:
            raise UserError(f"hold {hold.id} keeps this answer; release it first")
        gone = outbound_queries.irrelevant(query, standing.serial)
        try:
            self._files.sequencer.commit((_destroyed(query, officer, request.reason),), (gone,))
        except InProgress:
            raise UserError(_TOUCHED) from None
        self._files.sequencer.forget_traces()  # what was erased leaves the journal too
        return query_state(self._find(request.number, request.partner))

    def _find(self, number: str, partner: str) -> OutboundQuery:
        with self._files.database.reader() as reader:
            found = outbound_queries.by_number(reader, number)
            if partner:
                found = tuple(each for each in found if each.partner == partner)
            whole = [outbound_queries.find(reader, each.partner, number) for each in found]
        if len(whole) != 1 or whole[0] is None:
            raise UserError(
                "we asked nobody under this number; `passerelle outbound list` names all"
            )
        return whole[0]


def _after(page: Page) -> outbound_queries.Key | None:
    values = page.after(int, str, str)
    if values is None:
        return None
    asked, number, partner = values
    return int(str(asked)), str(number), str(partner)


def _shown(query: OutboundQuery, officer: Officer, source: str) -> tuple[Leaf, ...]:
    return seen(
        officer,
        source,
        (About(case=query.case),),
        partner=query.partner,
        number=query.number,
        direction=Direction.OUTBOUND,
    )


def _destroyed(query: OutboundQuery, officer: Officer, reason: str) -> Leaf:
    """Return the entry of an erasure before its time; as that of the rounds, and by whom and why."""
    answered = query.answer or query.ask
    facts = {
        "actor": officer.person,
        "reason": reason,
        "partner": query.partner,
        "transaction_reference": query.number,
        "case": query.case,
    }
    erased = Erased(RetentionClass.UNUSED_RESULT.name, 1)
    return events.erasure(erased, "IRPR 315.26", answered, answered, facts)


def _said(answer: bytes, outcome: Outcome | None) -> dict[str, object]:
    """Return what an answer says beside its outcome: what is withheld, which samples were too poor, until when details are."""
    result = query_payload.read_result(answer) if answer else None
    withheld = None if result is None else result.withholding
    expires = result.details_expire_time if result and outcome is Outcome.MATCH else None
    return {
        "details_until": expires.isoformat() if expires else "",
        "withheld": "" if withheld is None else withheld.scope.name,
        "ground": "" if withheld is None else withheld.ground.name,
        "problems": [
            {
                "modality": each.modality.name,
                "position": each.position,
                "code": each.code.name,
                "recapture": each.recapture,
            }
            for each in (() if result is None else result.problems)
        ],
    }


def _shown_notice(payload: bytes) -> dict[str, object]:
    notice = corrections_wire.read_notice(payload)
    return {
        "kind": notice.kind.name,
        "fields": [code.name for code in notice.fields],
        "right": [_shown_field(field) for field in notice.corrected],
    }


def _shown_field(field: Field) -> dict[str, object]:
    text = field.mime_type == TEXT
    value = field.value.decode() if text else base64.b64encode(field.value).decode()
    return {
        "field": field.code.name,
        "value": value,
        "mime_type": field.mime_type,
        "authority": field.authority,
        "caveats": [each.text for each in field.caveats],
    }
