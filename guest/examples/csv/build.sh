#!/bin/sh
# Builds csv.wasm here: what `tidegate new connector csv --lang python` writes, with the connector of this folder.
set -eu
cd "$(dirname "$0")"
export CONNECTOR_TOOLS="${CONNECTOR_TOOLS:-$PWD/../../../target/connector-tools}"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
(cd "$made" && "${TIDEGATE:-tidegate}" new connector csv --lang python >/dev/null)
cp connector.py rows.py "$made/csv/"
sh "$made/csv/build.sh"
mv "$made/csv/csv.wasm" .
