"""Killed before or after any commit, a correction and a question come to the same end: nothing half-done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest

from gateway.domain.correction import CorrectionOutcome
from gateway.domain.messages import (
    UNSTATED,
    Direction,
    Modality,
    Outcome,
    RecordFormat,
    Sample,
)
from gateway.domain.outbound_query import OutboundState
from gateway.domain.person import Details, DetailsOutcome, Field, FieldCode
from gateway.extraction.service import ExtractionService
from gateway.ledger.entry import EntryType
from gateway.server import lifecycle
from gateway.store.casework import outbound_queries
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.wire import disclosure_payload as details_wire
from tests.gateway.casework.outbound_requests import LAWFUL, given, subjects
from tests.gateway.extraction import image_files
from tests.gateway.matching.extracting import Extracting

GENDER = details_wire.details_bytes(
    Details(
        DetailsOutcome.DISCLOSED,
        (Field(code=FieldCode.GENDER, value=b"F", authority="IRPR 315.41(2)(a)"),),
    )
)
COMMITS = range(3)  # of a walk with one correction in it: settled or kept, kept, delivered


class Killed(BaseException):
    """The process ended here."""


@contextmanager
def killed(side: Any, at: int, *, after: bool) -> Iterator[None]:
    """End whatever `side` does at its commit number `at`: before it, or when it is durable."""
    sequencer, count = side.gateway.sequencer, 0
    commit = sequencer.commit

    def counting(*what: Any) -> Any:
        nonlocal count
        count += 1
        if count - 1 != at:
            return commit(*what)
        if after:
            commit(*what)
        raise Killed

    sequencer.commit = counting
    try:
        yield
    except Killed:
        pass
    finally:
        del sequencer.commit


def test_a_correction_is_told_once_wherever_either_gateway_dies(
    sides: Any, clock: Any, patience: Any
) -> None:
    """No notice is lost, none is taken twice, and every duty is done once."""
    can, aus = sides
    with can.gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
    numbers = []
    patience(1.5)  # a gateway that died does not answer
    for who, at, after in product((can, aus), COMMITS, (False, True)):
        number = f"20260301-{len(numbers):020d}"
        numbers.append(number)
        can.disclosed("AUS", number, subject, FieldCode.GENDER)
        aus.asked("CAN", number, details=GENDER)
        with killed(can, 0, after=after):
            can.act("corrections.open", number=number, kind="WITHDRAWN", reason="why")
        if not after:  # it died before anything was durable; the officer says it again
            can.act("corrections.open", number=number, kind="WITHDRAWN", reason="why")
        with killed(who, at, after=after):
            can.walk()
            aus.walk()

    for side in (can, aus):
        side.close()
        side.open()
    patience(5.0)
    clock.pass_(minutes=2)  # whoever met a dying gateway tries again after a pause
    can.walk()
    aus.walk()

    for side, direction in ((can, Direction.OUTBOUND), (aus, Direction.INBOUND)):
        found = side.corrections()
        assert sorted(each.number for each in found) == numbers
        assert {each.direction for each in found} == {direction}
        assert {each.state for each in found} == {CorrectionPhase.ACKNOWLEDGED}
        assert {each.outcome for each in found} == {CorrectionOutcome.DESTROYED}
        assert side.papers() == 0
    assert len(aus.frames(EntryType.CORRECTION)) == len(numbers)
    assert len(can.frames(EntryType.ACKNOWLEDGEMENT)) == len(numbers)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [0, 1])
def test_a_question_is_answered_once_wherever_the_gateway_dies(
    sides: Any, people: Any, at: int, after: bool
) -> None:
    can, aus = sides
    values = {**LAWFUL, **given(people.samples(1)[0])}

    with killed(can, at, after=after):
        can.act("ask", **values)
    can.close()
    can.open()
    can.walk()

    with can.gateway.database.reader() as reader:
        found = outbound_queries.every(reader)
    durable = (at, after) != (0, False)
    assert [each.state for each in found] == [OutboundState.ANSWERED] * durable
    asked = [f for f in aus.frames(EntryType.REQUEST) if f.subject_reference == "SUBMIT_QUERY"]
    assert len(asked) == durable  # before ASKED is durable nothing left
    assert len(can.frames(EntryType.ASKED)) == durable


@pytest.fixture
def aus_reads_images(monkeypatch: pytest.MonkeyPatch, people: Any) -> None:
    """Have AUS, which is opened second, make the record of a known finger of every picture."""
    record = people.samples(1)[0].data
    services = iter(
        (ExtractionService(), Extracting({Modality.FINGER: record}), ExtractionService())
    )
    monkeypatch.setattr(lifecycle, "build_extraction", lambda _: next(services))


@pytest.mark.usefixtures("aus_reads_images")
@pytest.mark.parametrize(("at", "after"), [(0, False), (0, True), (1, False)])
def test_an_image_is_searched_once_and_gone_wherever_the_gateway_dies(
    sides: Any, at: int, after: bool
) -> None:
    """After the partner said what it reads, before and after ASKED is durable, and before its answer is."""
    can, aus = sides
    rows = bytes(range(1, 101)) * 100
    sent = Sample(
        modality=Modality.FINGER,
        position=2,
        format=RecordFormat.ISO_19794_4_2011,
        extractor=UNSTATED,
        data=image_files.fir_second(rows, 0, (100, 100), position=2),
    )

    with killed(can, at, after=after):
        can.act("ask", **LAWFUL, **given(sent))
    can.close()
    can.open()
    can.walk()

    with can.gateway.database.reader() as reader:
        found = outbound_queries.every(reader)
    durable = (at, after) != (0, False)
    assert [each.outcome for each in found] == [Outcome.MATCH] * durable
    asked = [f for f in aus.frames(EntryType.REQUEST) if f.subject_reference == "SUBMIT_QUERY"]
    assert len(asked) == durable
    for each in found:
        assert len(can.outbound_query("AUS", each.number).sealed) < 65_536  # the envelope went
    for side in sides:
        files = [each for each in side.home.rglob("*") if each.is_file()]
        assert not [each for each in files if rows[:64] in each.read_bytes()]
