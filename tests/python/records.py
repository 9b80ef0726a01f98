"""An application that counts what it does itself, and the cluster's account of it.

records.py topics  BROKERS PARTITIONS TOPIC...
    makes topics
records.py account BROKERS TOPIC
    what a consumer who knows nothing of the rest finds there
records.py produce BROKERS TOPIC RECORDS [PROPERTY=VALUE]...
records.py consume BROKERS TOPIC RECORDS [PROPERTY=VALUE]...
    do that, and tell what was done

Each prints one line of JSON.
"""

import json
import sys
import time

from confluent_kafka import (OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE_S = 60
SIZES = bytes(700)


def size(message):
    return len(message.value() or b"") + len(message.key() or b"")


def configured(brokers, properties, **more):
    return {"bootstrap.servers": brokers, **more, **dict(each.split("=", 1) for each in properties)}


def topics(brokers, partitions, *names):
    admin = AdminClient({"bootstrap.servers": brokers})
    made = admin.create_topics([NewTopic(name, int(partitions), 1) for name in names])
    for future in made.values():
        future.result(PATIENCE_S)
    # A partition that was made may have no leader for a moment: who produces then has to try again.
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "topics"})
    for name in names:
        for partition in range(int(partitions)):
            wait_for_leader(reader, TopicPartition(name, partition))
    reader.close()
    return names


def wait_for_leader(reader, partition):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return reader.get_watermark_offsets(partition, PATIENCE_S)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise


def read(brokers, topic, isolation):
    """The sums over all records of a topic."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "account",
                         "enable.auto.commit": False, "isolation.level": isolation,
                         "enable.partition.eof": True})
    partitions = consumer.list_topics(topic, PATIENCE_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
    found = {"records": 0, "bytes": 0, "nulls": 0, "headers": 0}
    unread = set(partitions)
    while unread:
        for message in consumer.consume(10_000, 1):
            error = message.error()
            if error is None:
                found["records"] += 1
                found["bytes"] += size(message)
                found["nulls"] += message.value() is None
                found["headers"] += message.headers() is not None
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                sys.exit(f"records: {error}")
    ends = (consumer.get_watermark_offsets(TopicPartition(topic, each)) for each in partitions)
    found["offsets"] = sum(high - low for low, high in ends)
    consumer.close()
    return found


def account(brokers, topic):
    return {"all": read(brokers, topic, "read_uncommitted"),
            "committed": read(brokers, topic, "read_committed")}


def produce(brokers, topic, records, *properties):
    did = dict.fromkeys(["accepted", "accepted_bytes", "delivered", "delivered_bytes", "failed"], 0)
    statistics = []

    def delivered(error, message):
        if error is not None:
            did["failed"] += 1
            return
        did["delivered"] += 1
        did["delivered_bytes"] += size(message)

    producer = Producer(configured(brokers, properties, on_delivery=delivered,
                                   stats_cb=statistics.append))
    for number in range(int(records)):
        # Of all sizes, and none.
        value = None if number % 17 == 0 else SIZES[:number * 7919 % 700]
        key = None if number % 5 == 0 else SIZES[:number % 23]
        headers = [("trace", b"0123456789abcdef")] if number % 3 else None
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)
                break
            except BufferError:
                producer.poll(0.01)
        did["accepted"] += 1
        did["accepted_bytes"] += len(value or b"") + len(key or b"")
        if number % 100 == 0:
            producer.poll(0)
    if producer.flush(PATIENCE_S):
        sys.exit("records: not everything was delivered")
    # Statistics wait in a queue: those that are served next may be old.
    moment = time.monotonic_ns() // 1000
    while not statistics or json.loads(statistics[-1])["ts"] <= moment:
        producer.poll(0.1)
    return {**did, "statistics": json.loads(statistics[-1])}


def consume(brokers, topic, records, *properties):
    did = {"consumed": 0, "consumed_bytes": 0}
    consumer = Consumer(configured(brokers, properties, **{
        "group.id": "records", "auto.offset.reset": "earliest"}))
    consumer.subscribe([topic])
    while did["consumed"] < int(records):
        if did["consumed"] < int(records) // 2:
            message = consumer.poll(1)
            messages = [] if message is None else [message]
        else:
            messages = consumer.consume(500, 1)
        for message in messages:
            if message.error() is None:
                did["consumed"] += 1
                did["consumed_bytes"] += size(message)
    consumer.close()
    return did


COMMANDS = {"topics": topics, "account": account, "produce": produce, "consume": consume}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
