"""Rules cite their paragraphs from the files that stated them, and nothing where nothing is stated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Direction
from gateway.errors import Refusal
from gateway.law import outbound_policy
from gateway.law.agreement_library import packaged
from gateway.law.citations import citations, ground_of

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


@pytest.mark.parametrize(
    ("reason", "direction", "paragraphs"),
    [
        ("PURPOSE_NOT_PERMITTED", Direction.INBOUND, ("IRPR 315.41(1)", "IRPR 315.23(1)")),
        ("PURPOSE_NOT_PERMITTED", Direction.OUTBOUND, ("IRPR 315.4(1)", "IRPR 315.23(1)")),
        ("PERSECUTION_EXCLUSION", Direction.OUTBOUND, ("IRPR 315.4(2)", "IRPR 315.3")),
        ("SUBJECT_OUT_OF_SCOPE", Direction.OUTBOUND, ("IRPR 315.36", "IRPR 315.21")),
        ("MODALITY_NOT_PERMITTED", Direction.INBOUND, ("IRPR 315.38", "IRPR 315.25(1)")),
        ("FIELD_NOT_PERMITTED", Direction.INBOUND, ("IRPR 315.41(2)", "IRPR 315.25(1)")),
        ("ENVELOPE_REJECTED", Direction.INBOUND, ("", "")),
    ],
)
def test_a_refusal_cites_the_list_that_does_not_have_it(
    reason: str, direction: Direction, paragraphs: tuple[str, str]
) -> None:
    cite = citations(packaged().values())

    found = [cite(ground_of(reason, direction, name, 1)) for name in ("au", "us-visa")]
    assert tuple(found) == paragraphs


def test_whatever_stops_a_question_of_ours_has_a_rule_to_cite() -> None:
    """What our own law raises and no table names would be called a fault of the protocol."""
    stops = {
        each.reason
        for each in vars(outbound_policy).values()
        if isinstance(each, type) and issubclass(each, Refusal) and each is not Refusal
    }

    assert stops
    assert {one for one in stops if not ground_of(one, Direction.OUTBOUND, "au", 1)} == set()


def test_a_table_of_which_one_entry_cites_nothing_cites_nothing() -> None:
    file = FILE.replace(b'"IRPR 315.41(1)(c)"', b'"IRPR 315.41(1)(c)"\nOTHER = "counsel says so"')

    assert citations([FILE])("xx@3:answer.purposes") == "IRPR 315.41(1)"
    assert citations([file])("xx@3:answer.purposes") == ""


@given(st.text(max_size=60))
def test_no_rule_is_too_strange_to_look_up(rule: str) -> None:
    assert citations([FILE])(rule) in {"", "IRPR 315.41(1)(c)", "IRPR 315.36"}
