#!/bin/sh
# Installs each package of target/packages where nothing else is, and runs it: as root, by hand, after build.sh.
#   the archive  in the least Debian 11 that there is, as nobody
#   the .deb     in Debian 12 with systemd: installed, the units verified, a job run as the service's user, removed, purged
#   the image    unpacked, as its user, with the environment that it names
# Each runs `tidegate demo`. There is no network but loopback.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "packages: as root: it makes file systems" >&2; exit 1; }

out=$PWD/target/packages
work=$PWD/target/packages-try
suites=${TIDEGATE_SUITES-"bullseye bookworm"}
missing=
for tool in umoci mmdebstrap unshare ip; do command -v $tool >/dev/null 2>&1 || missing=yes; done
[ -z "$missing" ] || {
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends umoci mmdebstrap util-linux iproute2 >/dev/null
}
rm -rf "$work"
mkdir -p "$work"

# alone FOLDER USER COMMAND…: with this folder as the root, as this user, with loopback alone. `settings` is more environment.
settings=
alone() {
    root=$1 user=$2
    shift 2
    unshare --net --mount --pid --fork sh -c '
        set -eu
        root=$1 user=$2 settings=$3; shift 3
        ip link set lo up
        mkdir -p "$root/proc" "$root/dev" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 tmp "$root/tmp"
        exec env -i HOME=/tmp TMPDIR=/tmp LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin $settings chroot --userspec="$user" "$root" "$@"
    ' sh "$root" "$user" "$settings" "$@"
}
step() { printf '\n== %s\n' "$*"; }

for suite in $suites; do
    step "the least $suite, and the binary of the archive"
    root=$work/$suite
    mmdebstrap --quiet --variant=essential "$suite" "$root"
    tar -xzf "$out"/tidegate-*.tar.gz -C "$work"
    install -m 755 "$work"/tidegate-*/tidegate "$root/usr/local/bin/"
    alone "$root" 65534:65534 tidegate --version
    alone "$root" 65534:65534 tidegate demo
    rm -r "$root"
done

step "the .deb"
root=$work/deb
mmdebstrap --quiet --variant=essential --include=adduser,ca-certificates,systemd bookworm "$root"
cp "$out"/tidegate_*.deb "$root/tidegate.deb"
alone "$root" 0:0 dpkg -i /tidegate.deb
alone "$root" 0:0 dpkg -L tidegate
alone "$root" 0:0 systemd-analyze verify --man=no tidegate@jobs.service tidegate@jobs.timer
alone "$root" 0:0 getent passwd tidegate
ls -ld "$root/etc/tidegate" "$root/etc/tidegate/jobs"
user=$(stat -c %g "$root/etc/tidegate/jobs")
user=$(awk -F: '$1 == "tidegate" { print $3 }' "$root/etc/passwd"):$user
alone "$root" "$user" tidegate demo
alone "$root" "$user" sh -c 'cd /tmp && tidegate run /etc/tidegate/jobs; echo "a folder without jobs: exit $?"'
alone "$root" 0:0 sh -c 'dpkg -r tidegate && dpkg -P tidegate && ls -l /usr/bin/tidegate /etc/tidegate' || true
rm -r "$root"

step "the image"
layout=$work/layout
mkdir "$layout"
tar -xf "$out"/tidegate-*-oci.tar -C "$layout"
tag=$(umoci list --layout "$layout")
ls -l "$out"/tidegate-*-oci.tar
umoci unpack --image "$layout:$tag" "$work/bundle"
python3 - "$work/bundle/config.json" <<'P'
import json, sys
process = json.load(open(sys.argv[1]))["process"]
print(process["user"], process["args"], process["env"])
assert process["user"]["uid"] == 65532 and process["args"] == ["/usr/local/bin/tidegate"], process
P
(cd "$work/bundle/rootfs" && find . -type f | sort)
root=$work/bundle/rootfs
alone "$root" 65532:65532 /usr/local/bin/tidegate --version
settings=TIDEGATE_CACHE_DIR=/var/cache/tidegate
alone "$root" 65532:65532 /usr/local/bin/tidegate compile
alone "$root" 65532:65532 /usr/local/bin/tidegate demo

step "all ran"
