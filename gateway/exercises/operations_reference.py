"""Writes docs/operations.md out of gateway/operations: each operation, its command, who may, when two persons, dry run.

`python -m gateway.exercises.operations_reference` writes it, `--check` says whether it is current.
"""

from __future__ import annotations

import re
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from pkgutil import iter_modules
from typing import Final

from gateway import operations
from gateway.exercises import reference_page
from gateway.operations.declaration import ALWAYS, Request, Role

PLACE: Final = Path("docs/operations.md")
HEAD: Final = """\
# Operations

Made of `gateway/operations` by `make operations`; a test says whether it is current. Do not edit it here.

What our own people may ask of the gateway. One of the roles in the third column is enough. Each request is recorded with
the name of the person before it is done. While the gateway is stopped, whoever holds the passphrase of its keys can use
`staff list`, `keys list` and `keys show` without an officer certificate, and, with `--custody`, `staff add` and `staff end`;
the recorded name is then `custody`. Where an operation takes two persons, the command proposes it, and another
person with one of the same roles approves it: `passerelle proposals approve`. With `--dry-run` a command says what it
would do, and does nothing; what the gateway would refuse ends with the exit code of the refusal, 2. `passerelle COMMAND --help` shows the options and an example of each command. An operation
without a command of its own is part of other commands.

The roles: an **operator** runs the gateway and its keys; a **registrar** enters people; a **caseworker** asks partners
and handles corrections; an **examiner** decides who was found; an **auditor** reads the ledger.
"""
_COLUMNS: Final = ("Operation", "Command", "Who may", "Two persons", "Dry run", "What it does")


def groups() -> dict[str, tuple[type[Request], ...]]:
    """Return the operations that are declared, by the module that declares them, in its order."""
    found = {}
    for module in sorted(iter_modules(operations.__path__), key=lambda each: each.name):
        name = f"{operations.__name__}.{module.name}"
        declared = tuple(
            each
            for each in vars(import_module(name)).values()
            if isinstance(each, type) and each.__module__ == name and hasattr(each, "declaration")
        )
        if declared:
            found[module.name] = declared
    return found


def every_operation() -> tuple[type[Request], ...]:
    """Return all operations that are declared."""
    return tuple(each for group in groups().values() for each in group)


def render() -> str:
    """Return the text of the document."""
    parts = [HEAD]
    for name, declared in groups().items():
        parts.append(f"## {name}\n\n{_purpose(import_module(declared[0].__module__))}\n")
        rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_row, declared)]
        parts.append("".join(f"| {' | '.join(row)} |\n" for row in rows))
    return "\n".join(parts)


def _purpose(of: object) -> str:
    """Return the first paragraph of what is said of it; the section of a specification that it follows is for its readers."""
    text = (getdoc(of) or "").partition("\n\n")[0]
    return re.sub(r" \(keys [^)]*\)", "", text.replace("\n", " "))


def _row(operation: type[Request]) -> tuple[str, ...]:
    declared = operation.declaration
    two = {"": "no", ALWAYS: "always"}.get(declared.two_persons, declared.two_persons)
    return (
        f"`{declared.name}`",
        f"`{declared.command}`" if declared.command else "",
        "everybody of ours"
        if declared.roles == frozenset(Role)
        else ", ".join(role.value for role in Role if role in declared.roles),
        two,
        "yes" if declared.plans else "",
        _purpose(operation),
    )


if __name__ == "__main__":
    raise SystemExit(reference_page.keep(PLACE, render(), "make operations"))
