#!/bin/sh
# run_fuzzers.sh BUILD SECONDS [JOBS [NAME...]]: each fuzzer of BUILD, or those named, for SECONDS, JOBS at a
# time, from its corpus in test/fuzz/corpus. A line for each; what a failed one said is printed, and all of it
# lies in BUILD/logs. New inputs go to BUILD/corpus, crashes to BUILD/crashes: a crash becomes a seed by hand.
set -eu
build=$1 seconds=$2 jobs=${3:-1}
[ $# -le 3 ] && shift $# || shift 3

# One fuzzer: called again by xargs.
if [ "${RUN_ONE_FUZZER:-}" = yes ]; then
    name=$1
    seeds=test/fuzz/corpus/$name
    mkdir -p "$build/corpus/$name" "$build/crashes/$name" "$build/logs"
    [ -d "$seeds" ] || seeds=
    # shellcheck disable=SC2086 # empty without seeds
    if "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/crashes/$name/" \
        "$build/corpus/$name" $seeds >"$build/logs/$name" 2>&1; then
        echo "fuzz_$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/logs/$name") inputs, ok"
        exit 0
    fi
    echo "fuzz_$name: FAILED, see $build/crashes/$name"
    grep -av -e NEW_FUNC -e '# Uses:' "$build/logs/$name" | tail -n 60
    exit 1
fi

if [ $# -eq 0 ]; then
    set -- "$build"/fuzz/fuzz_*
fi
for program in "$@"; do
    name=${program##*/}
    echo "${name#fuzz_}"
done | RUN_ONE_FUZZER=yes xargs -P "$jobs" -I NAME "$0" "$build" "$seconds" "$jobs" NAME
