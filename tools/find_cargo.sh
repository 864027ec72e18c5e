#!/bin/sh
# Prints the first cargo that is new enough for deps/crypto; exits 1 if there is none.
# A cargo that does not start (a rustup proxy without a toolchain) counts as none.
set -u
min_minor=85
for cargo in "$(command -v cargo 2>/dev/null)" "${HOME:-/root}/.cargo/bin/cargo" /usr/bin/cargo; do
    [ -n "$cargo" ] && [ -x "$cargo" ] || continue
    version=$("$cargo" --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    [ -n "$version" ] || continue
    major=${version% *} minor=${version#* }
    if [ "$major" -gt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -ge "$min_minor" ]; }; then
        echo "$cargo"
        exit 0
    fi
done
exit 1
