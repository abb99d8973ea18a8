"""The line of the settings that names the custody: read, and replaced when the keys have moved."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from gateway import bounded_toml, config, user_files
from gateway.bounded_toml import TomlRefused
from gateway.errors import UserError
from gateway.home_layout import SETTINGS
from keys import atomic_file

VARIABLE = "PASSERELLE_KEYS__CUSTODY"

_section = re.compile(r"\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(#.*)?")
_line = re.compile(r"\s*custody\s*=.*")


def custody_of(home: Path) -> str:
    """Return the custody as the settings write it, relative to the home directory."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return named
    keys = _tree(_text(home)).get("keys", {})
    return str(keys.get("custody", config.Keys().custody))


def demand_ours(home: Path, uri: str) -> None:
    """Raise UserError where we could not write `uri` into the settings afterwards."""
    if uri == custody_of(home):
        return
    if VARIABLE in os.environ:
        raise UserError(
            f"the environment names the custody: unset {VARIABLE}, which would stay behind"
        )
    _renamed(_text(home), uri)


def name_custody(home: Path, uri: str) -> None:
    """Write `uri` into the settings, durably; nothing else in them changes. Raises UserError."""
    if uri != custody_of(home):
        atomic_file.replace(home / SETTINGS, _renamed(_text(home), uri).encode())


def _tree(text: str) -> dict[str, Any]:
    try:
        return bounded_toml.read(text.encode(), config.MAX_FILE)
    except TomlRefused as fault:
        raise UserError(f"{SETTINGS}: {fault}; correct it there") from None


def _text(home: Path) -> str:
    try:
        return user_files.named(home / SETTINGS, config.MAX_FILE).decode()
    except UnicodeDecodeError:
        raise UserError(f"{home / SETTINGS}: not UTF-8; correct it there") from None


def _renamed(text: str, uri: str) -> str:
    new, lines, at, found = f"custody = {json.dumps(uri)}", text.splitlines(), "", False
    written: list[str] = []
    for line in lines:
        header = _section.fullmatch(line)
        if header is not None:
            at = header["name"]
        ours = at == "keys" and _line.fullmatch(line) is not None
        written.append(new if ours else line)
        found = found or ours
    if not found and "[keys]" in [line.strip() for line in written]:
        written.insert([line.strip() for line in written].index("[keys]") + 1, new)
    elif not found:
        written += ["", "[keys]", new]
    changed = "\n".join(written) + "\n"
    wanted = _tree(text)
    wanted.setdefault("keys", {})["custody"] = uri
    try:
        same = _tree(changed) == wanted
    except UserError:
        same = False
    if not same:
        raise UserError(f"{SETTINGS}: write the custody on a line of its own under [keys]")
    return changed
