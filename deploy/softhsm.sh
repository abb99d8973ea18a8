#!/bin/sh
# Put SoftHSM 2 beside the environment, for the tests of `pkcs11:` custody: softhsm.sh VENV.
# Debian's packages, unpacked without root. Where that cannot be done nothing is said and nothing fails:
# those tests then skip and name the reason. A SoftHSM of the system is taken as it is.
set -u
target=$1/softhsm

for system in /usr/lib/softhsm /usr/lib/*/softhsm /usr/local/lib/softhsm; do
  [ -f "$system/libsofthsm2.so" ] && command -v softhsm2-util >/dev/null 2>&1 && exit 0
done
[ -x "$target/usr/bin/softhsm2-util" ] && exit 0
command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || exit 0

work=$(mktemp -d) || exit 0
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get download -q libsofthsm2 softhsm2) >/dev/null 2>&1 || exit 0
for package in "$work"/*.deb; do
  dpkg -x "$package" "$work/unpacked" >/dev/null 2>&1 || exit 0
done
[ -x "$work/unpacked/usr/bin/softhsm2-util" ] || exit 0
rm -rf "$target" && mv "$work/unpacked" "$target" 2>/dev/null || cp -r "$work/unpacked" "$target" 2>/dev/null
exit 0
