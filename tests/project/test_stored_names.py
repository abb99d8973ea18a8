"""Names that are stored, sealed, hashed or sent are contracts: code is renamed around them, and they stay.

`stored_names.json` is the list. A new name is added to it: `python tests/project/test_stored_names.py` writes it anew.
A name that goes or changes makes folders, ledgers and backups of earlier releases unreadable.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from enum import Enum
from pathlib import Path

import gateway
import keys
from gateway.errors import Refusal
from gateway.ledger.entry import FACTS
from gateway.store import schema

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("stored_names.json")
_label = re.compile(r"passerelle/[0-9]/[0-9a-z/. -]+")
_begins = re.compile(r"passerelle (?:[a-z]+ )+[0-9]+")
_file = re.compile(
    r"\.?[A-Za-z0-9_-]*\.(?:json|toml|db|key|pem|pass|pen|lock|part|next|damaged|sqlite)"
)
_operation = re.compile(
    r"(?:agreements|asked|audit|backup|corrections|custody|decision|directory|hold|keys|ledger|proposals|registry"
    r"|retention|review|staff|use|witness)\.[a-z_]+"
)
_elsewhere = ("gateway.cli", "gateway.exercises", "gateway.v1", "gateway.store.migrations.")


def _modules() -> list[str]:
    names = [
        found.name
        for package in (gateway, keys)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [name for name in names if not name.startswith(_elsewhere)]


def _sources() -> list[ast.Module]:
    files = sorted((*(ROOT / "gateway").rglob("*.py"), *(ROOT / "keys").rglob("*.py")))
    kept = [file for file in files if not {"v1", "cli", "exercises"} & set(file.parts)]
    return [ast.parse(file.read_text(encoding="utf-8")) for file in kept]


def _texts(tree: ast.Module) -> list[str]:
    return [
        node.value.decode("ascii", "ignore") if isinstance(node.value, bytes) else node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes | str)
    ]


def _labels() -> list[str]:
    """Return the labels that are sealed, signed or hashed, and the formats that files begin with."""
    texts = {text for tree in _sources() for text in _texts(tree)}
    return sorted(text for text in texts if _label.fullmatch(text) or _begins.fullmatch(text))


def _files() -> list[str]:
    """Return the names that are joined to a folder: of files and folders in a home, a backup, an archive."""
    joined = {
        node.right.value
        for tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant)
        and isinstance(node.right.value, str)
    }
    named = {text for tree in _sources() for text in _texts(tree) if _file.fullmatch(text)}
    return sorted(joined | named)


def _operations() -> list[str]:
    """Return the admin operations, whose names stand in proposals and in ADMIN entries."""
    texts = {text for tree in _sources() for text in _texts(tree)}
    return sorted(
        text for text in texts if _operation.fullmatch(text) and not _file.fullmatch(text)
    )


def _enums() -> list[list[str]]:
    """Return the members of each enumeration whose values can be stored; the class may be renamed, they may not."""
    found = set()
    for name in _modules():
        for each in vars(importlib.import_module(name)).values():
            if isinstance(each, type) and issubclass(each, Enum) and each.__module__ == name:
                members = {key: one.value for key, one in each.__members__.items()}
                if members and all(re.fullmatch(r"[\w.-]+", str(one)) for one in members.values()):
                    found.add(tuple(f"{key}={one}" for key, one in sorted(members.items())))
    return [list(one) for one in sorted(found)]


def _reasons() -> list[str]:
    for name in _modules():
        importlib.import_module(name)
    waiting, found = [Refusal], set()
    while waiting:
        one = waiting.pop()
        waiting.extend(one.__subclasses__())
        found.add(getattr(one, "reason", ""))
    return sorted(found - {""})


def names() -> dict[str, object]:
    """Return every stored name of this source, by what it names."""
    return {
        "labels": _labels(),
        "files": _files(),
        "operations": _operations(),
        "facts": sorted(FACTS),
        "reasons": _reasons(),
        "columns": sorted(
            str(column) for table in schema.metadata.tables.values() for column in table.c
        ),
        "members": _enums(),
    }


def test_no_stored_name_moves() -> None:
    """A folder of yesterday is read by the code of tomorrow: old names all stand, and new ones are on the list."""
    listed = json.loads(LIST.read_text(encoding="utf-8"))

    assert names() == listed, (
        "a stored name moved, or a new one is not listed (see this file's first lines)"
    )


if __name__ == "__main__":
    LIST.write_text(json.dumps(names(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
