"""How the matcher fares on records of known fingers: every score, and what ISO/IEC 19795-1 makes of them.

Scores are those of a gallery that aligns everybody: the search that partners get, without its shortlist.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway import user_files
from gateway.exercises.evaluation import error_rates
from gateway.exercises.evaluation.error_rates import Comparisons, Errors
from gateway.exercises.evaluation.files import Read, Specimen, find, judged, numbered, read
from matcher.finger.gallery import Gallery
from matcher.finger.probe import prepare
from matcher.finger.template import Floats

if TYPE_CHECKING:
    from gateway.exercises.evaluation.images import Made

POSITION = 1  # every record is searched as this finger; which one it is does not matter here

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Records of one side of the comparisons, sorted by name."""

    records: tuple[Read, ...] = field(repr=False)
    ignored: tuple[str, ...]

    @property
    def sets(self) -> list[str]:
        """The names of the sets, sorted."""
        return sorted({each.specimen.set for each in self.records})

    def of(self, name: str) -> list[int]:
        """Return the places of a set's records."""
        return [at for at, each in enumerate(self.records) if each.specimen.set == name]

    def names(self) -> list[str]:
        """Return the records' names, relative to what is evaluated."""
        return [each.specimen.name for each in self.records]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One set: its comparisons, its figures for a document, and the draws of its bootstrap."""

    name: str
    comparisons: Comparisons = field(repr=False)
    figures: dict[str, Any] = field(repr=False)
    draws: Any = field(repr=False)


def load(place: Path) -> Side:
    """Return the records under a folder or of a manifest."""
    found = find(place)
    return Side(tuple(read(each) for each in found.specimens), found.ignored)


def of_images(made: Sequence[Made], ignored: tuple[str, ...]) -> Side:
    """Return images of fingers as the records that were made of them."""
    records = [
        Read(each.specimen, each.form, None, each.reason, extracted=False)
        if each.record is None
        else judged(each.specimen, each.form, each.record)
        for each in made
    ]
    return Side(tuple(records), ignored)


def score_all(
    probes: Side, gallery: Side, advance: Advance, *, threads: int = 1, across: bool = False
) -> Floats:
    """Return the scores of all probes against all gallery records, (p, g) float32.

    nan where one of the two could not be enrolled, and, unless `across`, between different sets.
    """
    scores = np.full((len(probes.records), len(gallery.records)), np.nan, dtype=np.float32)
    if across:
        blocks = [(list(range(len(probes.records))), list(range(len(gallery.records))))]
    else:
        blocks = [(probes.of(name), gallery.of(name)) for name in probes.sets]
    for rows, columns in blocks:
        _score(probes, gallery, (rows, columns), scores, advance=advance, threads=threads)
    return scores


def _score(
    probes: Side,
    gallery: Side,
    block: tuple[list[int], list[int]],
    scores: Floats,
    *,
    advance: Advance,
    threads: int,
) -> None:
    rows, columns = block
    people = Gallery()
    for column in columns:
        enrolled = gallery.records[column].minutiae
        if enrolled is not None:
            people.add(column, [(POSITION, enrolled)])
    number = len(people)

    def search(row: int) -> None:
        minutiae = probes.records[row].minutiae
        if minutiae is not None and number:
            probe = prepare([(POSITION, minutiae)])
            found = people.search(probe, number, shortlist=number)
            scores[row, found.subject.astype(np.intp)] = found.score
        advance(1)

    if threads == 1:
        for row in rows:
            search(row)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(search, rows))


def judge(probes: Side, gallery: Side, scores: Floats) -> list[Judged]:
    """Return what the scores say of each set that both sides have."""
    return [_judge(name, probes, gallery, scores) for name in probes.sets if gallery.of(name)]


def _judge(name: str, probes: Side, gallery: Side, scores: Floats) -> Judged:
    rows, columns = probes.of(name), gallery.of(name)
    mine = [probes.records[row].specimen for row in rows]
    theirs = [gallery.records[column].specimen for column in columns]
    fingers = numbered([s.finger for s in mine], [s.finger for s in theirs])
    impressions = numbered([s.impression for s in mine], [s.impression for s in theirs])
    own = None if probes is gallery else (fingers[1], impressions[1])
    some = scores[np.ix_(rows, columns)]
    labels = fingers[0], impressions[0]
    everything = error_rates.compared(some, *labels, gallery=own)
    few = error_rates.compared(some, *labels, protocol="fvc", gallery=own)
    found = error_rates.searched(some, *labels, own)
    draws = error_rates.bootstrap(everything) if everything.complete else None
    unread = sum(not probes.records[row].extracted for row in rows)
    figures = {
        "set": name,
        "records": len(rows),
        "fingers": len({s.finger for s in mine}),
        "not_enrolled": sum(probes.records[row].minutiae is None for row in rows) - unread,
        "not_extracted": unread,
        "all_pairs": _pairs(everything, draws),
        "fvc": _pairs(few, None),
        "identification": None if found is None else _identified(found),
    }
    return Judged(name, everything, figures, draws)


def summarise(sets: Sequence[Judged]) -> dict[str, Any]:
    """Return mean and pooled figures of several sets' all-pairs comparisons."""
    whole = [each for each in sets if each.comparisons.complete]
    if not whole:
        return {"mean": None, "pooled": None}
    errors = [
        error_rates.verification(c.mated, c.non_mated) for c in (s.comparisons for s in whole)
    ]
    values = {n: float(np.mean([getattr(e, n) for e in errors])) for n in error_rates.ERRORS}
    together = error_rates.pooled([each.comparisons for each in whole])
    return {
        "mean": {
            "sets": len(whole),
            **_figures(Errors(**values), np.mean([each.draws for each in whole], axis=0)),
        },
        "pooled": _pairs(together, error_rates.bootstrap(together)),
    }


def failures(side: Side) -> list[dict[str, str]]:
    """Return the records that could not be enrolled, and why; of what no record could be made is apart."""
    return [
        {"file": each.specimen.name, "reason": each.reason}
        for each in side.records
        if each.minutiae is None and each.extracted
    ]


def repaired(side: Side) -> list[dict[str, Any]]:
    """Return the records that were repaired to be read, and how."""
    return [
        {"file": each.specimen.name, "repairs": list(each.repairs)}
        for each in side.records
        if each.repairs
    ]


def formats(side: Side) -> dict[str, int]:
    """Return how many records are of each format."""
    counts: dict[str, int] = {}
    for each in side.records:
        counts[each.form] = counts.get(each.form, 0) + 1
    return dict(sorted(counts.items()))


def save(path: Path, probes: Side, gallery: Side, scores: Floats) -> None:
    """Write `names` and `scores`, and `gallery_names` where the gallery's records are others."""
    arrays: dict[str, Any] = {"names": np.array(probes.names()), "scores": scores}
    if gallery is not probes:
        arrays["gallery_names"] = np.array(gallery.names())
    with io.BytesIO() as packed:
        np.savez_compressed(packed, **arrays)
        user_files.create(path, packed.getvalue())


def specimens_of(names: Sequence[str]) -> tuple[Specimen, ...]:
    """Return what the names in a file of scores say of set, finger and impression."""
    told = []
    for name in names:
        home, _, file = name.rpartition("/")
        stem = file.rsplit(".", 1)[0] if "." in file else file
        finger, _, impression = stem.rpartition("_")
        told.append(Specimen(Path(name), name, home, finger, impression))
    return tuple(told)


def _pairs(comparisons: Comparisons, draws: Any) -> dict[str, Any] | None:  # noqa: ANN401
    if not comparisons.complete:
        return None
    errors = error_rates.verification(comparisons.mated, comparisons.non_mated)
    counts = {"mated": len(comparisons.mated), "non_mated": len(comparisons.non_mated)}
    return {**counts, **_figures(errors, draws)}


def _figures(errors: Errors, draws: Any) -> dict[str, Any]:  # noqa: ANN401
    told: dict[str, Any] = {name: getattr(errors, name) for name in error_rates.ERRORS}
    if draws is not None:
        told["interval_95"] = error_rates.ends(draws)
    return told


def _identified(found: error_rates.Identified) -> dict[str, Any]:
    return {
        "gallery": found.gallery,
        "searches": found.searches,
        "rank_1": found.rank_1,
        "fnir_at_fpir": {f"{fpir:g}": fnir for fpir, fnir in found.fnir.items()},
    }
