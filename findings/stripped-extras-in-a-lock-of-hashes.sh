#!/bin/sh
# A lock of hashes that one tool writes by default cannot be installed by another, from the day on which a newer release is out.
#
# uv 0.13.9     `uv pip compile --generate-hashes` leaves the extra out of a pin: for pytest-cov 7.1.0, whose metadata asks
#               `coverage[toml]>=7.10.6`, it writes `coverage==7.17.3`, not `coverage[toml]==7.17.3` (`--strip-extras` is on
#               by default; `--no-strip-extras` keeps it).
# pip 23.2.1    (what CPython 3.11.7 and 3.12.1 bring) does not take that pin for the requirement with the extra. It asks the
#               index for the newest coverage, finds one that is not pinned, and stops:
#                   ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==. These do not:
#                       coverage[toml]>=7.10.6 from ... (from pytest-cov==7.1.0->-r lock (line N))
#               While 7.17.3 was the newest release the same lock installed with the same pip: it breaks without a change to it.
# pip 26.1      installs the same lock; so do 23.3, 24.0 and 24.3.1, and 21.3.1 stops as 23.2.1 does (tried by hand).
# Both install the lock that was written with --no-strip-extras.
#
# Sources: the metadata of pytest-cov 7.1.0 (Requires-Dist); uv's reference, "uv pip compile", --no-strip-extras;
#          pip's user guide, "Secure installs". Seen 2026-11-30, CPython 3.11.7, coverage 7.17.5 being the newest.
# Fails (exit 1) when any of this is no longer so; exit 2 where the packages cannot be had.
set -eu
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >wanted.txt <<'END'
pytest-cov==7.1.0
coverage==7.17.3
pytest==9.2.0
END

"$PYTHON" -m venv old && "$PYTHON" -m venv new
quiet="--quiet --disable-pip-version-check"
old/bin/python -m pip install $quiet "pip==23.2.1" "uv==0.13.9" || exit 2
new/bin/python -m pip install $quiet "pip==26.1" || exit 2
old/bin/uv pip compile --quiet --generate-hashes --no-header -o stripped.lock wanted.txt || exit 2
old/bin/uv pip compile --quiet --generate-hashes --no-header --no-strip-extras -o kept.lock wanted.txt || exit 2

fault() {
  echo "no longer so: $1" >&2
  exit 1
}
grep -q '^coverage==7.17.3' stripped.lock || fault "uv keeps the extra by default"
grep -q '^coverage\[toml\]==7.17.3' kept.lock || fault "--no-strip-extras does not keep it"

install() { # VENV LOCK
  "$1/bin/python" -m pip install --dry-run --disable-pip-version-check --require-hashes -r "$2" 2>&1
}
said=$(install old stripped.lock) && fault "pip 23.2.1 installs the lock without the extra"
echo "$said" | grep -q 'must have their versions pinned with ==' || fault "pip 23.2.1 fails in another way"
echo "pip 23.2.1, without the extra: $(echo "$said" | grep -o 'coverage\[toml\][^ ]*' | head -n 1) must have its version pinned"
install old kept.lock >/dev/null || fault "pip 23.2.1 does not install the lock with the extra"
install new stripped.lock >/dev/null || fault "pip 26.1 does not install the lock without the extra"
install new kept.lock >/dev/null || fault "pip 26.1 does not install the lock with the extra"
echo "pip 23.2.1 with the extra, and pip 26.1 with and without: installed"
