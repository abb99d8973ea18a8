"""Files of scores, ours or another matcher's, as `passerelle eval --scores` writes them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from gateway.errors import UserError
from gateway.exercises.evaluation import error_rates
from gateway.exercises.evaluation.det_plot import Curve
from gateway.exercises.evaluation.error_rates import Comparisons
from gateway.exercises.evaluation.evaluate import specimens_of
from gateway.exercises.evaluation.files import numbered


def load_run(stated: str) -> tuple[str, Comparisons]:
    """Return the name and the pooled all-pairs comparisons of a run stated as NAME=FILE or FILE.

    Raises UserError for a file that holds no such arrays; pickles are never opened.
    """
    name, _, file = stated.rpartition("=")
    path = Path(file)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream):
            # Anything but an archive numpy would try to understand as something else.
            stream.seek(0)
            arrays = np.load(stream, allow_pickle=False)
            names = [str(each) for each in arrays["names"]]
            scores = np.asarray(arrays["scores"], dtype=np.float32)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise UserError(f"{path}: not a file of scores; it holds no names and scores") from None
    if scores.shape != (len(names), len(names)):
        raise UserError(f"{path}: the matrix of scores is not as wide and high as there are names")
    specimens = specimens_of(names)
    parts = []
    for home in sorted({each.set for each in specimens}):
        rows = [at for at, each in enumerate(specimens) if each.set == home]
        (finger, _) = numbered([specimens[row].finger for row in rows])
        (impression, _) = numbered([specimens[row].impression for row in rows])
        one = error_rates.compared(scores[np.ix_(rows, rows)], finger, impression)
        if one.complete:
            parts.append(one)
    if not parts:
        raise UserError(f"{path}: no set has mated and non-mated pairs")
    return name or path.stem, error_rates.pooled(parts)


def curve(name: str, comparisons: Comparisons) -> Curve:
    """Return the DET curve of comparisons."""
    fmr, fnmr = error_rates.det(comparisons.mated, comparisons.non_mated)
    errors = error_rates.verification(comparisons.mated, comparisons.non_mated)
    counts = len(comparisons.mated), len(comparisons.non_mated)
    return Curve(name, fmr.tolist(), fnmr.tolist(), errors.eer, *counts)
