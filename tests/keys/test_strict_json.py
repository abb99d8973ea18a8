"""JSON of others within bounds: each at its bound and one over."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import strict_json
from keys.strict_json import DEEPEST, LONGEST_NUMBER, JsonRefused

MOST = 4096  # bytes

BOUNDS: list[tuple[Callable[[int], str], int]] = [
    (lambda depth: "[" * depth + "]" * depth, DEEPEST),
    (lambda depth: '{"a":' * depth + "1" + "}" * depth, DEEPEST),
    (lambda count: "1" * count, LONGEST_NUMBER),
    (lambda count: "-" + "1" * (count - 1), LONGEST_NUMBER),
    (lambda count: "1." + "1" * (count - 2), LONGEST_NUMBER),
    (lambda count: '"' + "x" * (count - 2) + '"', MOST),
]


@pytest.mark.parametrize(("make", "most"), BOUNDS)
def test_what_is_at_a_bound_is_read_and_one_more_is_refused(
    make: Callable[[int], str], most: int
) -> None:
    assert strict_json.read(make(most).encode(), MOST) == json.loads(make(most))
    with pytest.raises(JsonRefused):
        strict_json.read(make(most + 1).encode(), MOST)


def test_what_is_too_deep_is_refused_before_the_library_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(json, "loads", never)

    with pytest.raises(JsonRefused, match="within each other"):
        strict_json.read(b"[" * (DEEPEST + 1), MOST)


def test_a_text_that_never_ends_is_walked_once_and_refused() -> None:
    open_text = '"' + '\\"' * 50

    assert sum(1 for _ in strict_json._TOKEN.finditer(open_text)) == 1
    with pytest.raises(JsonRefused):
        strict_json.read(open_text.encode(), MOST)


@pytest.mark.parametrize(
    "octets",
    [
        *(b"", b"{", b"[1,]", b"\xff", b"nul", b"NaN", b"[-Infinity]", b"1e400"),
        *(b'{"a":1,"a":2}', b'[{"b":{"a":1,"a":1}}]', '\ufeff{"a":1}'.encode(), b"[1"),
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_has_two_readings_or_none_is_refused(octets: bytes) -> None:
    with pytest.raises(JsonRefused):
        strict_json.read(octets, MOST)


def test_brackets_in_a_text_are_no_depth() -> None:
    text = json.dumps({"a": "[" * 100 + '"' + "{" * 100})

    assert strict_json.read(text.encode(), MOST) == json.loads(text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(plain)
def test_plain_values_are_read_as_the_library_does(value: object) -> None:
    assert strict_json.read(json.dumps(value).encode(), 1 << 20) == value


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(octets: bytes) -> None:
    with suppress(JsonRefused):
        strict_json.read(octets, MOST)
