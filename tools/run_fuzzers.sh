#!/bin/sh
# run_fuzzers.sh BUILD SECONDS: each fuzzer of BUILD for SECONDS, from its corpus in test/fuzz/corpus.
# New inputs go to BUILD/corpus, crashes to BUILD/crashes: a crash becomes a seed by hand.
set -eu
build=$1 seconds=$2
failed=0
for program in "$build"/fuzz/fuzz_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    name=${name#fuzz_}
    mkdir -p "$build/corpus/$name" "$build/crashes/$name"
    seeds=test/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    echo "== fuzz_$name"
    # shellcheck disable=SC2086 # empty without seeds
    "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=0 \
        -verbosity=0 -artifact_prefix="$build/crashes/$name/" "$build/corpus/$name" $seeds ||
        { echo "fuzz_$name failed: see $build/crashes/$name"; failed=1; }
done
exit $failed
