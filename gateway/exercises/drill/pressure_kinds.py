"""The kinds of pressure: how each is put on a gateway, taken off again, and what must hold beside the answers.

Six come over the network, from a process of their own (`gateway.exercises.drill.pressure_client`). Three are everyday troubles that a
partner, an operator or a file system brings:

broken partner   one partner's listener takes connections and says nothing, another's entry names its ledger's pair no
                 longer; a message to a third must leave all the same
bad file         a file in the folder of agreements that nobody signed, one that is no text, a partner's entry that is
                 none; what housekeeping does must go on, and a restart must serve
stuck thread     a file in that folder of which nothing can be read, ever (a FIFO): housekeeping goes on all the same, and
                 a restart serves with the file still there
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from gateway import user_files
from gateway.domain.person import FieldCode
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import parties
from gateway.exercises.demo.parties import Party
from gateway.exercises.drill.pressure_client import Pressure
from gateway.exercises.drill.pressure_target import DAY, LOOK, Stage
from gateway.law.agreement_library import packaged
from gateway.ledger.signed_note import LogIdentity
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import own_bundle
from keys import atomic_file
from keys.signatures import LogKey

MESSAGE_SECONDS = (
    30.0  # seconds in which a message to a partner that serves leaves; the outbox looks every 2
)
ROUND = 45.0  # seconds in which housekeeping comes round; it does every 30
STUCK = 120.0  # seconds in which housekeeping comes round beside such a file; four rounds
MUTE = 3  # messages to a partner that never answers; each is waited for, for 5 seconds
GIVEN_BACK = 10  # queries too poor to search that may give their quota back, of so small a quota
AT_ONCE = 3  # of them; an officer may have four acts under way
MEMORY_MIB = 48.0  # that one kind may leave behind: what the allocator keeps of a busy moment
FEW = 12  # file descriptors that may stay: connections to the store, which its pool keeps
REASON = "a drill of pressure"


class Kind(StrEnum):
    """What the gateway is pressed with."""

    SILENT = Pressure.SILENT
    SLOW = Pressure.SLOW
    STREAMS = Pressure.STREAMS
    REPLAY = Pressure.REPLAY
    POOR = Pressure.POOR
    CORRECTIONS = Pressure.CORRECTIONS
    BROKEN = "broken-partner"
    FILE = "bad-file"
    STUCK = "stuck-thread"


@dataclass(slots=True)
class KindNotes:
    """What is to be said of a kind beside answers.

    sent      what was pressed with, by what came of it
    entries   of the ledger that are not those of the partner who asked meanwhile
    missed    what did not hold
    """

    sent: Mapping[str, int] = field(default_factory=dict)
    entries: int = 0
    missed: list[str] = field(default_factory=list)


Press = Callable[[Stage, KindNotes], AbstractContextManager[None]]


@contextmanager
def by_calls(pressure: Pressure, stage: Stage, told: KindNotes) -> Iterator[None]:
    """Press over the network while the block runs."""
    with stage.pressing(pressure) as presser:
        presser.begin()
        yield
        presser.end()
        told.sent = presser.tally


@contextmanager
def poor_prints(stage: Stage, told: KindNotes) -> Iterator[None]:
    """Press with prints too poor to search; what gives its quota back must have an end."""
    with by_calls(Pressure.POOR, stage, told):
        yield
    answered = told.sent.get("answered", 0)
    if answered > DAY + GIVEN_BACK:
        told.missed.append(f"{answered} were answered, of an agreement that allows {DAY} a day")


@contextmanager
def broken_partner(stage: Stage, told: KindNotes) -> Iterator[None]:
    """Have messages wait for two broken partners while the block runs, and one to a third leave."""
    broken = stage.broken
    if broken is None:
        raise AssertionError
    with ExitStack() as stack:
        stack.enter_context(_mute(stage.presses))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            messages = [(stage.presses, "nz")] * MUTE + [(broken, "uk"), (stage.asks, "au")]
            numbers = list(pool.map(lambda one: stage.ask_out(*one), messages))
        _drop_pair(stage, broken)
        stack.enter_context(stage.serving(stage.asks))
        served = time.monotonic()
        yield
        while stage.case(numbers[-1])["state"] not in _ARRIVED:
            if time.monotonic() > served + MESSAGE_SECONDS:
                told.missed.append(
                    f"a message to another partner did not leave in {MESSAGE_SECONDS:.0f} s"
                )
                break
            time.sleep(4 * LOOK)


_ARRIVED = {"ANSWERED", "SHOWN"}


@contextmanager
def bad_file(stage: Stage, told: KindNotes) -> Iterator[None]:
    """Put bad files where the gateway reads, while the block runs; then start it anew with them there."""
    unsigned = packaged()["us-visa.toml"].replace(b'id = "us-visa"', b'id = "unsigned"')
    bad = {
        stage.can.home / "agreements" / "unsigned.toml": unsigned,
        stage.can.home / "agreements" / "garbled.toml": b"\xff\xfe\x00",
        stage.can.home / "parties" / "ZZZ.json": b"{",
    }
    with ExitStack() as stack:
        for path, content in bad.items():
            user_files.write(path, content)
            stack.callback(path.unlink, missing_ok=True)
        kid = rotated(stage)
        yield
        if not _until(lambda: _in_use(stage, kid), ROUND):
            told.missed.append("housekeeping stood still: a key that all had seen was not promoted")
        _anew(stage, told)
    if not stage.revive() and not stage.runs:
        stage.start()


@contextmanager
def stuck_thread(stage: Stage, told: KindNotes) -> Iterator[None]:
    """Put a file of which nothing can ever be read into a folder, while the block runs; then start anew with it there."""
    fifo = stage.can.home / "agreements" / "stuck.toml"
    os.mkfifo(fifo)
    try:
        kid = rotated(stage)
        yield
        _until(lambda: stage.server.ended is not None or _in_use(stage, kid), STUCK)
        code = stage.server.ended
        if code is not None:
            told.missed.append(f"it ended by itself, with exit code {code}")
        elif not _in_use(stage, kid):
            told.missed.append(f"housekeeping stood still for {STUCK:.0f} s")
        _anew(stage, told)
    finally:
        _let_go(fifo)
    if not stage.revive() and not stage.runs:
        stage.start()
    if not stage.asker.ask(1).latencies:
        told.missed.append("it did not serve when it was started anew")


def _anew(stage: Stage, told: KindNotes) -> None:
    """Start the gateway anew, whether it ended by itself or not; say where it does not start."""
    try:
        if not stage.revive():
            stage.stop()
            stage.start()
    except UserError as fault:
        told.missed.append(f"it did not start: {str(fault)[-200:]}")


def rotated(stage: Stage) -> str:
    """Ask for a sealing key's successor, which housekeeping puts in use once every partner was seen; return its id."""
    operator = stage.can.officer(parties.FIRST)
    words = ("keys", "rotate", stage.can.home, "KEM", "--reason", REASON)
    asked = subprocess_cli.run(*words, officer=operator)
    stage.seen()
    return str(asked["key"])


def reread(stage: Stage, told: KindNotes) -> None:
    """Have a case read that many corrections were sent to, before a restart and after it."""
    _readable(stage, told)
    first = stage.fresh
    stage.stop()
    stage.start()
    if stage.fresh.memory_mib > first.memory_mib + MEMORY_MIB:
        more = stage.fresh.memory_mib - first.memory_mib
        told.missed.append(f"it started with {more:.0f} MiB more than at first")
    _readable(stage, told)


def _readable(stage: Stage, told: KindNotes) -> None:
    case = stage.case(stage.number)
    if not case["ok"]:
        told.missed.append(f"the case cannot be read: {str(case.get('error'))[:200]}")
    elif FieldCode.GENDER.name in repr(case):
        told.missed.append("a field that was never disclosed is in the case")


PRESSES: Mapping[Kind, Press] = {
    **{Kind(each.value): partial(by_calls, each) for each in Pressure},
    Kind.POOR: poor_prints,
    Kind.BROKEN: broken_partner,
    Kind.FILE: bad_file,
    Kind.STUCK: stuck_thread,
}


@contextmanager
def _mute(party: Party) -> Iterator[None]:
    """Listen where a party is asked, take connections, and say nothing."""
    host, _, port = own_bundle(party.home).endpoints[0].rpartition(":")
    with socket.create_server((host, int(port))):
        yield


def _drop_pair(stage: Stage, broken: Party) -> None:
    """Have the entry of a partner, as the gateway knows it, name another pair for its ledger, and the known one no more."""
    path = stage.can.home / "parties" / f"{broken.id}.json"
    entry = PartyBundle.parse(path.read_bytes())
    log = LogIdentity.from_log_key(entry.log.origin, LogKey.generate())
    atomic_file.replace(path, replace(entry, version=entry.version + 1, log=log).to_bytes())


def _in_use(stage: Stage, kid: str) -> bool:
    if stage.server.ended is not None:
        return False
    operator = stage.can.officer(parties.FIRST)
    # Exit code 2 where the gateway ended between the look and the command, which would then open the folder itself.
    told = subprocess_cli.run("keys", "list", stage.can.home, accept=(0, 1, 2), officer=operator)
    keys = told.get("keys", [])
    return any((one["kid"], one["state"]) == (kid, "ACTIVE") for one in keys)


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    """Look until something holds; return whether it did in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(4 * LOOK)
    return True


def _let_go(fifo: Path) -> None:
    """Let whoever waits for a FIFO read that it is empty, and take it away."""
    with suppress(OSError):  # nobody waits
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    fifo.unlink()
