#!/bin/sh
# Times whole runs; see README.md beside this file.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
release=$(cd "$here/../.." && pwd)/target/release
tidegate=$release/tidegate
folder=${1:-$(mktemp -d)}
runs=5
export TIDEGATE_CACHE_DIR="$folder/cache" SOURCE_API_KEY=benchmark-key-0123456789abcdef
export SOURCE_RECORDS=/data SOURCE_PAGINATION=next-url SOURCE_CURSOR=/updated_at SOURCE_CURSOR_TO=updated_since PRIMARY_KEY=/id

python3 "$here/records.py" 100000 "$folder/www/all"
python3 "$here/records.py" 100000 "$folder/www/some" --changed 1
python3 "$here/records.py" 0 "$folder/www/none"
cat > "$folder/nginx.conf" <<NGINX
worker_processes 1; pid $folder/nginx.pid; error_log $folder/error.log;
events { worker_connections 512; }
http { access_log off; sendfile on; tcp_nopush on; default_type application/json; keepalive_requests 100000;
       server { listen 127.0.0.1:8099; root $folder/www; } }
NGINX
nginx -c "$folder/nginx.conf" -p "$folder"
trap 'nginx -c "$folder/nginx.conf" -p "$folder" -s stop' EXIT

# The URL without its query decides what the records are, so that each kind of run accepts the change of it.
once() {
    SOURCE_API_URL="http://127.0.0.1:8099/$1/1.json" /usr/bin/time -f "%e %U %S %M" -a -o "$2" \
        "$tidegate" run --accept-change SOURCE_API_URL --set OUTPUT_DIR="$folder/out" --output json > "$folder/summary.json"
}
report() {
    printf '%-12s %s s wall, %s s user, %s s system, %s KiB peak\n' "$1" \
        "$(cut -d' ' -f1 "$2" | sort -n | sed -n 3p)" "$(cut -d' ' -f2 "$2" | sort -n | sed -n 3p)" \
        "$(cut -d' ' -f3 "$2" | sort -n | sed -n 3p)" "$(cut -d' ' -f4 "$2" | sort -n | sed -n 3p)"
}

for kind in first first-transform upsert nothing-new; do
    rm -f "$folder/$kind.times"
    for run in $(seq 0 $runs); do
        times="$folder/$kind.times"
        [ "$run" = 0 ] && times=/dev/null
        rm -rf "$folder/out"
        case $kind in
            first) once all "$times" ;;
            first-transform) TRANSFORM='{id, name, updated_at}' once all "$times" ;;
            upsert) once all /dev/null; once some "$times" ;;
            nothing-new) once all /dev/null; once none /dev/null; once none "$times" ;;
        esac
    done
    report "$kind" "$folder/$kind.times"
done

# What the sandbox costs: CPU time of the component, its host calls included, against the same core compiled natively.
middle() { sort -n "$1" | sed -n 3p; }
for transform in '' '{id, total, updated_at}' 'del(.items) | .customer |= .name | .cents = (.total | tonumber * 100 | round)'; do
    rm -f "$folder/native.ms" "$folder/component.ms"
    for run in $(seq 1 $runs); do
        rm -rf "$folder/out"
        TRANSFORM=$transform once all /dev/null
        grep -o '"component_cpu_ms":[0-9]*' "$folder/summary.json" | cut -d: -f2 >> "$folder/component.ms"
        TRANSFORM=$transform SOURCE_API_URL=http://127.0.0.1:8099/all/1.json \
            "$release/examples/native" "$folder/www" "$folder/native" | cut -d' ' -f1 >> "$folder/native.ms"
    done
    printf 'component %s ms CPU, native %s ms CPU: %s\n' \
        "$(middle "$folder/component.ms")" "$(middle "$folder/native.ms")" "${transform:-no TRANSFORM}"
done

# Memory must not grow with the records: a million of them, once.
if [ "${2:-}" = million ]; then
    python3 "$here/records.py" 1000000 "$folder/www/million"
    rm -rf "$folder/out" "$folder/million.times"
    for run in 1 2 3 4 5; do
        rm -rf "$folder/out"
        once million "$folder/million.times"
    done
    report million "$folder/million.times"
fi
