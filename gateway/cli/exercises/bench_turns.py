"""`passerelle bench … --against`: the same bench here and in another checkout by turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.exercises.shared_options import end_in_order

if TYPE_CHECKING:
    from gateway.exercises.bench.turns import Spread, Turns

ROUNDS = 3
START = 900.0  # seconds that a run may take for its start and its end
PERSON = 1.0  # seconds that a person may take to be enrolled, or a search for one


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsOptions:
    """What to measure beside, if anything."""

    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Another checkout, with its own .venv: run the same there and here by turns, and tell both.",
        ),
    ] = None
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help=f"Runs on each side of --against, by turns. Default: {ROUNDS}."
        ),
    ] = None

    @property
    def wanted(self) -> bool:
        """Whether there is another side; raises BadParameter for rounds without one."""
        if self.against is None and self.rounds is not None:
            raise typer.BadParameter(
                "rounds are of two sides; name --against too", param_hint="--rounds"
            )
        return self.against is not None

    def run(
        self,
        context: typer.Context,
        bench: Sequence[object],
        figures: Sequence[str],
        *,
        people: int,
        seconds: float = 0.0,
    ) -> None:
        """Run the words of a bench on both sides, and tell how its figures compare.

        people, seconds   enrolled and searched for in a run, and how long it measures: how long it is waited for
        """
        from gateway.exercises.bench.turns import Order, by_turns, other, own

        end_in_order()
        words = tuple(map(str, bench))
        patience = START + people * PERSON + seconds
        order = Order(words, figures, self.rounds or ROUNDS, patience)
        there = other(self.against or Path())
        with output.bar(f"bench {words[0]} by turns", 2 * order.rounds) as advance:
            turns = by_turns(order, own(), there, advance)
        output.emit(context, {"ok": True, **asdict(turns)}, *_shown(turns))


def _shown(turns: Turns) -> Iterator[Any]:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(f"median (least to most) of {turns.rounds}")
    for heading in ("here", "there", "here / there"):
        table.add_column(heading, justify="right")
    for name, one in turns.figures.items():
        ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
        table.add_row(name, _spread(one.here), _spread(one.there), ratio)
    for name, speed in turns.machine.items():
        table.add_row(f"machine: {name}", _spread(speed), "", "")
    yield table
    for name, origin in (("here", turns.here), ("there", turns.there)):
        yield f"{name:<6} {origin.version}  {origin.commit or 'commit unknown'}  {origin.folder}"


def _spread(found: Spread | None) -> str:
    return "not told" if found is None else f"{found.median:,g} ({found.min:,g} to {found.max:,g})"
