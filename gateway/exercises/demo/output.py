"""How the demonstration is shown: one fact a line, one table of people, ✓ or ✗ beside every promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from gateway.domain.messages import Outcome
from gateway.domain.person import Field
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.disclosure import shown
from gateway.exercises.demo.queries import AskedQuery

WORDS = {
    Outcome.MATCH: "hit",
    Outcome.NO_MATCH: "no hit",
    Outcome.QUALITY_INSUFFICIENT: "too poor",
}
NARROWEST = 100  # columns; a table that is folded into less is not enjoyed


class DemoOutput:
    """Tells it on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        if not console.is_terminal:
            console.width = max(console.width, NARROWEST)

    def chapter(self, title: str) -> None:
        """Begin a part of the demonstration."""
        self.console.print(f"\n[bold]{title}[/bold]", highlight=False)

    def fact(self, noun: str, text: str) -> None:
        """Say one fact."""
        self.console.print(Text.assemble((f"  {noun:<16}", "dim"), text), soft_wrap=True)

    def promise(self, promise: Promise) -> None:
        """Say whether a promise held, and what was seen."""
        said = Text.assemble("  ", _mark(promise.kept), f" {promise.says}")
        self.console.print(said, soft_wrap=True)
        self.console.print(Text(f"    {promise.seen}", style="dim"), soft_wrap=True)

    def fields(self, fields: Sequence[Field]) -> None:
        """Show what was disclosed: a row a datum, its paragraph beside it, and what all of it is under."""
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for heading in ("", "field", "value", "by"):
            table.add_column(heading)
        for each in fields:
            table.add_row("", each.code.name, shown(each), each.authority)
        self.console.print(table)
        for code, text in dict.fromkeys((c.code, c.text) for one in fields for c in one.caveats):
            self.fact("caveat", f"{code}: {text}")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Progress]:
        """Show how far it is, where a person is looking."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as progress:
            progress.add_task(what, total=total)
            yield progress

    def people(self, asked: Sequence[AskedQuery]) -> None:
        """Show a row a person: the first question in full, the others by their marks."""
        table = Table(box=None, padding=(0, 1), header_style="dim")
        table.add_column("")
        for heading in ("who", "prints", "expected", "outcome"):
            table.add_column(heading)
        for heading in ("ms", "receipt"):
            table.add_column(heading, justify="right")
        table.add_column("other impressions")
        for person, group in groupby(asked, key=lambda one: one.person):
            first, *others = group
            table.add_row(
                _mark(first.good),
                person.pseudonym,
                person.origin,
                "masked" if person.citizen else WORDS[first.expected],
                _outcome(first),
                f"{first.seconds * 1000:.0f}",
                "–" if first.answer is None else f"#{first.answer.receipt_index}",
                Text(" ").join([_mark(one.good) for one in others]),
            )
        self.console.print(table)
        for one in asked:
            if not one.good:
                self._different(one)

    def _different(self, one: AskedQuery) -> None:
        """Say of one question what came instead of what was expected."""
        came = one.fault if one.outcome is None else WORDS.get(one.outcome, one.outcome.name)
        question = f" {one.person.pseudonym} impression {one.impression}: "
        told = (f"expected {WORDS[one.expected]}, came {came}", "yellow")
        self.console.print(Text.assemble("  ", _mark(kept=False), question, told), soft_wrap=True)


def _outcome(one: AskedQuery) -> Text:
    if one.outcome is None:
        return Text("no answer", style="red")
    return Text(WORDS.get(one.outcome, one.outcome.name), style="green" if one.good else "yellow")


def _mark(kept: bool) -> Text:  # noqa: FBT001 - a mark says one thing
    return Text("✓", style="green") if kept else Text("✗", style="bold red")
