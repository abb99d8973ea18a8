#!/bin/sh
# wsq (Pillow's plug-in for WSQ): every picture that it writes states 500 pixels per inch, whatever is said when it is saved,
# and what a picture states is not told when it is read.
#
# wsq 0.9 with Pillow 13.0.0:
#   save(..., "WSQ", dpi=(569, 569))   comment NIST_COM of the file says PPI 500
#   save(..., "WSQ", dpi=(1000, 1000)) PPI 500
#   open(...).info                     empty: no dpi
# So a print of a 569 or 1,000 ppi sensor that went through it contradicts its own sensor, and who believes the file scales it wrongly;
# of who states the sensor's resolution beside it, one of the two must be refused or believed. We refuse (ELEMENTS_INCONSISTENT).
#
# Source: the package itself; its README saves pictures and names no resolution. NIST IR 7392 (NBIS), program cwsq: the comment
#         NIST_COM of a file carries PPI.
# Seen 2026-11-30, CPython 3.11.7.
# Fails (exit 1) when any of this is no longer so; exit 2 where the packages cannot be had.
set -eu
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >asked.py <<'END'
import io
import re
from importlib.metadata import version

import wsq  # noqa: F401 - registers itself
from PIL import Image

print("wsq", version("wsq"), "Pillow", version("pillow"))
picture = Image.new("L", (64, 64))
picture.putdata([(x * 8) % 256 for _ in range(64) for x in range(64)])
found = {}
for dpi in (500, 569, 1000):
    file = io.BytesIO()
    picture.save(file, "WSQ", dpi=(dpi, dpi))
    stated = re.search(rb"NIST_COM.*?\nPPI ([0-9]+)\n", file.getvalue(), re.DOTALL)
    file.seek(0)
    found[dpi] = int(stated[1]), Image.open(file).info.get("dpi")
    print(f"  saved as {dpi} ppi: the file states {found[dpi][0]}, read back: {found[dpi][1]}")
raise SystemExit(found != dict.fromkeys((500, 569, 1000), (500, None)))
END

"$PYTHON" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check wsq==0.9 pillow==13.0.0 || exit 2
venv/bin/python asked.py || {
  echo "no longer so with wsq 0.9" >&2
  exit 1
}
