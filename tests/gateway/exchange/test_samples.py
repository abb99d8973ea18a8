"""A sample is what its sender says it is, in every format that we say we read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import ElementsInconsistent, RecordUnparseable
from gateway.exchange.samples import read_sample
from gateway.terms import Modality, RecordFormat, Sample
from matcher import ansinist, fmr, synthetic

FINGER = synthetic.impression(synthetic.person(3), 2, 1)


def sample(form: RecordFormat) -> Sample:
    return Sample(
        modality=Modality.FINGER,
        position=2,
        format=form,
        extractor="test",
        data=synthetic.record(FINGER, 2, form),
    )


def test_the_formats_of_the_wire_are_those_that_are_read() -> None:
    assert {each.name: int(each) for each in RecordFormat} == {
        each.name: int(each) for each in fmr.Format
    }


@pytest.mark.parametrize("form", RecordFormat)
def test_every_format_gives_the_same_minutiae(form: RecordFormat) -> None:
    assert (read_sample(sample(form), "s").xy == FINGER.xy).all()


@pytest.mark.parametrize("form", RecordFormat)
@pytest.mark.parametrize("other", RecordFormat)
def test_a_format_is_never_guessed(form: RecordFormat, other: RecordFormat) -> None:
    if form is not other:
        with pytest.raises(ElementsInconsistent):
            read_sample(replace(sample(form), format=other), "s")


def test_a_transaction_file_is_no_record_of_a_query() -> None:
    view = fmr.View(2, 0, 80, FINGER)
    file = ansinist.write([view], ansinist.Header("SRE", "20260301", "CAN", "AUS", "T"))

    with pytest.raises(RecordUnparseable):
        read_sample(replace(sample(RecordFormat.INCITS_378_2004), data=file), "s")


@pytest.mark.parametrize("form", RecordFormat)
def test_a_declared_size_is_that_of_the_view(form: RecordFormat) -> None:
    assert len(read_sample(replace(sample(form), width=360, height=400, ppi=500), "s"))
    with pytest.raises(ElementsInconsistent):
        read_sample(replace(sample(form), width=361), "s")
