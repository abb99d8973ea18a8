"""Correct what was disclosed: one decision, one notice for each partner and query that it went to.

The graph of disclosures says who received what; today's record says what is right. All notices of one decision
become durable together or not at all; the transport carries them (`gateway.outbound.correction_sender`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.casework.correction_settlement import Files
from gateway.domain.correction import CorrectionKind, CorrectionNotice
from gateway.domain.messages import Direction
from gateway.domain.outbound_query import OutboundState
from gateway.domain.person import Field, FieldCode, Record
from gateway.errors import UserError
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf
from gateway.ledger.exchange_events import Corrected
from gateway.operations.corrections import IDENTIFIER_BYTES, Open
from gateway.outbound.permissions import OutboundPermissions
from gateway.store.casework import corrections, disclosures, outbound_queries
from gateway.store.casework import recipients as propagation
from gateway.store.casework.corrections import Papers
from gateway.store.casework.recipients import Recipient
from gateway.store.correction_lifecycle import Correction, CorrectionPhase
from gateway.store.effects import Effect
from gateway.store.people import subjects
from gateway.store.people.person_records import StoredPeople
from gateway.wire import correction_payload as wire

_NOBODY = (
    "nothing of this was disclosed to anybody, so there is nobody to tell; `passerelle corrections trace` shows"
    " what was"
)


class CorrectionOperations:
    """Where corrections are opened."""

    def __init__(
        self, files: Files, people: StoredPeople, permissions: OutboundPermissions
    ) -> None:
        self._files, self._people, self._permissions = files, people, permissions

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (Handler(request=Open, do=self._open),)

    def _open(self, officer: Officer, wanted: Open) -> Answer:
        recipients = self._recipients(wanted)
        record = self._record(wanted, recipients)
        notices = self._notices(officer, wanted, recipients, record)
        fresh = [each for each in notices if not self._pending(*each)]
        if fresh:
            self._commit(officer, wanted, fresh)
        return {
            "opened": [_plain(each) for each, _ in fresh],
            "already_open": len(notices) - len(fresh),
        }

    def _recipients(self, wanted: Open) -> tuple[Recipient, ...]:
        """Return who must be informed; raises UserError where nobody ever received any of it."""
        key = self._files.data_key
        with self._files.database.reader() as reader:
            if wanted.number:
                found = propagation.of_query(reader, key, wanted.number, wanted.partner)
                # A match or a disclosure is withdrawn query by query; a wrong value is wrong wherever it went.
                if wanted.kind is CorrectionKind.WRONG_VALUE:
                    people = {each.subject for each in found if each.subject is not None}
                    found = tuple(
                        each
                        for one in sorted(people)
                        for each in propagation.of_subject(reader, key, one)
                    )
            else:
                subject = subjects.find(reader, wanted.subject)
                found = () if subject is None else propagation.of_subject(reader, key, subject)
        if wanted.number and not found:
            return self._queried_partners(wanted)
        if wanted.partner:
            found = tuple(each for each in found if each.partner == wanted.partner)
        concerned = tuple(each for each in found if _concerns(wanted, each))
        if not concerned:
            raise UserError(_NOBODY)
        if wanted.number and len({(each.partner, each.number) for each in concerned}) > 1:
            numbers = {each.partner for each in concerned if each.number == wanted.number}
            if len(numbers) > 1 and not wanted.partner:
                raise UserError(
                    f"several partners used this number: name one of {', '.join(sorted(numbers))}"
                )
        return concerned

    def _queried_partners(self, wanted: Open) -> tuple[Recipient, ...]:
        """Return whom a query of ours went to: it disclosed whose prints they are, and for what (IRPR 315.23(1))."""
        with self._files.database.reader() as reader:
            found = outbound_queries.by_number(reader, wanted.number)
        asked = [each for each in found if wanted.partner in {"", each.partner}]
        if not asked:
            raise UserError(_NOBODY)
        if len(asked) > 1:
            names = ", ".join(sorted(each.partner for each in asked))
            raise UserError(f"several partners were asked under this number: name one of {names}")
        if wanted.kind is CorrectionKind.WRONG_VALUE or wanted.fields:
            raise UserError(
                "a query tells no field: say --kind WRONG_PERSON where the prints are another's, or WITHDRAWN"
            )
        if asked[0].state in (OutboundState.ASKED, OutboundState.PENDING):
            raise UserError(
                "it is not answered yet; correct it once `passerelle outbound list` says so"
            )
        if asked[0].state is OutboundState.REFUSED:
            raise UserError("the partner refused this query and kept nothing of it to correct")
        if asked[0].state is OutboundState.STOPPED:
            raise UserError("this query never left: no partner has anything of it to correct")
        return (Recipient(asked[0].partner, wanted.number, asked[0].subject),)

    def _record(self, wanted: Open, recipients: Sequence[Recipient]) -> Record:
        """Return today's record, where corrected values are to be disclosed."""
        if wanted.kind is not CorrectionKind.WRONG_VALUE:
            return Record()
        people = {each.subject for each in recipients if each.subject is not None}
        if len(people) != 1:
            raise UserError(
                "whom this is about is no longer known: withdraw it with --kind WITHDRAWN"
            )
        return self._people.record(people.pop())

    def _notices(
        self, officer: Officer, wanted: Open, recipients: Sequence[Recipient], record: Record
    ) -> list[tuple[Correction, CorrectionNotice]]:
        """Return a notice for each recipient; a recipient that has today's record already gets none, and stops nobody's."""
        made = [self._notice(officer, wanted, one, record) for one in recipients]
        notices = [each for each in made if each is not None]
        if not notices:
            raise UserError(
                "the record holds no newer value of these fields: set it right first with"
                " `passerelle registry update`, or withdraw them with --kind WITHDRAWN"
            )
        return notices

    def _notice(
        self, officer: Officer, wanted: Open, to: Recipient, record: Record
    ) -> tuple[Correction, CorrectionNotice] | None:
        now = self._files.clock()
        received = sorted(to.fields)
        named = tuple(code for code in received if not wanted.fields or code in wanted.fields)
        corrected: tuple[Field, ...] = ()
        if wanted.kind is CorrectionKind.WRONG_VALUE:
            corrected = _right(to, named, record)
            if not corrected:
                return None
            named = tuple(each.code for each in corrected)
            hidden = [
                code.name for code in named if code not in self._permissions.may_correct(to, record)
            ]
            if hidden:
                raise UserError(
                    f"{', '.join(hidden)} of this person may not be disclosed to {to.partner} today, so no"
                    " right value can be told: name the other fields, and withdraw these with --kind WITHDRAWN"
                )
        correction = Correction(
            id=self._files.random(IDENTIFIER_BYTES),
            partner=to.partner,
            direction=Direction.OUTBOUND,
            number=to.number,
            kind=wanted.kind,
            state=CorrectionPhase.OPEN,
            opened_by=officer.person,
            open=now,
            due=now + self._permissions.timers(to.partner).acknowledge,
        )
        notice = CorrectionNotice(
            id=correction.id,
            kind=wanted.kind,
            fields=named,
            due=correction.due,
            corrected=corrected,
        )
        return correction, notice

    def _pending(self, correction: Correction, notice: CorrectionNotice) -> bool:
        """Whether this very correction is on its way to the partner already."""
        with self._files.database.reader() as reader:
            open_ones = corrections.every(reader, correction.partner, correction.number)
        for each in open_ones:
            alike = (each.direction, each.kind) == (Direction.OUTBOUND, correction.kind)
            if alike and each.state is not CorrectionPhase.ACKNOWLEDGED:
                with self._files.database.reader() as reader:
                    papers = corrections.papers_of(reader, self._files.data_key, each)
                said = wire.read_notice(papers.notice)
                if (said.fields, said.corrected) == (notice.fields, notice.corrected):
                    return True
        return False

    def _commit(
        self,
        officer: Officer,
        wanted: Open,
        notices: Sequence[tuple[Correction, CorrectionNotice]],
    ) -> None:
        leaves: list[Leaf] = []
        effects: list[Effect] = []
        for position, (correction, notice) in enumerate(notices):
            of = Corrected(correction.partner, correction.id, correction.number)
            leaf = exchange_events.correction(
                of, notice, officer.person, wanted.reason, recipients=len(notices)
            )
            leaves.append(leaf)
            papers = Papers(wire.kept_bytes(notice))
            sealed = corrections.seal(self._files.data_key, correction, papers)
            effects += corrections.opened(correction, sealed, leaf=position)
            if (
                wanted.kind is not CorrectionKind.WRONG_VALUE
            ):  # what is taken back is not given again
                now = self._files.clock()
                effects.append(disclosures.withdrawn(correction.partner, correction.number, now))
        self._files.sequencer.commit(leaves, effects)


def _concerns(wanted: Open, to: Recipient) -> bool:
    """Whether a recipient has something of what is wrong; the match itself concerns whoever got it."""
    if wanted.fields:
        return not to.fields.keys().isdisjoint(wanted.fields)
    return wanted.kind is not CorrectionKind.WRONG_VALUE or bool(to.fields)


def _right(to: Recipient, named: Sequence[FieldCode], record: Record) -> tuple[Field, ...]:
    """Return the right values of what a partner received of an older record, under the same paragraphs."""
    return tuple(
        Field(
            code=code,
            value=record.data[code].value,
            mime_type=record.data[code].mime_type,
            authority=to.fields[code].authority,
            source_version=str(record.version),
        )
        for code in named
        if code in record.data and to.fields[code].version < record.version
    )


def _plain(correction: Correction) -> dict[str, object]:
    return {
        "correction": correction.id.hex(),
        "partner": correction.partner,
        "number": correction.number,
        "kind": correction.kind.name,
        "due": correction.due.isoformat(),
    }
