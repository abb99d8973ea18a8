"""Names of settings in the environment, and those that changed: a file with an old one is read as if it had the new one.

A file is part of a home directory and may be years old; a variable of the environment is set by somebody who can be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

PREFIX: Final = "PASSERELLE_"  # of every variable of the environment that is ours
OFFICERS_PASSPHRASE: Final = (
    f"{PREFIX}OFFICER_PASSPHRASE_FILE"  # names the file with the passphrase of an officer who acts
)
OLD_SECTIONS: Final[Mapping[str, str]] = MappingProxyType({"house": "gateway"})  # until 0.1.0


class OldName(ValueError):
    """A section has both names, or a variable the old one; the message says what to write."""


def with_new_names(tree: dict[str, Any]) -> dict[str, Any]:
    """Return settings under the names of today; raises OldName."""
    for old, new in OLD_SECTIONS.items():
        if old in tree and new in tree:
            raise OldName(f"[{old}] is the old name of [{new}]; keep one of the two sections")
    return {OLD_SECTIONS.get(name, name): value for name, value in tree.items()}


def refuse_old_variables(names: Iterable[str]) -> None:
    """Raise OldName for a variable of the environment that names a section as it was called before."""
    for name in sorted(names):  # in any case, and a whole section as JSON, as settings are read
        begins, _, rest = name.upper().partition(PREFIX)
        section, mark, key = rest.partition("__")
        new = OLD_SECTIONS.get(section.lower(), "").upper()
        if not begins and new:
            raise OldName(f"environment: {name} is now {PREFIX}{new}{mark}{key}; set that")
