#!/bin/sh
# All checks, cheapest first; stops at the first that fails. Each step prints the line a person would type.
#
# One cargo profile for everything: wasmtime alone takes minutes to compile in each.
set -eu
cd "$(dirname "$0")/.."

step() {
    echo
    echo "\$ $*"
    "$@"
}

step sh guest/setup.sh
sh tests/tools.sh
step cargo fmt --all --check
step cargo clippy --release --workspace --all-targets --locked -- -D warnings
echo
echo '$ RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --document-private-items --locked'
RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --document-private-items --locked
step cargo test --release --workspace --locked --lib --bins --test '[!i]*'
step cargo test --release --locked -p tidegate-jq -p tidegate-schema --doc
step cargo test --release --locked -p tidegate --test it
