#!/bin/sh
# Make or mend the environment: install.sh PYTHON VENV. Every way this can fail names its remedy.
# Nothing here depends on which pip the Python brings (21.3 or newer), and pip itself is never upgraded: every
# package stands in the lock with its extras, its version and its hashes, so there is nothing for a pip to choose.
set -eu
python=$1
venv=$2
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"

stop() {
  echo "passerelle: $1" >&2
  exit 1
}

version() {
  "$1" -c 'import sys; print(sys.version_info[:3])' 2>/dev/null
}

command -v "$python" >/dev/null 2>&1 ||
  stop "'$python' was not found; install Python 3.11, or name another: make PYTHON=python3.12 ..."
"$python" deploy/require_python.py
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  stop "'$python' has no venv module; on Debian and Ubuntu: apt install python3-venv, then say make again"

# An interrupted run leaves a folder without a working pip, an upgraded system Python leaves links to nothing, and
# somebody may name another Python: such a folder is made anew. A working one is kept; pip only adds what is missing.
if ! $pip --version >/dev/null 2>&1 || [ "$(version "$venv/bin/python")" != "$(version "$python")" ]; then
  echo "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" ||
    stop "could not make $venv; look at the disk space and at the rights of this folder"
fi

# Wheels alone: to build a package from source would fetch its build tools, and those are in no lock.
echo "installing what requirements.lock names (once; a minute or two)"
PIP_ONLY_BINARY=${PIP_ONLY_BINARY:-:all:} $pip install --require-hashes -r requirements.lock ||
  stop "could not install requirements.lock. Without a network: fetch the files elsewhere with
  python3 -m pip download --require-hashes -r requirements.lock -d wheels
and say here: PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels make ...   Where this machine is of a kind for which a package
has no wheel, and compilers are at hand: PIP_ONLY_BINARY=:none: make ...   A wrong hash means that a file is not the
one this project was tested with: do not go around it."
$pip install --no-deps --no-build-isolation --editable . ||
  stop "could not install the packages of this folder; see the message above"
sh deploy/softhsm.sh "$venv"
