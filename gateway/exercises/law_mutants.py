"""The compliance table put to the test: each row's rule is broken, and a test that this row itself names must fail.

`docs/law.toml` says for every row how its rule is broken: a file, what stands in it, and what is put there instead. Each
break is made in a copy of the source, and only the row's own tests are run in it. A break that they do not notice is a
survivor: the row promises a test that would fail, and has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from gateway.errors import UserError
from gateway.exercises.compliance_table import SOURCE, Break, Row, faults, read

WORKERS = 2  # copies that are worked in at once; the smallest machine that this is built on has two processors
SECONDS = 300.0  # for the tests of one row; the slowest found three gateways, and take twenty on an idle machine
TAIL = 2_000  # characters of a run that went wrong
_COPIED = ("gateway", "keys", "matcher", "tests", "docs", "proto", "pyproject.toml")
_PASSED, _FAILED = 0, 1  # exit codes of pytest; any other says that nothing was tested


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule of one row, broken."""

    row: Row
    broken: Break

    @property
    def name(self) -> str:
        """What it is called in a report: the paragraphs, and what is put where."""
        put = " ".join(self.broken.new.split()) or "nothing"
        return f"{', '.join(self.row.paragraphs)}: {self.broken.file}: {put}"


def survivors(root: Path, rows: Sequence[Row], workers: int = WORKERS) -> list[Mutant]:
    """Return the mutants that no test of their own row noticed; raises UserError where the tests fail without any."""
    mutants = [Mutant(row, each) for row in rows for each in row.breaks]
    found: list[Mutant] = []
    copies: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(workers):
            copies.put(_copied(root, Path(folder) / str(number)))
        _demand_sound(copies, rows)
        with ThreadPoolExecutor(workers) as pool:
            tried = pool.map(lambda each: (each, _noticed(each, copies)), mutants)
            for number, (mutant, noticed) in enumerate(tried, 1):
                word = "noticed " if noticed else "SURVIVED"
                sys.stdout.write(f"{number:3} of {len(mutants)}  {word}  {mutant.name}\n")
                sys.stdout.flush()
                if not noticed:
                    found.append(mutant)
    return found


def main() -> int:
    """Break every rule; the last line is JSON. Exit: 0 none survived, 1 some did, 2 the table or its tests are wrong."""
    root = Path.cwd()
    try:
        rows = _table(root)
        found = survivors(root, rows)
    except UserError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    paragraphs = sum(len(row.paragraphs) for row in rows)
    mutants = sum(len(row.breaks) for row in rows)
    told = {"rows": paragraphs, "mutants": mutants, "survivors": len(found)}
    sys.stdout.write(f"{json.dumps(told)}\n")
    return 1 if found else 0


def _table(root: Path) -> tuple[Row, ...]:
    rows = read((root / SOURCE).read_text(encoding="utf-8"))
    for fault in faults(rows, root):
        raise UserError(f"{SOURCE}: {fault}")
    return rows


def _copied(root: Path, to: Path) -> Path:
    to.mkdir(mode=0o700)
    for name in _COPIED:
        source = root / name
        if source.is_dir():
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, to / name, ignore=without, symlinks=True)
        else:
            shutil.copyfile(source, to / name)
    return to


def _demand_sound(copies: SimpleQueue[Path], rows: Sequence[Row]) -> None:
    """Run every named test once in a copy that is whole: what fails there proves nothing later."""
    copy = copies.get()
    done = _run(copy, tuple(dict.fromkeys(test for row in rows for test in row.tests)), whole=True)
    if done.returncode != _PASSED:
        raise UserError(f"the tests that the table names fail as they are:\n{done.stdout[-TAIL:]}")
    copies.put(copy)


def _noticed(mutant: Mutant, copies: SimpleQueue[Path]) -> bool:
    copy = copies.get()
    file = copy / mutant.broken.file
    before = file.read_text(encoding="utf-8")
    try:
        _put(file, before.replace(mutant.broken.old, mutant.broken.new, 1))
        done = _run(copy, mutant.row.tests)
    finally:
        _put(file, before)
        copies.put(copy)
    if done.returncode not in {_PASSED, _FAILED}:
        raise UserError(f"{mutant.name}: nothing was tested:\n{done.stdout[-TAIL:]}")
    return done.returncode == _FAILED


def _put(file: Path, text: str) -> None:
    """Write a source file a second later than before: by its second and size Python knows whether it compiled it."""
    later = int(file.stat().st_mtime) + 1
    file.write_text(text, encoding="utf-8")
    os.utime(file, (later, later))


def _run(
    copy: Path, tests: Sequence[str], *, whole: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy, up to the first that fails; quick ones first, as the table has them."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header"]
    return subprocess.run(  # noqa: S603 - our own interpreter, and tests that the table names
        [*words, *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS * (10 if whole else 1),
    )


if __name__ == "__main__":
    raise SystemExit(main())
