"""How fast one iris is searched among many on this machine, beside faiss and usearch in the same run.

Codes of 16,384 bits with masks, of people who do not exist, made as open-iris would; 31 rotations. The others know no
masks and no rotations: they are asked with each rotation, without masks. All by turns, one thread each; times are
processor time, medians over the probes.

staged       our search: everybody who reaches the threshold for this gallery
exhaustive   the same with everybody compared in full, by which the decisions are judged
lost         mates that the exhaustive search accepts and the staged one does not find
all_readings four searches: as stated, eyes exchanged, mirrored, both, as the gateway makes them
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import UserError
from gateway.exercises.bench.finger import Advance
from gateway.exercises.evaluation import error_rates
from matcher import calibration
from matcher.iris import synthetic
from matcher.iris.calibration import calibration_of
from matcher.iris.coders import OPEN_IRIS
from matcher.iris.gallery import Candidates, Gallery
from matcher.iris.probe import Orientation, Probe, oriented, prepare

EYE = 1
LIMIT = 10  # candidates asked for
NOT_ENROLLED = 10_000_000  # number of the first person who is asked for and not enrolled
PEERS = "faiss-cpu", "usearch"
FAISS = "faiss IndexBinaryFlat"  # what all others are measured by, where it is there
STAGED, EXHAUSTIVE, READINGS = (
    "passerelle staged",
    "passerelle exhaustive",
    "passerelle all_readings",
)

Answer = Callable[[Probe], object]
Octets = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured: people enrolled, probes, one in two of them enrolled, and the promise for the threshold.

    Without peers only we.
    """

    gallery: int
    probes: int
    fpir: float
    peers: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One engine: milliseconds of one probe, and their ratio to faiss', or where it is absent to the exhaustive search."""

    name: str
    ms: float
    ratio: float


def measured(order: Order, advance: Advance) -> dict[str, Any]:
    """Fill, search and compare; `advance` is told each person enrolled and each probe asked.

    Raises UserError where a peer is not installed.
    """
    peers = _peers() if order.peers else ()
    gallery, codes = _filled(order.gallery, advance)
    certificate = calibration_of(OPEN_IRIS).certificate
    least = calibration.threshold(order.fpir, order.gallery, 1, certificate).score
    engines: dict[str, Answer] = _of_peers(codes, *peers) if peers else {}
    engines |= _ours(gallery, least)
    times: dict[str, list[float]] = {name: [] for name in engines}
    decided = [_asked(number, order, engines, times, advance) for number in range(order.probes)]
    accepted, lost, equal = _judged(decided, least)
    first = FAISS if peers else EXHAUSTIVE
    middle = {name: float(np.median(each)) for name, each in times.items()}
    rows = [Row(n, round(ms, 2), round(ms / middle[first], 3)) for n, ms in middle.items()]
    return {
        "gallery": order.gallery,
        "probes": order.probes,
        "bits": OPEN_IRIS.bits,
        "rotations": len(OPEN_IRIS.rotations),
        "threads": 1,
        "fpir": order.fpir,
        "threshold": round(least, 2),
        "peers": {name: module.__version__ for name, module in zip(PEERS, peers, strict=False)},
        "rows": [asdict(row) for row in rows],
        "mates_accepted": accepted,
        "mates_lost": lost,
        "lost_interval_95": error_rates.interval(lost, accepted) if accepted else None,
        "decisions_equal": equal,
        "bytes_per_eye": round(gallery.nbytes / order.gallery),
    }


def _peers() -> tuple[Any, ...]:
    try:
        found = importlib.import_module("faiss"), importlib.import_module("usearch")
    except ImportError:
        raise UserError(
            f"faiss and usearch are not installed: pip install {' '.join(PEERS)}, or say --no-peers"
        ) from None
    found[0].omp_set_num_threads(1)
    return found


def _filled(people: int, advance: Advance) -> tuple[Gallery, Octets]:
    """Return the gallery, and the codes without masks as the others take them, (people, bits / 8)."""
    gallery = Gallery()
    codes = np.empty((people, OPEN_IRIS.bits // 8), dtype=np.uint8)
    for number in range(people):
        iris = synthetic.capture(synthetic.person(number), EYE, 0, OPEN_IRIS)
        gallery.add(number, [(EYE, iris)])
        codes[number] = iris.code.astype("<u8").view(np.uint8)
        advance(1)
    return gallery, codes


def _ours(gallery: Gallery, least: float) -> dict[str, Answer]:
    def readings(probe: Probe) -> None:
        for each in Orientation:
            gallery.search(oriented(probe, each), LIMIT, floor=least)

    return {
        STAGED: lambda probe: gallery.search(probe, LIMIT, floor=least),
        EXHAUSTIVE: lambda probe: gallery.search(probe, LIMIT),
        READINGS: readings,
    }


def _of_peers(
    codes: Octets,
    faiss: Any,  # noqa: ANN401 - modules without types
    usearch: Any,  # noqa: ANN401
) -> dict[str, Answer]:
    flat = faiss.IndexBinaryFlat(OPEN_IRIS.bits)
    flat.add(codes)
    module = importlib.import_module(f"{usearch.__name__}.index")

    def exact(probe: Probe) -> object:
        metric = module.MetricKind.Hamming
        return module.search(codes, _rotations(probe), LIMIT, metric, exact=True, threads=1)

    return {FAISS: lambda probe: flat.search(_rotations(probe), LIMIT), "usearch exact": exact}


def _rotations(probe: Probe) -> Octets:
    """Return one query for each rotation, (rotations, bits / 8)."""
    code = probe.turned[0][1].code
    return np.ascontiguousarray(code.reshape(len(code), -1), dtype="<u8").view(np.uint8)


def _asked(
    number: int,
    order: Order,
    engines: Mapping[str, Answer],
    times: Mapping[str, list[float]],
    advance: Advance,
) -> tuple[int, Candidates, Candidates]:
    """Return who a probe is of, and what our two searches found; the times are noted.

    Every other probe is of somebody enrolled.
    """
    who = number * (order.gallery // order.probes) if number % 2 else NOT_ENROLLED + number
    probe = prepare([(EYE, synthetic.capture(synthetic.person(who), EYE, 1, OPEN_IRIS))])
    found: dict[str, Any] = {}
    for name, answer in engines.items():
        started = time.process_time()
        found[name] = answer(probe)
        times[name].append((time.process_time() - started) * 1000)
    advance(1)
    return who, found[STAGED], found[EXHAUSTIVE]


def _judged(
    decided: Sequence[tuple[int, Candidates, Candidates]], least: float
) -> tuple[int, int, bool]:
    """Return mates accepted by full comparison, how many of them were lost, and whether all decisions are equal."""
    accepted = lost = 0
    equal = True
    for who, staged, full in decided:
        wanted = full.subject[full.score >= least].tolist()
        equal &= staged.subject.tolist() == wanted
        accepted += who in wanted
        lost += who in wanted and who not in staged.subject.tolist()
    return accepted, lost, equal
