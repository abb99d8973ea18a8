"""Names of settings: of their file, in the environment, and of the past; a file with an old one is read as if it had the new.

A file is part of a home directory and may be years old; a variable of the environment is set by somebody who can be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from keys import strict_json

PREFIX: Final = "PASSERELLE_"  # of every variable of the environment that is ours
OFFICERS_PASSPHRASE: Final = (
    f"{PREFIX}OFFICER_PASSPHRASE_FILE"  # names the file with the passphrase of an officer who acts
)
OLD_SECTIONS: Final[Mapping[str, str]] = MappingProxyType({"house": "gateway"})  # before 0.1.0
OLD_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "limits": {
            "strangers": "unidentified",
            "strangers_per_address": "unidentified_per_address",
        }
    }
)  # by section; before 0.1.0


MOST_VARIABLE: Final = 65_536  # bytes of a section in a variable, as of a settings file


class OldName(ValueError):
    """A file has both names of one thing, or a variable the old one; the message says what to write."""


def with_new_names(tree: dict[str, Any]) -> dict[str, Any]:
    """Return settings under the names of today; raises OldName."""
    for old, new in OLD_SECTIONS.items():
        if old in tree and new in tree:
            raise OldName(f"[{old}] is the old name of [{new}]; keep one of the two sections")
    return {OLD_SECTIONS.get(name, name): _renamed(name, held) for name, held in tree.items()}


def _renamed(section: str, held: Any) -> Any:  # noqa: ANN401 - what stands in a file, not yet checked
    names = OLD_SETTINGS.get(section)
    if not names or not isinstance(held, dict):
        return held
    for old, new in names.items():
        if old in held and new in held:
            raise OldName(
                f"{section}.{old} is the old name of {section}.{new}; keep one of the two"
            )
    return {names.get(name, name): value for name, value in held.items()}


def refuse_old_variables(variables: Mapping[str, str]) -> None:
    """Raise OldName for a variable of the environment that has a section or a setting as it was called before."""
    for name in sorted(variables):  # in any case, and a whole section as JSON, as settings are read
        begins, _, rest = name.upper().partition(PREFIX)
        section, mark, key = rest.partition("__")
        if begins:
            continue
        today = OLD_SECTIONS.get(section.lower(), section).upper()
        names = OLD_SETTINGS.get(section.lower(), {})
        setting = names.get(key.lower(), key).upper()
        if (today, setting) != (section, key):
            raise OldName(f"environment: {name} is now {PREFIX}{today}{mark}{setting}; set that")
        for old in () if mark else _keys_of(variables[name]):
            if old in names:
                raise OldName(f"environment: {name}: {old} is now {names[old]}; set that")


def _keys_of(text: str) -> Iterable[str]:
    """Return the keys of a section as JSON; none where it is no object, which is refused with its other faults."""
    try:
        held = strict_json.read(text.encode(), MOST_VARIABLE)
    except ValueError:
        return ()
    return sorted(held) if isinstance(held, dict) else ()
