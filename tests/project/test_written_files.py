"""One writer: whatever a command writes goes through `gateway.user_files` or `keys.atomic_file`, mode 0600."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

WRITERS = {"gateway/user_files.py", "keys/atomic_file.py"}
METHODS = {"write_text", "write_bytes", "touch", "savefig"}
COPIES = {"copy", "copy2", "copyfile", "copytree", "mkstemp", "NamedTemporaryFile"}
ARCHIVES = {"ZipFile", "TarFile"}
# Who else makes a file, and why that is right; the number is how often.
ALLOWED = {
    "gateway/auditor/questions/subject.py": (
        1,
        "an archive inside a file that gateway.user_files made",
    ),
    "gateway/exercises/subprocess_cli.py": (
        1,
        "the log of a server of the demonstration, in a folder of 0700",
    ),
    "gateway/exercises/drill/restore.py": (
        2,
        "copies of files of 0600 within a scratch folder of 0700",
    ),
    "gateway/exercises/drill/rotation.py": (1, "a copy of a whole home, whose modes go with it"),
    "gateway/exercises/reference_page.py": (1, "likewise"),
    "gateway/exercises/compliance_table.py": (
        1,
        "a page of the documentation, for everybody who has the source",
    ),
    "gateway/exercises/law_mutants.py": (
        3,
        "copies of the source in a folder of 0700, broken and mended",
    ),
    "gateway/exercises/scratch_folder.py": (1, "a lock of mode 0600; nothing stands in it"),
    "gateway/child/sandbox.py": (1, "the flag that a filter of system calls refuses"),
    "gateway/store/sqlite.py": (
        3,
        "the lock of the store, 0600, which outlives a function; scratch files of 0600, given to SQLite by their names",
    ),
    "gateway/exercises/crashtest/powercut.py": (1, "the disk of a simulated power cut"),
    "gateway/exercises/crashtest/tamper.py": (2, "copies of a store that a trial damages"),
}


# Commands that put a file in the place of one that a person named, and why: all others make a new one or refuse.
REWRITTEN = {"gateway/cli/admin/directory.py": (1, "a signature is added to the draft itself")}


def test_no_command_writes_over_a_file_that_is_there(root: Path) -> None:
    found = {
        path.relative_to(root).as_posix(): count
        for path in sorted((root / "gateway/cli").rglob("*.py"))
        if (text := path.read_text(encoding="utf-8"))
        and (count := text.count("user_files.write(") + text.count("atomic_file.replace("))
    }

    assert found == {name: count for name, (count, _) in REWRITTEN.items()}


def _makes(tree: ast.AST) -> Iterator[int]:
    """Yield the line of everything that may make a file."""
    of_values = {  # `copy.copy` makes no file
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "copy"
        for each in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "O_CREAT":
            yield node.lineno
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        attribute = isinstance(function, ast.Attribute)
        name = function.attr if attribute else getattr(function, "id", "")
        modes = [
            each.value
            for each in (*node.args[:2], *(k.value for k in node.keywords if k.arg == "mode"))
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        writes = any(set(mode) & set("wxa+") and len(mode) <= 3 for mode in modes)
        if (
            (attribute and name in METHODS)
            or (name in COPIES - of_values and not attribute)
            or (name in COPIES and attribute and getattr(function.value, "id", "") in MODULES)
            or (name in {"open", *ARCHIVES} and writes)
        ):
            yield node.lineno


MODULES = {"shutil", "tempfile"}


def test_no_module_makes_a_file_past_the_one_writer(root: Path) -> None:
    found: dict[str, list[int]] = {}
    for path in sorted((*root.glob("gateway/**/*.py"), *root.glob("keys/**/*.py"))):
        name = path.relative_to(root).as_posix()
        lines = list(_makes(ast.parse(path.read_text(encoding="utf-8"))))
        if lines and name not in WRITERS:
            found[name] = lines

    assert {name: len(lines) for name, lines in found.items()} == {
        name: count for name, (count, _) in ALLOWED.items()
    }, f"write with gateway.user_files, or say here why not: {found}"
    assert all(reason for _, reason in ALLOWED.values())


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('x')",
        "path.write_bytes(b'x')",
        "path.open('w')",
        "path.open(mode='xb')",
        "open(path, 'a')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "figure.savefig(path)",
        "path.touch(0o600)",
        "shutil.copy(a, b)",
        "zipfile.ZipFile(path, 'x')",
    ],
)
def test_a_writer_of_any_kind_is_noticed(line: str) -> None:
    assert list(_makes(ast.parse(line))) == [1]


@pytest.mark.parametrize(
    "line",
    [
        "path.open('rb')",
        "open(path)",
        "log.open(signed)",
        "dict.copy()",
        "from copy import copy; copy(value)",
    ],
)
def test_a_reader_is_none(line: str) -> None:
    assert not list(_makes(ast.parse(line)))
