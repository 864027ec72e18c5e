#!/bin/sh
# lint.sh BUILD: every static check, all of them even when one fails. BUILD is a finished dev build.
set -u
build=$1
failed=0
check() {
    name=$1
    shift
    if "$@"; then
        echo "lint: $name ok"
    else
        echo "lint: $name FAILED"
        failed=1
    fi
}
sources() { git ls-files -co --exclude-standard "$@"; }
format() { sources '*.c' '*.h' | xargs clang-format --dry-run -Werror; }
tidy() {
    sources 'src/*.c' | xargs -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet \
        --warnings-as-errors='*' 2>"$build/tidy.log"
}
lengths() {
    sources 'src/*.[ch]' 'include/*.h' 'sim/*.[ch]' 'test/*.[ch]' | while read -r file; do
        lines=$(cat "$file" 2>/dev/null | wc -l)
        [ "$lines" -le 600 ] || echo "$file: $lines lines, at most 600"
    done | { ! grep .; }
}
check lengths lengths
check layers tools/check_layers.py
check symbols tools/check_symbols.py "$build"
check invariants tools/check_invariants.py
check fuzz tools/check_fuzz.py
check mutants tools/run_mutants.py --check
check canaries tools/run_canaries.py --check
check format format
check clang-tidy tidy
exit $failed
