"""Rules cite their paragraphs from the files that stated them, and nothing where nothing is stated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.law.citing import citations
from gateway.law.library import packaged

FILE = b"""
[agreement]
id = "xx"
version = 3
[answer.purposes]
CITIZENSHIP = "IRPR 315.41(1)(c)"
[answer.reveal.CITIZEN]
paragraph = "IRPR 315.36"
[search]
fpir = 1e-4
"""


@pytest.mark.parametrize(
    ("rule", "paragraph"),
    [
        ("xx@3:answer.purposes.CITIZENSHIP", "IRPR 315.41(1)(c)"),
        ("xx@3:answer.reveal.CITIZEN", "IRPR 315.36"),
        ("xx@2:answer.purposes.CITIZENSHIP", ""),
        ("xx@3:search.fpir", ""),
        ("xx@3:", ""),
        ("xx@3", ""),
        ("", ""),
    ],
)
def test_a_rule_cites_its_paragraph(rule: str, paragraph: str) -> None:
    assert citations([b"\xff", b"= =", FILE])(rule) == paragraph


def test_every_packaged_purpose_can_be_cited() -> None:
    cite = citations(packaged().values())

    assert cite("au@1:answer.purposes.CITIZENSHIP") == "IRPR 315.41(1)(c)"


@given(st.text(max_size=60))
def test_no_rule_is_too_strange_to_look_up(rule: str) -> None:
    assert citations([FILE])(rule) in {"", "IRPR 315.41(1)(c)", "IRPR 315.36"}
