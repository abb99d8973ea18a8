"""Details, corrections and quotas: what is written is read, and anything else is refused by its element."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.correction import (
    CorrectionAck,
    CorrectionKind,
    CorrectionNotice,
    CorrectionOutcome,
    CorrectionStanding,
    CorrectionState,
    QuotaState,
)
from gateway.domain.messages import Purpose
from gateway.domain.person import (
    TEXT,
    Caveat,
    Details,
    DetailsOutcome,
    DetailsRequest,
    Field,
    FieldCode,
    Ground,
    Scope,
    Withholding,
)
from gateway.errors import Refusal
from gateway.v1 import exchange_pb2
from gateway.wire import correction_payload, disclosure_payload, quota_payload

KEY = st.binary(min_size=1216, max_size=1216)
ID = st.binary(min_size=16, max_size=16)
PSEUDONYMS = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
PARAGRAPHS = st.sampled_from(["IRPR 315.41(2)(a)", "IRPR 315.25(1)(c)", "IRPR 315.33(d)"])
CODES = st.sets(st.sampled_from(FieldCode), min_size=1).map(lambda codes: tuple(sorted(codes)))
WORDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=80)
MOMENTS = st.integers(0, 10**12).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
CAVEATS = st.builds(Caveat, st.from_regex(r"[A-Z0-9_]{1,32}", fullmatch=True), WORDS)


@st.composite
def disclosed(draw: st.DrawFn) -> tuple[Field, ...]:
    return tuple(
        Field(
            code=code,
            value=draw(WORDS).encode(),
            authority=draw(PARAGRAPHS),
            caveats=tuple(draw(st.lists(CAVEATS, max_size=2))),
            source_version=draw(PSEUDONYMS),
        )
        for code in draw(CODES)
    )


requests = st.builds(
    DetailsRequest,
    reply_key=KEY,
    hit_reference=ID,
    fields=CODES,
    case=PSEUDONYMS,
    unit=PSEUDONYMS,
    person=PSEUDONYMS,
)
withheld = st.none() | st.builds(Withholding, st.sampled_from(Scope), st.sampled_from(Ground))
answers = st.builds(Details, st.just(DetailsOutcome.DISCLOSED), disclosed(), withheld)


@st.composite
def notices(draw: st.DrawFn) -> CorrectionNotice:
    kind = draw(st.sampled_from(CorrectionKind))
    corrected = draw(disclosed()) if kind is CorrectionKind.WRONG_VALUE else ()
    codes = {each.code for each in corrected} | set(draw(CODES))
    return CorrectionNotice(
        id=draw(ID),
        kind=kind,
        fields=tuple(sorted(codes)),
        corrected=corrected,
        due=draw(MOMENTS),
        reply_key=draw(KEY),
    )


@st.composite
def acks(draw: st.DrawFn) -> CorrectionAck:
    outcome = draw(st.sampled_from(CorrectionOutcome))
    noted = outcome is CorrectionOutcome.USED_NOTE_TO_FILE
    return CorrectionAck(
        id=draw(ID),
        outcome=outcome,
        completed=draw(MOMENTS),
        note=draw(PSEUDONYMS) if noted else "",
        reply_key=draw(KEY),
    )


standings = st.builds(CorrectionStanding, ID, st.sampled_from(CorrectionState))
states = st.builds(
    QuotaState,
    agreement_id=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    purpose=st.sampled_from(Purpose),
    yearly=st.booleans(),
    used=st.integers(0, 2**40),
    limit=st.integers(1, 2**40),
    resets=MOMENTS,
)
KINDS: tuple[tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]], ...] = (
    (requests, disclosure_payload.details_request_bytes, disclosure_payload.read_details_request),
    (answers, disclosure_payload.details_bytes, disclosure_payload.read_details),
    (notices(), correction_payload.notice_bytes, correction_payload.read_notice),
    (acks(), correction_payload.ack_bytes, correction_payload.read_ack),
    (standings, correction_payload.standing_bytes, correction_payload.read_standing),
    (
        st.lists(states, max_size=3).map(tuple),
        quota_payload.quotas_bytes,
        quota_payload.read_quotas,
    ),
)


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    nouns, write, read = data.draw(st.sampled_from(KINDS))
    noun = data.draw(nouns)

    assert read(write(noun)) == noun


@given(st.data(), st.binary(max_size=200))
def test_garbage_is_refused_by_its_element(data: st.DataObject, octets: bytes) -> None:
    _, write, read = data.draw(st.sampled_from(KINDS))

    elements: set[str] = set()
    try:
        # It says something, in the one way to say it; a default that was stated is left out.
        assert len(write(read(octets))) <= len(octets)
    except Refusal as refusal:
        elements = set(refusal.metadata)

    assert elements <= {"element", "rule"}


@given(st.data())
def test_a_flipped_byte_never_reads_as_the_same(data: st.DataObject) -> None:
    nouns, write, read = data.draw(st.sampled_from(KINDS[1:]))
    noun = data.draw(nouns)
    octets = bytearray(write(noun))
    if not octets:
        return
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with contextlib.suppress(Refusal):
        assert read(bytes(octets)) != noun


def a_field(**other: object) -> exchange_pb2.DisclosedField:
    parts: dict[str, Any] = {
        "field": 1,
        "value": b"x",
        "mime_type": TEXT,
        "authority": "IRPR 315.41(2)(a)",
        **other,
    }
    return exchange_pb2.DisclosedField(**parts)


@pytest.mark.parametrize(
    ("field", "element"),
    [
        (a_field(authority=""), "fields[0].authority"),
        (a_field(authority="because"), "fields[0].authority"),
        (a_field(value=b"\xff"), "fields[0].value"),
        (a_field(value=b"a\x1b[31m"), "fields[0].value"),
        (a_field(value=b""), "fields[0].value"),
        (a_field(mime_type="text/html"), "fields[0].mime_type"),
        (a_field(field=0), "fields[0].field"),
        (a_field(field=99), "fields[0].field"),
    ],
)
def test_a_datum_without_law_or_form_is_refused(
    field: exchange_pb2.DisclosedField, element: str
) -> None:
    message = exchange_pb2.HitDetails(outcome=exchange_pb2.DETAILS_OUTCOME_DISCLOSED)
    message.fields.append(field)

    with pytest.raises(Refusal) as caught:
        disclosure_payload.read_details(message.SerializeToString(deterministic=True))

    assert caught.value.metadata["element"] == element


def test_what_is_unavailable_discloses_nothing() -> None:
    message = exchange_pb2.HitDetails(
        outcome=exchange_pb2.DETAILS_OUTCOME_UNAVAILABLE, fields=[a_field()]
    )

    with pytest.raises(Refusal) as caught:
        disclosure_payload.read_details(message.SerializeToString(deterministic=True))

    assert caught.value.metadata["element"] == "fields"


def test_a_field_without_a_paragraph_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="paragraph"):
        Field(code=FieldCode.LAST_NAME, value=b"x", authority="")
