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
