"""What an answer holds inside the seal: results, states and capabilities, each by its rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import (
    Capabilities,
    Modality,
    Outcome,
    Problem,
    ProblemCode,
    Purpose,
    QueryState,
    RecordFormat,
    Result,
    State,
)
from gateway.domain.person import (
    Details,
    DetailsOutcome,
    Field,
    FieldCode,
    Ground,
    Scope,
    Withholding,
)
from gateway.errors import (
    ElementInvalid,
    ElementMissing,
    InvalidArgument,
    Refusal,
)
from gateway.v1 import exchange_pb2
from gateway.wire import query_payload

moments = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
pseudonyms = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
octets32 = st.binary(min_size=32, max_size=32)


withheld = st.none() | st.builds(Withholding, st.sampled_from(Scope), st.sampled_from(Ground))
details = st.builds(
    lambda value, withholding: Details(
        DetailsOutcome.DISCLOSED,
        (Field(code=FieldCode.LAST_NAME, value=value, authority="IRPR 315.41(2)(a)"),),
        withholding,
    ),
    st.text(st.characters(categories=["L"]), min_size=1, max_size=20).map(str.encode),
    withheld,
)


@st.composite
def results(draw: st.DrawFn) -> Result:
    outcome = draw(st.sampled_from(Outcome))
    hit = outcome is Outcome.MATCH
    return Result(
        outcome=outcome,
        decide_time=draw(moments),
        request_leaf_hash=draw(octets32),
        hit_reference=draw(st.binary(min_size=16, max_size=16)) if hit else b"",
        problems=tuple(
            draw(
                st.lists(
                    st.builds(
                        Problem, st.integers(0, 10), st.sampled_from(ProblemCode), st.booleans()
                    ),
                    max_size=10,
                )
            )
        ),
        destruction_receipt_id=draw(st.just("") | pseudonyms),
        details_expire_time=draw(st.none() | moments) if hit else None,
        withholding=draw(withheld) if outcome is Outcome.REFUSED else None,
        details=draw(st.none() | details) if hit else None,
    )


@given(results())
def test_a_result_reads_as_it_was_written(result: Result) -> None:
    octets = query_payload.result_bytes(result)

    assert query_payload.read_result(octets) == result
    assert len(octets) <= 4092


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("details", {"details": Details(DetailsOutcome.UNAVAILABLE)}),
        ("withholding", {"withholding": Withholding(Scope.ALL, Ground.SOVEREIGNTY)}),
    ],
)
def test_a_no_match_has_neither_details_nor_a_ground(name: str, part: dict[str, Any]) -> None:
    """What is withheld of somebody is not said where nobody is said to be."""
    with pytest.raises(ElementInvalid) as caught:
        query_payload.read_result(query_payload.result_bytes(replace(RESULT, **part)))

    assert caught.value.metadata["element"] == name


@given(st.sampled_from(State), results())
def test_a_state_reads_as_it_was_written(state: State, result: Result) -> None:
    stands = QueryState(state, result if state is State.DECIDED else None)

    assert query_payload.read_state(query_payload.state_bytes(stands)) == stands


RESULT = Result(
    outcome=Outcome.NO_MATCH,
    decide_time=datetime(2026, 1, 1, tzinfo=UTC),
    request_leaf_hash=bytes(31) + b"h",
)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("outcome", 0, ElementMissing),
        ("outcome", 6, ElementInvalid),
        ("outcome", Outcome.MATCH.value, ElementMissing),
        ("hit_reference", b"h" * 16, ElementInvalid),
        ("request_leaf_hash", b"", ElementMissing),
        ("request_leaf_hash", b"h", ElementInvalid),
        ("destruction_receipt_id", "a b", ElementInvalid),
    ],
)
def test_a_result_with_one_wrong_field_is_refused(
    name: str, value: object, kind: type[Refusal]
) -> None:
    message = exchange_pb2.QueryResult.FromString(query_payload.result_bytes(RESULT))
    setattr(message, name, value)

    with pytest.raises(InvalidArgument) as caught:
        query_payload.read_result(message.SerializeToString(deterministic=True))

    named = "hit_reference" if value == Outcome.MATCH.value else name
    assert type(caught.value) is kind
    assert caught.value.metadata["element"] == named


def test_a_result_says_when_and_only_a_match_has_details() -> None:
    late = exchange_pb2.QueryResult.FromString(query_payload.result_bytes(RESULT))
    late.details_expire_time.seconds = 1
    never = exchange_pb2.QueryResult.FromString(query_payload.result_bytes(RESULT))
    never.ClearField("decide_time")

    with pytest.raises(ElementInvalid):
        query_payload.read_result(late.SerializeToString())
    with pytest.raises(ElementMissing):
        query_payload.read_result(never.SerializeToString())


@pytest.mark.parametrize(
    ("position", "code", "element"),
    [(11, 1, "problems[0].position"), (1, 0, "problems[0].code"), (1, 9, "problems[0].code")],
)
def test_a_problem_is_stated_by_its_rules(position: int, code: int, element: str) -> None:
    message = exchange_pb2.QueryResult.FromString(query_payload.result_bytes(RESULT))
    message.problems.add(position=position, code=code)  # type: ignore[arg-type]

    with pytest.raises(InvalidArgument) as caught:
        query_payload.read_result(message.SerializeToString())

    assert caught.value.metadata["element"] == element


def test_problems_are_bounded() -> None:
    message = exchange_pb2.QueryResult.FromString(query_payload.result_bytes(RESULT))
    for _ in range(query_payload.MAX_PROBLEMS + 1):
        message.problems.add(position=1, code=exchange_pb2.PROBLEM_CODE_AREA_TOO_SMALL)

    with pytest.raises(ElementInvalid):
        query_payload.read_result(message.SerializeToString())


def test_a_state_has_a_result_when_it_is_decided_and_only_then() -> None:
    with pytest.raises(ElementMissing) as absent:
        query_payload.read_state(query_payload.state_bytes(QueryState(State.DECIDED)))
    with pytest.raises(ElementInvalid) as early:
        query_payload.read_state(query_payload.state_bytes(QueryState(State.SEARCHING, RESULT)))

    assert absent.value.metadata["element"] == early.value.metadata["element"] == "result"


def test_an_element_of_a_result_in_a_state_has_its_whole_path() -> None:
    message = exchange_pb2.QueryState.FromString(
        query_payload.state_bytes(QueryState(State.DECIDED, RESULT))
    )
    message.result.problems.add(position=99)

    with pytest.raises(ElementInvalid) as caught:
        query_payload.read_state(message.SerializeToString())

    assert caught.value.metadata["element"] == "result.problems[0].position"


CAPABILITIES = Capabilities(
    envelope_formats=(1,),
    suites=(1,),
    size_classes=(4096, 65536, 262144, 2097152),
    modalities=(Modality.FINGER,),
    record_formats=tuple(RecordFormat),
    purposes=(Purpose.CITIZENSHIP,),
    directory_version=3,
)


def test_capabilities_read_as_they_were_written() -> None:
    octets = query_payload.capabilities_bytes(CAPABILITIES)

    assert query_payload.read_capabilities(octets) == CAPABILITIES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modalities", [0, 1]),
        ("purposes", [0]),
        ("record_formats", [1, 1]),
        ("size_classes", list(range(33))),
    ],
)
def test_capabilities_with_one_wrong_list_are_refused(name: str, value: list[int]) -> None:
    message = exchange_pb2.Capabilities.FromString(query_payload.capabilities_bytes(CAPABILITIES))
    del getattr(message, name)[:]
    getattr(message, name).extend(value)

    with pytest.raises(ElementInvalid) as caught:
        query_payload.read_capabilities(message.SerializeToString())

    assert caught.value.metadata["element"] == name
