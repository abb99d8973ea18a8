#!/bin/sh
# Remake both locks with a uv of its own, in a folder that goes away. Needs the network.
# Versions that still satisfy pyproject.toml are kept; `sh deploy/lock.sh --upgrade` takes the newest.
set -eu
UV="uv==0.13.9"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$UV"

# No address and no host may enter a lock: it must install from whatever index its reader trusts.
compile() {
  "$tmp/venv/bin/uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$@"
}
compile --group dev -o requirements.lock "$@"
compile --extra pkcs11 --constraint requirements.lock -o deploy/requirements.lock
# What reads images is no part of the base installation: 400 MB, which only a child process imports.
compile --extra images --constraint requirements.lock -o deploy/images-requirements.lock

# Every Python of requires-python finds a wheel of every package; where one does not, the range ends before it.
for minor in $(PYTHONPATH=deploy python3 -c 'import require_python; print(*require_python.supported())'); do
  for machine in x86_64-manylinux_2_28 aarch64-manylinux_2_28; do
    echo "wheels for Python 3.$minor on $machine"
    "$tmp/venv/bin/uv" pip install --quiet --dry-run --target "$tmp/none" --require-hashes --only-binary :all: \
      --python-version "3.$minor" --python-platform "$machine" -r requirements.lock
  done
done
