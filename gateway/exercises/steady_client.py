"""One partner that asks without pause, told what to do on stdin.

First line in: the plan. First line out: that it is ready. Then it asks, verifies and asks again, until its stdin
is closed or a line comes; last line out: what came of it. All lines are JSON. It follows the gateway as a partner
does: by reading its directory, and by what KEY_STALE says.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.client import DeadlineExceeded, Matter, Partner, PartnerError, Refused, Unreachable
from gateway.client.local_settings import HomeDirectory, read_folder
from gateway.domain.messages import Purpose
from gateway.exercises.load_client import DEADLINE, Plan, questions

REFRESH = 1.0  # seconds between readings of the gateway's directory; partners take ten minutes
PEOPLE = 8  # of the gallery that are asked about, and as many unknown people


@dataclass(slots=True)
class Tally:
    """What came of asking without pause; times in seconds.

    failed       queries that were refused, or whose answer did not prove itself, by reason
    unanswered   queries to which nothing came back in time, by reason
    versions     which versions of the gateway's entry were used
    """

    queries: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)


class Caller:
    """One partner, who reads the gateway's directory every second and follows it by itself."""

    def __init__(self, plan: Plan, folder: HomeDirectory) -> None:
        self._plan = plan
        self._partner = Partner.connect(
            folder.party,
            folder.keyset,
            folder.peer,
            witness=Path(plan.witness),
            keep=folder.keep,
            refresh=REFRESH,
        )

    def ask(self, stop: threading.Event) -> Tally:
        """Ask until told to stop; return what came of it."""
        told = Tally(versions=[self._partner.peer.version])
        failed: Counter[str] = Counter()
        silent: Counter[str] = Counter()
        asked = questions(min(PEOPLE, self._plan.gallery))
        while not stop.is_set():
            person, samples = asked[told.queries % len(asked)]
            matter = Matter(
                purpose=Purpose.TRAVEL_ENTER_REMAIN,
                agreement=self._plan.agreement,
                case="drill",
                unit="drill",
                person=person.pseudonym,
            )
            told.queries += 1
            began = time.monotonic()
            try:
                self._partner.query(samples, deadline=DEADLINE, **matter)
            except (DeadlineExceeded, Unreachable) as fault:
                silent[type(fault).__name__] += 1
            except PartnerError as fault:
                failed[_reason(fault)] += 1
            else:
                told.latencies.append(time.monotonic() - began)
            if self._partner.peer.version != told.versions[-1]:
                told.versions.append(self._partner.peer.version)
        told.failed, told.unanswered = dict(failed), dict(silent)
        return told

    def connected(self) -> None:
        """Shake hands."""
        self._partner.checkpoint()

    def close(self) -> None:
        """Hang up."""
        self._partner.close()


def _reason(fault: PartnerError) -> str:
    if isinstance(fault, Refused):
        return fault.reason or fault.code
    return f"{type(fault).__name__}:{getattr(fault, 'step', '')}".rstrip(":")


def main() -> None:
    """Serve one parent."""
    told = json.loads(sys.stdin.readline())
    plan = Plan(**{**told, "agreement": tuple(told["agreement"])})
    passphrase = Path(plan.passphrase_file).read_bytes().strip()
    caller = Caller(plan, read_folder(Path(plan.home), plan.peer, lambda: passphrase))
    caller.connected()
    _say({"ready": True})
    stop = threading.Event()

    def hear() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=hear, daemon=True).start()
    tally = caller.ask(stop)
    caller.close()
    _say(asdict(tally))


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
