#!/bin/sh
# Prints the path of toxiproxy's server, which the end-to-end tests put between nodes. It is a Go module and not
# Debian's: the first time it is built into build/tools with `go install`, which needs Go 1.19 and the network.
set -eu
version=v2.5.0
tools=$(cd "$(dirname "$0")/.." && pwd)/build/tools
program=$tools/toxiproxy-$version
if [ ! -x "$program" ]; then
    go=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null) || {
        echo "toxiproxy: no go to build it with" >&2
        exit 1
    }
    mkdir -p "$tools/new"
    GOBIN=$tools/new GOFLAGS='' GOTOOLCHAIN=local "$go" install \
        "github.com/Shopify/toxiproxy/v2/cmd/server@$version" >&2
    mv "$tools/new/server" "$program"
fi
echo "$program"
