#!/bin/sh
# libdsmr as an embedder gets it: installed, found by pkg-config and by CMake, linked both ways; and
# the shared library exports what the installed headers declare, nothing else.
set -eu
: "${DSMR_BUILD:?the release build folder}"
source=$(pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
quietly() { "$@" >"$prefix/log" 2>&1 || { cat "$prefix/log"; exit 1; }; }

quietly cmake --install "$DSMR_BUILD" --prefix "$prefix/usr" --component lib
pc=$(find "$prefix/usr" -name dsmr.pc)
lib=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH

# Headers stand on their own and are clean under strict warnings.
for header in $(cd "$prefix/usr/include" && find dsmr -name '*.h'); do
    name=$header
    printf '#include <%s>\nextern int not_empty;\n' "$name" >"$prefix/header.c"
    # shellcheck disable=SC2046 # words
    quietly cc -std=c17 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags dsmr) \
        -fsyntax-only "$prefix/header.c"
done

# shellcheck disable=SC2046 # words
quietly cc -std=c17 -Wall -Wextra -Werror "$source/examples/embed.c" -o "$prefix/embed" \
    $(pkg-config --cflags --libs dsmr)
LD_LIBRARY_PATH=$lib "$prefix/embed"
LD_LIBRARY_PATH=$lib ldd "$prefix/embed" | grep -q 'libdsmr\.so\.0' || { echo "no soname"; exit 1; }

quietly cmake -S "$source/examples" -B "$prefix/examples" -G Ninja \
    -DCMAKE_PREFIX_PATH="$prefix/usr"
quietly cmake --build "$prefix/examples"
for example in embed four_nodes; do
    for way in shared static; do
        "$prefix/examples/${example}_$way" >"$prefix/$example.$way"
    done
    diff "$prefix/$example.shared" "$prefix/$example.static"
done
[ "$(grep -c 'executes "hello from 0" in block 2' "$prefix/four_nodes.shared")" -eq 4 ]
[ "$(grep -c 'executes "hello from 2" in block [23]$' "$prefix/four_nodes.shared")" -eq 4 ]
[ "$(sed -n 's/^node [0-3]: height/height/p' "$prefix/four_nodes.shared" | sort -u | wc -l)" -eq 1 ]

python3 tools/check_symbols.py "$DSMR_BUILD"
