"""The gateway that is pressed, in a process of its own; the partner who asks it meanwhile; and what is read of it.

The gateway is `passerelle serve` with few file descriptors, so that what takes them all from a large one takes them here
with hundreds. What it holds is read as any monitoring reads it, from /proc; its ledger from its store.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway import config, user_files
from gateway.client import Matter, Partner, PartnerError, Refused
from gateway.client.local_settings import read_folder
from gateway.domain.messages import Purpose
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.child_process import Child
from gateway.exercises.demo import correction, parties, person_files
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, NATIONALITY, invented, write_manifest
from gateway.exercises.drill.pressure_client import Plan, Pressure
from gateway.exercises.live_gateway import agreement, with_quota
from gateway.exercises.load_client import ASKED_IMPRESSION, SEEDS_FROM, questions
from gateway.exercises.subprocess_cli import Server
from gateway.law.toml_reader import MOST
from gateway.ledger.entry import EntryType, decode
from gateway.store.address import open_store
from gateway.store.ledger import stored_ledger as ledger
from gateway.trust.partners import Directory, fingerprint

DESCRIPTORS = (
    512  # that the gateway may have: half of what most systems give, so that hundreds are many
)
PEOPLE = 8  # of the gallery; the partner asks about each, and about as many unknown people
DEADLINE = 10.0  # seconds, of a question of the partner who asks meanwhile; the client's default
LONGEST = 60.0  # seconds that one spell of asking takes, however slow the answers are
SETTLE = 20.0  # seconds in which what was taken is given back, once nobody presses
LOOK = 0.5  # seconds between two looks
MIB = 1024.0  # KiB
DAY = 40  # queries a day that the agreement with who presses allows
TRIES = 3  # of a command of our own people, on a machine that is busy
USED_IN = "R-17"  # a decision of the gateway's own people
CASE, UNIT = "C-31", "drill-unit"


@dataclass(slots=True)
class Spell:
    """What came of asking for a while: seconds of each answer, and why there was none, by reason."""

    asked: int = 0
    latencies: list[float] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds: MiB of memory in use, and file descriptors."""

    memory_mib: float
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Read it; raises UserError where the process is no more, or the system has no /proc."""
        process = Path("/proc") / str(pid)
        try:
            status = (process / "status").read_text(encoding="ascii")
            descriptors = sum(1 for _ in (process / "fd").iterdir())
            [resident] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        except (
            OSError,
            ValueError,
        ):  # what ended and was not waited for has a status without memory
            raise UserError(
                "the gateway is no more, or this system has no /proc to read what it holds"
            ) from None
        return cls(int(resident.split()[1]) / MIB, descriptors)


class Asker:
    """The partner who asks meanwhile: the real client, one question after the other, by its own folder."""

    def __init__(self, party: Party, peer: Party, under: tuple[str, int]) -> None:
        folder = read_folder(party.home, peer.id, party.passphrase)
        witness = folder.witness.with_name(f"{peer.id}-drill.checkpoint")
        self.partner = Partner.connect(
            folder.party, folder.keyset, folder.peer, witness=witness, keep=folder.keep
        )
        self._questions = questions(PEOPLE)
        self._under = under
        self._next = 0

    def ask(self, count: int) -> Spell:
        """Ask so many questions, or as many as `LONGEST` allows."""
        spell = Spell()
        until = time.monotonic() + LONGEST
        while spell.asked < count and time.monotonic() < until:
            self._ask(spell)
        return spell

    def _ask(self, spell: Spell) -> None:
        person, samples = self._questions[self._next % len(self._questions)]
        self._next += 1
        matter = Matter(
            purpose=Purpose.TRAVEL_ENTER_REMAIN,
            agreement=self._under,
            case="drill",
            unit="drill",
            person=person.pseudonym,
        )
        spell.asked += 1
        began = time.monotonic()
        try:
            self.partner.query(samples, deadline=DEADLINE, **matter)
        except PartnerError as fault:
            spell.unanswered[_reason(fault)] += 1
        else:
            spell.latencies.append(time.monotonic() - began)


class Pressing(Child):
    """`gateway.exercises.drill.pressure_client`, running; a context manager that leaves no connection behind."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("gateway.exercises.drill.pressure_client")
        self._plan = plan
        self.tally: Mapping[str, int] = {}

    def __enter__(self) -> Self:
        """Start it, and return when it is ready to press."""
        super().__enter__()
        self.tell(asdict(self._plan))
        self.hear()
        return self

    def begin(self) -> None:
        """Have it press; return when it does."""
        self.tell("begin")
        self.hear()

    def end(self) -> None:
        """Tell it to end; keep what came of it."""
        self.tell("end")
        self.tally = self.hear()


class Stage:
    """The gateway and its partners. A context manager that leaves no process behind.

    can      the gateway that is pressed; `caseworker` is the folder of one of its people
    asks     the partner who asks meanwhile, AUS
    presses  the partner who presses, NZL; `number` is what the gateway once asked it, and had fields of
    broken   the partner whose own gateway is broken, GBR; None where no kind needs one
    fresh    what the gateway held when it had last been started
    stops    seconds that each stop took, and whether it was clean
    """

    def __init__(self, folder: Path, *, corrections: bool, broken: bool) -> None:
        self.folder = folder
        self._corrections, self._broken = corrections, broken
        self.broken: Party | None = None
        self.number = ""
        self.stops: list[tuple[float, bool]] = []
        self._closing = ExitStack()
        self._server: Server | None = None
        self._logs = 0

    def __enter__(self) -> Self:
        """Found the parties, and start the gateway; raises UserError where a part does not start."""
        self._found()
        self._enrol()
        with ExitStack() as stack:
            stack.callback(self._end)
            self.start()
            self._acquaint()
            self.asker = Asker(self.asks, self.can, (agreement("au"), 1))
            stack.callback(self.asker.partner.close)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what still runs."""
        self._closing.close()

    @property
    def server(self) -> Server:
        """The gateway's process."""
        if self._server is None:
            raise UserError("the gateway does not run")
        return self._server

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self._server is not None

    @property
    def others(self) -> tuple[Party, ...]:
        """Every partner of the gateway."""
        known = (self.asks, self.presses, self.broken)
        return tuple(each for each in known if each is not None)

    def start(self) -> None:
        """Start the gateway, as a supervisor does."""
        self._logs += 1
        log = self.folder / f"can-{self._logs}.log"
        server = Server(self.can.home, self.can.passphrase_file, log, descriptors=DESCRIPTORS)
        self._server = server.__enter__()
        self.fresh = self.holding()

    def stop(self) -> None:
        """Stop the gateway by SIGTERM, and keep how long it took and whether its last entry says so."""
        server, self._server = self.server, None
        began = time.monotonic()
        code = server.stop()
        took = time.monotonic() - began
        self.stops.append((took, code == 0 and self.ledger()[1] is EntryType.STOP))

    def revive(self) -> bool:
        """Start the gateway anew where it ended by itself; return whether it had."""
        if self._server is None or self._server.ended is None:
            return False
        self._server.stop()
        self.start()
        return True

    def ledger(self) -> tuple[int, EntryType]:
        """Return how many entries the gateway's ledger has, and the type of the last."""
        with (
            closing(open_store(config.load(self.can.home).store.path)) as database,
            database.reader() as reader,
        ):
            size, _ = ledger.extent(reader)
            return size, decode(ledger.leaf(reader, size - 1)).type

    def holding(self) -> Holding:
        """Return what the gateway holds now."""
        return Holding.of(self.server.pid)

    def settled(self, before: Holding, memory_mib: float, descriptors: int) -> Holding:
        """Wait until the gateway holds no more than before, give or take; return what it holds then or at last.

        Raises UserError where it ended meanwhile.
        """
        until = time.monotonic() + SETTLE
        while True:
            now = self.holding()
            more = now.descriptors > before.descriptors + descriptors
            if not more and now.memory_mib <= before.memory_mib + memory_mib:
                return now
            if time.monotonic() > until:
                return now
            time.sleep(LOOK)

    def pressing(self, pressure: Pressure) -> Pressing:
        """Return who presses so, not yet started."""
        server = self.server
        return Pressing(
            Plan(
                pressure=pressure.value,
                home=str(self.presses.home),
                passphrase_file=str(self.presses.passphrase_file),
                peer=self.can.id,
                ports={
                    "exchange": server.exchange,
                    "admin": server.admin,
                    "health": server.health,
                    "metrics": server.metrics,
                },
                agreement=(agreement("nz"), 1),
                number=self.number,
            )
        )

    def seen(self) -> None:
        """Have every partner take the gateway's newest entry and be seen to know it."""
        self.asker.partner.refresh()
        self.asker.partner.capabilities()
        for party in self.others[1:]:
            folder = read_folder(party.home, self.can.id, party.passphrase)
            with Partner.connect(
                folder.party, folder.keyset, folder.peer, keep=folder.keep
            ) as partner:
                partner.refresh()
                partner.capabilities()

    def ask_out(self, party: Party, under: str) -> str:
        """Have the gateway's caseworker ask a partner; return the number."""
        words = (
            *("outbound", "query", self.can.home, "--to", party.id, "--agreement", f"{under}@1"),
            *("--purpose", Purpose.TRAVEL_ENTER_REMAIN.name, "--case", CASE, "--unit", UNIT),
            *("--status", "FOREIGN_NATIONAL", "--nationality", NATIONALITY),
            *self._fingers,
        )
        for _ in range(TRIES):
            told = subprocess_cli.run(*words, accept=(0, 1, 2), officer=self.caseworker)
            if "asked" in told:
                return str(told["asked"][0]["number"])
        raise UserError(f"the gateway did not ask {party.id}: {told['error']}")

    def case(self, number: str) -> subprocess_cli.Document:
        """Return what the gateway's caseworker reads of a question of ours, with `ok` whether it could be read.

        What was moved on at that very moment is asked for again, as its answer says.
        """
        words = ("outbound", "show", self.can.home, number)
        told = subprocess_cli.run(*words, accept=(0, 1, 2), officer=self.caseworker)
        for _ in range(TRIES - 1):
            if told["ok"]:
                break
            time.sleep(2 * LOOK)
            told = subprocess_cli.run(*words, accept=(0, 1, 2), officer=self.caseworker)
        return told

    @contextmanager
    def serving(self, *others: Party) -> Iterator[None]:
        """Have other parties serve too."""
        with ExitStack() as stack, ThreadPoolExecutor() as pool:
            servers = [
                Server(one.home, one.passphrase_file, self.folder / f"{one.id}.log")
                for one in others
            ]
            for server in pool.map(Server.__enter__, servers):
                stack.push(server)
            yield

    def _found(self) -> None:
        wanted = ("CAN", "AUS", "NZL", *(("GBR",) if self._broken else ()))
        with ThreadPoolExecutor() as pool:
            found = list(
                pool.map(
                    lambda one: parties.found(self.folder, one, "A drill", parties.FIRST), wanted
                )
            )
            self.can, self.asks, self.presses = found[:3]
            self.broken = found[3] if self._broken else None
        for other in self.others:
            self._introduce(other)
        self.caseworker = parties.grant_access(self.can, "C-7", "caseworker")

    def _introduce(self, other: Party) -> None:
        """Give each the other's entry, as `party import` takes it once fingerprints were compared."""
        for one, two in ((other, self.can), (self.can, other)):
            octets = (one.home / "party.json").read_bytes()
            known = Directory(config.load(two.home).directory.folder, two.id)
            known.import_bundle(octets, fingerprint(octets))

    def _enrol(self) -> None:
        """Agree, and enrol the same people who do not exist with everybody who answers."""
        for name, day in (("au", MOST), ("nz", DAY)):
            parties.agree(self.can, f"{agreement(name)}.toml", with_quota(name, day))
        for party, name in zip(self.others, ("au", "nz", "uk"), strict=False):
            parties.agree(party, f"{name}.toml", correction.mirrored(name, party.id))
        seeds = range(SEEDS_FROM, SEEDS_FROM + PEOPLE)
        cast = invented(seeds, (ENROLLED_IMPRESSION,), lambda _: True)
        folder = self.folder / "records"
        manifest = write_manifest(cast, folder)
        asked = invented((SEEDS_FROM,), (ASKED_IMPRESSION,), lambda _: True).people[0]
        self._fingers: list[str | Path] = []
        for one in asked.impressions[ASKED_IMPRESSION]:
            file = folder / f"asked-{one.position}.fmr"
            user_files.write(file, one.data)
            self._fingers += ["--finger", f"{one.position}={file}"]
        records = person_files.write_records(cast, folder)
        asked_too = {
            self.asks: self._broken,
            self.presses: self._broken or self._corrections,
            **({self.broken: True} if self.broken is not None else {}),
        }
        answering = (self.can, *(party for party, answers in asked_too.items() if answers))
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: _enrol(one, manifest), answering))
        if self._corrections:
            registrar = parties.grant_access(self.presses, "R-1", "registrar")
            subprocess_cli.run(
                *("registry", "import", self.presses.home, records),
                *("--passphrase-file", self.presses.passphrase_file),
                officer=registrar,
            )

    def _acquaint(self) -> None:
        """Have the gateway ask the other partners once: it knows their ledgers then, and holds fields of one."""
        known = [(self.presses, "nz")] if self._corrections else []
        known += [(self.broken, "uk")] if self.broken is not None else []
        with self.serving(*(party for party, _ in known)):
            numbers = {party.id: self.ask_out(party, under) for party, under in known}
            if self._corrections:
                self._use(numbers[self.presses.id])

    def _use(self, number: str) -> None:
        """Have the caseworker learn two fields and use them: corrections of what was used stay with the case."""
        self.number = number
        who = self.caseworker
        wanted = ("--field", "DATE_OF_BIRTH", "--field", "PHOTOGRAPH")
        about = ("--case", CASE, "--unit", UNIT)
        subprocess_cli.run(
            "outbound", "details", self.can.home, number, *wanted, *about, officer=who
        )
        subprocess_cli.run("outbound", "show", self.can.home, number, officer=who)
        subprocess_cli.run("outbound", "use", self.can.home, number, "--in", USED_IN, officer=who)

    def _end(self) -> None:
        if self._server is not None:
            self._server.stop()


def _enrol(party: Party, manifest: Path) -> None:
    subprocess_cli.run(
        *("gallery", "enrol", party.home, "--manifest", manifest),
        *("--passphrase-file", party.passphrase_file),
    )


def _reason(fault: PartnerError) -> str:
    return (fault.reason or fault.code) if isinstance(fault, Refused) else type(fault).__name__
