#!/bin/sh
# The simulator: some seeds of each profile, also under the other engine; one seed twice the same, and what is wrong is said.
set -eu
sim="${DSMR_BIN:?the release binaries}/dsmr-sim"
run() {
    echo "== $*"
    "$sim" "$@" >"${TMPDIR:-/tmp}/dsmr-sim.$$" ||
        { cat "${TMPDIR:-/tmp}/dsmr-sim.$$"; rm -f "${TMPDIR:-/tmp}/dsmr-sim.$$"; exit 1; }
    tail -n 1 "${TMPDIR:-/tmp}/dsmr-sim.$$"
    rm -f "${TMPDIR:-/tmp}/dsmr-sim.$$"
}
for profile in default storm crash net disk byz epochs clock; do
    run --profile "$profile" --seeds 1000..1015 --minutes 0.5
done
for profile in default storm epochs byz; do
    run --engine snow --profile "$profile" --seeds 1000..1007 --minutes 0.5
done
"$sim" --seed 7 --minutes 0.5 --repeat
"$sim" --seed 7 --minutes 0.5 --engine snow --repeat
for wrong in --frob --profile=nope --engine=nope --seeds=5..1 --minutes=-1 --validators=3 more; do
    code=0
    said=$("$sim" "$wrong" 2>&1) || code=$?
    [ "$code" -eq 64 ] || { echo "$wrong: exit $code"; exit 1; }
    [ -n "$said" ] || { echo "$wrong: not a word"; exit 1; }
done
