"""How the measurement is shown: a bar while it runs, one table when it is done."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.exercises.bench.exchange import Clock, Figures
from gateway.exercises.bench.stage_profile import ASKER, REST, STEPS, Share, kind

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
    table.add_column("a query")
    table.add_column("one asker, ms", justify="right")
    table.add_column(f"{figures.clients} askers, ms", justify="right")
    for name, alone, together in (
        ("crypto, server and asker, mean", figures.quiet_crypto_ms, figures.crypto_ms),
        ("search with preparing the probe, mean", figures.quiet_search_ms, figures.search_ms),
        ("processor time, server", figures.quiet_server_cpu_ms, figures.server_cpu_ms),
        ("processor time, asker", figures.quiet_askers_cpu_ms, figures.askers_cpu_ms),
        ("question to answer, mean", figures.quiet_mean_ms, figures.mean_ms),
        ("question to answer, p50", figures.quiet_p50_ms, figures.p50_ms),
    ):
        table.add_row(name, _number(alone), _number(together))
    table.add_row("p95", "", f"{figures.p95_ms:.2f}")
    table.add_row("p99", "", f"{figures.p99_ms:.2f}")
    return table


def shares(figures: Figures) -> Table:
    """Return where the time of one question goes, by stage, quiet and under load."""
    table = Table(box=None, show_header=True, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("a query, mean", "steps"):
        table.add_column(heading)
    for heading in ("one asker, ms", "share", f"{figures.clients} askers, ms", "share"):
        table.add_column(heading, justify="right")
    quiet, loaded = figures.quiet_profile, figures.profile
    for name in [*loaded, *(quiet.keys() - loaded.keys())]:
        table.add_row(
            _label(_NAMES.get(name, f"server: {name.replace('_', ' ')}"), kind(name)),
            STEPS.get(name, ""),
            *(*_shown(quiet.get(name)), *_shown(loaded.get(name))),
        )
    whole = f"{figures.quiet_mean_ms:.2f}", "100.0 %", f"{figures.mean_ms:.2f}", "100.0 %"
    table.add_row("question to answer", "", *whole)
    return table


_NAMES = {
    ASKER: "asker: seal, sign, verify, open",
    REST: "rest: the beat, gRPC, loopback",
}


def _shown(share: Share | None) -> tuple[str, str]:
    return (
        ("", "") if share is None else (f"{share.ms:.2f}", f"{share.share:.1%}".replace("%", " %"))
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def line(figures: Figures) -> str:
    """Return the result in one line, and what it was measured on in another."""
    faults = ", ".join(f"{count} {name}" for name, count in figures.errors_by_reason.items())
    return (
        f"{figures.qps} queries/s  {figures.clients} askers in {figures.processes} processes,"
        f" {figures.seconds:g} s, {figures.gallery} people, {figures.cores} cores\n"
        f"{figures.queries} answers, each verified: {figures.hits} hits, {figures.missed} missed,"
        f" {figures.wrong_hits} wrong; errors: {faults or 'none'}\n"
        f"{_busy(figures)}"
        f"this machine: {figures.signatures_per_s} composite signatures/s,"
        f" sgemm {figures.sgemm_gflops} GFLOP/s"
    )


def _busy(figures: Figures) -> str:
    """Return how much of the processors the server and the askers had, where that is known."""
    if figures.busy_cores is None:
        return ""
    return f"{figures.busy_cores:g} of {figures.cores} cores busy under load, server and askers together\n"


def _label(text: str, kind: str) -> Text:
    return Text.assemble(text, (f"  {kind}", "dim"))
