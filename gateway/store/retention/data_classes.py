"""Where each class of data is kept, since when its period counts, and what erasing it does.

Of sealed things that a row must outlive, the column is emptied; of all others the row goes. What a commit erases is
named by its key and must still be what it was: due, and under the same holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from gateway.domain.messages import State
from gateway.domain.outbound_query import UNANSWERED, OutboundState
from gateway.law.retention_policy import RetentionClass
from gateway.ledger.crypto_shredding import CLASS_OF
from gateway.ledger.entry import EntryType
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.store.exchange.replay import ReplayState
from gateway.store.schema import (
    asked,
    corrections,
    detail_keys,
    disclosures,
    filed_notices,
    hit_references,
    leaves,
    replay,
    transactions,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClass:
    """One class of rows.

    since     milliseconds from which its period counts
    measure   what is held against a cutoff: `since`, but for details the index, which grows with time
    ripe      which rows can become due at all
    number    transaction number that the row is about; partner likewise; subject where the row says it
    leaf      the leaf that the row is a detail of, where it is one
    emptied   columns that erasing empties; None = the row goes
    along     a table whose rows under the same key go with it
    """

    table: Table
    key: Sequence[ColumnElement[Any]]
    since: ColumnElement[int]
    ripe: ColumnElement[bool]
    partner: ColumnElement[Any]
    number: ColumnElement[Any]
    subject: ColumnElement[Any] = field(default_factory=lambda: literal(None))
    leaf: ColumnElement[Any] = field(default_factory=lambda: literal(None))
    measure: ColumnElement[Any] | None = None
    emptied: Mapping[str, None] | None = None
    along: Table | None = None

    def rows(self, cutoffs: Mapping[str, int]) -> Select[Any]:
        """Return what selects the rows that are due; `cutoffs` by partner, "" for all others."""
        columns = (
            self.since.label("since"),
            self.partner.label("of_partner"),
            self.number.label("of_number"),
            self.subject.label("of_subject"),
            self.leaf.label("of_leaf"),
        )
        return select(*self.key, *columns).where(self.due(cutoffs))

    def due(self, cutoffs: Mapping[str, int]) -> ColumnElement[bool]:
        """Return the condition that a row is due."""
        own = [each for each in cutoffs if each]
        age = self.since if self.measure is None else self.measure
        of_others = age <= cutoffs[""]
        if own:
            of_others = and_(of_others, self.partner.not_in(own))
        terms = [and_(self.partner == each, age <= cutoffs[each]) for each in own]
        return and_(self.ripe, or_(of_others, *terms))

    def among(self, keys: Iterable[Sequence[Any]]) -> ColumnElement[bool]:
        """Return the condition that a row has one of these keys."""
        keys = list(keys)
        if len(self.key) == 1:
            return self.key[0].in_([key[0] for key in keys])
        return tuple_(*self.key).in_(keys)


def _details(kept: RetentionClass) -> DataClass:
    kinds = [int(kind) for kind in EntryType if CLASS_OF[kind] == kept.name]
    mine = select(leaves).where(leaves.c.idx == detail_keys.c.idx)

    def of_leaf(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return mine.with_only_columns(column).scalar_subquery()

    return DataClass(
        table=detail_keys,
        key=(detail_keys.c.idx,),
        since=of_leaf(leaves.c.time_ms),
        measure=detail_keys.c.idx,
        ripe=of_leaf(leaves.c.type).in_(kinds),
        partner=of_leaf(leaves.c.partner),
        number=of_leaf(leaves.c.transaction_number),
        leaf=of_leaf(leaves.c.leaf),
    )


_answered_or_over = asked.c.state.not_in([int(OutboundState.ASKED), int(OutboundState.PENDING)])
# Nothing came: what is kept of it is why, which names nobody and goes with the row.
_nothing_came = asked.c.state.in_([int(state) for state in UNANSWERED])
_answered = func.coalesce(asked.c.answer_ms, asked.c.ask_ms)


def _unfinished(table: Table) -> ColumnElement[bool]:
    """Return the condition that a correction of a row's query is under way: a partner that got the data must be informed."""
    return exists().where(
        corrections.c.partner == table.c.partner,
        corrections.c.number == table.c.number,
        corrections.c.state != int(CorrectionPhase.ACKNOWLEDGED),
    )


# PROBE is watched and not erased here: prints live in memory, or with a review, and end with it. TRACE and DATA_KEY are
# no rows.
DATA_CLASSES: Mapping[RetentionClass, DataClass] = MappingProxyType(
    {
        RetentionClass.REPLY: DataClass(
            table=replay,
            key=(replay.c.sender, replay.c.message_id),
            since=func.max(replay.c.expires_ms, replay.c.stored_until_ms),
            ripe=replay.c.state.in_([int(ReplayState.DONE), int(ReplayState.REFUSED)]),
            partner=replay.c.sender,
            number=replay.c.transaction_number,
        ),
        RetentionClass.HIT_REFERENCE: DataClass(
            table=hit_references,
            key=(hit_references.c.reference,),
            since=hit_references.c.expires_ms,
            ripe=literal(True),
            partner=hit_references.c.partner,
            number=hit_references.c.transaction_number,
            subject=hit_references.c.subject_id,
        ),
        RetentionClass.UNUSED_RESULT: DataClass(
            table=asked,
            key=(asked.c.partner, asked.c.number),
            since=_answered,
            ripe=and_(
                asked.c.sealed.is_not(None),
                asked.c.used_ms.is_(None),
                _answered_or_over,
                ~_nothing_came,
            ),
            partner=asked.c.partner,
            number=asked.c.number,
            subject=asked.c.subject_id,
            emptied=MappingProxyType({"sealed": None, "outcome": None}),
            along=filed_notices,
        ),
        RetentionClass.USED_RESULT: DataClass(
            table=asked,
            key=(asked.c.partner, asked.c.number),
            since=asked.c.used_ms,
            ripe=and_(asked.c.sealed.is_not(None), asked.c.used_ms.is_not(None)),
            partner=asked.c.partner,
            number=asked.c.number,
            subject=asked.c.subject_id,
            emptied=MappingProxyType({"sealed": None}),
            along=filed_notices,
        ),
        RetentionClass.ASKED: DataClass(
            table=asked,
            key=(asked.c.partner, asked.c.number),
            since=func.max(func.coalesce(asked.c.used_ms, 0), _answered),
            ripe=and_(
                or_(asked.c.sealed.is_(None), _nothing_came), _answered_or_over, ~_unfinished(asked)
            ),
            partner=asked.c.partner,
            number=asked.c.number,
            subject=asked.c.subject_id,
        ),
        RetentionClass.CORRECTION: DataClass(
            table=corrections,
            key=(corrections.c.partner, corrections.c.direction, corrections.c.id),
            since=corrections.c.ack_ms,
            ripe=and_(
                corrections.c.state == int(CorrectionPhase.ACKNOWLEDGED),
                corrections.c.ack_ms.is_not(None),
            ),
            partner=corrections.c.partner,
            number=corrections.c.number,
        ),
        # Details before the rows that tell whom they are about: a hold on a person finds them by those.
        RetentionClass.EXCHANGE_DETAIL: _details(RetentionClass.EXCHANGE_DETAIL),
        RetentionClass.OFFICE_DETAIL: _details(RetentionClass.OFFICE_DETAIL),
        RetentionClass.DISCLOSURE: DataClass(
            table=disclosures,
            key=(disclosures.c.partner, disclosures.c.details_number, disclosures.c.field),
            since=disclosures.c.disclose_ms,
            ripe=~_unfinished(disclosures),
            partner=disclosures.c.partner,
            number=disclosures.c.number,
            subject=disclosures.c.subject_id,
        ),
        RetentionClass.TRANSACTION: DataClass(
            table=transactions,
            key=(transactions.c.partner, transactions.c.number),
            since=transactions.c.receive_ms,
            ripe=and_(
                transactions.c.state.in_([int(State.DECIDED), int(State.ABANDONED)]),
                ~_unfinished(transactions),
            ),
            partner=transactions.c.partner,
            number=transactions.c.number,
        ),
    }
)
