#!/bin/sh
# Builds what is handed out into target/packages, for the machine's own processor:
#   tidegate-VERSION-ARCH.tar.gz   the binary, linked statically: any Linux of that processor runs it
#   tidegate_VERSION_ARCH.deb      with manual pages, completions, systemd units and a system user
#   tidegate-VERSION-ARCH-oci.tar  an OCI image: that binary with its component compiled, the certificates of public
#                                  authorities, no shell
#   tidegate-VERSION.cdx.json      the crates in it (CycloneDX), and tidegate-guest-….cdx.json those in the component
#   SHA256SUMS
# Wants root, for who owns what in the image, and umoci, cargo-deb and cargo-cyclonedx, and installs what is missing.
set -eu
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "packages: as root: files of the image belong to others" >&2; exit 1; }
fail() { echo "packages: $1" >&2; exit 1; }
out=target/packages
tools=target/packages-tools
triple=$(rustc -vV | sed -n 's/^host: //p')
arch=$(uname -m)
case $triple in
*-linux-gnu) ;;
*) fail "a toolchain for Linux with glibc is needed, not $triple" ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

if ! command -v umoci >/dev/null 2>&1; then
    apt-get update -qq >/dev/null
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends umoci ca-certificates >/dev/null
fi
for tool in cargo-deb@3.8.0 cargo-cyclonedx@0.5.9; do
    [ -x "$tools/bin/${tool%@*}" ] || cargo install --quiet --locked --root "$tools" "$tool"
done
sh guest/setup.sh

# glibc, not musl: the standard library is there without another download. Its resolver asks /etc/hosts and DNS
# without any module to load.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$triple"
binary=target/$triple/release/tidegate

# The only time in a file is that of the commit. Not before: crates with C in them are compiled anew where it changes.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf "$out"
mkdir -p "$out/files/man" "$out/files/completions"
strip -o "$out/files/tidegate" "$binary"
binary=$out/files/tidegate
if ldd "$binary" >/dev/null 2>&1 && ! ldd "$binary" 2>&1 | grep -q "statically linked"; then
    fail "the binary is not static"
fi
"$binary" man > "$out/files/man/tidegate.1"
for command in $("$binary" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    "$binary" man "$command" > "$out/files/man/tidegate-$command.1"
done
for shell in bash zsh fish; do
    "$binary" completions $shell > "$out/files/completions/tidegate.$shell"
done
"$binary" describe --env-example > "$out/files/env.example"

tarball() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$@"; }

top=tidegate-$version
mkdir "$out/$top"
cp "$binary" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$out/$top"
cp -r "$out/files/man" "$out/files/completions" "$out/$top"
tarball -C "$out" -c "$top" | gzip -9n > "$out/tidegate-$version-$arch.tar.gz"
rm -r "${out:?}/$top"

"$tools/bin/cargo-deb" deb --quiet -p tidegate --no-build --no-strip --locked --target "$triple" --output "$out/"

image=$out/image
root=$out/root
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/tmp"
chmod 1777 "$root/tmp"
install -m 755 "$binary" "$root/usr/local/bin/tidegate"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo "nonroot:x:65532:65532::/tmp:/sbin/nologin" > "$root/etc/passwd"
echo "nonroot:x:65532:" > "$root/etc/group"
echo "hosts: files dns" > "$root/etc/nsswitch.conf"
# The cache belongs to the user of the image, who alone may read its key.
cache=$root/var/cache/tidegate
mkdir -p "$cache"
chown 65532:65532 "$cache"
setpriv --reuid 65532 --regid 65532 --clear-groups env TIDEGATE_CACHE_DIR="$PWD/$cache" "$PWD/$binary" compile
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
umoci init --layout "$image"
umoci new --image "$image:$version"
umoci insert --image "$image:$version" --history.created "$created" "$root" /
umoci config --image "$image:$version" --created "$created" --history.created "$created" \
    --author tidegate --config.user 65532:65532 --config.entrypoint /usr/local/bin/tidegate --config.workingdir /tmp \
    --config.env PATH=/usr/local/bin --config.env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    --config.env TIDEGATE_CACHE_DIR=/var/cache/tidegate \
    --config.label "org.opencontainers.image.version=$version" \
    --config.label "org.opencontainers.image.revision=$(git rev-parse HEAD)"
umoci gc --layout "$image"
tarball -C "$image" -c . > "$out/tidegate-$version-$arch-oci.tar"

for crate in host guest; do
    "$tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --manifest-path "$crate/Cargo.toml" --override-filename packages-sbom
done
mv host/packages-sbom.json "$out/tidegate-$version.cdx.json"
mv guest/packages-sbom.json "$out/tidegate-guest-$version.cdx.json"
find guest tests host -name packages-sbom.json -exec rm {} +

rm -r "$root" "$image"
(cd "$out" && sha256sum -- *.tar.gz *.deb *.tar *.json > SHA256SUMS && ls -l && cat SHA256SUMS)
