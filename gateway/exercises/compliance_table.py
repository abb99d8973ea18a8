"""The compliance table: each paragraph of Part 19.1 → rule → code → test → what the ledger has of it.

`docs/law.toml` says it; this reads it strictly and writes `docs/law.md`. A row that names a rule, a symbol, a test
or a fact that does not exist is a fault, and so is a paragraph without a row: the table cannot outlive the code.
"""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import UserError
from gateway.law.agreement_library import packaged
from gateway.ledger.entry import FACTS, EntryType

SOURCE, PAGE = Path("docs/law.toml"), Path("docs/law.md")

# Sections of IRPR Part 19.1 (SOR/2002-227, current to 2026-06-14) and what each is divided into.
PART: Mapping[str, tuple[str, ...]] = {
    "315.21": ("",),
    "315.22": ("",),
    "315.23": ("(1)", *(f"(1)({x})" for x in "abc"), "(2)", *(f"(2)({x})" for x in "abcd")),
    "315.24": ("",),
    "315.25": (
        "(1)",
        *(f"(1)({x})" for x in "abc"),
        "(1)(c)(i)",
        "(1)(c)(ii)",
        "(2)",
        "(3)",
        "(4)",
    ),
    "315.26": ("",),
    "315.27": ("(1)", "(2)", "(3)"),
    "315.28": ("",),
    "315.29": ("", *(f"({x})" for x in "abcde")),
    "315.3": ("",),
    "315.31": ("",),
    "315.32": ("(1)", "(2)"),
    "315.33": ("", *(f"({x})" for x in "abcd")),
    "315.34": ("",),
    "315.35": ("(1)", "(2)", "(3)"),
    "315.36": ("", "(a)", "(b)", "(b)(i)", "(b)(ii)", "(b)(iii)"),
    "315.37": ("",),
    "315.38": ("",),
    "315.39": ("",),
    "315.4": ("(1)", "(1)(a)", "(1)(b)", "(2)"),
    "315.41": ("(1)", *(f"(1)({x})" for x in "abcd"), "(2)", *(f"(2)({x})" for x in "abc"), "(3)"),
    "315.42": ("(1)", "(2)"),
    "315.43": ("(1)", "(2)"),
}
_BOUNDS = {1: ("315.21", "315.28"), 2: ("315.28", "315.36"), 3: ("315.36", "")}  # [first, next)
PARAGRAPHS = tuple(f"{section}{part}" for section, parts in PART.items() for part in parts)

_HEAD = """\
# The regulation, paragraph by paragraph

Every paragraph of Part 19.1 of the Immigration and Refugee Protection Regulations (IRPR), the rule that carries it in
an agreement file, the code that obeys the rule, a test that would fail if it did not, and what the ledger has of it.

Made by `make law` from `docs/law.toml`; `make check` fails when a paragraph has no row or no test, or when a rule, a
symbol, a test or a fact named here does not exist. `make law-mutants` breaks the rules of every row, as `law.toml` says
how, and reports each that the row's own tests do not notice.

**Division 2 is rules only.** Its agreement file says what may be told to Homeland Security about a claimant, and the
tests hold it to that; no message and no command of this release tells anybody anything under it (IRPR 315.32(1): the
method is that of article 6 of the Asylum Annex, which is not ours).
 **Rule** is a place in a file of `gateway/law/agreements/`. **Evidence** is a ledger
entry and its facts, sealed for the auditor; `passerelle audit explain` shows them. A dash says that the paragraph binds
people or parties and leaves nothing for a machine to do, or that the machine's part is another paragraph's.
"""


@dataclass(frozen=True, slots=True)
class Break:
    """How a rule is broken to see that a test notices: in a file, the first `old` gives way to `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of some paragraphs."""

    paragraphs: tuple[str, ...]
    says: str
    rules: tuple[str, ...]
    code: tuple[str, ...]
    tests: tuple[str, ...]
    evidence: tuple[str, ...]
    breaks: tuple[Break, ...] = ()


def read(text: str) -> tuple[Row, ...]:
    """Return the rows of the mapping; raises UserError for a key that it does not have."""
    names = ("paragraphs", "rules", "code", "tests", "evidence")
    rows = []
    for number, stated in enumerate(tomllib.loads(text)["row"], 1):
        if stated.keys() - {"says", "breaks", *names} or not stated.get("says"):
            raise UserError(
                f"{SOURCE}, row {number}: says, and of {', '.join(names)}, breaks what there is"
            )
        lists = {name: tuple(stated.get(name, ())) for name in names}
        breaks = tuple(Break(*each) for each in stated.get("breaks", ()))
        rows.append(Row(says=stated["says"], breaks=breaks, **lists))
    return tuple(rows)


def faults(rows: Iterable[Row], root: Path) -> Iterator[str]:
    """Yield what is wrong with the table, in plain words."""
    rows = tuple(rows)
    told = [paragraph for row in rows for paragraph in row.paragraphs]
    for paragraph in PARAGRAPHS:
        if told.count(paragraph) != 1:
            yield f"{paragraph}: has {told.count(paragraph)} rows, and needs one"
    yield from (f"{each}: not a paragraph of Part 19.1" for each in set(told) - set(PARAGRAPHS))
    trees = {
        name.removesuffix(".toml"): tomllib.loads(text.decode())
        for name, text in packaged().items()
    }
    for row in rows:
        where = ", ".join(row.paragraphs)
        yield from (f"{where}: no rule {rule}" for rule in row.rules if not _has_rule(trees, rule))
        yield from (f"{where}: no symbol {name}" for name in row.code if not _has_symbol(name))
        yield from (f"{where}: no test {test}" for test in row.tests if not _has_test(root, test))
        yield from (f"{where}: no fact {what}" for what in row.evidence if not _has_fact(what))
        if not row.tests:
            yield f"{where}: names no test"
        if not row.breaks:
            yield f"{where}: says of no rule how it is broken"
        yield from (
            f"{where}: no place {each.old!r}" for each in row.breaks if not _has(root, each)
        )


def page(rows: Iterable[Row]) -> str:
    """Return `docs/law.md`."""
    told = {paragraph: row for row in rows for paragraph in row.paragraphs}
    lines = [_HEAD]
    for division in (1, 2, 3):
        lines += [f"## Division {division}", "", "| IRPR | Says | Rule | Code | Test | Evidence |"]
        lines.append("|---|---|---|---|---|---|")
        for paragraph in _of_division(division):
            row = told[paragraph]
            cells = (row.rules, row.code, tuple(map(_test_name, row.tests)), row.evidence)
            shown = (("<br>".join(f"`{each}`" for each in cell) or "–") for cell in cells)
            lines.append(f"| {paragraph} | {row.says} | {' | '.join(shown)} |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether the committed one is what would be written."""
    root = Path.cwd()
    rows = read((root / SOURCE).read_text(encoding="utf-8"))
    found = list(faults(rows, root))
    for fault in found:
        sys.stderr.write(f"{SOURCE}: {fault}\n")
    if found:
        return 1
    wanted = page(rows)
    if "--check" not in arguments:
        (root / PAGE).write_text(wanted, encoding="utf-8")
    elif (root / PAGE).read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"{PAGE}: not what `make law` writes today; run it and commit\n")
        return 1
    return 0


def _of_division(division: int) -> Iterator[str]:
    sections = (*PART, "")
    first, end = (sections.index(section) for section in _BOUNDS[division])
    for section in sections[first:end]:
        yield from (f"{section}{part}" for part in PART[section])


def _test_name(test: str) -> str:
    return test.removeprefix("tests/")


def _has_rule(trees: Mapping[str, object], rule: str) -> bool:
    name, _, path = rule.partition(":")
    place = trees.get(name.partition("@")[0])
    for key in path.split("."):
        place = place.get(key) if isinstance(place, dict) else None
    return place is not None


def _has_symbol(name: str) -> bool:
    module, _, symbol = name.partition(":")
    try:
        found: object = importlib.import_module(module)
    except ImportError:
        return False
    for part in symbol.split("."):
        found = getattr(found, part, None)
    return found is not None


def _has_test(root: Path, test: str) -> bool:
    file, _, name = test.partition("::")
    path = root / file
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(each, ast.FunctionDef) and each.name == name for each in tree.body)


def _has(root: Path, broken: Break) -> bool:
    path = root / broken.file
    return (
        path.is_file()
        and broken.old != broken.new
        and broken.old in path.read_text(encoding="utf-8")
    )


def _has_fact(what: str) -> bool:
    kind, *facts = what.split()
    return kind in EntryType.__members__ and FACTS.issuperset(facts)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
