"""Fit the matcher's data files from folders of records, and print how well left-out sensors and extractors fare.

python tests/bench/fit.py FOLDER... [--extractors E...] [--judged E...] [--codebook] [--write]
    FOLDER/<extractor>/<sensor>/<finger>_<impression>.<ext>; `extract.py` makes such folders from images
A set is judged by weights that have seen neither its sensor nor its extractor. --judged are extractors that nothing
is fitted on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from gateway.exercises.evaluation import model_fitting
from gateway.exercises.evaluation.error_rates import Errors, verification
from matcher import calibration
from matcher.finger import assignment, person_code, record_fmr, score_fusion
from matcher.finger.descriptors import default_model, load_model

VERSION = "fvc2002-4"
PACKAGE = Path(score_fusion.__file__).parent
SEED = 2002
FPIR, PEOPLE = 1e-4, 100_000  # of the thresholds that are printed


def read_sets(folders: Iterable[Path], extractors: Iterable[str]) -> list[model_fitting.RecordSet]:
    """Return the sets of each extractor, from the first of the folders that has it."""
    sets = []
    for place in sorted(p for e in extractors for p in _home(folders, e).iterdir() if p.is_dir()):
        paths = sorted(place.iterdir())
        names = np.array([path.stem.split("_") for path in paths]).astype(np.intp)
        minutiae = tuple(record_fmr.read(path.read_bytes()).views[0].minutiae for path in paths)
        labels = place.parent.name, place.name, names[:, 0] % 1000, names[:, 1]
        sets.append(model_fitting.RecordSet(*labels, minutiae))
    return sets


def _home(folders: Iterable[Path], extractor: str) -> Path:
    for folder in folders:
        if (folder / extractor).is_dir():
            return folder / extractor
    raise SystemExit(f"no folder has records of {extractor}: extract.py makes them from images")


def judge(
    sets: Sequence[model_fitting.RecordSet], judged: Sequence[model_fitting.RecordSet]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Print the errors of each set by weights of other sensors and extractors.

    Return the raw non-mated ratios with clusters of the sets that take part in the fit.
    """
    raw, table = [], {}
    for sensor, family in sorted({(each.sensor, each.family) for each in (*sets, *judged)}):
        model, likelihood = model_fitting.left_out(sets, sensor, family)
        for one in (*sets, *judged):
            if (one.sensor, one.family) != (sensor, family):
                continue
            compared = model_fitting.compare_all(one, model)
            ratio = model_fitting.ratios(compared, likelihood, raw=True)
            table[one.extractor, sensor] = verification(
                ratio[compared.mated], ratio[~compared.mated]
            )
            if one in sets:
                raw.append((ratio[~compared.mated], compared.cluster[~compared.mated]))
    for extractor in dict.fromkeys(each.extractor for each in (*sets, *judged)):
        rows = {key[1]: table[key] for key in sorted(table) if key[0] == extractor}
        for sensor, errors in rows.items():
            say(f"{extractor:16}{sensor:6}", shares([errors])[0])
        say(f"{extractor:16}mean  ", shares(rows.values()).mean(axis=0))
    fitted = shares(table[each.extractor, each.sensor] for each in sets)
    say("all of the fit  mean  ", fitted.mean(axis=0))
    say("all of the fit  worst ", fitted.max(axis=0))
    return raw


def shares(rows: Iterable[Errors]) -> np.ndarray:
    return np.array([(each.eer, each.fnmr_1000) for each in rows])


def say(name: str, errors: np.ndarray) -> None:
    sys.stdout.write(f"{name}{errors[0]:8.2%}{errors[1]:8.2%}\n")
    sys.stdout.flush()


def say_thresholds(certificate: Mapping[str, object]) -> None:
    """Print what one, two, four and ten shared fingers must reach by a certificate."""
    words = {"data": "", "split": "", "version": VERSION}
    held = calibration.load_certificate({**words, **certificate}, "")
    fpir = FPIR * assignment.STATED_SHARE
    least = [calibration.threshold(fpir, PEOPLE, shared, held).score for shared in (1, 2, 4, 10)]
    told = "  ".join(f"{each:.2f}" for each in least)
    sys.stdout.write(f"\nthresholds by {held.trials:,} pairs: {told}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--judged", nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="replace the files in matcher/")
    parser.add_argument(
        "--codebook",
        action="store_true",
        help="fit only the centroids of person codes, by the shipped descriptor",
    )
    arguments = parser.parse_args()
    sets = read_sets(arguments.folders, arguments.extractors)
    if arguments.codebook:
        book = model_fitting.fit_codebook(
            [m for each in sets for m in each.minutiae], default_model()
        )
        sys.stdout.write(f"{person_code.CODEBOOK_FILE}: {sha256(book).hexdigest()}\n")
        if arguments.write:
            (PACKAGE / person_code.CODEBOOK_FILE).write_bytes(book)
        return
    raw = judge(sets, read_sets(arguments.folders, arguments.judged))
    packed = model_fitting.fit_descriptor([m for each in sets for m in each.minutiae])
    model = load_model(packed)
    fitted = model_fitting.fit_likelihood(
        model_fitting.compare_sets(sets, model), np.concatenate([r for r, _ in raw]).astype(float)
    )
    # Pairs of two sets are of other conditions, or known to the weights: they would hide what one unseen set shows.
    likelihood = score_fusion.load_likelihood(fitted, "")
    parts = [(score_fusion.bend(ratio, likelihood), cluster) for ratio, cluster in raw]
    names = ", ".join(f"{each.extractor}/{each.sensor}" for each in sets)
    provenance = {
        "version": VERSION,
        "data": f"FVC2002 set B records: {names}",
        "split": "weights: all sensors, within each extractor and across; bend and tail: each set judged by weights fitted on other "
        "sensors by other extractors",
        "descriptor_size": model.size,
    }
    certificate = model_fitting.fit_certificate(parts, np.random.default_rng(SEED))
    sys.stdout.write(
        json.dumps({"level": fitted["level"], "slope": fitted["slope"], **certificate}, indent=1)
    )
    say_thresholds(certificate)
    if arguments.write:
        (PACKAGE / "descriptor.npz").write_bytes(packed)
        book = model_fitting.fit_codebook([m for each in sets for m in each.minutiae], model)
        (PACKAGE / person_code.CODEBOOK_FILE).write_bytes(book)
        for name, content in (("likelihood", fitted), ("certificate", certificate)):
            text = json.dumps(provenance | content, indent=1) + "\n"
            (PACKAGE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
