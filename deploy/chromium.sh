#!/bin/sh
# Put a headless Chromium beside the environment, for the tests of the auditors' console and report: chromium.sh VENV.
# Debian's packages and what they need, unpacked without root. Where that cannot be done nothing is said and nothing
# fails: those tests then skip and name the reason. A Chromium of the system is taken as it is.
set -u
target=$1/chromium

for name in chromium-headless-shell chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
[ -x "$target/usr/lib/chromium/chromium-headless-shell" ] && exit 0
command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || exit 0

wanted=$(apt-get --simulate --no-install-recommends install chromium-headless-shell fonts-dejavu-core 2>/dev/null |
  awk '/^Inst /{print $2}') || exit 0
[ -n "$wanted" ] || exit 0
work=$(mktemp -d) || exit 0
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
# shellcheck disable=SC2086 - one word a package
(cd "$work" && apt-get download -q $wanted) >/dev/null 2>&1 || exit 0
for package in "$work"/*.deb; do
  dpkg -x "$package" "$work/unpacked" >/dev/null 2>&1 || exit 0
done
[ -x "$work/unpacked/usr/lib/chromium/chromium-headless-shell" ] || exit 0
rm -rf "$target" && mv "$work/unpacked" "$target" 2>/dev/null || cp -r "$work/unpacked" "$target" 2>/dev/null
exit 0
