"""What a partner at its limit costs another one: the second's p50 and p95, quiet, beside it, and beside a copier.

python tests/bench/shares.py [--seconds 10] [--busy 8]
    a real server with the limits that it has by default, but for rate and quota; two partners in processes of
    their own. First NZL asks alone, one question after the other. Then AUS asks with as many threads as it has
    places meanwhile. Then AUS sends copies of one answered query as fast as it can, as many at once.

The rounds come by turns, three of each, so that a machine which slows down slows down all of them. Nothing here is
asserted: read it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import gateway.server  # settles what gRPC speaks, before anything imports it  # noqa: F401
from gateway.client import Matter, Partner
from gateway.client.channel import PartnerError
from gateway.client.local_settings import read_folder
from gateway.config import FILE
from gateway.domain.messages import Purpose
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import parties
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, invented, write_manifest
from gateway.exercises.demo.queries import percentile
from gateway.exercises.load_client import SEEDS_FROM, Plan, Round, Spell, questions, together
from gateway.exercises.load_process import Askers
from gateway.exercises.subprocess_cli import Server
from gateway.law.agreement_library import packaged
from gateway.law.toml_reader import MOST

GALLERY = 50  # people, two fingers each
ROUNDS = 3  # of each kind
WARM_UP = 1.0  # seconds
PARTNERS = (("AUS", "au"), ("NZL", "nz"))
UNBOUND = "[exchange]\nrate_per_second = 100000\nrate_burst = 100000\n"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def prepared(folder: Path) -> tuple[parties.Party, dict[str, parties.Party]]:
    """Found three parties that know each other, without an end to their quotas, and enrol the gallery."""
    can = parties.found(folder, "CAN", "A measurement")
    others = {name: parties.found(folder, name, "A measurement") for name, _ in PARTNERS}
    for one in others.values():
        parties.introduce(can, one)
        parties.introduce(one, can)
    settings = can.home / FILE
    settings.write_text(settings.read_text().replace("[exchange]\n", UNBOUND, 1))
    for _, name in PARTNERS:
        text = packaged()[f"{name}.toml"].decode().replace(f'id = "{name}"', f'id = "b-{name}"')
        text = text.replace('preset = "hvdsp-400000"', f"day = {MOST}\nyear = {MOST}")
        parties.agree(can, f"b-{name}.toml", text)
    people = invented(
        range(SEEDS_FROM, SEEDS_FROM + GALLERY), (ENROLLED_IMPRESSION,), lambda _: True
    )
    manifest = write_manifest(people, folder / "records")
    subprocess_cli.run(
        *("gallery", "enrol", can.home, "--manifest", manifest),
        *("--passphrase-file", can.passphrase_file),
    )
    return can, others


def plan(party: parties.Party, agreement: str) -> Plan:
    return Plan(
        home=str(party.home),
        passphrase_file=str(party.passphrase_file),
        peer="CAN",
        witness=str(party.home / "witness" / "bench.checkpoint"),
        agreement=(agreement, 1),
        gallery=GALLERY,
    )


class Copier:
    """AUS, sending copies of one answered query until it is told to end."""

    def __init__(self, party: parties.Party, threads: int) -> None:
        read = read_folder(party.home, "CAN", party.passphrase)
        self._partner = Partner.connect(read.party, read.keyset, read.peer, witness=read.witness)
        matter = Matter(
            purpose=Purpose.TRAVEL_ENTER_REMAIN,
            agreement=("b-au", 1),
            case="bench",
            unit="bench",
            person="bench",
        )
        self._copy = self._partner.compose(questions(1)[0][1], **matter)
        self._partner.send(self._copy)
        self._threads, self._ended = threads, threading.Event()
        self.seen: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._send, args=(end,)) for _ in range(self._threads)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def close(self) -> None:
        self._partner.close()

    def _send(self, end: float) -> None:
        while time.monotonic() < end:
            try:
                self._partner.send(self._copy)
                self.seen["OK"] += 1
            except PartnerError as fault:
                self.seen[getattr(fault, "reason", type(fault).__name__)] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--busy", type=int, default=8)
    told = parser.parse_args()
    spell = Spell(1, WARM_UP, told.seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="passerelle-shares-")))
        can, others = prepared(folder)
        stack.enter_context(Server(can.home, can.passphrase_file, folder / "can.log"))
        asking = stack.enter_context(Askers(plan(others["NZL"], "b-nz")))
        busy = stack.enter_context(Askers(plan(others["AUS"], "b-au")))
        asking.wait_ready()
        busy.wait_ready()
        copier = Copier(others["AUS"], told.busy)
        stack.callback(copier.close)
        heard: dict[str, list[Round]] = {"quiet": [], "busy": [], "copies": []}
        beside: list[Round] = []
        for _ in range(ROUNDS):
            for kind, rounds in heard.items():
                asking.begin(spell)
                if kind == "busy":
                    busy.begin(Spell(told.busy, WARM_UP, told.seconds))
                if kind == "copies":
                    copier.run(WARM_UP + told.seconds)
                rounds.append(asking.end())
                if kind == "busy":
                    beside.append(busy.end())
    quiet = together(heard["quiet"])
    for kind, rounds in heard.items():
        one = together(rounds)
        p50, p95 = (1000 * percentile(one.latencies, at) for at in (0.5, 0.95))
        ratio = p95 / (1000 * percentile(quiet.latencies, 0.95))
        say(
            f"{kind:7} {len(one.latencies):5} answered, {sum(one.errors.values())} not;"
            f" p50 {p50:6.1f} ms, p95 {p95:6.1f} ms, {ratio:.2f} x quiet"
        )
    other = together(beside)
    say(
        f"the busy one: {len(other.latencies) / (ROUNDS * told.seconds):.1f} a second {other.errors}"
    )
    say(f"copies: {dict(copier.seen)}")


if __name__ == "__main__":
    main()
