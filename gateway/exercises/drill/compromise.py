"""A key compromise, rehearsed: keys are named as stolen while a partner asks, and what a thief could still do is counted.

    (1) two parties are made from nothing; one serves, the other asks without pause
    (2) the gateway's sealing key is named: from the order on nothing sealed to it is taken, and the list from the
        ledger is held against what the partner knows that it asked
    (3) the partner takes the new entry, and is answered again, before any second person has acted
    (4) the partner's signing key, then its TLS leaf, are named: the same connection is refused at its next call
    (5) the gateway's signing key is named: it is not ready, and signs nothing more
    (6) the gateway stops, and its whole ledger is verified

Every order is the command that an operator would type, through the admin listener of the gateway that serves.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.client import Partner, PartnerError, Refused
from gateway.client.local_settings import read_folder
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import parties, people
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import Cast
from gateway.exercises.demo.queries import DEADLINE, matter
from gateway.exercises.scratch_folder import Scratch
from gateway.exercises.subprocess_cli import Server
from gateway.trust.partners import own_bundle
from keys.certificates import pin
from keys.envelope import SealingKey
from keys.signatures import VerifyingKey

SEEDS = range(1, 6)  # five people, of whom three are in the gallery
ASKED_BEFORE = 3  # answers before the first order, so that there is something to list
GO_ON = 0.5  # seconds of asking after an order
LONGEST = 300.0  # seconds to wait for those answers
NOT_READY = 2.0  # seconds; a gateway that is not ready is asked again until then
SINCE = ("--since", "1d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it; later versions add fields and remove none.

    opened_after, signed_after     entries of messages that a stopped key of ours opened or signed after the order
    believed_after, let_in_after   calls that a refused key or leaf of the partner still got through
    missed, surplus                queries that the list lacks, and that it has and nobody asked
    answered_again                 queries answered after the partner took the new entry
    seconds_to_stop                the longest that an order took, from the shell to its list
    """

    queries: int
    orders: int
    seconds_to_stop: float
    opened_after: int
    signed_after: int
    believed_after: int
    let_in_after: int
    missed: int
    surplus: int
    answered_again: int
    ledger_verified: bool

    @property
    def ok(self) -> bool:
        """Whether nothing got through, the list was exact, and work went on."""
        through = self.opened_after + self.signed_after + self.believed_after + self.let_in_after
        return (
            through + self.missed + self.surplus == 0
            and self.answered_again > 0
            and self.ledger_verified
        )


def drill(workdir: Path, *, tell: Callable[[str], None] = lambda _: None) -> Figures:
    """Rehearse in a scratch folder at `workdir`; raises UserError where it cannot be set up."""
    with Scratch(workdir) as scratch:
        return _Drill(scratch.folder, tell).run()


@dataclass(slots=True)
class _Asker:
    """Asks one question after another, and remembers which were answered and why others were not."""

    partner: Partner
    cast: Cast
    deadline: float = DEADLINE
    asked: set[str] = field(default_factory=set)
    answered: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """Ask once."""
        person = self.cast.people[len(self.answered) % len(self.cast.people)]
        samples = self.cast.samples(person.impressions[person.asked_with[0]])
        about = matter(person.pseudonym)
        about["transaction_number"] = number = f"DRILL-{secrets.token_hex(8)}"
        self.asked.add(number)
        try:
            self.partner.query(samples, deadline=self.deadline, **about)
        except Refused as refused:
            self.reasons.append(refused.reason)
        except PartnerError as fault:
            self.reasons.append(type(fault).__name__)
        else:
            self.answered.append(number)

    @contextmanager
    def without_pause(self) -> Iterator[None]:
        """Ask on a thread of its own until the block ends."""
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                self.ask()

        thread = threading.Thread(target=run, name="asker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class _Drill:
    """One rehearsal."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder, tell
        self._orders: list[float] = []
        self._answered: list[str] = []

    def run(self) -> Figures:
        self._tell("founding two parties")  # (1)
        self._cast = people.invented(SEEDS)
        self._can = parties.found(self._folder, "CAN", "Canada", parties.FIRST)
        self._aus = parties.found(self._folder, "AUS", "Australia")
        for one, other in ((self._can, self._aus), (self._aus, self._can)):
            parties.introduce(one, other)
        subprocess_cli.run(
            *("gallery", "enrol", self._can.home),
            *("--manifest", people.write_manifest(self._cast, self._folder / "records")),
            *("--passphrase-file", self._can.passphrase_file),
        )
        log = self._folder / "can.log"
        with Server(self._can.home, self._can.passphrase_file, log):
            opened, missed, surplus = self._sealing_key()
            again = self._answered_again()
            believed, let_in = self._partners_keys()
            signed = self._signing_key()
        verified = subprocess_cli.run("ledger", "verify", self._can.home, accept=(0, 1))  # (6)
        return Figures(
            queries=len(self._answered),
            orders=len(self._orders),
            seconds_to_stop=round(max(self._orders), 2),
            opened_after=opened,
            signed_after=signed,
            believed_after=believed,
            let_in_after=let_in,
            missed=missed,
            surplus=surplus,
            answered_again=again,
            ledger_verified=bool(verified["ok"]),
        )

    def _sealing_key(self) -> tuple[int, int, int]:
        """(2): what was opened after the order, what the list lacks, what it has too much."""
        self._tell("the gateway's sealing key is stolen")
        folder = read_folder(self._aus.home, self._can.id, self._aus.passphrase)
        kid = SealingKey(folder.peer.kem[0].public).key_id.hex()
        with self._partner() as partner:
            asker = _Asker(partner, self._cast)
            with asker.without_pause():
                self._wait_for(asker)
                listed = self._order(kid)
                time.sleep(GO_ON)
        self._answered += asker.answered
        opened = _later(self._list(kid), listed, "REQUEST")
        taken = {row["transaction"] for row in listed if row["type"] == "REQUEST"}
        # What was answered by the successor's key is not of the stolen one, and rightly on no list.
        others = {row["transaction"] for row in self._list(self._successor())}
        missed = set(asker.answered) - taken - others
        return opened, len(missed), len(taken - asker.asked)

    def _answered_again(self) -> int:
        """(3)."""
        self._tell("the partner takes the new entry")
        parties.introduce(self._can, self._aus)
        with self._partner() as partner:
            asker = _Asker(partner, self._cast)
            for _ in range(ASKED_BEFORE):
                asker.ask()
        self._answered += asker.answered
        return len(asker.answered)

    def _partners_keys(self) -> tuple[int, int]:
        """(4): calls that got through with the named key, and with the named leaf."""
        self._tell("the partner's keys are stolen")
        folder = read_folder(self._aus.home, self._can.id, self._aus.passphrase)
        with self._partner() as partner:
            asker = _Asker(partner, self._cast)
            asker.ask()
            self._answered += asker.answered
            kid = VerifyingKey(folder.keyset.signing().public).key_id.hex()
            listed = self._order(kid, self._aus)
            before = len(asker.answered)
            asker.ask()
            believed = len(asker.answered) - before
            believed += _later(self._list(kid, self._aus), listed, "REQUEST")
            self._order(pin(folder.keyset.tls()[1]).hex(), self._aus)
            asker.reasons.clear()
            asker.ask()
            return believed, int(asker.reasons != ["CERTIFICATE_NOT_PINNED"])

    def _signing_key(self) -> int:
        """(5)."""
        self._tell("the gateway's signing key is stolen")
        folder = read_folder(self._aus.home, self._can.id, self._aus.passphrase)
        kid = VerifyingKey(folder.peer.signing[0].public).key_id.hex()
        listed = self._order(kid)
        with self._partner() as partner:
            asker = _Asker(partner, self._cast, deadline=NOT_READY)
            asker.ask()
        return len(asker.answered) + _later(self._list(kid), listed, "RESPONSE")

    def _partner(self) -> Partner:
        folder = read_folder(self._aus.home, self._can.id, self._aus.passphrase)
        return Partner.connect(folder.party, folder.keyset, folder.peer, witness=folder.witness)

    def _order(self, kid: str, of: Party | None = None) -> list[dict[str, Any]]:
        """Give the order; return what it lists."""
        started = time.monotonic()
        theirs = () if of is None else ("--partner", of.id)
        done = subprocess_cli.run(
            *("keys", "compromised", self._can.home, kid, *SINCE, *theirs, "--yes"),
            officer=self._officer(),
        )
        self._orders.append(time.monotonic() - started)
        return list(done["affected"])

    def _list(self, kid: str, of: Party | None = None) -> list[dict[str, Any]]:
        theirs = () if of is None else ("--partner", of.id)
        return list(
            subprocess_cli.run(
                *("keys", "affected", self._can.home, kid, *SINCE, *theirs), officer=self._officer()
            )["affected"]
        )

    def _officer(self) -> Path:
        return self._can.officer(parties.FIRST)

    def _successor(self) -> str:
        """Return the id of the sealing key that our entry names now."""
        return SealingKey(own_bundle(self._can.home).kem[0].public).key_id.hex()

    def _wait_for(self, asker: _Asker) -> None:
        until = time.monotonic() + LONGEST
        while len(asker.answered) < ASKED_BEFORE:
            if time.monotonic() > until or asker.reasons:
                raise UserError(f"nobody was answered: {', '.join(asker.reasons) or 'no answer'}")
            time.sleep(0.05)


def _later(now: list[dict[str, Any]], then: list[dict[str, Any]], kind: str) -> int:
    """Count the entries of a kind that came after those that the order listed."""
    last = max((row["index"] for row in then), default=-1)
    return sum(row["index"] > last and row["type"] == kind for row in now)
