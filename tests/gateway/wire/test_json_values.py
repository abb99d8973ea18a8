"""Plain values are read strictly: one text means one thing, and is bounded before anybody looks."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UserError
from gateway.wire import json_values

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_what_was_written_is_read(values: dict[str, object]) -> None:
    assert json_values.read(json_values.write(values)) == values


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_remedy(octets: bytes) -> None:
    with suppress(UserError):
        assert isinstance(json_values.read(octets), dict)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"a":1,"a":1}',
        '{"a":{"b":1,"b":2}}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        '{"\\udfff":1}',
        '{"a":1}x',
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "[" * 13 + "]" * 13 + "}",
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=lambda text: text[:20],
)
def test_what_could_mean_two_things_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        json_values.read(text.encode())


def test_a_text_is_bounded_both_ways() -> None:
    with pytest.raises(UserError, match="in parts"):
        json_values.read(json.dumps({"a": "x" * json_values.LARGEST}).encode())
    with pytest.raises(UserError, match="less at once"):
        json_values.write({"a": "x" * json_values.LARGEST})


def test_a_remedy_repeats_nothing_of_the_text() -> None:
    with pytest.raises(UserError) as caught:
        json_values.read(b'{"canary":canary}')

    assert "canary" not in str(caught.value)
