"""Requests of operations, read: what belongs together is refused apart, and nothing of a person is written by accident."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.domain.messages import Missing, Presence
from gateway.domain.person import FieldCode
from gateway.errors import UserError
from gateway.operations import corrections, decisions, outbound, registry
from gateway.operations.declaration import Request

NUMBER = "20260301-0123456789abcdef0123"
REFUSAL = {"person": "1024/77", "scope": "ALL", "ground": "PUBLIC_POLICY", "reason": "file 12"}
QUESTION = {
    "partner": "AUS",
    "agreement": "au@1",
    "purpose": "VISA_PERMIT_BENEFIT",
    "case": "C-17",
    "unit": "U-3",
    "status": "FOREIGN_NATIONAL",
}
RECORD = {
    "modality": "FINGER",
    "position": 2,
    "data": base64.b64encode(b"a record").decode(),
}
DETAILS = {"number": NUMBER, "case": "C-17", "unit": "U-3"}


@pytest.mark.parametrize(
    ("kind", "values", "wrong"),
    [
        (decisions.Refuse, {**REFUSAL, "scope": "PART"}, "fields: name them where the scope"),
        (decisions.Refuse, {**REFUSAL, "fields": ["GENDER"]}, "fields: name them where the scope"),
        (decisions.Refuse, {**REFUSAL, "person": "a b"}, "person: write a file number"),
        (corrections.Trace, {}, "name either a subject"),
        (corrections.Trace, {"subject": "F-1", "number": NUMBER}, "name either a subject"),
        (corrections.Settle, {"correction": "0" * 32, "reason": "r"}, "say either in which record"),
        (
            corrections.Settle,
            {"correction": "0" * 32, "reason": "r", "used_in": "R-1", "not_used": True},
            "say either in which record",
        ),
        (outbound.Ask, QUESTION, "give either fingers, a face or irises, or the number"),
        (
            outbound.Ask,
            {**QUESTION, "prior": NUMBER, "samples": [RECORD]},
            "give either fingers, a face",
        ),
        *(
            (outbound.Ask, {**QUESTION, "samples": [RECORD, {**RECORD, **other}]}, wrong)
            for other, wrong in (
                ({"data": "AAA"}, r"samples: \[1\].data: write the record in base64"),
                ({"data": "A" * 1_400_004}, r"samples: \[1\].data: has more than a megabyte"),
                ({"position": 11}, r"samples: \[1\].position: a whole number from 0 to 10"),
                ({"position": True}, r"samples: \[1\].position: a whole number"),
                ({"modality": "FACE"}, r"samples: \[1\].position: FACE has no such position"),
                (
                    {"modality": "IRIS", "position": 0},
                    r"samples: \[1\].position: IRIS has no such position",
                ),
                ({"modality": "VOICE"}, r"samples: \[1\].modality: one of FINGER, FACE, IRIS"),
                ({"extractor": "a b"}, r"samples: \[1\].extractor: write at most 48"),
                ({"ppi": -1}, r"samples: \[1\].ppi: a whole number"),
                ({"name": "x"}, r"samples: \[1\]: an object with modality, position, data"),
            )
        ),
        (outbound.Ask, {**QUESTION, "samples": [RECORD] * 44}, "samples: a list of at most 43"),
        (outbound.Ask, {**QUESTION, "samples": [{}]}, r"samples: \[0\]: an object with"),
        (outbound.Ask, {**QUESTION, "samples": "x"}, "samples: a list of at most 43"),
        (
            outbound.Ask,
            {**QUESTION, "samples": [RECORD], "missing": [{"position": 0, "presence": "DAMAGED"}]},
            r"missing: \[0\].position: a whole number from 1 to 10",
        ),
        (
            outbound.Ask,
            {**QUESTION, "prior": NUMBER, "missing": [{"position": 1, "presence": "DAMAGED"}]},
            "missing: a query by number",
        ),
        (outbound.Details, DETAILS, "fields: name at least one"),
        (outbound.Details, {**DETAILS, "fields": []}, "fields: name at least one"),
        (outbound.Details, {**DETAILS, "fields": ["NAME"]}, "fields: of LAST_NAME"),
        (registry.Import, {"rows": [{}] * (registry.MOST_ROWS + 1)}, "rows: a list of at most"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_name(
    kind: type[Request], values: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(UserError, match=wrong):
        kind.read(values)


def test_samples_are_read_as_they_were_given_in_their_order() -> None:
    places = [("FINGER", 0), ("FINGER", 2), ("FINGER", 2), ("FACE", 0), ("IRIS", 2)]
    samples = [{**RECORD, "modality": name, "position": at} for name, at in places]
    samples[1] |= {"ppi": 500, "extractor": "acme-2.1"}
    missing = [{"position": 7, "presence": "BANDAGED"}]

    asked = outbound.Ask.read({**QUESTION, "samples": samples, "missing": missing})

    assert [(each.modality.name, each.position) for each in asked.samples] == places
    assert {each.data for each in asked.samples} == {b"a record"}
    assert [(each.ppi, each.extractor) for each in asked.samples[:2]] == [
        (0, "unstated"),
        (500, "acme-2.1"),
    ]
    assert asked.missing == (Missing(7, Presence.BANDAGED),)


def test_fields_come_once_each_in_the_order_of_the_list() -> None:
    named = ["GENDER", "LAST_NAME", "GENDER"]

    asked = outbound.Details.read({**DETAILS, "fields": named})

    assert asked.fields == (FieldCode.LAST_NAME, FieldCode.GENDER)


@pytest.mark.parametrize(
    "request_",
    [
        decisions.Refuse.read(REFUSAL),
        decisions.List.read({"person": "1024/77"}),
        registry.Import.read({"rows": [{"reference": "1024/77"}]}),
        outbound.Ask.read({**QUESTION, "subject": "1024/77", "samples": [RECORD]}),
    ],
)
def test_a_request_that_gets_into_a_log_shows_nothing_of_a_person(request_: Request) -> None:
    assert type(request_).__name__ in repr(request_)
    assert "1024/77" not in repr(request_)
    assert "record" not in repr(request_)
