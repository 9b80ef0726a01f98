#!/bin/sh
# Holds the service to docs/openapi.yaml, with Schemathesis: every check, in all phases.
#
# usage: schemathesis.sh SERVICE ST [SECONDS]
#   SERVICE  the superstream-service binary
#   ST       the schemathesis executable (`st`)
#   SECONDS  the time for each of the two runs, 40 if not given
#
# The first run sends everything to a registered client, so that messages are taken and kept; the
# second makes its names up, and follows the links from the registration.
#
# One check is off: a goodbye (DELETE) does not remove a client, which the operator still sees and
# whose late reports are still taken, so "use after free" is meant.
set -eu

service=$(realpath "$1")
# Not through links: the executable of a virtual environment may be one that must stay.
st=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
seconds=${3:-40}
here=$(cd "$(dirname "$0")" && pwd)
openapi=$here/../../../docs/openapi.yaml
token=schemathesis-run-token
. "$here/serve.sh"
# Schemathesis leaves files where it runs.
cd "$work"

hash=$(curl -sS --fail -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
    -d '{"type":"producer","config":{"client.id":"orders"}}' "$url/v1/clients" |
    sed -n 's/.*"client_hash":"\([0-9a-f]*\)".*/\1/p')
test -n "$hash"

# Who is meant is said in one of three ways, and a payload is the Base64 of a JSON text: no schema of
# single parameters can say so.
cat >"$work/made-up.toml" <<EOF
[[operations]]
include-path = ["/v1/updates", "/v1/report-now"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 404, 422, 503]
EOF
cat - "$work/made-up.toml" >"$work/registered.toml" <<EOF
[parameters]
"path.client_hash" = "$hash"

EOF

run() {
    echo "== $1 =="
    "$st" --config-file "$work/$1.toml" --no-color run "$openapi" --url "$url" \
        --header "Authorization: Bearer $token" \
        --checks all --exclude-checks use_after_free \
        --seed 1 --max-time "$seconds" --generation-database none --continue-on-failure \
        --request-timeout 20
}

status=0
run registered || status=1
run made-up || status=1

if ! kill -0 "$server" 2>/dev/null; then
    echo "the service ended" >&2
    status=1
fi
if grep -E 'ERROR|panicked' "$work/err" >&2; then
    echo "the service logged errors" >&2
    status=1
fi
exit $status
