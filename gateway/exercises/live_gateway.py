"""A gateway that serves in this process and partners that ask it without pause, each in a process of its own.

All of it is made from nothing in a scratch folder: real keys, mutual TLS on loopback, real searches. The periodic jobs
run every half second, so that what waits for the next round does not wait for half a minute.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import gateway.server  # settles what gRPC speaks, before anything imports it  # noqa: F401
from gateway import telemetry
from gateway.exercises import subprocess_cli
from gateway.exercises.bench import exchange
from gateway.exercises.child_process import Child
from gateway.exercises.demo import parties
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, invented, write_manifest
from gateway.exercises.load_client import SEEDS_FROM, Plan
from gateway.exercises.steady_client import PEOPLE, Tally
from gateway.law.agreement_library import packaged
from gateway.law.toml_reader import MOST
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving

HOME = "CAN"
PARTNERS = (("AUS", "au"), ("NZL", "nz"), ("GBR", "uk"), ("USA", "us-visa"))  # with our agreements
EVERY = 0.5  # seconds between the periodic jobs' rounds


def agreement(name: str) -> str:
    """Return the id of an agreement of the drill, made of a packaged one."""
    return f"drill-{name}"


def with_quota(name: str, day: int = MOST) -> str:
    """Return the text of a packaged agreement under the drill's name for it, with so many queries a day."""
    text = packaged()[f"{name}.toml"].decode()
    text = text.replace(f'id = "{name}"', f'id = "{agreement(name)}"')
    return text.replace('preset = "hvdsp-400000"', f"day = {day}\nyear = {MOST}")


class Stage:
    """The gateway and its partners' folders. Use as a context manager; `gateway` is there once entered."""

    gateway: Gateway
    serving: Serving

    def __init__(self, folder: Path, callers: int) -> None:
        self.folder = folder
        self._count = callers
        self._closing = ExitStack()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        """Found the parties, enrol the gallery, open the listeners; raises UserError where a part does not start."""
        with ExitStack() as stack:
            self.home = parties.found(self.folder, HOME, "A drill")
            self.partners = tuple(
                parties.found(self.folder, party, "A drill") for party, _ in PARTNERS[: self._count]
            )
            for partner in self.partners:
                parties.introduce(partner, self.home)
                parties.introduce(self.home, partner)
            self._prepare()
            self.gateway = stack.enter_context(Gateway.open(self.home.home, self.home.passphrase))
            self.serving = Serving(self.gateway)
            self.serving.start()
            stack.callback(self.serving.stop)
            rounds = threading.Thread(target=self._walk, name="rounds")
            rounds.start()
            stack.callback(rounds.join)
            stack.callback(self._stop.set)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the listeners and the gateway."""
        self._closing.__exit__(kind, fault, trace)

    def callers(self) -> list[Calling]:
        """Return the callers, not yet started; the partners take turns where there are more callers."""
        made = []
        for number in range(self._count):
            party = self.partners[number % len(self.partners)]
            plan = Plan(
                home=str(party.home),
                passphrase_file=str(party.passphrase_file),
                peer=HOME,
                witness=str(party.home / "witness" / f"{HOME}-{number}.checkpoint"),
                agreement=(agreement(dict(PARTNERS)[party.id]), 1),
                gallery=PEOPLE,
            )
            made.append(Calling(plan))
        return made

    def _prepare(self) -> None:
        """Set limits and quotas out of the way, and enrol people who do not exist."""
        exchange.unbound(self.home, 2 * self._count)
        for _, name in PARTNERS[: self._count]:
            parties.agree(self.home, f"{agreement(name)}.toml", with_quota(name))
        people = invented(
            range(SEEDS_FROM, SEEDS_FROM + PEOPLE), (ENROLLED_IMPRESSION,), lambda _: True
        )
        manifest = write_manifest(people, self.folder / "records")
        subprocess_cli.run(
            *("gallery", "enrol", self.home.home, "--manifest", manifest),
            *("--passphrase-file", self.home.passphrase_file),
        )

    def _walk(self) -> None:
        log = telemetry.logger("drill")
        while not self._stop.wait(EVERY):
            try:
                self.serving.run_jobs()
            except Exception as error:  # noqa: BLE001 - as the serving gateway does
                log.warning("round_failed", kind=type(error).__name__)


class Calling(Child):
    """`gateway.exercises.steady_client`, running; a context manager that leaves no process behind."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("gateway.exercises.steady_client")
        self._plan = plan

    def __enter__(self) -> Self:
        """Start it; it connects by itself."""
        super().__enter__()
        self.tell(asdict(self._plan))
        return self

    def wait_ready(self) -> None:
        """Wait until it is connected; raises `UserError` where it cannot."""
        self.hear()

    def end(self) -> Tally:
        """Tell it to end, wait for the question under way, and return what came of its calls."""
        self.tell("end")
        return Tally(**self.hear())
