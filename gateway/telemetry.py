"""What the gateway says of itself: JSON lines on stderr, sentences where a command opened it, metrics for Prometheus, a stopwatch for each call.

Logs hold only the fields of an allow-list, each a short plain value; anything else is dropped, and the
drop is counted, so that a new log line cannot leak what nobody thought of. Metrics never combine a
partner with an outcome: who asks about whom, and what the answer was, is the ledger's and nobody else's.

The registry is our own: nothing of the process or the platform is exported by accident.
"""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FIELDS = frozenset(
    {
        "address",  # one of our listeners
        "code",  # gRPC's, of how a call ended
        "count",
        "entries",
        "error_id",
        "file",  # one of our own configuration or bundle files, its name alone
        "index",  # of a leaf
        "kind",  # an exception's type, never its text
        "operation",
        "partner",
        "peer",  # the address, or network, that a call came from
        "reason",  # a refusal's, from the closed list
        "seconds",
        "size",
        "stage",
        "state",  # of a key or of the gateway
        "step",  # of the protocol, section 4
        "version",
    }
)
MAX_TEXT = (
    200  # characters; longer values are dropped, for a short one cannot hold a record or a key
)

# Seconds; from a header parsed (50 µs) to the longest deadline (60 s), finer where the targets lie.
BUCKETS = (0.00005, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 60)

ACCESS = "access"  # the logger of calls, whose level is set apart
LEVELS = {"info": 20, "warning": 30, "error": 40}
_least = {"": LEVELS["info"], ACCESS: LEVELS["info"]}  # by logger, "" for all others

_to_a_person = [False]  # whether a command speaks, and no gateway that serves

_event = re.compile(r"[a-z][a-z0-9 _.-]{0,63}")

REGISTRY = CollectorRegistry(auto_describe=True)

_stage_seconds = Histogram(
    "passerelle_stage_seconds",
    "Time spent in a stage of a call.",
    ["stage"],
    registry=REGISTRY,
    buckets=BUCKETS,
)
_calls = Counter(
    "passerelle_calls",
    "Calls by operation, gRPC code and reason; an outcome is not among them.",
    ["operation", "code", "reason"],
    registry=REGISTRY,
)
_commit_seconds = Histogram(
    "passerelle_ledger_commit_seconds",
    "Time from handing leaves to the sequencer until they were durable.",
    registry=REGISTRY,
    buckets=BUCKETS,
)
_dropped = Counter(
    "passerelle_log_fields_dropped",
    "Fields that a log line held and the allow-list did not.",
    registry=REGISTRY,
)
_erased = Counter(
    "passerelle_retention_erased",
    "Things that were erased because their time was over, by class.",
    ["kept"],
    registry=REGISTRY,
)
_overdue = Gauge(
    "passerelle_retention_overdue",
    "Things that should have been erased and are not, by class; above zero no query is answered.",
    ["kept"],
    registry=REGISTRY,
)
_shed = Counter(
    "passerelle_connections_cut",
    "Connections that we cut, by listener and reason; above zero somebody holds more than they may.",
    ["listener", "reason"],
    registry=REGISTRY,
)
_connections = Gauge(
    "passerelle_connections",
    "Connections to a listener at the last look.",
    ["listener"],
    registry=REGISTRY,
)
_evidence = Gauge(
    "passerelle_evidence_left_seconds",
    "Seconds until nothing is answered because evidence is late, by what is late; absent while nothing is.",
    ["kind"],
    registry=REGISTRY,
)
_alarms = Gauge(
    "passerelle_alarms_open",
    "Open alarms on which somebody has to act, by kind; `passerelle status` says which, and what to do.",
    ["kind"],
    registry=REGISTRY,
)
_expiry = Gauge(
    "passerelle_expiry_seconds",
    "Seconds until a key, certificate, role or agreement ends; below zero it has ended.",
    ["kind", "partner", "name"],
    registry=REGISTRY,
)
_leaf = Gauge(
    "passerelle_tls_leaf_end_seconds",
    "When the TLS leaf ends that a listener shows to a new connection, in seconds since 1970.",
    ["listener", "serial"],
    registry=REGISTRY,
)
_job_failures = Counter(
    "passerelle_job_failures",
    "Rounds of a periodic job that failed, by job and kind of exception; the other jobs ran.",
    ["job", "kind"],
    registry=REGISTRY,
)
_extractions = Counter(
    "passerelle_extractions",
    "Images that were decoded, by modality and how it ended: EXTRACTED, or why there is no record; HUNG and CRASHED cost a process.",
    ["modality", "end"],
    registry=REGISTRY,
)
_search_processes = Gauge(
    "passerelle_search_processes",
    "Processes that hold the galleries and answer searches; 0 where the gateway's own process searches, or none has loaded yet.",
    registry=REGISTRY,
)
_outgoing_failures = Counter(
    "passerelle_outgoing_failures",
    "Failures that nobody foresaw while a message to a partner was sent or its directory read, by partner and kind.",
    ["partner", "kind"],
    registry=REGISTRY,
)
_serving = Gauge(
    "passerelle_serving",
    "1 while calls are answered; 0 while they are not, with the reason. Every half minute it is found out anew.",
    ["gateway", "reason"],
    registry=REGISTRY,
)
_serving_since = Gauge(
    "passerelle_serving_since_seconds",
    "Since when that is so, in seconds since 1970.",
    registry=REGISTRY,
)
_served: set[tuple[str, str]] = set()  # what is shown now
_evidence_late: set[str] = set()  # as with expiries
_Labels = TypeVar("_Labels", bound=tuple[str, ...])
_leaves: set[tuple[str, str]] = set()  # as with expiries
_expiries: set[tuple[str, str, str]] = set()  # what is shown now; what is renewed is shown no more


def count_erased(kept: str, count: int) -> None:
    """Count what was erased of a class."""
    _erased.labels(kept).inc(count)


def show_overdue(kept: str, count: int) -> None:
    """Show how many things of a class are overdue; 0 when all is done."""
    _overdue.labels(kept).set(count)


def count_shed(listener: str, reason: str) -> None:
    """Count a connection that was cut."""
    _shed.labels(listener, reason).inc()


def show_connections(counts: Mapping[str, int]) -> None:
    """Show how many connections each listener has."""
    for listener, count in counts.items():
        _connections.labels(listener).set(count)


def show_evidence(kind: str, seconds: float | None) -> None:
    """Show how long it is until nothing is answered because of a kind of evidence; None = it is not late."""
    if seconds is not None:
        _evidence.labels(kind).set(seconds)
        _evidence_late.add(kind)
    elif kind in _evidence_late:
        _evidence_late.remove(kind)
        _evidence.remove(kind)


def show_serving(party: str, reason: str, now: float) -> None:
    """Show whether we answer: "" while we do, else the reason; `now`, seconds since 1970, counts where that is new."""
    if (party, reason) in _served:
        return
    _serving.clear()
    _served.clear()
    _serving.labels(party, reason).set(0 if reason else 1)
    _serving_since.set(now)
    _served.add((party, reason))


def show_leaves(ends: Mapping[tuple[str, str], float]) -> None:
    """Show which leaf each listener shows, by listener and serial, with its end."""
    _show_alone(_leaf, _leaves, ends)


def show_alarms(counts: Mapping[str, int]) -> None:
    """Show on how many alarms of each kind somebody has to act; a kind without one has 0."""
    for kind, count in counts.items():
        _alarms.labels(kind).set(count)


def show_expiries(ends: Mapping[tuple[str, str, str], float]) -> None:
    """Show how many seconds are left by kind, partner and name, and nothing of what was shown before."""
    _show_alone(_expiry, _expiries, ends)


def _show_alone(gauge: Gauge, before: set[_Labels], values: Mapping[_Labels, float]) -> None:
    """Show values by their labels and take away those of `before`, which becomes what is shown."""
    for labels in before - values.keys():
        gauge.remove(*labels)
    before.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
        before.add(labels)


def count_job_failure(job: str, kind: str) -> None:
    """Count a round of a periodic job that failed, by the type of what it raised."""
    _job_failures.labels(job, kind).inc()


def count_extraction(modality: str, end: str) -> None:
    """Count an image that was decoded, by how it ended."""
    _extractions.labels(modality, end).inc()


def show_search_processes(number: int) -> None:
    """Show how many search processes answer."""
    _search_processes.set(number)


def count_outgoing_failure(partner: str, kind: str) -> None:
    """Count what nobody foresaw on the way to a partner, by the type of what was raised; never its text."""
    _outgoing_failures.labels(partner, kind).inc()


def count_call(operation: str, code: str, reason: str) -> None:
    """Count a finished call by RPC, gRPC code and reason; the reason is empty where nothing was refused."""
    _calls.labels(operation, code, reason).inc()


def observe_commit(seconds: float) -> None:
    """Record how long a commit took to be durable."""
    _commit_seconds.observe(seconds)


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)


@functools.lru_cache(maxsize=64)
def _stage(name: str) -> Histogram:
    """Return the histogram of a stage; finding it anew took longer than all else that is done at a mark."""
    return _stage_seconds.labels(name)


class Stages:
    """The stopwatch of one call; not for two threads.

    operation  the RPC that is timed
    observe    called with the name of each stage once it is over; tests stop the process there
    clock      seconds, monotonic
    """

    __slots__ = ("_clock", "_last", "_observe", "_seconds", "operation")

    def __init__(
        self,
        operation: str = "",
        observe: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.operation = operation
        self._observe = observe
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._last = clock()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far."""
        return dict(self._seconds)

    def mark(self, name: str) -> None:
        """Say that stage `name` is over; it began where the one before it ended."""
        now = self._clock()
        seconds, self._last = now - self._last, now
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        _stage(name).observe(seconds)
        if self._observe is not None:
            self._observe(name)


class _Stderr:
    """Writes a line to whatever stderr is at that moment."""

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger of the module `name`; its events are constants, its fields those of `FIELDS`."""
    bound: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Stderr(),
        processors=[
            _loud_enough(name),
            _allow_listed,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _named(name),
            _rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        context_class=dict,
    )
    return bound


def set_levels(level: str, access: str) -> None:
    """Write from now on what is at least as loud: "info", "warning" or "error"; of calls, and of everything else."""
    _least.update({"": LEVELS[level], ACCESS: LEVELS[access]})


@contextmanager
def sentences() -> Iterator[None]:
    """Write what is said meanwhile as a person reads it: for commands that open a gateway; the serving one writes JSON."""
    before, _to_a_person[0] = _to_a_person[0], True
    try:
        yield
    finally:
        _to_a_person[0] = before


_json = structlog.processors.JSONRenderer(sort_keys=True)


def _rendered(log: Any, method: str, line: MutableMapping[str, Any]) -> str:  # noqa: ANN401 - structlog's
    return _sentence(line) if _to_a_person[0] else str(_json(log, method, line))


def _sentence(line: Mapping[str, Any]) -> str:
    """Return `passerelle: error: agreements refused: au.toml line 3: not TOML (…)`; the fields that the reason holds are said once."""
    reason = str(line.get("reason") or "")
    others = ", ".join(
        f"{name} {value}"
        for name, value in sorted(line.items())
        if name not in {"event", "level", "logger", "reason", "time"}
        and not (name == "file" and str(value) in reason)
    )
    said = [f"passerelle: {line['level']}", str(line["event"]).replace("_", " "), reason]
    text = ": ".join(each for each in said if each) + (f" ({others})" if others else "")
    return "".join(each if each.isprintable() else " " for each in text)


def _loud_enough(
    name: str,
) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    of = name if name in _least else ""

    def keep(_: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if LEVELS.get(method, LEVELS["error"]) < _least[of]:
            raise structlog.DropEvent
        return line

    return keep


def _named(name: str) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    def add(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**line, "logger": name}

    return add


def _allow_listed(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the allowed fields whose values are short and plain; count the rest."""
    kept = {key: value for key, value in line.items() if key in FIELDS and _plain(value)}
    event = line.get("event")
    # An event is a constant of the code; one that a value was formatted into is not written.
    named = isinstance(event, str) and bool(_event.fullmatch(event))
    dropped = len(line) - len(kept) - named
    if dropped:
        _dropped.inc(dropped)
    return {**kept, "event": event if named else "unnamed"}


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or isinstance(value, bool | int | float)
