"""How fast one face is searched among many on this machine, beside faiss and usearch in the same run.

Vectors are of people who do not exist, of two kinds: as a real model's (`synthetic.FACENET`: 49 directions hold all
energy) and with all directions alike (`synthetic.FULL_RANK`), where no search can leave anything out by a part of a
vector. All search exactly, by turns, one thread each; times are processor time, medians over the turns.

same_ten_best   share of probes whose ten best are those of faiss' exact search, in any order
sgemm           a product of two 2048 x 2048 float32 matrices: ratios to it hold between machines
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gateway.errors import UserError
from gateway.exercises.bench.finger import Advance, footprint, sgemm
from matcher.face import synthetic
from matcher.face.gallery import Gallery
from matcher.face.gallery_block import Storage
from matcher.face.probe import Probe
from matcher.face.synthetic import Statistics
from matcher.face.template import FaceVector, Floats

LIMIT = 10  # candidates asked for
TURNS = 5
SINGLES = 8  # probes that are searched one by one in a turn
SEED, ASKED_SEED = 1, 2
KINDS: Mapping[str, Statistics] = {
    "low_rank": synthetic.FACENET,
    "full_rank": synthetic.FULL_RANK,
}
PEERS = "faiss-cpu", "usearch"
FLAT = "faiss flat"  # what all others are measured by; the matrix product where peers are left out
PLAIN = "numpy"
UNITS_I8 = 127  # steps of a quantised number of usearch

Answer = Callable[[Floats], Any]  # probes (m, d) → their ten best (m, 10), row numbers


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured: people enrolled, probes of a batch; without peers only we and a matrix product."""

    gallery: int
    probes: int
    peers: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One engine: milliseconds of one probe and of a batch, their ratios to the first engine's, and what it holds."""

    name: str
    single_ms: float
    batch_ms: float
    single_ratio: float
    batch_ratio: float
    same_ten_best: float
    bytes_per_face: int


def measured(order: Order, advance: Advance) -> dict[str, Any]:
    """Fill, search and compare; `advance` is told each person enrolled.

    Raises UserError where a peer is not installed.
    """
    peers = _peers() if order.peers else ()
    kinds = [
        {"vectors": name, "rows": [asdict(row) for row in _kind(order, like, peers, advance)]}
        for name, like in KINDS.items()
    ]
    return {
        "gallery": order.gallery,
        "probes": order.probes,
        "dimension": synthetic.DIMENSION,
        "threads": 1,
        "sgemm_gflops_1": round(sgemm(1), 1),
        "peers": {name: module.__version__ for name, module in zip(PEERS, peers, strict=False)},
        "kinds": kinds,
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


def _kind(order: Order, like: Statistics, peers: tuple[Any, ...], advance: Advance) -> list[Row]:
    vectors = np.concatenate(list(synthetic.crowd(SEED, order.gallery, like)))
    asked = np.concatenate(list(synthetic.crowd(ASKED_SEED, order.probes, like)))
    engines: dict[str, tuple[Answer, int]] = {}
    if peers:
        engines = _of_peers(vectors, *peers)
    engines[PLAIN] = lambda some: _plain(vectors, some), vectors.nbytes
    for storage in Storage:
        gallery = _filled(vectors, storage, advance)
        engines[f"passerelle {storage.value}"] = _ours(gallery), footprint(gallery)
    return _by_turns(engines, asked, len(vectors))


def _filled(vectors: Floats, storage: Storage, advance: Advance) -> Gallery:
    gallery = Gallery(storage=storage)
    for row, vector in enumerate(vectors):
        gallery.add(row, [FaceVector(synthetic.MODEL, vector)])
        if row % 1000 == 999:
            advance(1000)
    return gallery


def _ours(gallery: Gallery) -> Answer:
    def answer(some: Floats) -> list[list[int]]:
        probes = [Probe((FaceVector(synthetic.MODEL, each),)) for each in some]
        return [found.subject.tolist() for found in gallery.search_many(probes, LIMIT)]

    return answer


def _plain(vectors: Floats, some: Floats) -> Any:  # noqa: ANN401 - an array of row numbers
    """Return the ten best by one matrix product, as one would write it first."""
    product = some @ vectors.T
    best = np.argpartition(product, len(vectors) - LIMIT, axis=1)[:, -LIMIT:]
    order = np.argsort(-np.take_along_axis(product, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def _of_peers(
    vectors: Floats,
    faiss: Any,  # noqa: ANN401 - modules without types
    usearch: Any,  # noqa: ANN401
) -> dict[str, tuple[Answer, int]]:
    dimension = vectors.shape[1]
    flat = faiss.IndexFlatIP(dimension)
    quantised = faiss.IndexScalarQuantizer(
        dimension, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    quantised.train(vectors)
    for index in (flat, quantised):
        index.add(vectors)
    module = importlib.import_module(f"{usearch.__name__}.index")
    small = np.rint(vectors * UNITS_I8).astype(np.int8)

    def exact(rows: Any, some: Any) -> Any:  # noqa: ANN401
        return module.search(rows, some, LIMIT, module.MetricKind.IP, exact=True, threads=1)

    def keys(found: Any, number: int) -> Any:  # noqa: ANN401
        return np.asarray(found.keys).reshape(number, LIMIT)

    return {
        FLAT: (lambda some: flat.search(some, LIMIT)[1], vectors.nbytes),
        "faiss SQ8": (lambda some: quantised.search(some, LIMIT)[1], vectors.size),
        "usearch f32": (lambda some: keys(exact(vectors, some), len(some)), vectors.nbytes),
        "usearch i8": (
            lambda some: keys(exact(small, np.rint(some * UNITS_I8).astype(np.int8)), len(some)),
            small.nbytes,
        ),
    }


def _by_turns(engines: Mapping[str, tuple[Answer, int]], asked: Floats, size: int) -> list[Row]:
    first = next(iter(engines))
    singles: dict[str, list[float]] = {name: [] for name in engines}
    batches: dict[str, list[float]] = {name: [] for name in engines}
    best: dict[str, list[set[int]]] = {}
    for name, (answer, _) in engines.items():
        best[name] = [set(each) for each in np.asarray(answer(asked)).tolist()]
        answer(asked[:1])
    for _ in range(TURNS):
        for name, (answer, _) in engines.items():
            batches[name].append(_milliseconds(answer, [asked]))
            singles[name].append(
                _milliseconds(answer, [asked[row : row + 1] for row in range(SINGLES)]) / SINGLES
            )
    middle = {name: (np.median(singles[name]), np.median(batches[name])) for name in engines}
    return [
        Row(
            name=name,
            single_ms=round(float(middle[name][0]), 2),
            batch_ms=round(float(middle[name][1]), 1),
            single_ratio=round(float(middle[name][0] / middle[first][0]), 3),
            batch_ratio=round(float(middle[name][1] / middle[first][1]), 3),
            same_ten_best=_share(best[name], best[first]),
            bytes_per_face=round(held / size),
        )
        for name, (_, held) in engines.items()
    ]


def _milliseconds(answer: Answer, questions: Sequence[Floats]) -> float:
    started = time.process_time()
    for each in questions:
        answer(each)
    return (time.process_time() - started) * 1000


def _share(best: Sequence[set[int]], wanted: Sequence[set[int]]) -> float:
    return float(np.mean([one == other for one, other in zip(best, wanted, strict=True)]))
