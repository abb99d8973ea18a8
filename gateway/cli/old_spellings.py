"""Commands and options by the names that they had in the release before, for this release only.

They work and are not shown: no help lists them and no completion offers them. Whoever uses one reads the new name on stderr.
An option names its old spelling where it is declared, beside the new one; the words in `OPTIONS` are those.
"""

from __future__ import annotations

import copy
from typing import Any

import typer
from typer.core import TyperCommand

COMMANDS = {
    ("ask",): ("outbound", "query"),
    ("asked",): ("outbound",),
    ("use",): ("outbound", "use"),
    ("keys", "believe"): ("keys", "unblock"),
    ("keys", "adopt"): ("keys", "set-auditor-key"),
    ("directory", "keeper"): ("directory", "root-key"),
}
OPTIONS = frozenset({"--keeper", "--keepers-passphrase-file", "--person"})


def renamed(words: list[str], *, quiet: bool) -> list[str]:
    """Return the words of a command line with the new name of a command that they begin with.

    quiet   write nothing, as while a shell completes a line
    """
    for old, new in COMMANDS.items():
        if tuple(words[: len(old)]) == old:
            if not quiet:
                _note(f"passerelle {' '.join(old)}", f"passerelle {' '.join(new)}")
            return [*new, *words[len(old) :]]
    return words


class Command(TyperCommand):
    """A command whose options are also understood by their old names."""

    def __init__(self, *names: Any, **settings: Any) -> None:  # noqa: ANN401 - typer's own types
        super().__init__(*names, **settings)
        self._old: dict[str, Any] = {}
        for option in self.params:
            for old in OPTIONS.intersection(option.opts):
                option.opts = [each for each in option.opts if each != old]
                self._old[old] = option

    def make_parser(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own types
        """Take the old names too."""
        parser = super().make_parser(ctx)
        for old, option in self._old.items():
            same = copy.copy(option)
            same.opts = [old]
            same.add_to_parser(parser, ctx)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own types
        """Say the new name of each old one that was given, and in place of one that was nearly given."""
        if not ctx.resilient_parsing:
            for old in sorted(self._old.keys() & {word.partition("=")[0] for word in args}):
                _note(old, self._old[old].opts[0])
        try:
            return super().parse_args(ctx, args)
        except (
            Exception
        ) as fault:  # an option that there is not, and those that are spelt much like it
            alike = getattr(fault, "possibilities", None) or ()
            if alike:
                news = (self._old[each].opts[0] if each in self._old else each for each in alike)
                fault.possibilities = sorted(set(news))  # type: ignore[attr-defined]
            raise


def _note(old: str, new: str) -> None:
    typer.echo(f"`{old}` is now `{new}`; the old spelling ends with the next release", err=True)
