#!/bin/bash
# Tests on real AvalancheGo nodes, and a network of them to look at (test/interop/avalanche).
#
# usage: tools/avalanche.sh build            the node, the tests and the network, once, in build/avalanche
#        tools/avalanche.sh vet              go vet; it looks at all of AvalancheGo, minutes at first
#        tools/avalanche.sh test PATTERN     the tests whose names match, with the plugin of DSMR_BIN
#        tools/avalanche.sh network OPTION.. five nodes under load, or without (docs/avalanche.md)
#        tools/avalanche.sh beside OPTION..  the same, and then AvalancheGo's example VM under load
#
# Go of GO_NEEDS or newer is needed, and the Go modules that go.sum names. Without: exit 77, which
# ctest takes for skipped; with CI=true or DSMR_NO_SKIPS it is a failure.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
module=$root/test/interop/avalanche
out=$root/build/avalanche
GO_NEEDS=1.25.8
NODE=github.com/ava-labs/avalanchego/main
EXAMPLE=github.com/ava-labs/avalanchego/vms/example/xsvm/cmd/xsvm
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin

cannot() {
    local what=SKIPPED code=77
    if [ "${CI:-}" = true ] || [ -n "${DSMR_NO_SKIPS:-}" ]; then
        what=FAILED code=1
    fi
    {
        echo "=================================================================="
        echo "$what: tests on AvalancheGo: $*"
        echo "=================================================================="
    } >&2
    exit $code
}

check_go() {
    local found
    found=$(cd / && go env GOVERSION 2>/dev/null || true)
    found=${found#go}
    if [ -z "$found" ] || ! printf '%s\n%s\n' "$GO_NEEDS" "$found" | sort -C -V; then
        cannot "they need Go $GO_NEEDS or newer; found: ${found:-none}"
    fi
}

# Downloads what is missing. Only what no server gave is a reason to skip; a wrong sum is none.
modules() {
    local said
    said=$(go list -deps -test ./... "$NODE" 2>&1 >/dev/null) && return
    echo "$said" | tail -n 20 >&2
    if echo "$said" | grep -qE 'Get "http|reading http|disabled by GOPROXY|unable to access'; then
        cannot "the Go modules of go.sum cannot be downloaded"
    fi
    exit 1
}

# once STAMP WHAT COMMAND...: runs it unless the last success was of the same WHAT.
once() {
    local stamp=$out/$1.stamp what=$2
    shift 2
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$what" ]; then
        return
    fi
    rm -f "$stamp"
    (cd "$module" && "$@")
    echo "$what" >"$stamp"
}

build() {
    local modules sources
    mkdir -p "$out"
    modules=$(cd "$module" && cat go.mod go.sum <(go version) | sha256sum)
    sources=$(cd "$module" && find . -name '*.go' -print0 | sort -z | xargs -0 cat | sha256sum)
    once modules "$modules$sources" modules
    once node "$modules" go build -o "$out/avalanchego" "$NODE"
    once test "$modules$sources" go test -c -o "$out/interop.test" .
    once network "$modules$sources" go build -o "$out/network" ./cmd/network
}

# What is left of a run is known by its folder, which stands in every command line.
finish() {
    local process
    for process in /proc/[0-9]*; do
        if [ "$process" != "/proc/$$" ] &&
            tr '\0' '\n' 2>/dev/null <"$process/cmdline" | grep -qF "$DSMR_WORK_DIR/"; then
            kill -9 "${process#/proc/}" 2>/dev/null || true
        fi
    done 2>/dev/null
    rm -rf "$DSMR_WORK_DIR"
}

# begin: a folder of this run, and where everything is.
begin() {
    local bin=${DSMR_BIN:-$root/build/release/bin}
    export DSMR_BIN=$bin DSMR_AVALANCHEGO=$out/avalanchego DSMR_PLUGIN=$bin/dsmr-avalanche
    export DSMR_PLUGIN_44=${DSMR_BUILD:-$root/build/release}/interop/dsmr-avalanche-44
    DSMR_WORK_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dsmr-avalanche-XXXXXX")
    export DSMR_WORK_DIR
    trap finish EXIT
    trap 'exit 1' INT TERM HUP
}

command=${1:-}
[ $# -gt 0 ] && shift
case $command in
build)
    check_go
    build
    ;;
vet)
    check_go
    (cd "$module" && go vet ./...)
    ;;
test)
    check_go
    build
    begin
    "$out/interop.test" -test.v -test.timeout 18m -test.run "${1:?PATTERN}" &
    wait $!
    ;;
network | beside)
    check_go
    build
    if [ "$command" = beside ]; then
        once example "$(cat "$out/node.stamp")" go build -o "$out/xsvm" "$EXAMPLE"
        set -- --example "$out/xsvm" "$@"
    fi
    begin
    "$out/network" "$@" &
    child=$!
    trap 'again=yes; kill -INT $child 2>/dev/null' INT TERM HUP # it ends the load early and still sums up
    again=yes
    while [ $again = yes ]; do
        again=no code=0
        wait $child || code=$?
    done
    exit $code
    ;;
*)
    sed -n '4,8s/^# *//p' "$0" >&2
    exit 64
    ;;
esac
