#!/bin/sh
# Builds the component, and tries it against a scripted API on this machine: `tidegate test --help` lists what it tries.
set -eu
cd "$(dirname "$0")"
sh build.sh
exec "${TIDEGATE:-tidegate}" test new-connector.wasm "$@"
