"""Writes docs/settings.md out of gateway/config.py: each setting with its form, its default, and the words beside it.

`python -m gateway.exercises.settings_reference` writes it, `--check` says whether it is current. The words are the comments above
a setting in the source, so there is one place in which a setting is explained.
"""

from __future__ import annotations

import ast
import inspect
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway import config
from gateway.exercises import reference_page

PLACE: Final = Path("docs/settings.md")
HEAD: Final = """\
# Settings

Made of `gateway/config.py` by `make settings`; a test says whether it is current. Do not edit it here.

The settings of a party stand in `passerelle.toml` in its home directory, one section for each heading below. A variable of the
environment goes before the file: `PASSERELLE_SECTION__KEY`, such as `PASSERELLE_EXCHANGE__LISTEN`; lists are written as
JSON. A key that does not exist refuses to start. No setting is a secret: secrets are in files that settings name.
Relative paths begin at the home directory. `passerelle check DIR` prints what is in force and tries what is named.
"""
_WORDS: Final[dict[Any, str]] = {
    config.Address: "host:port, such as gateway.example:7443 or [::1]:7443",
    config.Host: "a name or an IP address",
}
_NAMES: Final = {
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    bool: "true or false",
}


def render() -> str:
    """Return the text of the document."""
    notes = _notes(inspect.getsource(config))
    parts = [HEAD]
    for name, field in config.Settings.model_fields.items():
        section = field.annotation
        if not (inspect.isclass(section) and issubclass(section, BaseModel)):
            continue
        parts.append(f"## [{name}]\n\n{inspect.getdoc(section)}\n")
        parts += (
            _setting(name, key, one, notes[section.__name__, key])
            for key, one in section.model_fields.items()
        )
    return "\n".join(parts)


def _setting(section: str, key: str, field: FieldInfo, note: str) -> str:
    default = _default(field)
    required = "must be set" if default is None else f"default {default}"
    form, words = _form(field.annotation, field.metadata), config.FORMS.get(f"{section}.{key}")
    if words is not None and form == _NAMES[str]:
        form = f"{form}: {words}"  # what is said of it, in the place of its pattern
    return f"### {section}.{key}\n\n{form}; {required}.\n\n{note}\n"


def _default(field: FieldInfo) -> str | None:
    """Return the default as TOML writes it; None where there is none."""
    if field.default_factory is not None:
        return "made of the party's name"
    value = field.default
    if value is PydanticUndefined:
        return None
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`{json.dumps(list(value))}`"
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`"


def _form(annotation: Any, metadata: list[Any]) -> str:  # noqa: ANN401 - any annotation
    """Return in words what values a setting takes."""
    for alias, words in _WORDS.items():
        if annotation == alias or (
            annotation is str and metadata == list(_flat(alias.__metadata__))
        ):
            return words
    origin, of = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return ", or ".join(_form(each, metadata) for each in of if each is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(f"`{each}`" for each in of)
    if origin is tuple:
        return f"list, each: {_form(of[0], [])}"
    if hasattr(annotation, "__metadata__"):
        return _form(of[0], [*_flat(annotation.__metadata__), *metadata])
    return _NAMES[annotation] + _bounds(_flat(metadata))


def _flat(metadata: Any) -> list[Any]:  # noqa: ANN401
    return [
        part
        for each in metadata
        for part in (each.metadata if isinstance(each, FieldInfo) else [each])
    ]


def _bounds(metadata: list[Any]) -> str:
    said = []
    for name, words in (
        ("ge", "at least {}"),
        ("gt", "more than {}"),
        ("le", "at most {}"),
        ("lt", "less than {}"),
        ("max_length", "at most {} characters"),
    ):
        found = [getattr(each, name) for each in metadata if getattr(each, name, None) is not None]
        said += [words.format(each) for each in found]
    return f", {', '.join(said)}" if said else ""


def _notes(source: str) -> dict[tuple[str, str], str]:
    """Return the comment above each setting, or above the one before it that it goes with, by class and name."""
    lines = source.splitlines()
    found = {}
    for kind in (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)):
        shared: list[str] = []
        for node in kind.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                above = list(_above(lines, node.lineno - 2))
                # Two settings may share the words above the first of them.
                shared = above or shared
                found[kind.name, node.target.id] = " ".join(reversed(shared))
    return found


def _above(lines: list[str], at: int) -> Iterator[str]:
    """Yield the comment that ends at a line, the last line first."""
    while at >= 0 and lines[at].lstrip().startswith("#"):
        yield lines[at].strip().removeprefix("#").strip()
        at -= 1


if __name__ == "__main__":
    raise SystemExit(reference_page.keep(PLACE, render(), "make settings"))
