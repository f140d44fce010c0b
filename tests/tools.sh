#!/bin/sh
# Installs what the tests need beside the toolchain: strace, for the crash proofs. A no-op when it is there.
set -eu
command -v strace >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "tests: strace is needed for the crash proofs; install it and run again" >&2
    exit 1
fi
echo "tests: installing strace"
if [ "$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi
$as_root apt-get update -qq >/dev/null
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace >/dev/null
