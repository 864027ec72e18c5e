#!/bin/sh
# The simulator: some seeds of each profile, one seed twice the same, and what is wrong is said.
set -eu
sim="${DSMR_BIN:?the release binaries}/dsmr-sim"
for profile in default storm crash net disk byz epochs clock; do
    echo "== $profile"
    "$sim" --profile "$profile" --seeds 1000..1015 --minutes 0.5 >"${TMPDIR:-/tmp}/dsmr-sim.$$" ||
        { cat "${TMPDIR:-/tmp}/dsmr-sim.$$"; rm -f "${TMPDIR:-/tmp}/dsmr-sim.$$"; exit 1; }
    tail -n 1 "${TMPDIR:-/tmp}/dsmr-sim.$$"
    rm -f "${TMPDIR:-/tmp}/dsmr-sim.$$"
done
"$sim" --seed 7 --minutes 0.5 --repeat
echo "== a wide network: the checkers on it, and what it carries, twice the same"
"$sim" --profile wan100 --seed 1001 --minutes 0.03
"$sim" --profile wan300 --validators 40 --seed 1002 --minutes 0.1 --repeat
"$sim" --report --validators 100 --rate 2000 --warm 1.2 --seconds 0.8 --repeat | grep -q '"validators":100'
for wrong in --frob --validators=3 --rate=0 --crashed=40 more; do
    code=0
    "$sim" --report "$wrong" 2>/dev/null || code=$?
    [ "$code" -eq 64 ] || { echo "--report $wrong: exit $code"; exit 1; }
done
for wrong in --frob --profile=nope --seeds=5..1 --minutes=-1 --validators=3 more; do
    code=0
    said=$("$sim" "$wrong" 2>&1) || code=$?
    [ "$code" -eq 64 ] || { echo "$wrong: exit $code"; exit 1; }
    [ -n "$said" ] || { echo "$wrong: not a word"; exit 1; }
done
