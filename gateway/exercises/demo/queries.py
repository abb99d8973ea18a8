"""Many questions at once, as a partner's caseworkers would ask them, and what became of each."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from gateway.client import Answer, DetailsMatter, Matter, Partner, PartnerError
from gateway.domain.messages import Outcome, Purpose
from gateway.exercises.demo.people import Cast, Person

AGREEMENT = ("au", 1)  # packaged with Passerelle: Canada and Australia, Division 3
PURPOSE = Purpose.TRAVEL_ENTER_REMAIN  # IRPR 315.41(1)(b), which that agreement permits
UNIT = "demo-unit"
DEADLINE = 50.0  # seconds; a busy laptop is no reason to fail
SIDE_BY_SIDE = min(
    6, 2 * (os.cpu_count() or 1)
)  # questions; below the eight that a partner may have


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """One question about one person, and its answer; `answer` is None where `fault` says why."""

    person: Person
    impression: int
    answer: Answer | None
    fault: str
    seconds: float

    @property
    def expected(self) -> Outcome:
        """What a perfect search says to a partner: of a citizen as little as of an unknown person."""
        known = self.person.enrolled and not self.person.citizen
        return Outcome.MATCH if known else Outcome.NO_MATCH

    @property
    def outcome(self) -> Outcome | None:
        """What the peer said."""
        return None if self.answer is None else self.answer.outcome

    @property
    def good(self) -> bool:
        """Whether it is what was expected."""
        return self.outcome is self.expected


def matter(
    person: str, purpose: Purpose = PURPOSE, agreement: tuple[str, int] = AGREEMENT
) -> Matter:
    """Return what a query about a person is about."""
    return Matter(purpose=purpose, agreement=agreement, case="demo", unit=UNIT, person=person)


def details_matter(person: str) -> DetailsMatter:
    """Return what a request for details about a person is about; as the query was."""
    return DetailsMatter(
        purpose=PURPOSE, agreement=AGREEMENT, case="demo", unit=UNIT, person=person
    )


def ask_all(
    partner: Partner, cast: Cast, told: Callable[[AskedQuery], None] | None = None
) -> tuple[AskedQuery, ...]:
    """Ask about everybody with every impression that was not enrolled; in the order of the cast.

    told  is called with each answer as it comes, from several threads
    """
    wanted = [(person, number) for person in cast.people for number in person.asked_with]

    def ask(who: tuple[Person, int], cast: Cast) -> AskedQuery:
        asked = ask_one(partner, cast, *who)
        if told is not None:
            told(asked)
        return asked

    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="asking") as pool:
        return tuple(pool.map(ask, wanted, repeat(cast)))


def ask_one(partner: Partner, cast: Cast, person: Person, impression: int) -> AskedQuery:
    """Ask about one person with one impression."""
    samples = cast.samples(person.impressions[impression])
    started = time.monotonic()
    try:
        answer = partner.query(samples, deadline=DEADLINE, **matter(person.pseudonym))
    except PartnerError as error:
        return AskedQuery(person, impression, None, str(error), time.monotonic() - started)
    return AskedQuery(person, impression, answer, "", answer.seconds)


def found(asked: Sequence[AskedQuery], but: Person | None = None) -> AskedQuery | None:
    """Return the first hit, on somebody else than `but`; None where there is none."""
    hits = (one for one in asked if one.outcome is Outcome.MATCH and one.person is not but)
    return next(hits, None)


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; 0 of none."""
    ordered = sorted(seconds)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
