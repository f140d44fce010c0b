#!/bin/sh
# Makes the certificates of this folder anew (openssl 3). They are for tests on loopback and trusted by nobody else;
# the authorities' keys are thrown away. All servers share one key. Nothing but `expired.pem` expires before 2126.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/ca.cnf" <<'CNF'
[ca]
default_ca = d
[d]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = p
copy_extensions = copy
unique_subject = no
[p]
commonName = supplied
CNF

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }
authority() { # name
    key "$work/$1.key"
    openssl req -x509 -key "$work/$1.key" -subj "/CN=tidegate tests: $1" -days 36525 -out "$work/$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}
server() { # file, authority, names, from, to
    openssl req -new -key server.key -subj "/CN=tidegate tests" -out "$work/csr" -addext "subjectAltName=$3" \
        -addext basicConstraints=CA:FALSE -addext extendedKeyUsage=serverAuth
    signed "$1" "$2" "$4" "$5"
}
client() { # file, key
    openssl req -new -key "$2" -subj "/CN=tidegate tests" -out "$work/csr" \
        -addext basicConstraints=CA:FALSE -addext extendedKeyUsage=clientAuth
    signed "$1" clients 20260101000000Z 21260101000000Z
}
signed() { # file, authority, from, to
    (cd "$work" && : >index.txt && echo "$(openssl rand -hex 8)" >serial &&
        openssl ca -batch -notext -config ca.cnf -cert "$2.pem" -keyfile "$2.key" -in csr -out out.pem \
            -startdate "$3" -enddate "$4" 2>/dev/null)
    cp "$work/out.pem" "$1"
}

self_signed() { # file, names, from, to
    openssl req -new -key server.key -subj "/CN=tidegate tests" -out "$work/csr" -addext "subjectAltName=$2" \
        -addext basicConstraints=CA:FALSE -addext extendedKeyUsage=serverAuth
    cp server.key "$work/server.key"
    (cd "$work" && : >index.txt && echo "$(openssl rand -hex 8)" >serial &&
        openssl ca -selfsign -batch -notext -config ca.cnf -keyfile server.key -in csr -out out.pem \
            -startdate "$3" -enddate "$4" 2>/dev/null)
    cp "$work/out.pem" "$1"
}

key server.key
authority ca
authority stranger
cp "$work/ca.pem" ca.pem
names=DNS:localhost,DNS:source.example,IP:127.0.0.1
server server.pem ca "$names" 20260101000000Z 21260101000000Z
server expired.pem ca "$names" 20200101000000Z 20200201000000Z
server other-name.pem ca DNS:other.example 20260101000000Z 21260101000000Z
server stranger.pem stranger "$names" 20260101000000Z 21260101000000Z
self_signed self-signed.pem "$names" 20260101000000Z 21260101000000Z
# As `openssl req -x509` makes it, and PostgreSQL's manual after it: it signs itself, and says that it is an authority's.
authority_itself() { # file, names
    openssl req -x509 -key server.key -subj "/CN=tidegate tests" -days 36525 -addext "subjectAltName=$2" -out "$1"
}
authority_itself authority-itself.pem "$names"
authority_itself authority-other-name.pem DNS:other.example
# As `openssl x509 -req` makes it without extensions: version 1.
openssl req -new -key server.key -subj "/CN=localhost" -out "$work/csr"
openssl x509 -req -in "$work/csr" -CA ca.pem -CAkey "$work/ca.key" -days 36525 -out version-1.pem 2>/dev/null

# Who the client is: one key in two forms, and one of another kind.
authority clients
cp "$work/clients.pem" clients.pem
key client.key
openssl ec -in client.key -out client-sec1.key 2>/dev/null
openssl genrsa -traditional -out client-rsa.key 2048 2>/dev/null
client client.pem client.key
client client-rsa.pem client-rsa.key
