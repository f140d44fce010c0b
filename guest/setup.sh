#!/bin/sh
# Makes sure that the component can be built: a C compiler, and the standard library for wasm32-unknown-unknown.
#
# Two ways to the library; the first that works is taken. TIDEGATE_WASM_STD=debian switches the first one off.
#   1. the toolchain in use has the target, or rustup can add it
#   2. Debian's packages: a compiler with its own source, from which cargo builds the library
# Says what it did; does nothing when nothing is missing.
set -eu

target=wasm32-unknown-unknown
say() { echo "setup: $*"; }
fail() {
    echo "setup: $1" >&2
    echo "setup: one of these two mends it:" >&2
    echo "    rustup target add $target" >&2
    echo "    apt-get install gcc libc6-dev rustc-web cargo-web rust-web-src rust-web-llvm \$(basename \"\$(readlink /usr/bin/rust-lld || echo lld)\")" >&2
    exit 1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
updated=
apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ -z "$updated" ]; then
        say "updating Debian's package lists"
        as_root apt-get update -qq >/dev/null || return 1
        updated=yes
    fi
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

has_c_compiler() {
    printf '#include <stdlib.h>\nint main(void){return 0;}\n' | cc -x c -c -o /dev/null - 2>/dev/null
}
has_std() {
    dir=$(rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
    ls "$dir"/libstd-*.rlib >/dev/null 2>&1
}
has_debian_std() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] || return 1
    [ -e "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ] || return 1
    has_linker
}
# Behind its links: Debian's rust-lld points at a versioned lld that is a package of its own.
has_linker() {
    [ -e /usr/bin/rust-lld ] && return 0
    command -v rustc >/dev/null 2>&1 && ls "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld >/dev/null 2>&1
}

if ! has_c_compiler; then
    apt_install gcc libc6-dev || fail "no C compiler, and apt-get could not install gcc and libc6-dev"
    has_c_compiler || fail "gcc is installed but cannot compile"
fi

if [ "${TIDEGATE_WASM_STD:-}" != debian ]; then
    if has_std; then
        say "nothing to do: $(rustc --version) has $target"
        exit 0
    fi
    if command -v rustup >/dev/null 2>&1; then
        say "adding $target with rustup"
        if rustup target add "$target" >/dev/null 2>&1 && has_std; then
            say "done: $(rustc --version) has $target"
            exit 0
        fi
        say "rustup could not add it; trying Debian's packages"
    fi
fi

if has_debian_std; then
    say "nothing to do: $(/usr/bin/rustc --version) with its source"
    exit 0
fi
apt_install rustc-web cargo-web rust-web-src rust-web-llvm ||
    fail "no standard library for $target: neither rustup nor apt-get could bring it"
has_linker || apt_install "$(basename "$(readlink /usr/bin/rust-lld)")" || true
has_debian_std || fail "Debian's packages are installed, but the source or the linker is missing"
say "done: $(/usr/bin/rustc --version) with its source"
