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
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import gateway
import keys
from gateway import home_layout
from gateway.errors import Refusal
from gateway.ledger import archive
from gateway.ledger.entry import FACTS
from gateway.store import schema

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("stored_names.json")
_label = re.compile(r"passerelle/[0-9]/[0-9a-z/. -]+")
_begins = re.compile(r"passerelle (?:[a-z]+ )+[0-9]+")
_file = re.compile(
    r"\.?[A-Za-z0-9_-]*\.(?:json|toml|db|key|pem|pass|pen|lock|part|next|damaged|sqlite)"
)
_path = re.compile(rf"(?:[a-z_:]+/)*{_file.pattern}")
_prefix = re.compile(r"(?:[a-z-]+/)+")
_writers = {
    *("json.dumps", "atomic_file.encode", "atomic_file.canonical"),
    *("archive.canonical", "canonical", "_spell", "_text"),
}
_Node = TypeVar("_Node", bound=ast.AST)
_operation = re.compile(
    r"(?:agreements|asked|audit|backup|calibrations|corrections|custody|decision|directory|hold|keys|ledger|proposals|registry"
    r"|retention|review|staff|use|witness)\.[a-z_]+"
)
_elsewhere = ("gateway.cli.", "gateway.exercises.", "gateway.v1.", "gateway.store.migrations.")


def _modules() -> list[str]:
    names = [
        found.name
        for package in (gateway, keys)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [name for name in names if not name.startswith(_elsewhere)]


@cache
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
        value
        for node, names in _nodes(ast.BinOp)
        if isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant | ast.Name | ast.Attribute)
        and isinstance(value := _value(node.right, names), str)
    }
    named = {text for tree in _sources() for text in _texts(tree) if _path.fullmatch(text)}
    return sorted(joined | named | set(home_layout.FOLDERS))


def _keys_of_values() -> list[str]:
    """Return the keys of the table of single values, and what those with a name of their own begin with."""
    found: set[str] = set()
    for module, tree in _parsed():
        if vars(module).get("values") is schema.values:
            found |= {text for text in _texts(tree) if _prefix.fullmatch(text)}
            found |= {text for name, text in vars(module).items() if name == "_KEY"}
    return sorted(found)


def _documents() -> list[list[str]]:
    """Return the members of each JSON object that is stored, sealed, signed or exchanged, as its writer or reader has them."""
    found = {tuple(archive.FACTS)}
    for module, _ in _parsed():
        sets = (one for one in vars(module).values() if isinstance(one, frozenset))
        found |= {tuple(one) for one in sets if "format" in one}
    for node, names in _nodes(ast.Call):
        called = ast.unparse(node.func)
        if called in {"atomic_file.Fields", "_Object"} and len(node.args) == 3:
            members: Any = _value(node.args[2], names)
            found.add(tuple(members.split() if isinstance(members, str) else members))
    for node, _ in _nodes(ast.FunctionDef):
        called = {ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
        if called & _writers:
            found.add(tuple(_keys(node)))
    return [list(one) for one in sorted({tuple(sorted(each)) for each in found if each})]


def _keys(function: ast.AST) -> set[str]:
    """Return the names in the dictionaries that a function spells out, and in its calls of `_text`."""
    keys: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            keys |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "_text":
            keys |= {word.arg for word in node.keywords if word.arg}
    return keys


@cache
def _parsed() -> list[tuple[ModuleType, ast.Module]]:
    modules = [importlib.import_module(name) for name in _modules()]
    return [(one, ast.parse(Path(str(one.__file__)).read_text("utf-8"))) for one in modules]


def _nodes(kind: type[_Node]) -> Iterator[tuple[_Node, dict[str, Any]]]:
    """Yield the nodes of a kind, each with the names of its module."""
    for module, tree in _parsed():
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield node, vars(module)


def _value(node: ast.expr, names: dict[str, Any]) -> object:
    """Return what an expression of constants is; None where it is a value of the moment."""
    try:
        return eval(ast.unparse(node), names)  # noqa: S307 - a line of our own sources
    except (NameError, AttributeError):
        return None


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
        "documents": _documents(),
        "values": _keys_of_values(),
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
