#!/bin/sh
# numpy: on a processor with AVX-512, `partition` of float32 values most of which are equal takes ten times as long as of values that
# all differ, and many times as long as sorting them; with its vector instructions left off, a thirtieth of that.
#
# numpy 2.4.6, 8,000 float32 values, the sixteen greatest wanted, medians of 200:
#   all differ                                        partition 41 µs
#   19 of 20 equal, the least                         partition 478 µs, sort 21 µs
#   the same, without X86_V4 and X86_V3 (AVX2)        partition 16 µs
# Time grows with the number of values, not with its square. Rows that are padded with one value, as prints of few minutiae are,
# meet it: whoever takes the best few of each row by `partition` waits most for the rows that hold least.
#
# Source: numpy.org, numpy.partition: kind "introselect", worst case O(n). numpy/numpy pull request 24201, by which AVX-512 came to it,
#         measured random values alone.
# Seen 2026-12-01, CPython 3.11.7, x86-64.
# Fails (exit 1) when partition of mostly equal values no longer takes twice as long as their sort and as partition without these
# instructions; exit 2 where the package cannot be had or the processor has no AVX-512.
set -eu
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >asked.py <<'END'
import os
import subprocess
import sys
import time

import numpy as np

SIZE, WANTED, TIMES = 8000, 16, 200


def median(work):
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[TIMES // 2] * 1e6


FEATURES = "X86_V4", "X86_V3"
found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
differ = np.random.default_rng(1).standard_normal(SIZE).astype(np.float32)
padded = differ.copy()
padded[SIZE // 20 :] = differ.min()
some = median(lambda: np.partition(padded, SIZE - WANTED))
if len(sys.argv) > 1:
    print(some)
    raise SystemExit(0)
if "X86_V4" not in found:
    print("this processor has no AVX-512")
    raise SystemExit(2)
others, every = median(lambda: np.partition(differ, SIZE - WANTED)), median(lambda: np.sort(padded))
off = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(each for each in found if each != "X86_V2")}
words = [sys.executable, "-W", "ignore", __file__, "again"]
plain = float(subprocess.run(words, env=off, check=True, capture_output=True, text=True).stdout)
print("numpy", np.__version__, "with", *(each for each in FEATURES if each in found))
print(f"  all differ: partition {others:.0f} µs")
print(f"  19 of 20 equal: partition {some:.0f} µs, sort {every:.0f} µs")
print(f"  the same without these instructions: partition {plain:.0f} µs")
raise SystemExit(not (some > 2 * every and some > 2 * others and some > 2 * plain))
END

"$PYTHON" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 || exit 2
status=0
venv/bin/python asked.py || status=$?
if [ "$status" = 1 ]; then echo "no longer so with numpy 2.4.6" >&2; fi
exit "$status"
