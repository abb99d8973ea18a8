#!/bin/sh
# Make or mend the environment: install.sh PYTHON VENV. Every way this can fail names its remedy.
set -eu
python=$1
venv=$2
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"

stop() {
  echo "passerelle: $1" >&2
  exit 1
}

command -v "$python" >/dev/null 2>&1 ||
  stop "'$python' was not found; install Python 3.11 or later, or name one: make PYTHON=python3.12 ..."
"$python" deploy/require_python.py
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  stop "'$python' has no venv module; on Debian and Ubuntu: apt install python3-venv, then say make again"

# An interrupted run leaves a folder without a working pip, and an upgraded system Python leaves links to
# nothing: both are made anew. A working one is kept; pip only adds what is missing.
if ! $pip --version >/dev/null 2>&1 || ! "$venv/bin/python" deploy/require_python.py 2>/dev/null; then
  echo "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" ||
    stop "could not make $venv; look at the disk space and at the rights of this folder"
fi

echo "installing what requirements.lock names (once; a minute or two)"
$pip install --require-hashes -r requirements.lock ||
  stop "could not install requirements.lock. Without a network: fetch the files elsewhere with
  python3 -m pip download --require-hashes -r requirements.lock -d wheels
and say here: PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels make ...   A wrong hash means that a file is not the one
this project was tested with: do not go around it."
$pip install --no-deps --no-build-isolation --editable . ||
  stop "could not install the packages of this folder; see the message above"
sh deploy/softhsm.sh "$venv"
