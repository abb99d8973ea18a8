"""Fit the matcher's data files from a folder of records, and print how well the left-out sensors fare.

python tests/bench/fit.py FOLDER [--write]     FOLDER/<extractor>/<sensor>/<finger>_<impression>.<ext>
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from gateway.exercises.evaluation import model_fitting
from gateway.exercises.evaluation.error_rates import verification
from matcher.finger import record_fmr, score_fusion
from matcher.finger.descriptors import load_model

VERSION = "fvc2002-3"
PACKAGE = Path(score_fusion.__file__).parent
SEED = 2002


def read_sets(folder: Path, extractors: tuple[str, ...]) -> list[model_fitting.RecordSet]:
    sets = []
    for place in sorted(p for e in extractors for p in (folder / e).iterdir() if p.is_dir()):
        paths = sorted(place.iterdir())
        names = np.array([path.stem.split("_") for path in paths]).astype(np.intp)
        minutiae = tuple(record_fmr.read(path.read_bytes()).views[0].minutiae for path in paths)
        labels = place.parent.name, place.name, names[:, 0] % 1000, names[:, 1]
        sets.append(model_fitting.RecordSet(*labels, minutiae))
    return sets


def judge(sets: list[model_fitting.RecordSet]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Print the errors of each left-out sensor; return raw non-mated ratios with clusters."""
    raw, table = [], {}
    for sensor in sorted({each.sensor for each in sets}):
        model, likelihood = model_fitting.left_out(sets, sensor)
        for one in (each for each in sets if each.sensor == sensor):
            key, compared = (one.extractor, sensor), model_fitting.compare_all(one, model)
            ratio = model_fitting.ratios(compared, likelihood, raw=True)
            table[key] = verification(ratio[compared.mated], ratio[~compared.mated])
            raw.append((ratio[~compared.mated], compared.cluster[~compared.mated]))
    for extractor in sorted({key[0] for key in table}):
        rows = [(key[1], table[key]) for key in sorted(table) if key[0] == extractor]
        for sensor, errors in rows:
            sys.stdout.write(f"{extractor:16}{sensor:6}{errors.eer:8.2%}{errors.fnmr_1000:8.2%}\n")
        eer, fnmr = (np.mean([getattr(e, n) for _, e in rows]) for n in ("eer", "fnmr_1000"))
        sys.stdout.write(f"{extractor:16}mean  {eer:8.2%}{fnmr:8.2%}\n")
    return raw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--write", action="store_true", help="replace the files in matcher/")
    arguments = parser.parse_args()
    sets = read_sets(arguments.folder, tuple(arguments.extractors))
    raw = judge(sets)
    packed = model_fitting.fit_descriptor([m for each in sets for m in each.minutiae])
    model = load_model(packed)
    fitted = model_fitting.fit_likelihood(
        model_fitting.compare_sets(sets, model), np.concatenate([r for r, _ in raw]).astype(float)
    )
    likelihood = score_fusion.load_likelihood(fitted, "")
    parts = [(score_fusion.bend(ratio, likelihood), cluster) for ratio, cluster in raw]
    for at, one in enumerate(sets):
        for other in sets[at + 1 :]:
            if (one.extractor == other.extractor) != (one.sensor == other.sensor):
                compared = model_fitting.compare_across(one, other, model, likelihood)
                ratio = model_fitting.ratios(compared, likelihood)
                parts.append((ratio[~compared.mated], compared.cluster[~compared.mated]))
    names = ", ".join(f"{each.extractor}/{each.sensor}" for each in sets)
    provenance = {
        "version": VERSION,
        "data": f"FVC2002 set B records: {names}",
        "split": "weights: all sensors, within each extractor and across; bend and tail: each sensor judged by weights fitted on the "
        "other sensors, and non-mated pairs across sensors and across extractors",
        "descriptor_size": model.size,
    }
    certificate = model_fitting.fit_certificate(parts, np.random.default_rng(SEED))
    sys.stdout.write(
        json.dumps({"level": fitted["level"], "slope": fitted["slope"], **certificate}, indent=1)
    )
    if arguments.write:
        (PACKAGE / "descriptor.npz").write_bytes(packed)
        for name, content in (("likelihood", fitted), ("certificate", certificate)):
            text = json.dumps(provenance | content, indent=1) + "\n"
            (PACKAGE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
