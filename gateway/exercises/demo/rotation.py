"""Keys follow each other while a partner asks, and nobody approves their own proposal.

One operator rotates by the command; the partner's client reads the directory, is seen with the new entry, and the
successor is put in use. What would let one person alone revoke a key is proposed, and its proposer's yes refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.client import Partner, PartnerError
from gateway.domain.messages import Outcome
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.demo.attacks import Stage
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import FIRST, SECOND, Party
from gateway.exercises.demo.queries import DEADLINE, matter

KINDS = ("KEM", "SIGNING", "TLS_LEAF")  # what a partner must know of before it is in use
LONGEST = 300.0  # seconds for one rotation; the partner is seen within one question
ROTATES = "keys are replaced while AUS asks, once every partner was seen to know them, and no question fails"
LATE = "what was sealed to the old key before is answered still, for 48 hours"
SELF = "nobody approves their own proposal; another person rejects it"


@dataclass(slots=True)
class Asking:
    """A partner that asks about one person without pause, another that asks what we accept, and what came of it."""

    stage: Stage
    other: Partner
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Ask until told to stop, reading the directory between questions."""
        person, prints = self.stage.somebody
        partner, samples = self.stage.partner, self.stage.cast.samples(prints)
        while not self._stop.is_set():
            try:
                partner.refresh()
                self.other.refresh()
                self.other.capabilities()
                answer = partner.query(samples, deadline=DEADLINE, **matter(person.pseudonym))
            except PartnerError as fault:
                self.failed.append(type(fault).__name__)
                continue
            self.answered += 1
            if answer.outcome is not Outcome.MATCH:
                self.failed.append(answer.outcome.name)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask while the block runs, and a moment longer."""
        thread = threading.Thread(target=self.ask, name="asking")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def succeeded(stage: Stage, can: Party, other: Partner) -> tuple[Promise, Promise, int]:
    """Rotate what partners depend on while both ask; return what held, and how many keys were put in use."""
    person, prints = stage.somebody
    early = stage.partner.compose(stage.cast.samples(prints), **matter(person.pseudonym))
    asking = Asking(stage, other)
    before = stage.partner.peer.version
    with asking.going_on():
        turned = sum(_rotated(can, kind) for kind in KINDS)
    late = stage.partner.send(early, deadline=DEADLINE)
    rotated = Promise(
        ROTATES,
        f"{', '.join(KINDS)}: entry {before} → {stage.partner.peer.version};"
        f" {asking.answered} questions meanwhile, {len(asking.failed)} failed",
        turned == len(KINDS) and asking.answered > 0 and not asking.failed,
    )
    old = Promise(LATE, late.outcome.name, late.outcome is Outcome.MATCH)
    return rotated, old, turned


def alone(can: Party) -> Promise:
    """Have one operator propose to revoke a key and approve it themselves, then another reject it."""
    first = can.officer(FIRST)
    keys = subprocess_cli.run("keys", "list", can.home, accept=(0, 1), officer=first)["keys"]
    kid = next(k["kid"] for k in keys if (k["kind"], k["state"]) == ("KEM", "ACTIVE"))
    asked = subprocess_cli.run(
        "keys", "revoke", can.home, kid, "--reason", "to see who stops me", officer=first
    )
    identifier = str(asked["proposal"])
    own = subprocess_cli.run(
        "proposals", "approve", can.home, identifier, "--yes", accept=(1,), officer=first
    )
    subprocess_cli.run(
        *("proposals", "reject", can.home, identifier, "--reason", "nothing is wrong with it"),
        officer=can.officer(SECOND),
    )
    [row] = [
        one
        for one in subprocess_cli.run("proposals", "list", can.home, "--all", officer=first)[
            "proposals"
        ]
        if one["id"] == identifier
    ]
    said = str(own["error"]["message"])
    held = "own proposal" in said and (row["state"], row["decider"]) == ("REJECTED", SECOND)
    return Promise(
        SELF, f"{identifier}: {said.partition(';')[0]}; {row['state']}", held, refusals=1
    )


def _rotated(can: Party, kind: str) -> bool:
    """Rotate one kind and wait until its successor is in use; the gateway promotes what the partner has seen."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        done = subprocess_cli.run(
            *("keys", "rotate", can.home, kind, "--reason", "a demonstration"),
            officer=can.officer(FIRST),
        )
        if done["promoted"]:
            return True
    raise UserError(f"no partner was seen with the new {kind} key in {LONGEST:.0f} s")
