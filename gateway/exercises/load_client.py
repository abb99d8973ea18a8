"""One process of askers, commanded on stdin, answering on stdout.

First line in: the plan. First line out: that it is ready. Then for each round a line in (askers, seconds of
warm-up, seconds that count) and a line out: what was asked while it counted. Each asker is a thread that
asks, verifies, and asks again; each query is a new transaction. All lines are JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.client import Matter, Partner, PartnerError, Refused
from gateway.client.local_settings import read_folder
from gateway.domain.messages import Outcome, Purpose, Sample
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, Person, invented

DEADLINE = 50.0  # seconds; a loaded server is slow, not wrong
PROBED = 24  # people of the gallery that are asked about, and as many unknown people
ASKED_IMPRESSION = ENROLLED_IMPRESSION + 1
SEEDS_FROM = 1  # of the people of a gallery; the first are the same whatever its size
NEVER_ENROLLED_FROM = 1_000_000  # of people whom no gallery of a measurement reaches


@dataclass(frozen=True, slots=True)
class Plan:
    """Who asks whom, under which agreement, about the first of how many enrolled people.

    witness  file for the last checkpoint of the peer's ledger; one for each process, as one for each machine
    """

    home: str
    passphrase_file: str
    peer: str
    witness: str
    agreement: tuple[str, int]
    gallery: int


@dataclass(frozen=True, slots=True)
class Spell:
    """How many threads ask, after how many seconds it counts, and for how many."""

    askers: int
    warm: float
    seconds: float


@dataclass(slots=True)
class Round:
    """What was asked while it counted; times in seconds, errors by reason."""

    window: float = 0.0
    latencies: list[float] = field(default_factory=list)
    crypto: float = 0.0
    hits: int = 0
    wrong_hits: int = 0
    missed: int = 0
    errors: dict[str, int] = field(default_factory=dict)


class Crowd:
    """The threads of one process, over one partner."""

    def __init__(self, partner: Partner, agreement: tuple[str, int], gallery: int) -> None:
        self._partner = partner
        self._agreement = agreement
        self._questions = questions(min(PROBED, gallery))
        self._next = itertools.count()

    def ask(self, spell: Spell) -> Round:
        """Ask for a spell; what ends inside the time that counts is counted."""
        begins = time.monotonic() + spell.warm
        rounds = [Round(window=spell.seconds) for _ in range(spell.askers)]
        threads = [
            threading.Thread(target=self._ask, args=(one, begins, begins + spell.seconds))
            for one in rounds
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return together(rounds)

    def _ask(self, told: Round, begins: float, ends: float) -> None:
        errors: Counter[str] = Counter()
        while time.monotonic() < ends:
            person, samples = self._questions[next(self._next) % len(self._questions)]
            matter = Matter(
                purpose=Purpose.TRAVEL_ENTER_REMAIN,
                agreement=self._agreement,
                case="bench",
                unit="bench",
                person=person.pseudonym,
            )
            try:
                answer = self._partner.query(samples, deadline=DEADLINE, **matter)
            except PartnerError as fault:
                errors[fault.reason if isinstance(fault, Refused) else type(fault).__name__] += 1
                continue
            if not begins <= time.monotonic() < ends:
                continue
            told.latencies.append(answer.seconds)
            told.crypto += answer.crypto_seconds
            hit = answer.outcome is Outcome.MATCH
            told.hits += hit
            told.wrong_hits += hit and not person.enrolled
            told.missed += person.enrolled and not hit
        told.errors = dict(errors)


def questions(people: int) -> list[tuple[Person, tuple[Sample, ...]]]:
    """Return enrolled and unknown people in turn, each with an impression that is not enrolled."""
    known = invented(range(SEEDS_FROM, SEEDS_FROM + people), (ASKED_IMPRESSION,), lambda _: True)
    never_enrolled = invented(
        range(NEVER_ENROLLED_FROM, NEVER_ENROLLED_FROM + people),
        (ASKED_IMPRESSION,),
        lambda _: False,
    )
    return [
        (person, cast.samples(person.impressions[ASKED_IMPRESSION]))
        for pair in zip(known.people, never_enrolled.people, strict=True)
        for cast, person in zip((known, never_enrolled), pair, strict=True)
    ]


def together(rounds: Sequence[Round]) -> Round:
    """Return rounds that ran side by side as one."""
    errors: Counter[str] = Counter()
    for one in rounds:
        errors.update(one.errors)
    return Round(
        window=max(one.window for one in rounds),
        latencies=[each for one in rounds for each in one.latencies],
        crypto=sum(one.crypto for one in rounds),
        hits=sum(one.hits for one in rounds),
        wrong_hits=sum(one.wrong_hits for one in rounds),
        missed=sum(one.missed for one in rounds),
        errors=dict(errors),
    )


def main() -> None:
    """Serve one parent until it closes our stdin."""
    told = json.loads(sys.stdin.readline())
    plan = Plan(**{**told, "agreement": tuple(told["agreement"])})
    passphrase = Path(plan.passphrase_file).read_bytes().strip()
    folder = read_folder(Path(plan.home), plan.peer, lambda: passphrase)
    with Partner.connect(
        folder.party, folder.keyset, folder.peer, witness=Path(plan.witness)
    ) as partner:
        crowd = Crowd(partner, plan.agreement, plan.gallery)
        partner.checkpoint()  # the handshake is over before anything counts
        _say({"ready": True})
        for line in sys.stdin:
            _say(asdict(crowd.ask(Spell(**json.loads(line)))))


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
