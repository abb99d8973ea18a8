"""What a partner would have to refuse does not leave the gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.client import PartnerError
from gateway.domain.messages import Missing, Presence, PriorTransaction
from gateway.domain.person import FieldCode

ABSENT = Missing(2, Presence.AMPUTATED)


@pytest.mark.parametrize(
    ("element", "more"),
    [
        ("case", {"case": "Jean Dupont"}),
        ("case", {"case": ""}),
        ("unit", {"unit": "Bureau\n3"}),
        ("person", {"person": "Zoë"}),
        ("person", {"person": "P" * 65}),
        ("transaction_number", {"transaction_number": "short"}),
        ("transaction_number", {"transaction_number": "with spaces"}),
        ("missing", {"missing": (ABSENT,)}),
        ("missing", {"missing": (replace(ABSENT, position=4), replace(ABSENT, position=4))}),
    ],
)
def test_a_question_that_breaks_a_rule_is_not_sent(  # noqa: PLR0917 - fixtures
    partner: Any,
    answering_server: Any,
    sample: Any,
    matter: Any,
    element: str,
    more: dict[str, Any],
) -> None:
    with pytest.raises(PartnerError, match=f"^not asked: {element} ") as told:
        partner.query([sample], **{**matter, **more})

    assert not answering_server.calls
    values = [value for value in more.values() if isinstance(value, str) and value]
    assert not any(value in str(told.value) for value in values)


@pytest.mark.parametrize("extractor", ["", "a vendor", "x" * 49])
def test_an_extractor_that_no_partner_reads_is_not_sent(
    partner: Any, answering_server: Any, sample: Any, matter: Any, extractor: str
) -> None:
    with pytest.raises(PartnerError, match="extractor"):
        partner.query([replace(sample, extractor=extractor)], **matter)

    assert not answering_server.calls


@pytest.mark.parametrize("impression", [16, 19, 30, 43, 255])
def test_an_impression_that_no_standard_has_is_not_sent(
    partner: Any, answering_server: Any, sample: Any, matter: Any, impression: int
) -> None:
    with pytest.raises(PartnerError, match=r"samples\[0\]\.impression"):
        partner.query([replace(sample, impression=impression)], **matter)

    assert not answering_server.calls


def test_more_than_a_person_has_is_not_sent(
    partner: Any, answering_server: Any, sample: Any, matter: Any
) -> None:
    again = [replace(sample, data=bytes([each])) for each in range(4)]
    unknown = [replace(each, position=0) for each in again] * 3
    for others, why in (
        ([sample], "one record twice"),
        (again, "5 records of finger"),
        ([replace(each, data=bytes([at, at])) for at, each in enumerate(unknown)], "ten fingers"),
    ):
        with pytest.raises(PartnerError, match=why):
            partner.query([sample, *others], **matter)

    assert not answering_server.calls


def of_quality(sample: Any, quality: int) -> bytes:
    """Return the record of the sample's one view with another quality, which stands before its counts."""
    return bytes(sample.data[:-4] + bytes([quality]) + sample.data[-3:])


def test_impressions_of_a_finger_and_fingers_of_unknown_position_are_sent(
    partner: Any, answering_server: Any, sample: Any, matter: Any
) -> None:
    unknown = [replace(sample, position=0, data=of_quality(sample, each)) for each in range(8)]
    again = replace(sample, data=of_quality(sample, 99))
    missing = (replace(ABSENT, position=3),)

    partner.query([sample, again, *unknown], **matter, missing=missing)

    assert len(answering_server.calls) == 1


def test_a_question_about_nobody_is_not_sent(
    partner: Any, answering_server: Any, matter: Any
) -> None:
    with pytest.raises(PartnerError, match="samples"):
        partner.query([], **matter)

    assert not answering_server.calls


def test_an_earlier_query_is_named_by_a_number(
    partner: Any, answering_server: Any, matter: Any
) -> None:
    with pytest.raises(PartnerError, match="prior_transaction_number"):
        partner.query(PriorTransaction("Jean Dupont"), **matter)

    assert not answering_server.calls


def test_a_finger_may_be_missing_beside_another_that_is_sampled(
    partner: Any, answering_server: Any, sample: Any, matter: Any
) -> None:
    partner.query([sample], **matter, missing=(replace(ABSENT, position=3),))

    assert len(answering_server.calls) == 1


@pytest.mark.parametrize(
    ("element", "more"),
    [
        ("case", {"case": "Jean Dupont"}),
        ("unit", {"unit": ""}),
        ("person", {"person": "Zoë"}),
        ("transaction_number", {"transaction_number": "short"}),
        ("number", {"number": "Jean Dupont"}),
        ("hit_reference", {"hit_reference": b"short"}),
        ("fields", {"fields": ()}),
    ],
)
def test_a_request_for_details_that_breaks_a_rule_is_not_sent(
    partner: Any, answering_server: Any, matter: Any, element: str, more: dict[str, Any]
) -> None:
    asked = {
        "number": "20260101-00000000",
        "hit_reference": bytes(16),
        "fields": (FieldCode.LAST_NAME,),
        **matter,
        **more,
    }

    with pytest.raises(PartnerError, match=f"^not asked: {element} "):
        partner.details(**asked)

    assert not answering_server.calls
