"""Whether time or size reveals what the law hides: a masked match from a true no-match, a hit from either.

A real server in a process of its own; one asker, whose threads ask about three kinds of people in an order
drawn beforehand: foreign nationals who are enrolled (a hit), citizens who are enrolled (masked) and
unknown people (no match). What counts is the time from sending to having the answer, and its size. The beat on
which answers leave is the server's own; limits of rate and quota are set out of the way.

The asker of a masked person is no different from that of an unknown person, so any difference found is the
gateway's. A test at level 0.01 cries wolf once in a hundred times: before it says so, it asks all again.
"""

from __future__ import annotations

import csv
import io
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gateway import user_files
from gateway.client import Matter, Partner
from gateway.client.local_settings import read_folder
from gateway.domain.messages import Outcome, Purpose, Sample
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.bench.exchange import AGREEMENT, unbound
from gateway.exercises.bench.two_sample_tests import Difference, compare
from gateway.exercises.demo import parties
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, Cast, invented
from gateway.exercises.subprocess_cli import Server
from keys import atomic_file

QUERIES = 3000  # of all three kinds together
THREADS = 4  # that ask side by side
PEOPLE = 16  # of each kind
LEVEL = 0.01  # of significance (issue of the masked no-match)
DEADLINE = 50.0  # seconds; a loaded machine is slow, not wrong
ASKED_IMPRESSION = ENROLLED_IMPRESSION + 1
WARM_UP = 60  # answers at the beginning that do not count: caches, connections

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of people: their status in the registry (none = never enrolled), and what a query about them shows."""

    name: str
    status: tuple[str, str] | None
    shown: Outcome
    seeds: range


KINDS = (
    Kind("hit", ("FOREIGN_NATIONAL", "IND"), Outcome.MATCH, range(1, 1 + PEOPLE)),
    Kind("masked", ("CITIZEN", "CAN"), Outcome.NO_MATCH, range(101, 101 + PEOPLE)),
    Kind("unknown", None, Outcome.NO_MATCH, range(1_000_001, 1_000_001 + PEOPLE)),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two kinds of people held against each other."""

    auc: float
    auc_95: tuple[float, float]
    ks: float
    p: float
    told_apart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was found; later versions add fields and remove none.

    sizes         sizes in bytes of the answers of each kind
    otherwise     answers that were not what the law says of that kind: misses of the matcher, or errors
    p50_ms        median from sending to having the answer, by kind
    masked, hit   the comparison of masked people, and of hits where asked for, with unknown people
    rounds        how often all was asked; a second time only where the first found a difference
    """

    queries: int
    rounds: int
    seconds: float
    counted: dict[str, int]
    otherwise: int
    sizes: dict[str, list[int]]
    p50_ms: dict[str, float]
    masked: Compared
    hit: Compared | None
    alike: bool


@dataclass(slots=True)
class _Heard:
    """What was measured of one kind."""

    times: list[float] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)
    otherwise: int = 0


def measure(
    queries: int = QUERIES,
    threads: int = THREADS,
    advance: Advance = lambda _: None,
    *,
    hits: bool = True,
) -> Figures:
    """Ask, compare and say; raises `UserError` where the server does not start.

    queries   of all kinds together; without `hits` of masked and unknown people alone
    """
    kinds = KINDS if hits else KINDS[1:]
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="passerelle-alike-")))
        casts = {
            kind.name: invented(kind.seeds, (1, ASKED_IMPRESSION), lambda _: True) for kind in kinds
        }
        can, aus = _parties(folder, casts, threads)
        stack.enter_context(Server(can.home, can.passphrase_file, folder / "can.log"))
        read = read_folder(aus.home, "CAN", aus.passphrase)
        partner = stack.enter_context(
            Partner.connect(read.party, read.keyset, read.peer, witness=read.witness)
        )
        rounds = 0
        while True:
            rounds += 1
            heard = _asked(partner, _order(kinds, casts, queries, rounds), threads, advance)
            masked = _compared(heard["masked"], heard["unknown"])
            hit = _compared(heard["hit"], heard["unknown"]) if hits else None
            apart = masked.told_apart or (hit is not None and hit.told_apart)
            if rounds > 1 or not apart:
                break
    sizes = {name: sorted(each.sizes) for name, each in heard.items()}
    return Figures(
        queries=queries * rounds,
        rounds=rounds,
        seconds=round(time.monotonic() - started, 1),
        counted={name: len(each.times) for name, each in heard.items()},
        otherwise=sum(each.otherwise for each in heard.values()),
        sizes=sizes,
        p50_ms={name: _median_ms(each.times) for name, each in heard.items()},
        masked=masked,
        hit=hit,
        alike=len({size for each in sizes.values() for size in each}) == 1 and not apart,
    )


_Question = tuple[str, Outcome, tuple[Sample, ...]]


def _order(
    kinds: Sequence[Kind], casts: dict[str, Cast], queries: int, seed: int
) -> list[_Question]:
    """Return what is asked, kind after kind in rounds and each round shuffled: no drift favours one."""
    drawn = random.Random(seed)  # noqa: S311 - an order, no secret
    asked: list[_Question] = []
    while len(asked) < queries + WARM_UP:
        turn = list(kinds)
        drawn.shuffle(turn)
        for kind in turn:
            cast = casts[kind.name]
            person = drawn.choice(cast.people)
            samples = cast.samples(person.impressions[ASKED_IMPRESSION][:1])
            asked.append((kind.name, kind.shown, samples))
    return asked


def _asked(
    partner: Partner, order: Sequence[_Question], threads: int, advance: Advance
) -> dict[str, _Heard]:
    heard = {name: _Heard() for name, _, _ in order}
    lock, left = threading.Lock(), iter(enumerate(order))

    def ask() -> None:
        while (question := _next(lock, left)) is not None:
            number, (name, shown, samples) = question
            matter = Matter(
                purpose=Purpose.TRAVEL_ENTER_REMAIN,
                agreement=AGREEMENT,
                case="alike",
                unit="alike",
                person="alike",
            )
            outgoing = partner.compose(samples, **matter)
            began = time.perf_counter()
            answer = partner.send(outgoing, deadline=DEADLINE)
            taken = time.perf_counter() - began
            with lock:
                advance(1)
                if number < WARM_UP:
                    continue
                told = heard[name]
                told.sizes.add(answer.envelope_size)
                # A mate that the matcher missed is a true no-match: it says nothing about masking.
                if answer.outcome is shown:
                    told.times.append(taken)
                else:
                    told.otherwise += 1

    with ThreadPoolExecutor(threads) as pool:
        for asker in [pool.submit(ask) for _ in range(threads)]:
            asker.result()
    return heard


def _next(
    lock: threading.Lock, left: Iterator[tuple[int, _Question]]
) -> tuple[int, _Question] | None:
    with lock:
        return next(left, None)


def _compared(kind: _Heard, unknown: _Heard) -> Compared:
    try:
        found: Difference = compare(unknown.times, kind.times)
    except ValueError:
        raise UserError("too few answers to compare; ask more queries") from None
    return Compared(
        auc=round(found.auc, 4),
        auc_95=(round(found.auc_95[0], 4), round(found.auc_95[1], 4)),
        ks=round(found.ks, 4),
        p=round(found.p, 5),
        told_apart=found.told_apart(LEVEL),
    )


def _parties(folder: Path, casts: dict[str, Cast], threads: int) -> tuple[Party, Party]:
    can = parties.found(folder, "CAN", "A measurement")
    aus = parties.found(folder, "AUS", "A measurement")
    parties.introduce(can, aus)
    parties.introduce(aus, can)
    unbound(can, threads)
    subprocess_cli.run(
        *("gallery", "enrol", can.home, "--manifest", _manifest(folder / "records", casts)),
        *("--passphrase-file", can.passphrase_file),
    )
    return can, aus


def _manifest(folder: Path, casts: dict[str, Cast]) -> Path:
    """Write whose finger each record is, and what the person is to the law."""
    folder.mkdir(mode=0o700)
    manifest = folder / "enrol.csv"
    with io.StringIO(newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "subject", "position", "extractor", "status", "nationalities"))
        for kind in (each for each in KINDS if each.name in casts):
            cast = casts[kind.name]
            for person in cast.people if kind.status else ():
                for one in person.impressions[ENROLLED_IMPRESSION]:
                    path = f"{kind.name}-{person.pseudonym}-{one.position}.fmr"
                    with atomic_file.exclusive(folder / path) as record:
                        record.write(one.data)
                    subject = f"{kind.name}-{person.pseudonym}"
                    rows.writerow(
                        (path, subject, one.position, cast.extractor, *(kind.status or ()))
                    )
        user_files.create(manifest, file.getvalue().encode())
    return manifest


def _median_ms(times: Sequence[float]) -> float:
    return round(sorted(times)[len(times) // 2] * 1000, 1) if times else float("nan")
