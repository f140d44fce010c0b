#!/bin/sh
# Builds new-connector.wasm. All crates are pinned in Cargo.lock.
#
# The compiler is rustup's, if there is one. Otherwise it is Debian's, which comes with the source of its standard library.
set -eu
cd "$(dirname "$0")"
target=wasm32-unknown-unknown

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
has_std() { ls "$(rustc --print target-libdir --target $target 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1; }
has_debian_std() { [ -e "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; }

if has_std || { rustup target add $target >/dev/null 2>&1 && has_std; }; then
    cargo=cargo
    cargo build --release --locked --quiet --target $target
else
    if ! has_debian_std; then
        as_root apt-get update -qq >/dev/null
        packages="ca-certificates gcc libc6-dev rustc-web cargo-web rust-web-src rust-web-llvm"
        # Debian's other compiler (rustc, cargo) and its rustup cannot be installed beside it.
        # shellcheck disable=SC2086
        removed=$(apt-get install -s --no-install-recommends $packages | sed -n 's/^Remv \([^ ]*\).*/\1/p' | paste -sd ' ' -)
        if [ -n "$removed" ] && [ "${REPLACE_RUSTC:-}" != yes ]; then
            echo "build.sh: this compiler has no target $target; Debian's rustc-web has, and would remove: $removed" >&2
            echo "nothing was changed; install Rust by rustup (https://rustup.rs), or let them be removed: REPLACE_RUSTC=yes sh build.sh" >&2
            exit 1
        fi
        # shellcheck disable=SC2086
        apt_install $packages
    fi
    # A link to a versioned lld, which is a package of its own.
    [ -e /usr/bin/rust-lld ] || apt_install "$(basename "$(readlink /usr/bin/rust-lld)")"
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/rust-lld
    cargo=/usr/bin/cargo
    $cargo build --release --locked --quiet --target $target -Zbuild-std=std,panic_abort
fi

# The module as a component: componentize/ is built for this machine.
module=${CARGO_TARGET_DIR:-target}/$target/release/connector.wasm
$cargo run --locked --quiet -p componentize -- "$module" new-connector.wasm
echo "built new-connector.wasm ($(wc -c < new-connector.wasm) bytes)"
