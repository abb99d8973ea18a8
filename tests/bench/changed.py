"""What a record loses where another extractor does what `tests/matcher/changes.py` invents.

python tests/bench/changed.py FOLDER [--extractors secugen fingerjet] [--sensors DB1 DB2 DB4]
Changed records are searched for among the same records as they are, by weights fitted on the other sensors.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fit import read_sets

sys.path.append(str(Path(__file__).parents[1] / "matcher"))

from changes import CHANGES

from gateway.exercises.evaluation import model_fitting
from gateway.exercises.evaluation.error_rates import verification

SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    parser.add_argument("--sensors", nargs="+", default=["DB1", "DB2", "DB4"])
    arguments = parser.parse_args()
    sets = read_sets([arguments.folder], arguments.extractors)
    fitted = {sensor: model_fitting.left_out(sets, sensor) for sensor in arguments.sensors}
    for name, change in CHANGES.items():
        found, most = [], -np.inf
        for one in (each for each in sets if each.sensor in fitted):
            rng = np.random.default_rng(SEED)
            minutiae = tuple(change(each, rng) for each in one.minutiae)
            labels = one.extractor, one.sensor, one.finger, one.impression
            model, likelihood = fitted[one.sensor]
            other = model_fitting.RecordSet(*labels, minutiae)
            compared = model_fitting.compare_across(other, one, model, likelihood)
            score = model_fitting.ratios(compared, likelihood)
            found.append(verification(score[compared.mated], score[~compared.mated]))
            most = max(most, float(score[~compared.mated].max()))
        eer, fnmr = (np.mean([getattr(each, n) for each in found]) for n in ("eer", "fnmr_1000"))
        sys.stdout.write(
            f"{name:40} EER {eer:7.2%}   FNMR1000 {fnmr:7.2%}   non-mated at most {most:.1f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
