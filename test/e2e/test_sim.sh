#!/bin/sh
# The simulator's program: one seed twice the same, a wide network, planted bugs are listed and found,
# a failure says what is needed, and what is wrong is said. Many seeds: test_sim_seeds.sh.
set -eu
sim="${DSMR_BIN:?the release binaries}/dsmr-sim"
"$sim" --seed 7 --minutes 0.5 --repeat
"$sim" --seed 7 --minutes 0.5 --engine snow --repeat

hash=$("$sim" --seed 7 --minutes 0.5 --hash)
again=$("$sim" --seed 7 --minutes 0.5 --hash)
other=$("$sim" --seed 8 --minutes 0.5 --hash)
echo "$hash" | grep -qxE '[0-9a-f]{16}' || { echo "--hash: $hash"; exit 1; }
[ "$hash" = "$again" ] && [ "$hash" != "$other" ] || { echo "--hash: $hash $again $other"; exit 1; }

# wants TEXT PATTERN: a line of the text matches
wants() {
    echo "$1" | grep -qE "$2" || { echo "no line like '$2' in:"; echo "$1"; exit 1; }
}
wants "$("$sim" --seed 7 --minutes 0.05 --trace 2>&1 >/dev/null)" \
    '^ +[0-9]+\.[0-9]{3} n[0-9] executes to root [0-9a-f]{8} height 1$'
wants "$("$sim" --list-mutations)" '^share-before-store +6\.8 +[a-z]'
code=0
said=$("$sim" --mutation share-before-store) || code=$?
[ "$code" -eq 1 ] || { echo "--mutation: exit $code: $said"; exit 1; }
wants "$said" '^  (5\.2|6\.8) at [0-9.]+ s: node [0-9] signs chunk '
rule=$(echo "$said" | sed -nE 's/^  (5\.2|6\.8) at .*/\1/p' | head -n 1) # the first of the patch's that is broken
node=$(echo "$said" | sed -nE 's/^  (5\.2|6\.8) at [0-9.]+ s: node ([0-9]).*/\2/p' | head -n 1)
wants "$said" "^  n$node at height [0-9]+, executed [0-9]+, view [0-9]+\$"
[ "$(echo "$said" | grep -cE '^    [0-9.]+ s n[0-9] ')" -ge 30 ] || { echo "last events: $said"; exit 1; }
wants "$said" '^  with --minimize: '
wants "$said" "^share-before-store: found by seed 1, rule $rule\$"
again=$(echo "$said" | sed -n 's/^  again: //p') # to paste
code=0
sh -c "$again" >/dev/null || code=$?
[ "$code" -eq 1 ] || { echo "$again: exit $code"; exit 1; }
for minutes in 0.1234567 2e-1; do # as they were given: rounded it would be another run
    said=$(${again%% *} --seed 1 --minutes $minutes) && { echo "$minutes: passed"; exit 1; }
    wants "$said" "^  again: .* --minutes $minutes\$"
done
seeds=$(echo "$again" | sed 's/ --seed 1 / --seeds 1..1 /')
for before in env "env --ignore-signal=CHLD"; do # whoever starts it may ignore the ends of children: each counts all the same
    code=0
    # shellcheck disable=SC2086 # words
    said=$($before $seeds) || code=$?
    [ "$code" -eq 1 ] || { echo "$before $seeds: exit $code: $said"; exit 1; }
    wants "$said" '^0 passed, 1 failed$'
done
# shellcheck disable=SC2086 # words
said=$(env --ignore-signal=CHLD $again --minimize) # the same rule, and what was left of it
wants "$said" '^seed 1 still fails with these faults only:$'
wants "$said" "^  $rule at [0-9.]+ s: node [0-9]+ signs chunk "
wants "$($again --minimize --trace 2>&1 >/dev/null)" "^ +[0-9]+\.[0-9]{3} FAILURE $rule at "
wants "$("$sim" --mutation epoch-not-checked --seeds 1..1)" '^epoch-not-checked: not found by seeds 1\.\.1$'

[ "$("$sim" --seeds 7..7 --minutes 0.05 | tail -n 1)" = "1 passed, 0 failed" ] || { echo "--seeds 7..7: no sum"; exit 1; }
"$sim" --seed 7 --minutes 0.001 | grep -q ' faults none ' # shorter than the quiet beginning

echo "== a wide network: the checkers on it, and what it carries, twice the same"
"$sim" --profile wan100 --seed 1001 --minutes 0.03
"$sim" --profile wan300 --validators 40 --seed 1002 --minutes 0.1 --repeat
"$sim" --report --validators 100 --rate 2000 --warm 1.2 --seconds 0.8 --repeat | grep -q '"validators":100'
for wrong in --frob --validators=3 --rate=0 --crashed=40 more --rate; do
    code=0
    said=$("$sim" --report "$wrong" 2>&1) || code=$?
    [ "$code" -eq 64 ] || { echo "--report $wrong: exit $code"; exit 1; }
    echo "$said" | grep -qxE "dsmr-sim: .*" || { echo "--report $wrong: $said"; exit 1; }
done
for wrong in --frob --profile=nope --engine=nope --seeds=5..1 --minutes=-1 --validators=3 more --profile --hash=1 \
    --liar=nobody --mutation=nope --mutation=../canaries/fee-lost -xy; do
    code=0
    said=$("$sim" "$wrong" 2>&1) || code=$?
    [ "$code" -eq 64 ] || { echo "$wrong: exit $code"; exit 1; }
    [ "$(echo "$said" | grep -c .)" -eq 1 ] || { echo "$wrong: not one sentence: $said"; exit 1; }
    echo "$said" | grep -qF -e "${wrong%y}" || echo "$said" | grep -qF -e "${wrong#*=}" || { echo "$wrong: $said"; exit 1; }
done
for wrong in "--seed 1 --seeds 1..2" "--seeds 1..2 --seed 1" "--mutation fee-lost --jobs 2" "--mutation fee-lost --profile calm" \
    "--minutes 1 --mutation fee-lost" "--engine snow --mutation fee-lost" "--list-mutations --trace" \
    "--hash --repeat" "--minimize --hash" "--repeat --minimize" "--list-mutations --mutation fee-lost" "--seed 1 --jobs 2" \
    "--liar forger --profile calm"; do
    code=0
    # shellcheck disable=SC2086 # several words
    said=$("$sim" $wrong 2>&1) || code=$?
    [ "$code" -eq 64 ] || { echo "$wrong: exit $code"; exit 1; }
    [ "$(echo "$said" | grep -c .)" -eq 1 ] || { echo "$wrong: not one sentence: $said"; exit 1; }
done
