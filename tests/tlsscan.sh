#!/usr/bin/env bash
# What sslscan and testssl.sh say about the server's TLS: `cargo xtask tlsscan`, or by hand with the
# server's binary in FANWIRE_BIN. Prints sslscan's report and what testssl.sh finds of severity
# MEDIUM and above; fails where there is any, or where either tool could not do its work.
set -euo pipefail

sslscan="${FANWIRE_SSLSCAN:-sslscan}"
testssl="${FANWIRE_TESTSSL:-testssl}"
# Longest time for the server to start, and for one tool, in seconds.
start=20
limit=900
folder=$(mktemp -d)
server=""
finish() {
    [[ -n "$server" ]] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$folder"
}
trap finish EXIT
cd "$folder"

# A certificate as an authority would give one, so that only the server is judged: 90 days, with
# somewhere to ask whether it was revoked. The authority is trusted for this run alone.
quiet() { "$@" >>openssl.log 2>&1 || { cat openssl.log >&2; exit 1; }; }
ec="ec -pkeyopt ec_paramgen_curve:prime256v1"
quiet openssl req -x509 -newkey $ec -nodes -keyout ca.key -out ca.pem -days 90 \
    -subj '/O=Scanned/CN=Scanned Authority' -addext 'keyUsage=critical,keyCertSign,cRLSign'
quiet openssl req -newkey $ec -nodes -keyout server.key -out server.csr -subj '/CN=localhost'
cat >extensions <<'END'
subjectAltName = DNS:localhost
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
crlDistributionPoints = URI:http://localhost/crl
END
quiet openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 \
    -extfile extensions -out server.pem

"$FANWIRE_BIN" serve --listen 127.0.0.1:0 --tls-cert server.pem --tls-key server.key >said 2>&1 &
server=$!
port=""
for ((at = 0; at < 10 * start; at++)); do
    port=$(sed -n 's|.*serves https://127\.0\.0\.1:\([0-9]*\).*|\1|p' said)
    [[ -n "$port" ]] && break
    kill -0 "$server" || { cat said >&2; exit 1; }
    sleep 0.1
done
[[ -n "$port" ]] || { echo "the server did not listen within $start s" >&2; exit 1; }

timeout "$limit" "$sslscan" --no-colour --no-failed "localhost:$port" | tee sslscan.txt
grep -q 'TLSv1.3' sslscan.txt || { echo 'not ok sslscan: it saw no TLS 1.3' >&2; exit 1; }
if grep -E '^(Accepted|Preferred) +(SSL|TLSv1\.[01])|^(SSLv[23]|TLSv1\.[01]) +enabled|vulnerable' sslscan.txt |
    grep -v 'not vulnerable'; then
    echo 'not ok sslscan: an old protocol, or a hole (above)' >&2
    exit 1
fi
echo 'ok sslscan'

timeout "$limit" "$testssl" --quiet --color 0 --warnings off --ip 127.0.0.1 --add-ca ca.pem \
    --jsonfile all.json "https://localhost:$port/" >testssl.txt || true
grep -q '"id" *: *"heartbleed"' all.json || { cat testssl.txt >&2; echo 'not ok testssl: it did not end' >&2; exit 1; }
# Each finding is an object over several lines: `id: what`, by its severity.
of() {
    tr -d '\n' <all.json | sed 's/}/}\n/g' | grep -E "\"severity\" *: *\"($1)\"" |
        sed 's/.*"id" *: *"\([^"]*\)".*"severity" *: *"\([^"]*\)".*"finding" *: *"\([^"]*\)".*/\2 \1: \3/' || true
}
findings=$(of 'MEDIUM|HIGH|CRITICAL')
low=$(of LOW)
if [[ -n "$findings" ]]; then
    echo "$findings"
    echo 'not ok testssl: findings above low' >&2
    exit 1
fi
echo "$low"
echo 'ok testssl: nothing above low'
