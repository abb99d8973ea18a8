"""A gateway pressed from outside, while another partner asks: nobody may keep it from answering.

(1) a gateway and its partners are made from nothing; it serves in a process of its own, with few file descriptors
(2) a partner asks while nothing presses: what is quiet is measured before and after each kind, so that a machine which is
    slow for a while is slow for both
(3) each kind of pressure is put on it while that partner asks on: every question must be answered, and not much later
(4) it is taken off: what the gateway holds of memory and descriptors must be what it was
(5) the gateway is stopped, and its ledger is verified

Whoever presses does so from a process of its own, by what a partner with a valid certificate or an unidentified caller can do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.exchange.refusal_counter import RECORDED
from gateway.exercises import subprocess_cli
from gateway.exercises.demo.queries import percentile
from gateway.exercises.drill.pressure_kinds import FEW, MEMORY_MIB, PRESSES, Kind, KindNotes, reread
from gateway.exercises.drill.pressure_target import Holding, Spell, Stage
from gateway.exercises.scratch_folder import Scratch

QUESTIONS = 40  # while one kind presses; as many are asked in quiet around it
WARM_UP = 10  # questions before anything counts: caches, TLS, the store's pool
SHARE = 0.95
RATIO = 1.5  # how much later than in quiet an answer may come
STOP = 10.0  # seconds
ENTRIES_EACH = 3  # entries of an answered message: REQUEST, DESTRUCTION or CORRECTION, RESPONSE
ENTRIES_FEW = (
    2 * RECORDED + 10
)  # refusals with an entry of their own in two minutes, and a few counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one kind; later versions add fields and remove none.

    asked, unanswered   questions of another partner meanwhile, and those without an answer, by reason
    p95_ms, quiet_p95_ms, p95_ratio   of its answers, of those in the quiet before and after, and one by the other
    memory_kept_mib, descriptors_kept   what the gateway held more afterwards than before
    entries   of the ledger that were not those of the partner who asked
    sent      what was pressed with, by what came of it
    missed    what else did not hold
    """

    kind: str
    asked: int
    unanswered: int
    unanswered_by_reason: Mapping[str, int]
    p95_ms: float
    quiet_p95_ms: float
    p95_ratio: float
    memory_kept_mib: float
    descriptors_kept: int
    entries: int
    sent: Mapping[str, int]
    missed: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether another partner noticed nothing, and nothing was left behind."""
        return (
            self.asked > 0
            and not self.unanswered
            and self.p95_ratio <= RATIO
            and self.memory_kept_mib <= MEMORY_MIB
            and self.descriptors_kept <= FEW
            and not self.missed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it; later versions add fields and remove none.

    kinds, trials      kinds of pressure, and questions of another partner under them
    unanswered         questions to which no answer came
    p95_ratio, memory_kept_mib, descriptors_kept   the worst of all kinds
    stop_s             the longest that a stop took, in seconds
    clean_stops        whether each left with code 0, and STOP was the last entry
    ledger_ok          whether the whole ledger holds
    """

    kinds: int
    trials: int
    unanswered: int
    p95_ratio: float
    memory_kept_mib: float
    descriptors_kept: int
    stop_s: float
    clean_stops: bool
    ledger_ok: bool
    by_kind: tuple[Trial, ...]

    @property
    def ok(self) -> bool:
        """Whether no kind kept another partner from its answers, and the gateway stopped in order and its ledger verifies."""
        return (
            bool(self.by_kind)
            and all(each.ok for each in self.by_kind)
            and self.stop_s <= STOP
            and self.clean_stops
            and self.ledger_ok
        )


def drill(
    workdir: Path,
    *,
    kinds: Collection[Kind] = tuple(Kind),
    questions: int = QUESTIONS,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Press a gateway in a scratch folder at `workdir`; raises UserError where it cannot be set up.

    kinds       in the order of `Kind`, whatever the order here
    questions   that another partner asks under each of them
    """
    chosen = [kind for kind in Kind if kind in kinds]
    with Scratch(workdir) as scratch:
        stage = Stage(
            scratch.folder, corrections=Kind.CORRECTIONS in chosen, broken=Kind.BROKEN in chosen
        )
        with stage:
            tell("asking in quiet")
            trials = _Trials(stage, questions)
            for kind in chosen:
                tell(kind.value)
                trials.run(kind)
            tell("stopping")
            stage.stop()
        tell("verifying the ledger")
        verified = subprocess_cli.run("ledger", "verify", stage.can.home, accept=(0, 1))
    return together(trials.done, stage.stops, ledger_ok=bool(verified["ok"]))


class _Trials:
    """One kind after the other, with quiet between them."""

    def __init__(self, stage: Stage, questions: int) -> None:
        self._stage, self._questions = stage, questions
        stage.asker.ask(WARM_UP)
        first, _ = stage.ledger()
        self._quiet = self._in_quiet()
        self._entries_each = (stage.ledger()[0] - first) / max(1, self._quiet.asked)
        self.done: list[Trial] = []

    def run(self, kind: Kind) -> None:
        """Press so, and judge."""
        stage, told = self._stage, KindNotes()
        before, (size, _) = stage.holding(), stage.ledger()
        with PRESSES[kind](stage, told):
            pressed = stage.asker.ask(self._questions)
            if kind is not Kind.STUCK:
                self._alive(told)
            told.entries = stage.ledger()[0] - size - round(self._entries_each * pressed.asked)
        self._alive(told)
        after = stage.settled(before, MEMORY_MIB, FEW)
        if kind is Kind.CORRECTIONS:
            reread(stage, told)
        earlier, self._quiet = self._quiet, self._in_quiet()
        if self._quiet.unanswered:
            told.missed.append("questions were not answered when nobody pressed any more")
        quiet = earlier.latencies + self._quiet.latencies
        if told.sent and told.entries > most_entries(told.sent):
            told.missed.append(f"it wrote {told.entries} entries")
        self.done.append(trial(kind, pressed, quiet, (before, after), told))

    def _alive(self, told: KindNotes) -> None:
        """Start the gateway anew where it ended by itself, as a supervisor does, and say so."""
        if self._stage.revive():
            told.missed.append("the gateway ended")

    def _in_quiet(self) -> Spell:
        return self._stage.asker.ask(max(1, self._questions // 2))


def trial(
    kind: Kind,
    pressed: Spell,
    quiet: Sequence[float],
    holding: tuple[Holding, Holding],
    told: KindNotes,
) -> Trial:
    """Return what came of a kind.

    quiet    seconds of the answers before and after it
    holding  what the gateway held before and after it
    """
    under, usual = percentile(pressed.latencies, SHARE), percentile(quiet, SHARE)
    before, after = holding
    return Trial(
        kind=kind.value,
        asked=pressed.asked,
        unanswered=pressed.unanswered.total(),
        unanswered_by_reason=dict(pressed.unanswered),
        p95_ms=round(under * 1000, 1),
        quiet_p95_ms=round(usual * 1000, 1),
        p95_ratio=round(under / usual, 2) if usual else 0.0,
        memory_kept_mib=round(max(0.0, after.memory_mib - before.memory_mib), 1),
        descriptors_kept=max(0, after.descriptors - before.descriptors),
        entries=max(0, told.entries),
        sent=dict(told.sent),
        missed=tuple(told.missed),
    )


def together(
    trials: Sequence[Trial], stops: Sequence[tuple[float, bool]], *, ledger_ok: bool
) -> Figures:
    """Return the figures of all kinds.

    stops  seconds that each stop took, and whether it was clean
    """
    return Figures(
        kinds=len(trials),
        trials=sum(each.asked for each in trials),
        unanswered=sum(each.unanswered for each in trials),
        p95_ratio=max((each.p95_ratio for each in trials), default=0.0),
        memory_kept_mib=max((each.memory_kept_mib for each in trials), default=0.0),
        descriptors_kept=max((each.descriptors_kept for each in trials), default=0),
        stop_s=round(max((took for took, _ in stops), default=0.0), 2),
        clean_stops=bool(stops) and all(clean for _, clean in stops),
        ledger_ok=ledger_ok,
        by_kind=tuple(trials),
    )


def most_entries(sent: Mapping[str, int]) -> float:
    """Return how many entries may come of what somebody sent, by what came of it."""
    return ENTRIES_EACH * sent.get("answered", 0) + ENTRIES_FEW
