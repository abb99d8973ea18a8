"""Commands that are imported when their name is typed, so that a start pays for one command and not for all.

A table names every command of the top level with its line of help, and a function that imports the command and adds
it. `--help` and the completion of names read the table alone; whoever asks for a command itself, be it to run it or to
make documentation, gets the real one. Within a group too, a command is built when it is looked up; once built, it serves the
whole process.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_name, get_group
from typer.models import CommandInfo, TyperInfo

from gateway.cli.old_spellings import Command
from gateway.errors import UserError


@dataclass(frozen=True, slots=True)
class Part:
    """A distribution that may be installed beside the gateway: its packages, and what to do where they are not there."""

    packages: tuple[str, ...]
    remedy: str

    def apps(self, modules: tuple[str, ...]) -> list[typer.Typer]:
        """Import the applications of modules of this part; raises UserError where the part is not installed."""
        try:
            return _apps(modules)
        except ModuleNotFoundError as absent:
            if not (absent.name or "").startswith(self.packages):
                raise
            raise UserError(self.remedy) from None


@dataclass(frozen=True, slots=True)
class Entry:
    """One command, or group of commands, of the top level.

    summary  its line in the list of commands: the first paragraph of its own help
    add      imports it and adds it, under `name`, to the application that is passed
    part     distribution that it is of, and is not listed without; None for the gateway's own
    """

    name: str
    summary: str
    add: Callable[[typer.Typer], None]
    part: Part | None = None

    @property
    def installed(self) -> bool:
        """Whether the distribution that it is of is there."""
        return self.part is None or find_spec(self.part.packages[0]) is not None


class Table:
    """The entries in the order in which help lists them; each is declared by the function that adds it."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._builders: dict[str, Callable[[], Any]] = {}
        self.commands = Commands(self._builders)

    def __call__(
        self, name: str, summary: str, part: Part | None = None
    ) -> Callable[[Callable[[typer.Typer], None]], Callable[[typer.Typer], None]]:
        """Return the decorator that enters a function under `name`."""

        def enter(add: Callable[[typer.Typer], None]) -> Callable[[typer.Typer], None]:
            self.entries[name] = Entry(name, summary, add, part)
            self._builders[name] = partial(_imported, self.entries[name])
            return add

        return enter

    def add(self, name: str, summary: str, *modules: str, part: Part | None = None) -> None:
        """Enter what modules below `gateway.cli` have under a name: the command of this name, or else a group of all of theirs.

        modules  `home.serve`, whose application is named `app`, or `home.backup:recovery`
        """
        self(name, summary, part)(partial(_add, name, summary, modules, part))


class Commands(Mapping[str, Any]):
    """Commands by name, each built when it is first looked up."""

    def __init__(self, builders: Mapping[str, Callable[[], Any]]) -> None:
        self._builders = builders
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own types
        if name not in self._built:
            self._built[name] = self._builders[name]()
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._builders

    def __iter__(self) -> Iterator[str]:
        return iter(self._builders)

    def __len__(self) -> int:
        return len(self._builders)


def _apps(modules: tuple[str, ...]) -> list[typer.Typer]:
    """Import modules, and return their applications."""
    named = (module.partition(":") for module in modules)
    return [getattr(import_module(f"gateway.cli.{path}"), app or "app") for path, _, app in named]


def _add(
    name: str, summary: str, modules: tuple[str, ...], part: Part | None, into: typer.Typer
) -> None:
    """Add the command of a name, or else a group of all commands, of the applications of modules."""
    apps = _apps(modules) if part is None else part.apps(modules)
    commands = [each for app in apps for each in app.registered_commands]
    alone = [each for each in commands if _name_of(each) == name]
    if alone:
        into.registered_commands += alone
        return
    group = copy.copy(apps[0])
    group.registered_commands = commands
    into.add_typer(group, name=name, help=summary, no_args_is_help=True)


def _imported(entry: Entry) -> Any:  # noqa: ANN401 - typer's own types
    holder = typer.Typer()
    entry.add(holder)
    return _commands_of(holder)[entry.name]


def _commands_of(app: typer.Typer) -> Commands:
    """Return what is registered in an application; commands before groups, as typer lists them."""
    builders: dict[str, Callable[[], Any]] = {}
    for command in app.registered_commands:
        name = _name_of(command)
        builders[name] = partial(_command, name, command)
    for group in app.registered_groups:
        builders[str(group.name)] = partial(_group, group)
    return Commands(builders)


def _name_of(command: CommandInfo) -> str:
    return command.name or get_command_name(getattr(command.callback, "__name__", ""))


def _command(name: str, info: CommandInfo) -> Any:  # noqa: ANN401 - typer's own types
    holder, info = typer.Typer(), copy.copy(info)
    if info.cls in {None, TyperCommand}:
        info.cls = Command
    holder.registered_commands.append(info)
    return get_group(holder).commands[name]


def _group(info: TyperInfo) -> Any:  # noqa: ANN401 - typer's own types
    """Build a group around commands that are not built yet."""
    whole = info.typer_instance
    assert whole is not None  # noqa: S101 - `add_typer` demands one
    shell, empty, holder = copy.copy(info), copy.copy(whole), typer.Typer()
    empty.registered_commands, empty.registered_groups = [], []
    shell.typer_instance = empty
    holder.registered_groups.append(shell)
    group = get_group(holder).commands[str(info.name)]
    group.commands = _commands_of(whole)  # type: ignore[attr-defined]
    return group


class LazyGroup(TyperGroup):
    """A group of the commands in `table`, which none of its own listings imports."""

    table: ClassVar[Table]

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's own types
        super().__init__(**settings)
        self.commands: Any = self.table.commands

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own types
        """List the commands by their summaries."""
        super(LazyGroup, self._listed()).format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:  # noqa: ANN401 - typer's own types
        """Offer the names of commands with their summaries."""
        listed = copy.copy(ctx)
        listed.command = self._listed()
        return super().shell_complete(listed, incomplete)

    def _listed(self) -> LazyGroup:
        """Return this group with nothing but a name and a summary for each command."""
        listed = copy.copy(self)
        listed.commands = {
            entry.name: TyperCommand(entry.name, help=entry.summary)
            for entry in self.table.entries.values()
            if entry.installed
        }
        return listed
