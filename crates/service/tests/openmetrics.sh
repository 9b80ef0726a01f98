#!/bin/sh
# Has a parser of others read `/metrics`: prometheus_client's, which is strict.
#
# usage: openmetrics.sh SERVICE PYTHON
#   SERVICE  the superstream-service binary
#   PYTHON   a Python that has the package prometheus_client
set -eu

service=$(realpath "$1")
# Not through links: the executable of a virtual environment may be one that must stay.
python=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
here=$(cd "$(dirname "$0")" && pwd)
token=openmetrics-run-token
. "$here/serve.sh"

"$python" - "$url" "$token" <<'PYTHON'
import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

url, token = sys.argv[1:]


def ask(method, path, message=None):
    request = urllib.request.Request(url + path, method=method)
    request.add_header("Authorization", "Bearer " + token)
    if message is not None:
        request.data = json.dumps(message).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def read():
    media_type, text = ask("GET", "/metrics")
    assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8", media_type
    return {family.name: family for family in text_string_to_metric_families(text)}


def register(kind):
    return json.loads(ask("POST", "/v1/clients", {"type": kind})[1])["client_hash"]


def report(client, sequence, records):
    figures = {"records": records, "bytes": 100 * records}
    return {
        "client_hash": client,
        "sequence": sequence,
        "measured": {
            "duration_ms": 1000 * sequence,
            "topics": {"t": {"accepted": figures, "delivered": figures, "consumed": figures}},
            "brokers": [{"id": 1, "produce": {"requests": records, "bytes": 120 * records}}],
            "delivery_latency_us": {"3": records, "100": records, "271": records},
        },
    }


before = read()
producer, consumer = register("producer"), register("consumer")
ask("POST", "/v1/reports", {"reports": [report(producer, 1, 10), report(consumer, 1, 5)]})
# The second is repeated, and nobody knows the third.
again = [report(producer, 2, 30), report(consumer, 1, 5), report("nobody", 1, 1)]
ask("POST", "/v1/reports", {"reports": again})
after = read()
assert before.keys() == after.keys(), before.keys() ^ after.keys()


def value(name, **labels):
    values = [
        sample.value
        for family in after.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(values) == 1, (name, labels, values)
    return values[0]


assert value("superstream_delivered_records_total", type="producer") == 30
assert value("superstream_consumed_bytes_total", type="consumer") == 500
assert value("superstream_produce_wire_bytes_total", type="producer") == 3600
assert value("superstream_service_reports_total", outcome="taken") == 3
assert value("superstream_service_reports_total", outcome="repeated") == 1
assert value("superstream_service_reports_total", outcome="unknown") == 1
latency = "superstream_delivery_latency_seconds_bucket"
assert value(latency, type="producer", le="0.000127") == 30
assert value(latency, type="producer", le="0.032767") == 60
assert value(latency, type="producer", le="+Inf") == 90
print(f"openmetrics: {len(after)} families read, and they tell what was reported")
PYTHON
