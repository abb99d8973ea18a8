"""Samples of one model or coder with whose each is: every pair's raw score, what it is worth, and how that does.

A raw score is higher the more alike two samples are. Errors depend on their order alone; what a promise of an FPIR
costs depends on the calibration, which must not have seen the people that it is judged on: `halves` splits by person.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway import user_files
from gateway.exercises.evaluation import error_rates
from gateway.exercises.evaluation.error_rates import FPIRS, Comparisons
from matcher import calibration, score_calibration
from matcher.face.template import Floats
from matcher.iris import two_eyes
from matcher.score_calibration import ScoreCalibration, Scores

GALLERIES = (10, 30, 100, 300, 1000)  # people, of searches that are measured
DRAWS = 20  # of people into a gallery that is smaller than the set
SEED = 19795
PROMISED = (0.01, 0.001)  # FPIRs; the second is what the Entry/Exit System demands
PROMISED_FOR = (1, 100, 1_000, 10_000, 100_000)  # people; what was not measured is modelled

Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSet:
    """Samples that can be compared, with their scores.

    name, model   of the set; of the model or coder that made the samples
    label         (n,) whose each is: number of a person, or of an eye
    score         (n, n) float32, of row with column; nan = the two cannot be compared
    refused       samples that are not in it: their row in the file, and why
    known         the calibration of the model that a gateway here uses, if there is one
    needs         what a calibration's file holds beside a fit, for the modality's own reader
    together      how many samples of one person are added, 1 or 2, if each is of another part of the body
    files         of images: the file of each sample, (n,); one of which no record was made is nan with all others
    """

    name: str
    model: str
    label: Ints = field(repr=False)
    score: Floats = field(repr=False)
    refused: tuple[tuple[int, str], ...]
    known: ScoreCalibration | None
    needs: dict[str, Any] = field(default_factory=dict)
    together: int = 1
    files: tuple[str, ...] = field(default=(), repr=False)

    def of(self, labels: Ints) -> LabelledSet:
        """Return the samples of some people alone."""
        rows = np.flatnonzero(np.isin(self.label, labels))
        files = tuple(self.files[row] for row in rows) if self.files else ()
        score = self.score[np.ix_(rows, rows)]
        return replace(self, label=self.label[rows], score=score, files=files)

    @property
    def number(self) -> Ints:
        """Which of its person's samples each is, from 0, (n,)."""
        found = np.zeros(len(self.label), dtype=np.intp)
        for each in np.unique(self.label):
            rows = np.flatnonzero(self.label == each)
            found[rows] = np.arange(len(rows))
        return found

    def comparisons(self) -> Comparisons:
        """Return all pairs i < j."""
        return error_rates.compared(self.score, self.label, self.number)

    def scores(self) -> Scores:
        """Return all pairs that can be compared, as a calibration is fitted to them."""
        pairs = self.comparisons()
        mated, others = np.isfinite(pairs.mated), np.isfinite(pairs.non_mated)
        return Scores(
            pairs.mated[mated].astype(np.float64),
            pairs.finger[mated],
            pairs.non_mated[others].astype(np.float64),
            pairs.fingers[others],
        )


def halves(whole: LabelledSet) -> tuple[LabelledSet, LabelledSet]:
    """Return two sets without a person in common: every second person, by number, from the first and from the second."""
    labels = np.unique(whole.label)
    return whole.of(labels[::2]), whole.of(labels[1::2])


def fitted(some: LabelledSet, **named: str) -> dict[str, Any]:
    """Return a calibration's file fitted on all people of a set; raises ValueError for too few or useless scores."""
    scores = some.scores()
    fit = score_calibration.fit(scores, np.random.default_rng(SEED))
    if some.together == 2:
        fit["tails"].append(two_eyes.tail(fit, scores.non_mated))
    return score_calibration.document({**fit, **some.needs}, model=some.model, **named)


def judged(some: LabelledSet, used: ScoreCalibration | None) -> tuple[dict[str, Any], Comparisons]:
    """Return the figures of a set for a document, and its comparisons; `used` is a calibration that has not seen it."""
    pairs = some.comparisons()
    document: dict[str, Any] = {
        "set": some.name,
        "model": some.model,
        "records": len(some.label),
        "people": len(np.unique(some.label)),
        "all_pairs": None,
        "identification": _searches(some),
        "calibration": None if used is None else _promises(used, some.scores()),
    }
    if pairs.complete:
        errors = error_rates.verification(pairs.mated, pairs.non_mated)
        document["all_pairs"] = {
            "mated": len(pairs.mated),
            "non_mated": len(pairs.non_mated),
            **{name: getattr(errors, name) for name in error_rates.ERRORS},
            "interval_95": error_rates.ends(error_rates.bootstrap(pairs)),
        }
    return document, pairs


def save(path: Path, some: LabelledSet) -> None:
    """Write `names`, <person>_<number>, and `scores`, as for fingers; of images `files` too."""
    names = [f"{one}_{at}" for one, at in zip(some.label, some.number, strict=True)]
    arrays: dict[str, Any] = {"names": np.array(names), "scores": some.score}
    if some.files:
        arrays["files"] = np.array(some.files)
    with io.BytesIO() as packed:
        np.savez_compressed(packed, **arrays)
        user_files.create(path, packed.getvalue())


def _searches(some: LabelledSet) -> list[dict[str, Any]]:
    """Return how searches fare by the number of people enrolled, one sample each, drawn several times."""
    labels, number = np.unique(some.label), some.number
    rng = np.random.default_rng(SEED)
    sizes = [size for size in GALLERIES if size < len(labels)]
    found = []
    for size in [*sizes, len(labels)]:
        draws = DRAWS if size < len(labels) else 1
        parts = [_searched(some, number, rng.permutation(labels)[:size]) for _ in range(draws)]
        mate, other = (np.concatenate(each) for each in zip(*parts, strict=True))
        if len(mate) and size > 1:
            rates = {
                f"{fpir:g}": error_rates.identification(mate, other, other, fpir)[0]
                for fpir in FPIRS
            }
            found.append(
                {
                    "gallery": size,
                    "searches": len(mate),
                    "rank_1": float((mate > other).mean()),
                    "fnir_at_fpir": rates,
                }
            )
    return found


def _searched(some: LabelledSet, number: Ints, enrolled: Ints) -> tuple[Floats, Floats]:
    """Return the score of the mate and of the best other person, of each search with the mate enrolled."""
    inside = np.isin(some.label, enrolled)
    rows, columns = np.flatnonzero(inside & (number > 0)), np.flatnonzero(inside & (number == 0))
    score = some.score[np.ix_(rows, columns)]
    score = np.where(np.isnan(score), -np.inf, score)
    own = some.label[rows][:, None] == some.label[columns]
    mate = np.where(own, score, -np.inf).max(axis=1, initial=-np.inf)
    other = np.where(own, -np.inf, score).max(axis=1, initial=-np.inf)
    return mate, other


def _promises(used: ScoreCalibration, scores: Scores) -> dict[str, Any]:
    """Return what a calibration costs and keeps: Cllr, and errors at the threshold of each promise.

    fmr_modelled  of one comparison, by the tail's likeliest fit (ISO/IEC 5152:2024 extrapolates an FMR so); what is
                  promised of a whole gallery is the union bound over its people
    fmr_seen      of this set; 0 where no comparison reached the threshold, which then says at most 3 / trials
    """
    mated, others = used.ratios(scores.mated), used.ratios(scores.non_mated)
    rows = []
    for fpir in PROMISED:
        for size in PROMISED_FOR:
            found = calibration.threshold(fpir, size, 1, used.certificate)
            rows.append(
                {
                    "fpir": fpir,
                    "gallery": size,
                    "threshold": found.score,
                    "fmr_modelled": found.fpir_expected / size,
                    "fmr_seen": float((others >= found.score).mean()),
                    "fnmr": float((mated < found.score).mean()),
                    "extrapolated": found.extrapolated,
                }
            )
    return {
        "id": used.certificate.id,
        "data": used.certificate.data,
        "split": used.certificate.split,
        "cllr": score_calibration.cost(used, scores),
        "trials": len(others),
        "promises": rows,
    }
