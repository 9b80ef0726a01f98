#!/usr/bin/env python3
"""What rewriting the records of the demo as Protobuf would save on the wire, beside what compression
and linger save of them as they are.

usage: payload.py [--records N] [--rate N] [--json]

The records are the orders of `examples/c/producer.c`, which the demo sends. They go to Apache Kafka,
started for this by `tests/kafka/kafka`, one by one and together, and librdkafka's own statistics say
how many bytes that took. Needs confluent-kafka and protobuf (`make bench-payload` brings them), cc, and what
`tests/kafka/kafka` needs.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

ROOT = pathlib.Path(__file__).resolve().parent.parent
# As the demo has.
PARTITIONS = 6
# The library raises linger to the first at most. An application may have more.
LINGERS_MS = (100, 1000)
# A bound against hanging.
PATIENCE_S = 120
SCHEMA_ID = 7
FIELD = descriptor_pb2.FieldDescriptorProto


def environment():
    """Without Superstream: what is measured is the engine alone."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("SUPERSTREAM_") and name != "LD_PRELOAD"}


@contextlib.contextmanager
def kafka():
    """The address of a node, which ends with its standard input."""
    command = [ROOT / "tests/kafka/kafka", "run"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=environment()) as node:
        yield json.loads(node.stdout.readline())["brokers"]
        node.stdin.close()


def make_topic(brokers, name):
    admin = AdminClient({"bootstrap.servers": brokers})
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values():
        made.result(PATIENCE_S)


def orders(brokers, count):
    """Keys and values, as the demo's producer sends them."""
    make_topic(brokers, "orders")
    with tempfile.TemporaryDirectory(prefix="superstream-payload-") as folder:
        program = pathlib.Path(folder) / "producer"
        subprocess.run(["cc", "-std=gnu11", "-O2", "-o", program, ROOT / "examples/c/producer.c",
                        "-lrdkafka"], check=True)
        subprocess.run([program, "-b", brokers, "-t", "orders", "-n", str(count)], check=True,
                       stdout=subprocess.DEVNULL, env=environment())
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": brokers, "group.id": "payload", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    found, end = [], time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < end:
        for message in consumer.consume(1000, 1):
            if message.error():
                raise SystemExit(f"payload: {message.error()}")
            found.append((message.key(), message.value()))
    consumer.close()
    if len(found) != count:
        raise SystemExit(f"payload: {len(found)} of {count} orders came")
    return sorted(found, key=lambda order: json.loads(order[1])["order_id"])


def message_type(whole_number):
    """The orders as proto3, by a descriptor as the service has it for a topic: the names of JSON, and
    presence for every field. Whole numbers have this type."""
    file = descriptor_pb2.FileDescriptorProto(name="orders.proto", syntax="proto3")

    def add(name, fields):
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            made = message.field.add(name=field, json_name=field, number=number,
                                     label=FIELD.LABEL_OPTIONAL)
            if kind == "Item":
                made.label = FIELD.LABEL_REPEATED
            if isinstance(kind, str):
                made.type, made.type_name = FIELD.TYPE_MESSAGE, f".{kind}"
            else:
                made.type, made.proto3_optional = kind, True
                made.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")

    text, real = FIELD.TYPE_STRING, FIELD.TYPE_DOUBLE
    add("Item", [("sku", text), ("quantity", whole_number), ("unit_price", real)])
    add("Place", [("country", text), ("city", text), ("postal_code", text)])
    add("Order", [("order_id", text), ("customer_id", text), ("created_at", whole_number),
                  ("status", text), ("channel", text), ("items", "Item"), ("total", real),
                  ("ship_to", "Place")])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Order"))


def rewritten(values, whole_number):
    """The values as Protobuf, and how many of them come back the same, as bytes and as JSON."""
    order = message_type(whole_number)
    small, same_bytes, same_json = [], 0, 0
    for value in values:
        small.append(json_format.Parse(value, order()).SerializeToString())
        back = json_format.MessageToJson(order.FromString(small[-1])).encode()
        same_bytes += back == value
        same_json += json.loads(back) == json.loads(value)
    return small, {"same_bytes": same_bytes, "same_json": same_json}


class Producer:
    """A client that says what it has sent."""

    def __init__(self, brokers, topic, properties):
        self.topic, self.statistics, self.failed = topic, None, None
        self.client = confluent_kafka.Producer({
            "bootstrap.servers": brokers, "statistics.interval.ms": 50, "log_level": 4,
            "stats_cb": self.keep, "on_delivery": self.delivered, **properties})

    def keep(self, text):
        self.statistics = json.loads(text)

    def delivered(self, error, _message):
        self.failed = self.failed or error

    def produce(self, key, value, headers):
        self.client.produce(self.topic, value, key, headers=headers)

    def flush(self):
        if self.client.flush(PATIENCE_S) or self.failed:
            raise SystemExit(f"payload: not everything was delivered: {self.failed}")

    def close(self):
        """Its callbacks keep it alive."""
        self.client = None

    def sent(self):
        """Bytes, records and produce requests up to now. Statistics are taken before they are
        handed over, so those that were on their way are not looked at."""
        self.flush()
        for _ in range(2):
            self.statistics, end = None, time.monotonic() + PATIENCE_S
            while not self.statistics:
                if time.monotonic() > end:
                    raise SystemExit("payload: no statistics came")
                self.client.poll(1)
        brokers = self.statistics["brokers"].values()
        requests = sum(broker["req"].get("Produce", 0) for broker in brokers)
        return {"bytes": self.statistics["tx_bytes"], "records": self.statistics["txmsgs"],
                "requests": requests}


def measure(brokers, topic, records, properties, rate):
    """What these records take on the wire; one by one where there is no rate. A first record has the
    client find out what it needs to know of the cluster, and is not counted."""
    make_topic(brokers, topic)
    producer = Producer(brokers, topic, properties)
    producer.produce(*records[0])
    before, start = producer.sent(), time.monotonic()
    for number, record in enumerate(records):
        producer.produce(*record)
        if not rate:
            producer.flush()
            continue
        producer.client.poll(max(0, start + number / rate - time.monotonic()))
    after = producer.sent()
    producer.close()
    took = {name: after[name] - before[name] for name in after}
    if took["records"] != len(records):
        raise SystemExit(f"payload: {took['records']} of {len(records)} records were sent")
    return {
        "payload_bytes_per_record": sum(len(key) + len(value) for key, value, _ in records)
        / len(records),
        "wire_bytes_per_record": took["bytes"] / len(records),
        "records_per_request": len(records) / took["requests"],
    }


def run(options):
    with kafka() as brokers:
        plain = orders(brokers, options.records)
        keys, values = zip(*plain)
        small, back = rewritten(values, FIELD.TYPE_INT32)
        _, back_with_64_bits = rewritten(values, FIELD.TYPE_INT64)
        headers = [("superstream_schema", str(SCHEMA_ID).encode())]
        as_json = [(key, value, None) for key, value in plain]
        as_protobuf = [(key, value, headers) for key, value in zip(keys, small)]
        together = {f"zstd, linger.ms={linger}": {"compression.type": "zstd", "linger.ms": linger}
                    for linger in LINGERS_MS}
        ways = {}
        for how, properties in ({"one by one": {}} | together).items():
            for form, records in (("JSON", as_json), ("Protobuf", as_protobuf)):
                ways[f"{form}, {how}"] = measure(brokers, f"way-{len(ways)}", records, properties,
                                                 options.rate if properties else 0)
    return {"records": options.records, "rate": options.rate,
            "engine": confluent_kafka.libversion()[0], "ways": ways,
            "come_back": {"int32": back, "int64": back_with_64_bits}}


def tell(found):
    print(f"{found['records']} orders, librdkafka {found['engine']}")
    print(f"{'':31}{'payload':>9}{'wire':>9}{'records a request':>19}")
    for name, way in found["ways"].items():
        print(f"{name:31}{way['payload_bytes_per_record']:9.1f}{way['wire_bytes_per_record']:9.1f}"
              f"{way['records_per_request']:19.1f}")
    for kind, back in found["come_back"].items():
        print(f"with {kind} for whole numbers {back['same_bytes']} come back byte for byte, "
              f"{back['same_json']} as equal JSON")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", type=int, default=12_000)
    parser.add_argument("--rate", type=int, default=2_000, help="records a second, where they linger")
    parser.add_argument("--json", action="store_true", help="print a JSON document")
    options = parser.parse_args()
    if options.records < 1 or options.rate < 1:
        parser.error("there must be records, and a rate")
    found = run(options)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found)


if __name__ == "__main__":
    main()
