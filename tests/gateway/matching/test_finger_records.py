"""A sample is what its sender says it is, in every format that we say we read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.messages import Biometrics, Modality, Query, RecordFormat, Sample
from gateway.errors import ElementsInconsistent, FormatUnsupported, RecordUnparseable
from gateway.matching import finger
from gateway.matching.engine import UnreadableSample
from gateway.matching.finger import FingerCodec, FingerEngine, read_declared
from gateway.wire import query_payload
from matcher.finger import record_fmr, synthetic
from tests import ansi_nist_writer

FINGER = synthetic.impression(synthetic.person(3), 2, 1)
stated = FingerCodec().sample


def sample(form: RecordFormat) -> Sample:
    return Sample(
        modality=Modality.FINGER,
        position=2,
        format=form,
        extractor="test",
        data=synthetic.record(FINGER, 2, form),
    )


def test_a_format_of_minutiae_has_the_number_of_the_wire() -> None:
    assert {each.name: int(each) for each in FingerCodec.formats} == {
        each.name: int(each) for each in record_fmr.Format
    }


@pytest.mark.parametrize("form", sorted(set(RecordFormat) - set(FingerCodec.formats)))
def test_another_format_is_unsupported_and_not_malformed(form: RecordFormat) -> None:
    with pytest.raises(FormatUnsupported) as refused:
        read_declared(replace(sample(RecordFormat.ISO_19794_2_2005), format=form), "s")

    assert refused.value.metadata["element"] == "s.format"


@pytest.mark.parametrize("form", FingerCodec.formats)
def test_every_format_gives_the_same_minutiae(form: RecordFormat) -> None:
    assert (read_declared(sample(form), "s").xy == FINGER.xy).all()


@pytest.mark.parametrize("form", FingerCodec.formats)
@pytest.mark.parametrize("other", FingerCodec.formats)
def test_a_format_is_never_guessed(form: RecordFormat, other: RecordFormat) -> None:
    if form is not other:
        with pytest.raises(ElementsInconsistent):
            read_declared(replace(sample(form), format=other), "s")


def test_a_transaction_file_is_no_record_of_a_query() -> None:
    view = record_fmr.View(2, 0, 80, FINGER)
    file = ansi_nist_writer.write(
        [view], ansi_nist_writer.Header("SRE", "20260301", "CAN", "AUS", "T")
    )

    with pytest.raises(RecordUnparseable):
        read_declared(replace(sample(RecordFormat.INCITS_378_2004), data=file), "s")


@pytest.mark.parametrize("form", FingerCodec.formats)
def test_a_declared_size_is_that_of_the_view(form: RecordFormat) -> None:
    assert len(read_declared(replace(sample(form), width=360, height=400, ppi=500), "s"))
    with pytest.raises(ElementsInconsistent):
        read_declared(replace(sample(form), width=361), "s")


@pytest.mark.parametrize("form", FingerCodec.formats)
def test_whatever_impression_a_record_states_can_be_asked_about(form: RecordFormat) -> None:
    """Rolled, latent, swipe, contactless and the rest: the sample states it, the wire carries it, it is read."""
    room = 16 if form in {RecordFormat.ISO_19794_2_2005, RecordFormat.INCITS_378_2004} else 256
    for impression in sorted(query_payload.IMPRESSIONS):
        if impression < room:
            view = record_fmr.View(2, impression, 80, FINGER)
            record = record_fmr.write(record_fmr.at_197(record_fmr.Format(int(form)), [view]))
            probe = Biometrics((stated(record, 2, "test"),))
            query = Query(case="C", unit="U", person="P", reply_key=bytes(1216), probe=probe)

            heard = query_payload.read_query(query_payload.query_bytes(query)).probe

            assert isinstance(heard, Biometrics)
            assert heard.samples[0].impression == impression
            assert (read_declared(heard.samples[0], "s").xy == FINGER.xy).all()


def test_the_impressions_are_those_of_the_standards_and_their_amendments() -> None:
    """0-9 and 10-15 of the first editions, 20-29 of the second and their amendments, 41 and 42 of ISO 2011."""
    assert sorted(query_payload.IMPRESSIONS) == [*range(16), *range(20, 30), 41, 42]


def test_a_sample_that_states_another_impression_than_its_record_is_refused() -> None:
    with pytest.raises(ElementsInconsistent):
        read_declared(replace(sample(RecordFormat.ISO_19794_2_2005), impression=1), "s")


def test_the_records_of_other_makers_are_asked_with(shared: Path) -> None:
    folder = shared / "cases" / "impression"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    for path in sorted(folder.iterdir()):
        one = stated(path.read_bytes(), 2, "test")
        query = Query(
            case="C", unit="U", person="P", reply_key=bytes(1216), probe=Biometrics((one,))
        )

        query_payload.read_query(query_payload.query_bytes(query))
        assert len(read_declared(one, "s")) == 34


def test_a_record_of_two_fingers_or_of_another_is_not_stated() -> None:
    two = record_fmr.write(
        record_fmr.at_197(
            record_fmr.Format.ISO_19794_2_2005, [record_fmr.View(at, 0, 0, FINGER) for at in (2, 7)]
        )
    )

    for record, position in ((two, 2), (synthetic.record(FINGER, 2), 3)):
        with pytest.raises(UnreadableSample):
            stated(record, position, "test")


def test_one_bad_record_leaves_nothing_of_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    monkeypatch.setattr(
        finger, "read_declared", lambda *which: read.append(read_declared(*which)) or read[-1]
    )
    good = sample(RecordFormat.ISO_19794_2_2005)
    bad = replace(good, data=b"no record")

    with pytest.raises(RecordUnparseable):
        FingerEngine().read({"a": good, "b": bad})

    assert len(read) == 1
    assert not read[0].xy.any()
