"""Corrections, acknowledgements, what we asked and its use: each entry only after what it follows."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.domain.messages import Direction
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.sequence_rules import _EDGES, FollowUpRules

IN, OUT = Direction.INBOUND, Direction.OUTBOUND
OTHER, ACCEPTED, ANSWERED, DENIED = (
    *(EntryClass.OTHER, EntryClass.ACCEPTED),
    *(EntryClass.ANSWERED, EntryClass.DENIED),
)
NOTICE = (EntryType.CORRECTION, OUT, OTHER)
SENT = (EntryType.CORRECTION, OUT, ANSWERED)
HEARD = (EntryType.CORRECTION, IN, ACCEPTED)
THEIRS = (EntryType.ACKNOWLEDGEMENT, IN, ACCEPTED)
DONE = (EntryType.ACKNOWLEDGEMENT, OUT, OTHER)
OURS = (EntryType.ACKNOWLEDGEMENT, OUT, ANSWERED)
ASKED = (EntryType.ASKED, OUT, OTHER)
STOPPED = (EntryType.ASKED, OUT, DENIED)
PENDING = (EntryType.ANSWER_RECEIVED, OUT, ACCEPTED)
ANSWER = (EntryType.ANSWER_RECEIVED, OUT, ANSWERED)
NO = (EntryType.ANSWER_RECEIVED, OUT, DENIED)
GIVEN_UP = (EntryType.ABANDONED, OUT, OTHER)
USE = (EntryType.USE, OUT, OTHER)

Said = tuple[EntryType, Direction, EntryClass]


def frame(said: Said, partner: str = "AUS", number: str = "N-000001") -> Frame:
    kind, direction, entry_class = said
    return Frame(
        type=kind,
        direction=direction,
        entry_class=entry_class,
        partner_id=partner,
        transaction_number=number,
    )


def faults(*history: Said) -> list[str]:
    sequels = FollowUpRules()
    return [fault for said in history for fault in sequels.read(frame(said))]


@pytest.mark.parametrize(
    "history",
    [
        (NOTICE, SENT, THEIRS),
        (NOTICE, SENT, SENT, THEIRS),
        (NOTICE, THEIRS),
        (NOTICE, NOTICE, SENT),
        (HEARD, DONE, OURS),
        (HEARD, DONE, DONE, OURS),
        (HEARD,),
        (ASKED, ANSWER, USE, USE),
        (ASKED, PENDING, PENDING, ANSWER),
        (ASKED, NO),
        (ASKED, GIVEN_UP),
        (STOPPED,),
    ],
)
def test_a_lawful_history_has_no_fault(history: tuple[Said, ...]) -> None:
    assert faults(*history) == []


@pytest.mark.parametrize(
    "history",
    [
        (THEIRS,),  # an acknowledgement of what we never sent
        (NOTICE, THEIRS, THEIRS),  # a replayed acknowledgement
        (SENT,),
        (HEARD, HEARD),
        (DONE,),
        (HEARD, OURS),  # acknowledged before the duty was done
        (ANSWER,),
        (ASKED, ASKED),
        (ASKED, ANSWER, ANSWER),
        (ASKED, USE),  # used before it was answered
        (ASKED, NO, USE),
        (STOPPED, ANSWER),  # a query that our law stopped, and that was sent all the same
        (ASKED, GIVEN_UP, ANSWER),
        (HEARD, THEIRS),  # a partner's acknowledgement of its own notice
    ],
)
def test_an_unlawful_history_is_a_finding(history: tuple[Said, ...]) -> None:
    assert len(faults(*history)) == 1


def test_every_direction_and_class_that_is_not_drawn_is_a_finding() -> None:
    kinds = {kind for kind, _, _ in _EDGES} - {EntryType.ABANDONED}
    for said in product(sorted(kinds), Direction, EntryClass):
        told = list(FollowUpRules().read(frame(said)))
        assert bool(told) == (said not in _EDGES or None not in _EDGES[said][0])


def test_histories_of_other_partners_and_numbers_are_other_histories() -> None:
    sequels = FollowUpRules()
    assert not list(sequels.read(frame(ASKED)))

    assert list(sequels.read(frame(ANSWER, partner="NZL")))
    assert list(sequels.read(frame(ANSWER, number="N-000002")))
    assert not list(sequels.read(frame(ANSWER)))


def test_an_entry_without_number_is_a_finding() -> None:
    assert list(FollowUpRules().read(frame(ASKED, number="")))
