"""How the measurement is shown: a bar while it runs, one table when it is done."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.exercises.bench.exchange import CRYPTO, SEARCH, Clock, Figures

TICK = 0.1  # seconds between two movements of the bar


class Bar(Clock):
    """A bar on a console; it moves only where a person is looking."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._progress.stop()

    def begin(self, what: str, seconds: float | None = None) -> None:
        """Begin a part; without its length the bar only shows that something goes on."""
        self._progress.reset(self._task, description=what, total=seconds, completed=0)

    def wait(self, seconds: float) -> None:
        """Let time pass, and move."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(TICK, left))
            self._progress.advance(self._task, min(TICK, left))


def board(figures: Figures) -> Table:
    """Return the figures as a person reads them."""
    table = Table(box=None, show_header=True, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("a query, on average")
    table.add_column("one asker, ms", justify="right")
    table.add_column(f"{figures.clients} askers, ms", justify="right")
    quiet, loaded = figures.quiet_stages_ms, figures.stages_ms
    for name in loaded:
        kind = "crypto" if name in CRYPTO else "search" if name in SEARCH else ""
        label = _label(f"server: {name.replace('_', ' ')}", kind)
        table.add_row(label, f"{quiet.get(name, 0.0):.2f}", f"{loaded[name]:.2f}")
    table.add_row(_label("asker: seal, sign, verify, open", "crypto"), *_rest(figures))
    for name, alone, together in (
        ("crypto", figures.quiet_crypto_ms, figures.crypto_ms),
        ("search", figures.quiet_search_ms, figures.search_ms),
        ("question to answer, p50", figures.quiet_p50_ms, figures.p50_ms),
    ):
        table.add_row(Text(name, style="bold"), f"{alone:.2f}", f"{together:.2f}")
    table.add_row("p95", "", f"{figures.p95_ms:.2f}")
    table.add_row("p99", "", f"{figures.p99_ms:.2f}")
    return table


def line(figures: Figures) -> str:
    """Return the result in one line, and what it was measured on in another."""
    faults = ", ".join(f"{count} {name}" for name, count in figures.errors_by_reason.items())
    return (
        f"{figures.qps} queries/s  {figures.clients} askers in {figures.processes} processes,"
        f" {figures.seconds:g} s, {figures.gallery} people, {figures.cores} cores\n"
        f"{figures.queries} answers, each verified: {figures.hits} hits, {figures.missed} missed,"
        f" {figures.wrong_hits} wrong; errors: {faults or 'none'}\n"
        f"this machine: {figures.signatures_per_s} composite signatures/s,"
        f" sgemm {figures.sgemm_gflops} GFLOP/s"
    )


def _label(text: str, kind: str) -> Text:
    return Text.assemble(text, (f"  {kind}", "dim"))


def _rest(figures: Figures) -> tuple[str, str]:
    """Return the askers' share of the cryptography: all of it less the server's."""
    pairs = (
        (figures.quiet_crypto_ms, figures.quiet_stages_ms),
        (figures.crypto_ms, figures.stages_ms),
    )
    quiet, loaded = (
        f"{whole - sum(stages.get(name, 0.0) for name in CRYPTO):.2f}" for whole, stages in pairs
    )
    return quiet, loaded
