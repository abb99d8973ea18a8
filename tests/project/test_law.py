"""The compliance table: every paragraph of the regulation has a row, and the row tells the truth."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.exercises.compliance_table import (
    PAGE,
    PARAGRAPHS,
    SOURCE,
    Break,
    Row,
    faults,
    page,
    read,
)
from gateway.exercises.law_mutants import survivors

DIVIDED = re.compile(r"^ (\((?:\d|[a-z]|[ivx]+)\)) ")


@pytest.fixture
def rows(root: Path) -> tuple[Row, ...]:
    return read((root / SOURCE).read_text(encoding="utf-8"))


def test_every_paragraph_has_its_rule_code_test_and_evidence(
    root: Path, rows: tuple[Row, ...]
) -> None:
    assert list(faults(rows, root)) == []


def test_the_page_is_what_the_table_says(root: Path, rows: tuple[Row, ...]) -> None:
    """`make law` makes it."""
    assert (root / PAGE).read_text(encoding="utf-8") == page(rows)


def test_a_paragraph_without_a_row_is_a_fault(root: Path, rows: tuple[Row, ...]) -> None:
    for index, row in enumerate(rows):
        short = [*rows[:index], *rows[index + 1 :]]
        if index % 10 == 0:
            assert any(fault.startswith(row.paragraphs[0]) for fault in faults(short, root))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": ("au@1:answer.purposes.DATA_ACCURACY",)},
        {"rules": ("us@1:search",)},
        {"code": ("gateway.law.query_policy:may_everything",)},
        {"code": ("gateway.law.nothing:at_all",)},
        {"tests": ("tests/gateway/law/test_settle.py::test_that_is_gone",)},
        {"tests": ("tests/gateway/law/gone.py::test_x",)},
        {"tests": ()},
        {"breaks": ()},
        {"breaks": (Break("gateway/law/gone.py", "a", "b"),)},
        {"breaks": (Break("gateway/law/query_policy.py", "words that stand nowhere", "b"),)},
        {"breaks": (Break("gateway/law/query_policy.py", "def settle", "def settle"),)},
        {"evidence": ("REQUEST name",)},
        {"evidence": ("RUMOUR purpose",)},
        {"paragraphs": ("315.41(4)",)},
    ],
)
def test_a_row_that_names_what_is_not_there_is_a_fault(
    root: Path, rows: tuple[Row, ...], wrong: dict[str, tuple[Any, ...]]
) -> None:
    row = next(row for row in rows if row.paragraphs == ("315.41(2)(a)",))
    others = [each for each in rows if each is not row]

    assert list(faults([*others, replace(row, **wrong)], root))


@pytest.mark.slow
def test_a_broken_rule_that_its_own_test_does_not_notice_is_a_survivor(root: Path) -> None:
    """One break is noticed, one changes nothing that the test looks at; the source itself stays as it is."""
    duty = root / "gateway/law/correction_policy.py"
    before = duty.read_bytes()
    noticed = Break(
        "gateway/law/correction_policy.py", "    if use is Use.RECORDED:", "    if False:"
    )
    harmless = Break("gateway/law/correction_policy.py", "doubles", "grows")
    row = Row(
        paragraphs=("315.27(3)",),
        says="a note to file",
        rules=(),
        code=(),
        tests=(
            "tests/gateway/law/test_correction_policy.py::test_315_27_3_what_was_used_is_kept_with_a_note",
        ),
        evidence=(),
        breaks=(noticed, harmless),
    )

    found = survivors(root, [row], workers=1)

    assert [each.broken for each in found] == [harmless]
    assert duty.read_bytes() == before


def test_a_row_with_a_key_of_its_own_is_refused() -> None:
    with pytest.raises(UserError, match="row 1"):
        read('[[row]]\nparagraphs = ["315.3"]\nsays = "x"\nremark = "y"\n')


def test_the_list_is_the_regulations_own(shared: Path) -> None:
    """Sections, and their numbers and letters, as they stand in the text."""
    text = (shared / "reference" / "irpr-part-19.1.txt").read_text(encoding="utf-8")
    text = text.split("PART 20")[0]
    found: dict[str, set[str]] = {}
    section = ""
    for line in text.splitlines():
        begun = re.match(r"^ (315\.\d{1,2})(?: |$)", line)
        section = begun[1] if begun else section
        mark = DIVIDED.match(line)
        if section:
            found.setdefault(section, set()).update([mark[1]] if mark else [])
    stated: dict[str, set[str]] = {}
    for paragraph in PARAGRAPHS:
        section, *marks = re.split(r"(?=\()", paragraph)
        stated.setdefault(section, set()).update(marks)

    assert stated == found
