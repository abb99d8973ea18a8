"""A bench here and in another checkout by turns: whatever else the machine does meanwhile meets both alike.

The other checkout, an older one as a rule, has an environment of its own. Its command is run as a person would run it, and
only what its document says is read: who is older takes fewer options and tells fewer figures. The order changes with every
round (here, there, there, here), and before each the machine is measured, so that a drift of it shows.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import gateway
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.bench import machine_speed
from keys import strict_json

ENVIRONMENT = Path(".venv", "bin")
VERSION_SECONDS = 120.0  # for a start that only says its version
STOP_SECONDS = 60.0  # after SIGTERM; a bench ends its server first
MOST = 4_000_000  # bytes read from the end of what a run writes; a document has some thousands
SAID = 300  # characters of its last line that are told
PER = " / "  # between two figures of which the quotient is compared

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What is run on both sides.

    bench     words after `passerelle bench`, which both sides must know
    figures   names in its document; `a / b` is the quotient of two. Who lacks one is not compared by it
    rounds    runs on each side
    patience  seconds for one run; it is ended then, and so is the comparison
    """

    bench: Sequence[str]
    figures: Sequence[str]
    rounds: int
    patience: float


@dataclass(frozen=True, slots=True)
class Side:
    """A checkout and how its command is run."""

    name: str
    folder: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the runs of one side."""

    median: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both sides, None of a side that does not tell it, and the quotient of the medians, here by there."""

    here: Spread | None
    there: Spread | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What was run: the version that it says, and the commit of a checkout that git knows, `-dirty` where it was changed."""

    folder: str
    version: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Turns:
    """What came of it.

    machine   the kernels of `machine_speed` before each round
    runs      every run's own document, by side
    """

    bench: str
    rounds: int
    here: Origin
    there: Origin
    figures: Mapping[str, Compared]
    machine: Mapping[str, Spread]
    runs: Mapping[str, Sequence[Document]]


def own() -> Side:
    """Return the code that runs now."""
    command = sys.executable, "-c", subprocess_cli.START
    return Side("here", Path(gateway.__file__).parents[1], command, subprocess_cli.environment())


def other(folder: Path) -> Side:
    """Return another checkout; raises UserError where it has no environment, or one that runs another tree."""
    folder = folder.resolve()
    script, python = (folder / ENVIRONMENT / name for name in ("passerelle", "python"))
    if not script.is_file():
        raise UserError(
            f"{folder} has no {ENVIRONMENT / script.name}: check the older commit out there, with git worktree add,"
            f" and make its environment: cd {folder} && python3 -m venv .venv && .venv/bin/pip install -r"
            " requirements.lock && .venv/bin/pip install --no-deps -e ."
        )
    environment = subprocess_cli.environment()
    environment.pop("PYTHONPATH", None)  # what it names would be run in place of the checkout
    if not python.exists():
        return Side("there", folder, (str(script),), environment)
    side = Side("there", folder, (str(python), str(script)), environment)
    asks = (str(python), "-P", "-c", "import gateway; print(gateway.__file__)")
    said = _output(side, asks, VERSION_SECONDS, "python").strip()
    if folder not in Path(said).resolve().parents:
        raise UserError(
            f"{folder}: its environment runs {said}, another tree: cd {folder} && .venv/bin/pip install --no-deps -e ."
        )
    return side


def by_turns(
    order: Order, here: Side, there: Side, advance: Callable[[int], object] = lambda _: None
) -> Turns:
    """Run the bench on both sides by turns; `advance` is told each run.

    Raises UserError, which names the side, where a run fails, answers no document or lasts too long.
    """
    versions = {side.name: _origin(side) for side in (there, here)}
    runs: dict[str, list[Document]] = {here.name: [], there.name: []}
    speeds = []
    for number in range(order.rounds):
        speeds.append(asdict(machine_speed.measure()))
        for side in (here, there) if number % 2 == 0 else (there, here):
            runs[side.name].append(_run(side, order))
            advance(1)
    compared = {
        name: _compared(*(_spread(name, runs[side.name]) for side in (here, there)))
        for name in order.figures
    }
    if all(one.ratio is None for one in compared.values()):
        raise UserError(
            f"{there.folder}: its bench {order.bench[0]} tells no figure that is told here too"
        )
    return Turns(
        bench=" ".join(order.bench),
        rounds=order.rounds,
        here=versions[here.name],
        there=versions[there.name],
        figures=compared,
        machine={name: _of([one[name] for one in speeds]) for name in speeds[0]},
        runs=runs,
    )


def _run(side: Side, order: Order) -> Document:
    words = ("bench", *order.bench, "--json")
    what = f"bench {order.bench[0]}"
    text = _output(side, (*side.command, *words), order.patience, what)
    line = _last(text)
    try:
        document = strict_json.read(line.encode(), MOST)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UserError(
            f"{_place(side)}: {what} answered no JSON document but: {line or 'nothing'}"
        )
    return document


def _output(side: Side, command: Sequence[str], patience: float, what: str) -> str:
    """Return what a command writes on stdout; raises UserError where it fails or takes too long."""
    with (
        tempfile.TemporaryDirectory(prefix="passerelle-turns-") as folder,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        try:
            code = _ended(side, command, patience, (out, err), Path(folder))
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{_place(side)}: {what} had not ended after {patience:,.0f} s, and was ended"
            ) from None
        except OSError as fault:
            raise UserError(f"{_place(side)}: {what} cannot be run: {fault.strerror}") from None
        said, told = _read(out), _read(err)
    if code:
        last = _last(told) or _last(said) or "it said nothing"
        raise UserError(f"{_place(side)}: {what} ended with exit code {code}: {last[:SAID]}")
    return said


def _ended(
    side: Side,
    command: Sequence[str],
    patience: float,
    streams: tuple[IO[bytes], IO[bytes]],
    folder: Path,
) -> int:
    """Run a command in an empty folder to its end; whatever ends us ends it and what it started."""
    out, err = streams
    process = subprocess.Popen(  # noqa: S603 - the command of a checkout that the user names
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env=dict(side.environment),
        cwd=folder,
        start_new_session=True,
    )
    try:
        return process.wait(patience)
    except BaseException:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):  # of its group somebody may be left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _read(stream: IO[bytes]) -> str:
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - MOST))
    return stream.read().decode(errors="replace")


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _place(side: Side) -> str:
    return f"{side.name} ({side.folder})"


def _origin(side: Side) -> Origin:
    said = _output(side, (*side.command, "--version"), VERSION_SECONDS, "--version")
    return Origin(str(side.folder), _last(said), _commit(side.folder))


def _commit(folder: Path) -> str | None:
    """Return what git calls a checkout; None where there is no git, or it is no checkout of its own."""
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return None
    words = "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"
    said = subprocess.run(  # noqa: S603 - git itself, and our words
        [git, "-C", str(folder), *words], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or None


def _spread(name: str, documents: Iterable[Document]) -> Spread | None:
    """Return the spread of a figure; None where a document does not tell it as a number."""
    top, _, bottom = name.partition(PER)
    values = []
    for document in documents:
        value = _number(document.get(top))
        by = _number(document.get(bottom)) if bottom else 1.0
        if value is None or not by:
            return None
        values.append(value / by)
    return _of(values)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _of(values: Sequence[float]) -> Spread:
    found = statistics.median(values), min(values), max(values)
    return Spread(*(float(f"{each:.6g}") for each in found))


def _compared(here: Spread | None, there: Spread | None) -> Compared:
    ratio = None
    if here is not None and there is not None and there.median:
        ratio = round(here.median / there.median, 4)
    return Compared(here, there, ratio)
