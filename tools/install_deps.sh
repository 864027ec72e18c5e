#!/bin/sh
# Installs the Debian packages of deps/debian.txt that are missing, a cargo that is new enough, and Go.
# Does nothing, fast, when nothing is missing. Never asks. Root, or a user who may sudo.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
packages=$(sed 's/#.*//' "$root/deps/debian.txt")

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    echo "install_deps: not a Debian system; install by hand what deps/debian.txt names," \
        "and cargo 1.85 or newer" >&2
    exit 0
fi

missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
"$root/tools/find_cargo.sh" >/dev/null || missing="$missing cargo-web rustc-web"
command -v go >/dev/null 2>&1 || [ -x /usr/local/go/bin/go ] || missing="$missing golang-go"
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "install_deps: missing:$missing; run as root or install sudo" >&2
        exit 1
    fi
    as_root="sudo"
fi
echo "install_deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -q -o DPkg::Lock::Timeout=300 update
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
    --no-install-recommends $missing
"$root/tools/find_cargo.sh" >/dev/null || {
    echo "install_deps: no cargo 1.85 or newer after installing cargo-web" >&2
    exit 1
}
