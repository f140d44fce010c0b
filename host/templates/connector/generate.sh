#!/bin/sh
# Makes the bindings of the C and the Go template anew from wit/, which the templates carry so that their users need no
# generator: c/gen/ and go/gen/. Needs `cargo install wit-bindgen-cli --version 0.63.0 --locked`, gofmt and the sources of the crate
# wit-bindgen-go 0.63.0 (cargo has unpacked them then).
#
# WIT.sha256 says which WIT they were made from; a test compares.
set -eu
cd "$(dirname "$0")"
wit=../../../wit
bindgen=${WIT_BINDGEN:-wit-bindgen}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Only what a template calls itself: the rest is behind the standard libraries of C and Go.
cp -r $wit "$work/wit"
cat >> "$work/wit/world.wit" <<'WIT'

world bindings {
  import wasi:http/types@0.2.12;
  import wasi:http/outgoing-handler@0.2.12;
  export job;
}
WIT

rm -rf c/gen go/gen
"$bindgen" c "$work/wit" --world bindings --rename-world wit --no-object-file --out-dir c/gen \
    --rename 'tidegate:sync/job@0.1.0=job' --rename 'wasi:http/types@0.2.12=http' \
    --rename 'wasi:http/outgoing-handler@0.2.12=http_out' --rename 'wasi:io/streams@0.2.12=io' \
    --rename 'wasi:io/poll@0.2.12=poll' >/dev/null
# `wasm-tools component embed` takes the place of the object file.
sed -i '/Ensure that the \*_component_type.o object is linked in/,$d' c/gen/wit.c

"$bindgen" go "$work/wit" --world bindings --out-dir go/gen >/dev/null
rm go/gen/go.mod
runtime=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/wit-bindgen-go-0.63.0/src/pkg/wit)
mkdir -p go/gen/wit/types go/gen/wit/runtime
cp "$runtime"/types/option.go "$runtime"/types/result.go "$runtime"/types/tuple.go "$runtime"/types/unit.go go/gen/wit/types/
cp "$runtime"/runtime/runtime.go "$runtime"/runtime/empty.s go/gen/wit/runtime/
cp "$runtime"/../LICENSE go/gen/wit/
# Everything in one module, so that nothing is downloaded. The author's package is its top folder.
find go/gen -name '*.go' -exec sed -i \
    -e 's|^\s*"wit_component/export_tidegate_sync_job"|export_tidegate_sync_job "connector"|' \
    -e 's|"wit_component/|"connector/gen/|' -e 's|"go.bytecodealliance.org/pkg/|"connector/gen/|' {} +
"${GOFMT:-gofmt}" -w go/gen

find c/gen go/gen -type f -exec sed -i 's/[ \t]*$//' {} +
(cd $wit && find . -name '*.wit' | LC_ALL=C sort | xargs cat | sha256sum | cut -d ' ' -f 1) > WIT.sha256
