#!/bin/sh
# Builds new-connector.wasm: Python 3.10 or newer with venv is needed, componentize-py comes from PyPI.
set -eu
cd "$(dirname "$0")"
version=0.25.1
tools=${CONNECTOR_TOOLS:-.tools}/componentize-py-$version

if ! [ -x "$tools/bin/componentize-py" ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
        $as_root apt-get update -qq >/dev/null
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check componentize-py==$version
fi

"$tools/bin/componentize-py" --wit-path wit --world connector componentize connector --output new-connector.wasm >/dev/null
echo "built new-connector.wasm ($(wc -c < new-connector.wasm) bytes)"
