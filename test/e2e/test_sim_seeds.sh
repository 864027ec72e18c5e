#!/bin/sh
# Simulated networks, a minute of faults each: SIM_SEEDS of them (1000), about half of them with a moderate mix
# of everything, the rest in equal parts with one kind of trouble; a third of each under the other engine. The
# last profile has real signatures: a few seconds of it, each twice.
set -eu
sim="${DSMR_BIN:?the release binaries}/dsmr-sim"
seeds=${SIM_SEEDS:-1000}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# run PROFILE COUNT OPTIONS...: says only what fails, and the sums
run() {
    profile=$1
    count=$2
    shift 2
    echo "== $profile $*"
    code=0
    "$sim" --profile "$profile" --seeds "1000..$((999 + count))" --jobs "$(nproc)" "$@" >"$out" || code=$?
    grep -v '^seed [0-9]* ok ' "$out" || true
    [ "$code" -eq 0 ] || exit 1
}

both() {
    other=$(($2 / 3 > 1 ? $2 / 3 : 2))
    main=$(($2 - other > 1 ? $2 - other : 2))
    run "$1" "$main" --minutes 1
    run "$1" "$other" --minutes 1 --engine snow
}

each=$((seeds * 6 / 100))
both default $((seeds - 8 * each))
for profile in calm storm crash net disk byz epochs clock; do
    both "$profile" "$each"
done
run bls 4 --minutes 0.05 --repeat
