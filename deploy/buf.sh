#!/bin/sh
# Lint proto/ and compare it with the last promise made: the newest tag, or before the first one the
# commit before this (the last commit, while proto/ has uncommitted changes). buf comes as an npm package;
# where that cannot be had, say so and go on: the generated code is compared elsewhere, without npm.
set -eu
BUF="@bufbuild/buf@1.75.0"

skip() {
  echo "buf: SKIPPED: $1"
  exit 0
}

buf() {
  npx --yes --loglevel=error "$BUF" "$@" </dev/null
}

command -v npx >/dev/null 2>&1 || skip "npx is not installed; install Node.js with npm to run it"
said=$(buf --version 2>&1) || skip "npx could not run $BUF (no network, or no such package for this machine)"
buf lint || {
  echo "buf lint: proto/ breaks a rule of buf.yaml, see above" >&2
  exit 1
}
echo "buf lint: clean ($(echo "$said" | tail -n 1))"

git rev-parse --verify --quiet HEAD >/dev/null 2>&1 || skip "breaking: not a git checkout, nothing to compare with"
if base=$(git describe --tags --abbrev=0 2>/dev/null); then
  :
elif ! git diff --quiet HEAD -- proto; then
  base=HEAD
else
  base=$(git rev-parse --verify --quiet HEAD^) || skip "breaking: no earlier commit to compare with"
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$base" proto 2>/dev/null | tar -x -C "$before" 2>/dev/null || skip "breaking: $base holds no proto/"
cp buf.yaml "$before/"
buf breaking --against "$before" || {
  echo "buf breaking: proto/ takes back what $base promised, see above; add fields, reserve old numbers" >&2
  exit 1
}
echo "buf breaking: compatible with $base"
