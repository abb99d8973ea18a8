"""What may lie in the tree, how large it may grow, and what must never be in it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from statistics import median

LONGEST = 800  # lines a module may have; a lower cap cut modules apart that know one thing
MEDIAN = 150  # lines the middle module may have
MODULES = 30  # of one folder, beside its __init__


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_python_lies_under_proto(root: Path) -> None:
    """A package `proto` of ours would shadow the one of proto-plus."""
    assert not [*(root / "proto").rglob("*.py"), *(root / "proto").rglob("*.pyi")]


def test_no_module_is_longer_than_eight_hundred_lines(
    root: Path, sources: tuple[Path, ...]
) -> None:
    tests = (root / "tests").rglob("*.py")

    long = {str(path.relative_to(root)): lines(path) for path in (*sources, *tests)}

    assert {name: count for name, count in long.items() if count > LONGEST} == {}


def test_the_middle_module_fits_two_screens(sources: tuple[Path, ...]) -> None:
    # A migration is a list of columns that nobody edits again; it is no module to read.
    read = [path for path in sources if "migrations" not in path.parts]
    written = [count for path in read if (count := lines(path))]

    assert median(written) <= MEDIAN


def test_no_folder_has_more_modules_than_a_reader_looks_over(sources: tuple[Path, ...]) -> None:
    read = [each for each in sources if "versions" not in each.parts and each.stem != "__init__"]

    full = Counter(each.parent for each in read)

    assert {str(folder): count for folder, count in full.items() if count > MODULES} == {}


def test_the_package_of_the_gateway_is_empty(root: Path) -> None:
    """An auditor's laptop imports gateway.ledger alone; nothing may come along with `import gateway`."""
    assert (root / "gateway" / "__init__.py").read_bytes() == b""


def test_the_packages_say_that_they_are_typed(root: Path) -> None:
    assert all(
        (root / package / "py.typed").is_file() for package in ("gateway", "matcher", "keys")
    )


# What would tell where the tree was made, or let somebody in.
TELLTALES = (
    re.compile(rb"/(home|Users)/[a-z]+"),
    re.compile(rb"/wor[k]/|/roo[t]/|/op[t]/(wheels|pypi)"),
    re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}"),
    re.compile(rb"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"),
)
HERE = Path(__file__).name


def test_no_secret_and_no_path_of_a_machine_is_tracked(
    root: Path, tracked: tuple[Path, ...]
) -> None:
    found = {
        f"{path.relative_to(root)}: {telltale.pattern.decode()}"
        for path in tracked
        for telltale in TELLTALES
        if path.name != HERE and telltale.search(path.read_bytes())
    }

    assert found == set()


def test_nothing_made_by_running_is_tracked(root: Path, tracked: tuple[Path, ...]) -> None:
    made = re.compile(r"(^|/)(\.venv|\.demo|__pycache__|node_modules|dist)/|\.(pyc|db|sqlite)$")

    assert [
        str(path.relative_to(root)) for path in tracked if made.search(str(path.relative_to(root)))
    ] == []


def test_no_work_is_left_for_later_in_the_sources(sources: tuple[Path, ...]) -> None:
    """What is not built is an issue, not a comment."""
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")

    assert [path.name for path in sources if unfinished.search(path.read_text("utf-8"))] == []


def test_the_page_of_the_code_sends_nobody_to_a_place_that_is_not_there(root: Path) -> None:
    page = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    part = page.partition("## Where to look")[2].partition("\n## ")[0]
    places = re.findall(r"`([\w/]+\.\w+):([\w.]+)`", part)

    assert len(places) > 10
    missing = [
        (path, name)
        for path, name in places
        if not (root / path).is_file() or name not in (root / path).read_text(encoding="utf-8")
    ]
    assert missing == []
