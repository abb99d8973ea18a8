"""Commands that are imported when their name is typed, so that a start pays for one command and not for all.

A table names every command of the top level with its line of help, and a function that imports the command and adds
it. `--help` and the completion of names read the table alone; whoever asks for a command itself, be it to run it or to
make documentation, gets the real one. Built once, a command serves the whole process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


@dataclass(frozen=True, slots=True)
class Entry:
    """One command, or group of commands, of the top level.

    summary  its line in the list of commands: the first paragraph of its own help
    add      imports it and adds it, under `name`, to the application that is passed
    """

    name: str
    summary: str
    add: Callable[[typer.Typer], None]


class Table:
    """The entries in the order in which help lists them; each is declared by the function that adds it."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def __call__(
        self, name: str, summary: str
    ) -> Callable[[Callable[[typer.Typer], None]], Callable[[typer.Typer], None]]:
        """Return the decorator that enters a function under `name`."""

        def enter(add: Callable[[typer.Typer], None]) -> Callable[[typer.Typer], None]:
            self.entries[name] = Entry(name, summary, add)
            return add

        return enter


@cache
def build(entry: Entry) -> Any:  # noqa: ANN401 - typer's own types
    """Import a command and build it: once in a process, since adding it changes the application that is imported."""
    holder = typer.Typer()
    entry.add(holder)
    return get_group(holder).commands[entry.name]


class _Commands(Mapping[str, Any]):
    """The commands of a table by name, each built when it is looked up."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own types
        return build(self._entries[name])

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class LazyGroup(TyperGroup):
    """A group of the commands in `table`, which none of its own listings imports."""

    table: ClassVar[Table]

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's own types
        super().__init__(**settings)
        self.commands: Any = _Commands(self.table.entries)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own types
        """List the commands by their summaries."""
        super(LazyGroup, self._listed()).format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:  # noqa: ANN401 - typer's own types
        """Offer the names of commands with their summaries."""
        listed = copy(ctx)
        listed.command = self._listed()
        return super().shell_complete(listed, incomplete)

    def _listed(self) -> LazyGroup:
        """Return this group with nothing but a name and a summary for each command."""
        listed = copy(self)
        listed.commands = {
            entry.name: TyperCommand(entry.name, help=entry.summary)
            for entry in self.table.entries.values()
        }
        return listed
