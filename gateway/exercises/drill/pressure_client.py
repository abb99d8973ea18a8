"""One who presses a gateway from outside, commanded on stdin.

First line in: the plan. First line out: that it is ready. Second line in: begin. Second line out: that it presses. Then
it goes on until its stdin is closed or a line comes, and never longer than `LONGEST`; last line out: what came of it, by
reason. All lines are JSON. When it ends, all its connections are closed.

Nothing here is more than somebody with a partner's certificate, or with none, can do by valid calls, and everything is
bounded in size, in count and in time. It runs at low priority: in earnest its work is done on other machines.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import grpc

from gateway.client import Matter, Partner
from gateway.client.channel import explain
from gateway.client.errors import Refused
from gateway.client.local_settings import HomeDirectory, read_folder
from gateway.domain.correction import CorrectionKind, CorrectionNotice
from gateway.domain.messages import About, Operation, Purpose
from gateway.domain.person import Field, FieldCode
from gateway.exercises.demo.attacks import faint
from gateway.exercises.demo.people import Print, invented
from gateway.exercises.load_client import ASKED_IMPRESSION, SEEDS_FROM
from gateway.exercises.raw_channel import SUBMIT, request
from gateway.wire import correction_payload
from keys.certificates import TlsKey, issue_leaf, private_key_pem

LONGEST = 120.0  # seconds that anybody presses
NICE = 10  # how much less urgent than the questions of others (nice(2))
HELD = 20.0  # seconds; deadline of calls that are held open, at most 60 by protocol 12
LOOK = 0.05  # seconds between two looks at what is held open
REOPENED = 5  # of what was closed or refused, at a look: 100 a second

SILENT = (
    150  # connections to each of the four listeners: together more than the gateway has descriptors
)
STREAMS, CHANNELS = 32, 4  # calls on one connection (protocol 12), and connections
CALLS = 1500  # that are opened in all, where each is held open
UNREAD = 32  # of each sort of call whose answers nobody reads
WINDOW = 5  # bytes that may be sent to who does not read; the least that gRPC takes
REPLAYS, REPLAYS_A_SECOND = 2000, 100.0
POOR, POOR_A_SECOND = 200, 30.0
CORRECTIONS, CORRECTIONS_A_SECOND = 48, 16.0
PICTURE = 100_000  # bytes of a corrected photograph; a notice may have 262,140 in all
DUE = timedelta(days=3)  # until when a correction is to be acknowledged

_HEALTH = "/grpc.health.v1.Health/"
_CORRECT = "/gateway.v1.ExchangeService/SubmitCorrection"
_SLOW = (("grpc.http2.lookahead_bytes", WINDOW), ("grpc.http2.bdp_probe", 0))
_OWN = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)

Options = Sequence[tuple[str, int]]


class Pressure(StrEnum):
    """How somebody outside can press by calls and connections alone."""

    SILENT = "silent-connections"
    SLOW = "slow-readers"
    STREAMS = "many-streams"
    REPLAY = "replay"
    POOR = "poor-prints"
    CORRECTIONS = "corrections"


@dataclass(frozen=True, slots=True)
class Plan:
    """Who presses whom, and how.

    ports      of the gateway's listeners: exchange, admin, health, metrics
    agreement  under which it asks
    number     of the gateway's own query of us, that its corrections are about
    """

    pressure: str
    home: str
    passphrase_file: str
    peer: str
    ports: Mapping[str, int]
    agreement: tuple[str, int]
    number: str = ""


class Presser(ABC):
    """A partner's folder, its connections, and a tally by reason. A context manager that closes all of them."""

    def __init__(self, plan: Plan) -> None:
        """Make ready what takes time: messages are written before anything is pressed."""
        passphrase = Path(plan.passphrase_file).read_bytes().strip()
        self.plan = plan
        self.folder: HomeDirectory = read_folder(Path(plan.home), plan.peer, lambda: passphrase)
        self.tally: Counter[str] = Counter()
        self.closing = ExitStack()
        self.prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    def prepare(self) -> None:  # noqa: B027 - some send nothing that is written before
        """Write what is sent."""

    @abstractmethod
    def press(self, stop: threading.Event, pressing: Callable[[], None]) -> None:
        """Press until the command to stop; `pressing` is called once, when it has begun."""

    def exchange(self, options: Options = (), leaf: tuple[bytes, bytes] | None = None) -> Any:  # noqa: ANN401 - grpc's types
        """Return a connection of its own to the exchange, by the partner's leaf or another: private key, chain."""
        shown = leaf or self.folder.keyset.tls()
        credentials = grpc.ssl_channel_credentials(self.folder.peer.tls_ca_pem, *shown)
        return self._opened("exchange", credentials, options)

    def health(self, options: Options = ()) -> Any:  # noqa: ANN401
        """Return a connection of its own to the health listener, by no certificate."""
        credentials = grpc.ssl_channel_credentials(self.folder.peer.tls_ca_pem)
        return self._opened("health", credentials, options)

    def partner(self) -> Partner:
        """Return the partner's own client, to write messages with."""
        folder = self.folder
        return Partner.connect(folder.party, folder.keyset, folder.peer, keep=folder.keep)

    def questions(
        self, count: int, spoilt: Callable[[Print], Print] = lambda one: one
    ) -> list[bytes]:
        """Return queries about somebody enrolled, each a new one, as they go over the wire."""
        known = invented((SEEDS_FROM,), (ASKED_IMPRESSION,), lambda _: True)
        samples = known.samples(
            [spoilt(one) for one in known.people[0].impressions[ASKED_IMPRESSION]]
        )
        matter = Matter(
            purpose=Purpose.TRAVEL_ENTER_REMAIN,
            agreement=self.plan.agreement,
            case="drill",
            unit="drill",
            person="drill",
        )
        with self.partner() as partner:
            return [request(partner.compose(samples, **matter).envelope) for _ in range(count)]

    def send(self, method: Any, octets: Any, seconds: float | None) -> Any:  # noqa: ANN401
        """Send a request and go on; what comes of it is tallied when it does. Return the call."""
        self.tally["sent"] += 1
        call = method.future(octets, timeout=seconds)
        call.add_done_callback(lambda done: self.tally.update((came_of(done),)))
        return call

    def _opened(self, name: str, credentials: grpc.ChannelCredentials, options: Options) -> Any:  # noqa: ANN401
        address = f"127.0.0.1:{self.plan.ports[name]}"
        channel = grpc.secure_channel(address, credentials, options=(*_OWN, *options))
        self.closing.callback(channel.close)
        return channel


class Silent(Presser):
    """Connections to every listener that say nothing, opened again when they are closed."""

    def press(self, stop: threading.Event, pressing: Callable[[], None]) -> None:
        """Hold them."""
        _raise_descriptors(len(self.plan.ports) * SILENT + 256)
        held: list[tuple[int, socket.socket]] = []
        self.closing.callback(_close, held)
        for port in self.plan.ports.values():
            for _ in range(SILENT):
                self._open(port, held)
        pressing()
        while not stop.wait(LOOK):
            closed = [one for one in held if _was_closed(one[1])]
            for one in closed[:REOPENED]:
                held.remove(one)
                one[1].close()
                self.tally["closed by the gateway"] += 1
                self._open(one[0], held)

    def _open(self, port: int, held: list[tuple[int, socket.socket]]) -> None:
        mouth = socket.socket()
        mouth.setblocking(False)
        with suppress(BlockingIOError):
            mouth.connect(("127.0.0.1", port))
        self.tally["opened"] += 1
        held.append((port, mouth))


class Slow(Presser):
    """Calls whose answers nobody reads: a partner's questions, and an unidentified caller's at the health listener."""

    def prepare(self) -> None:
        """Write one question."""
        [self._question] = self.questions(1)

    def press(self, stop: threading.Event, pressing: Callable[[], None]) -> None:
        """Hold so many of each sort open; those that ended are followed by others."""
        health = self.health(_SLOW)
        sorts = (
            partial(self.exchange(_SLOW).unary_stream(SUBMIT), self._question, timeout=HELD),
            partial(health.unary_stream(f"{_HEALTH}Watch"), b"", timeout=HELD),
            partial(health.unary_stream(f"{_HEALTH}Check"), b"", timeout=HELD),
        )
        self._hold(sorts, stop, pressing)

    def _hold(
        self,
        sorts: Sequence[Callable[[], Any]],
        stop: threading.Event,
        pressing: Callable[[], None],
    ) -> None:
        held = [(sort, self._call(sort)) for sort in sorts for _ in range(UNREAD)]
        pressing()
        while not stop.wait(LOOK):
            over = [one for one in held if not one[1].is_active()]
            for one in over[:REOPENED] if self.tally["sent"] < CALLS else ():
                held.remove(one)
                held.append((one[0], self._call(one[0])))

    def _call(self, sort: Callable[[], Any]) -> Any:  # noqa: ANN401
        self.tally["sent"] += 1
        return sort()


class Streams(Presser):
    """As many calls as connections carry, whose bodies never come; and calls that state no deadline, or nobody's."""

    def press(self, stop: threading.Event, pressing: Callable[[], None]) -> None:
        """Hold them; each that is refused is followed by another."""
        slots = [(method, self._open(method)) for method in self._methods() for _ in range(STREAMS)]
        loose = cycle(
            (
                (self.exchange().unary_unary(SUBMIT), None),
                (self.exchange(leaf=self._unpinned()).unary_unary(SUBMIT), HELD),
            )
        )
        pressing()
        while not stop.wait(LOOK):
            self.send(*self._loose(loose))
            over = [one for one in slots if one[1].done()]
            for one in over[:REOPENED] if self.tally["sent"] < CALLS else ():
                slots.remove(one)
                slots.append((one[0], self._open(one[0])))
        for _, call in slots:
            call.cancel()

    def _methods(self) -> list[Any]:
        return [self.exchange().stream_unary(SUBMIT) for _ in range(CHANNELS)]

    def _open(self, method: Any) -> Any:  # noqa: ANN401
        body = Bodiless()
        call = self.send(method, body, HELD)
        call.add_done_callback(lambda _: body.end())
        return call

    @staticmethod
    def _loose(loose: Iterator[tuple[Any, float | None]]) -> tuple[Any, bytes, float | None]:
        method, seconds = next(loose)
        return method, b"", seconds

    def _unpinned(self) -> tuple[bytes, bytes]:
        """Return a leaf of the partner's own authority that its entry does not pin, as private key and chain."""
        keyset, key = self.folder.keyset, TlsKey.generate()
        authority = keyset.tls_ca_pem
        leaf = issue_leaf(
            self.folder.party,
            authority,
            keyset.tls_ca(),
            key,
            datetime.now(UTC),
            hosts=("127.0.0.1",),
        )
        return private_key_pem(key), leaf + authority


class Bodiless:
    """The body of a request that never comes."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Wait, then be at an end."""
        self._over.wait(HELD)
        raise StopIteration

    def end(self) -> None:
        """Let whoever waits for it go."""
        self._over.set()


class Paced(Presser):
    """Requests at a steady rate, one after the other, until they have all been sent."""

    method = SUBMIT
    a_second = 1.0
    requests: Sequence[bytes] = ()

    def press(self, stop: threading.Event, pressing: Callable[[], None]) -> None:
        """Send them."""
        method = self.exchange().unary_unary(self.method)
        began = time.monotonic()
        pressing()
        for number, octets in enumerate(self.requests):
            if stop.wait(max(0.0, began + number / self.a_second - time.monotonic())):
                return
            self.send(method, octets, HELD)
        stop.wait()


class Replay(Paced):
    """One question again and again: the same bytes."""

    a_second = REPLAYS_A_SECOND

    def prepare(self) -> None:
        """Write it once."""
        self.requests = self.questions(1) * REPLAYS


class Poor(Paced):
    """Questions with prints that are valid and show too little to be searched."""

    a_second = POOR_A_SECOND

    def prepare(self) -> None:
        """Write them, each of its own number."""
        self.requests = self.questions(
            POOR, lambda one: Print(one.position, faint(one.data, one.position))
        )


class Corrections(Paced):
    """Corrections of one answer without end: of what was disclosed, with photographs, and of what never was."""

    method = _CORRECT
    a_second = CORRECTIONS_A_SECOND
    fields = (FieldCode.DATE_OF_BIRTH, FieldCode.PHOTOGRAPH, FieldCode.GENDER)

    def prepare(self) -> None:
        """Write them."""
        with self.partner() as partner:
            self.requests = [
                self._notice(partner, code)
                for code, _ in zip(cycle(self.fields), range(CORRECTIONS), strict=False)
            ]

    def _notice(self, partner: Partner, code: FieldCode) -> bytes:
        right = Field(code=code, value=b"1971-12-31", authority="IRPR 315.41(2)")
        if code is FieldCode.PHOTOGRAPH:
            right = replace(right, value=secrets.token_bytes(PICTURE), mime_type="image/png")
        notice = CorrectionNotice(
            id=secrets.token_bytes(16),
            kind=CorrectionKind.WRONG_VALUE,
            fields=(code,),
            due=datetime.now(UTC).replace(microsecond=0) + DUE,
            corrected=(right,),
        )
        written = partner.write(
            Operation.SUBMIT_CORRECTION,
            lambda key: correction_payload.notice_bytes(replace(notice, reply_key=key)),
            About(number=notice.id.hex(), reference=self.plan.number),
        )
        return request(written.envelope)


PRESSERS: Mapping[Pressure, type[Presser]] = {
    Pressure.SILENT: Silent,
    Pressure.SLOW: Slow,
    Pressure.STREAMS: Streams,
    Pressure.REPLAY: Replay,
    Pressure.POOR: Poor,
    Pressure.CORRECTIONS: Corrections,
}


def came_of(call: Any) -> str:  # noqa: ANN401
    """Return what came of a call that is over: that it was answered, or why not."""
    if call.cancelled():
        return "cancelled"
    fault = call.exception()
    if fault is None:
        return "answered"
    explained = explain(fault, "")
    return (
        explained.reason or explained.code
        if isinstance(explained, Refused)
        else type(explained).__name__
    )


def _close(held: list[tuple[int, socket.socket]]) -> None:
    for _, mouth in held:
        mouth.close()


def _was_closed(mouth: socket.socket) -> bool:
    """Whether the other side closed a connection, or never took it."""
    try:
        return not mouth.recv(64)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _raise_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def main() -> None:
    """Serve one parent."""
    os.nice(NICE)
    told = json.loads(sys.stdin.readline())
    plan = Plan(**{**told, "agreement": tuple(told["agreement"])})
    stop = threading.Event()

    def hear() -> None:
        sys.stdin.readline()
        stop.set()

    with PRESSERS[Pressure(plan.pressure)](plan) as presser:
        _say({"ready": True})
        sys.stdin.readline()
        threading.Thread(target=hear, daemon=True).start()
        longest = threading.Timer(LONGEST, stop.set)
        longest.daemon = True
        longest.start()
        presser.press(stop, lambda: _say({"pressing": True}))
        _say(dict(presser.tally))


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
