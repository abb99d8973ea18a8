"""What a test does hundreds of times it does cheaply: keys are derived at next to no cost, statements are compiled once.

Also in the processes of commands that tests start. What a passphrase costs in production is tested where it is the point: `production_cost` in conftest, and one whole run of
the demonstration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from gateway.exercises import subprocess_cli
from gateway.store.sqlite import SqliteEngine
from keys import custody

PRODUCTION = custody.STANDARD
CHEAP = custody.Argon2Cost(64, 1, 1)
COMMAND = f"{__name__}:command"


def command() -> None:
    """Run the command in `sys.argv`, and the commands that it starts, with cheap passphrases."""
    custody.STANDARD, subprocess_cli.COMMAND = CHEAP, COMMAND
    from gateway.cli.main import app

    app()


class Statements(dict[Any, Any]):
    """Compiled statements of every store of a process; the first part of a key is the dialect, which each store has anew."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


STATEMENTS = Statements()
_engine = SqliteEngine._engine


def engine(
    store: SqliteEngine, mode: str, begin: str, pragmas: Mapping[str, tuple[str, object]]
) -> Engine:
    """Make a pool as a store does, which compiles no statement that another store has compiled."""
    made = _engine(store, mode, begin, pragmas)
    made.update_execution_options(compiled_cache=STATEMENTS)
    return made
