"""An agreement with one step: details stand in the answer, and every answer has their size, a no-match too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain.messages import Outcome
from gateway.domain.person import Datum, DetailsOutcome, FieldCode, Record
from gateway.store.people import person_records as store
from gateway.store.people import subjects
from gateway.store.schema import disclosures
from keys.envelope import LARGEST_BUT_QUERY

if TYPE_CHECKING:
    from tests.gateway.conftest import Pair, People


@pytest.fixture
def pair(homes: Any, serve: Any, people: People, agree: Any) -> Iterator[Pair]:
    """Return a gateway whose agreement with Australia has one step."""
    file = homes[0] / "agreements" / "au.toml"
    text = file.read_text(encoding="utf-8")
    for old, new in (
        ("single_step = false", "single_step = true"),
        ("version = 1\n", "version = 2\n"),
        ("in_force = 2026-01-01", "in_force = 2026-01-02"),
    ):
        assert old in text
        text = text.replace(old, new)
    agree(homes[0], "au-2.toml", text)
    with serve(*homes) as serving:
        gateway = serving.gateway
        with gateway.database.reader() as reader:
            subject = subjects.find(reader, "P-1")
        data = {
            FieldCode.LAST_NAME: Datum(b"Doe"),
            FieldCode.PHOTOGRAPH: Datum(bytes(196_000), "image/png"),
        }
        record = Record(status=people.status(), data=data, version=2)
        effect = store.write_record(subject, record, gateway.keys.data_key, gateway.clock())
        gateway.sequencer.commit((), (effect,))
        yield serving


def test_a_match_brings_its_details_and_an_unknown_person_the_same_size(
    pair: Pair, people: People
) -> None:
    partner = pair.partner()

    known = partner.query(people.samples(1), **people.matter(agreement=("au", 2)))
    absent = partner.query(people.samples(people.unknown), **people.matter(agreement=("au", 2)))

    assert (known.outcome, absent.outcome) == (Outcome.MATCH, Outcome.NO_MATCH)
    assert known.envelope_size == absent.envelope_size > LARGEST_BUT_QUERY
    assert absent.result.details is None
    told = known.result.details
    assert told is not None
    assert told.outcome is DetailsOutcome.DISCLOSED
    assert [each.code for each in told.fields] == [FieldCode.LAST_NAME, FieldCode.PHOTOGRAPH]
    assert all(each.authority for each in told.fields)
    with pair.gateway.database.reader() as reader:
        rows = reader.execute(disclosures.select()).all()
    assert {(row.number, row.details_number) for row in rows} == {
        (known.transaction_number, known.transaction_number)
    }


def test_what_is_recorded_holds_no_details_and_the_reference_gets_them_again(
    pair: Pair, people: People
) -> None:
    """A value is kept where it belongs, in the record; not for two years with the outcome."""
    partner = pair.partner()
    known = partner.query(people.samples(1), **people.matter(agreement=("au", 2)))

    state = partner.state(known.transaction_number)
    again = partner.details(
        known.transaction_number,
        known.result.hit_reference,
        (FieldCode.LAST_NAME,),
        **people.matter(agreement=("au", 2)),
    )

    assert state.result is not None
    assert (state.result.outcome, state.result.details) == (Outcome.MATCH, None)
    assert [each.value for each in again.details.fields] == [b"Doe"]
