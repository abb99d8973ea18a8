"""TOML within bounds: each at its bound and one over, and never more work than the walk over the text."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import bounded_toml, config, home_layout
from gateway.bounded_toml import DEEPEST, LONGEST_WORD, MOST_VALUES, TomlRefused
from gateway.client import local_settings
from gateway.errors import UserError
from gateway.keymanagement import custody_setting
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.law.citations import citations
from gateway.law.toml_reader import MalformedAgreement

MOST = 65_536  # bytes


def dotted(parts: int) -> str:
    return ".".join(["a"] * parts) + " = 1"


def lists(depth: int) -> str:
    return f"a = {'[' * depth}{']' * depth}"


def tables(depth: int) -> str:
    return f"a = {'{a = ' * depth}1{'}' * depth}"


def members(count: int) -> str:
    return f"a = [{', '.join(['1'] * count)}]"


def digits(count: int) -> str:
    return f"a = {'1' * count}"


# (what makes the text, the most that passes, what is said of one more)
BOUNDS = [
    (dotted, DEEPEST + 1, "levels within"),
    (lambda parts: f"[{dotted(parts)[:-4]}]", DEEPEST, "levels within"),
    (lambda parts: f"a = {{{dotted(parts)}}}", DEEPEST, "levels within"),
    (lists, DEEPEST, "levels within"),
    (tables, DEEPEST, "levels within"),
    (digits, LONGEST_WORD, "a name or a number"),
    (lambda count: f"{'k' * count} = 1", LONGEST_WORD, "a name or a number"),
    (lambda count: f"a = 0x{'f' * (count - 2)}", LONGEST_WORD, "a name or a number"),
    (members, MOST_VALUES - 1, "values"),
    (lambda count: "\n".join(f"k{n} = 1" for n in range(count)), MOST_VALUES, "values"),
]


@pytest.mark.parametrize(("make", "most", "why"), BOUNDS)
def test_what_is_at_a_bound_is_read_and_one_more_is_refused_with_its_line(
    make: Callable[[int], str], most: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = make(most).encode()
    assert bounded_toml.read(at, MOST) == tomllib.loads(at.decode())

    def never(_: str) -> None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(tomllib, "loads", never)
    with pytest.raises(TomlRefused, match=why) as refused:
        bounded_toml.read(f"\n{make(most + 1)}".encode(), MOST)
    assert refused.value.line >= 2


def test_a_file_is_bounded_before_it_is_walked() -> None:
    assert bounded_toml.read(b"#" + b"x" * (MOST - 1), MOST) == {}
    with pytest.raises(TomlRefused, match="longer than"):
        bounded_toml.read(b"#" + b"x" * MOST, MOST)


@pytest.mark.parametrize("text", ['a = "', 'a = """x', "a = '''x''", 'a = "\\"', "a = 'x\n'"])
def test_a_text_without_its_end_is_refused(text: str) -> None:
    with pytest.raises(TomlRefused):
        bounded_toml.read(text.encode(), MOST)


@pytest.mark.parametrize(
    "text",
    [
        'a = "[[[[[[[[[[[[[[[[[[[["  # [[[[[[[[[[[[[[[[[[[[',
        "a = '''\n" + "[" * 40 + "\n'''\nb = 1.5",
        'a = """"x""""  \nb = 1979-05-27T07:32:00.999999-07:00',
        f'a = "{"x" * 1000}"',
    ],
)
def test_what_stands_in_a_text_or_a_remark_counts_for_nothing(text: str) -> None:
    assert bounded_toml.read(text.encode(), MOST) == tomllib.loads(text)


def test_the_agreements_of_ours_stay_far_below_every_bound() -> None:
    for name, text in packaged().items():
        assert len(text) < MOST / 4, name
        assert text.count(b"=") + text.count(b",") < MOST_VALUES / 4, name
        parse(text, name)


_pieces = st.sampled_from(
    [
        *'[]{}=,."#\n\\ ',
        "'",
        '"""',
        "'''",
        "a",
        "a.b",
        "1",
        "1.5",
        "[[t]]\n",
        "k = 1\n",
        "\r\n",
        "é",
    ]
)


@given(st.lists(_pieces, max_size=60).map("".join))
def test_whatever_a_text_is_it_is_read_as_the_library_does_or_refused(text: str) -> None:
    """The walk never changes what a file says: it lets the library read, or nobody."""
    try:
        found = bounded_toml.read(text.encode(), MOST)
    except TomlRefused:
        return
    assert found == tomllib.loads(text)


def _agreement(text: bytes, _: Path) -> Any:
    return parse(text, "x.toml")


def _settings(text: bytes, home: Path) -> Any:
    (home / home_layout.SETTINGS).write_bytes(text)
    return config.load(home)


def _client(text: bytes, home: Path) -> Any:
    (home / home_layout.SETTINGS).write_bytes(text)
    return local_settings.read_folder(home, "CAN", lambda: b"")


def _custody(text: bytes, home: Path) -> Any:
    (home / home_layout.SETTINGS).write_bytes(text)
    return custody_setting.custody_of(home)


@pytest.mark.parametrize("read", [_agreement, _settings, _client, _custody])
@pytest.mark.parametrize(
    "text", [dotted(DEEPEST + 2), lists(DEEPEST + 1), digits(LONGEST_WORD + 1), "a = ["]
)
def test_every_reader_of_toml_refuses_with_file_and_line(
    read: Callable[[bytes, Path], Any], text: str, tmp_path: Path
) -> None:
    """Agreements, settings, a partner's client, and the line that names the custody."""
    with pytest.raises((MalformedAgreement, UserError), match=r"\.toml:? line 1") as refused:
        read(text.encode(), tmp_path)

    assert "a.a" not in str(refused.value)


def test_an_agreement_beyond_the_bounds_cites_nothing() -> None:
    assert citations([lists(DEEPEST + 1).encode()])("au@1:x") == ""
