"""Requests of operations, read: what belongs together is refused apart, and nothing of a person is written by accident."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.domain.messages import Modality
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
RECORD = base64.b64encode(b"a record").decode()
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
            {**QUESTION, "prior": NUMBER, "finger_2": RECORD},
            "give either fingers, a face",
        ),
        (outbound.Ask, {**QUESTION, "finger_2": "AAA"}, "finger_2: write a record in base64"),
        (outbound.Ask, {**QUESTION, "finger_2": "A" * 1_400_004}, "finger_2: write a record"),
        (outbound.Ask, {**QUESTION, "finger_11": RECORD}, "finger_11: no such argument"),
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


def test_samples_are_read_by_modality_and_position() -> None:
    given = {"finger_10": RECORD, "iris_1": RECORD, "finger_2": RECORD, "face": RECORD}
    asked = outbound.Ask.read({**QUESTION, **given})

    assert asked.records == dict.fromkeys(
        [(Modality.FINGER, 2), (Modality.FINGER, 10), (Modality.FACE, 0), (Modality.IRIS, 1)],
        b"a record",
    )
    assert asked.extractor == "unstated"


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
        outbound.Ask.read({**QUESTION, "subject": "1024/77", "finger_2": RECORD}),
    ],
)
def test_a_request_that_gets_into_a_log_shows_nothing_of_a_person(request_: Request) -> None:
    assert type(request_).__name__ in repr(request_)
    assert "1024/77" not in repr(request_)
    assert "record" not in repr(request_)
