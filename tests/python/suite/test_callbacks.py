"""Callbacks and logs, and what the clients really ran with."""

import json
import os
import socket
import struct

from api import kafka
from case import PATIENCE_S, logger_into, text


def test_errors(case):
    for kind in ("Producer", "Consumer"):
        errors = []
        more = {"group.id": "a"} if kind == "Consumer" else {}
        # Nobody listens there.
        client = getattr(kafka, kind)({**case.conf(bootstrap_servers="127.0.0.1:1", error_cb=errors.append),
                                       **more})
        case.poll_until(client, lambda: any(
            each.code() == kafka.KafkaError._ALL_BROKERS_DOWN for each in errors), "the error")
        case.result(kind, sorted({each.name() for each in errors}))
        assert not any(each.fatal() for each in errors)
        if kind == "Consumer":
            client.close()


def test_logger(case):
    lines = []
    client = kafka.Producer(case.conf(log_level=7, debug="broker", logger=logger_into(lines)))
    client.list_topics(timeout=PATIENCE_S)
    # They wait until the application polls.
    case.poll_until(client, lambda: any("CONNECT" in line for line in lines), "lines of the log")
    mine = case.conf()["client.id"]
    assert all(f"[{mine}#producer-" in line for line in lines), lines[0]


def quota(brokers, client_id, bytes_per_s):
    """AlterClientQuotas, version 0: the client has no call for it."""
    def string(value):
        return struct.pack(">h", len(value)) + value.encode()

    host, port = brokers.split(":")
    body = (struct.pack(">hhi", 49, 0, 1) + string("suite")
            + struct.pack(">i", 1) + struct.pack(">i", 1) + string("client-id") + string(client_id)
            + struct.pack(">i", 1) + string("producer_byte_rate") + struct.pack(">d?", bytes_per_s, False)
            + b"\0")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as broker:
        broker.sendall(struct.pack(">i", len(body)) + body)
        answer = broker.recv(4096)
    # Size, correlation, throttle time, number of entries, then the first one's error.
    assert struct.unpack(">h", answer[16:18]) == (0,), answer


def test_throttle(case):
    """The broker slows a client down, and the client tells."""
    topic = case.topic()
    events = []
    producer = kafka.Producer(case.conf(throttle_cb=events.append))
    quota(case.cluster.brokers, case.conf()["client.id"], 20_000)

    def throttled():
        # Nothing that compression could make small.
        producer.produce(topic, os.urandom(20_000))
        # Serves the callbacks.
        producer.flush(PATIENCE_S)
        return events

    case.until(throttled, "an event")
    assert isinstance(events[0], kafka.ThrottleEvent)
    assert events[0].throttle_time > 0 and events[0].broker_id == 1


def running_with(lines):
    """What the engine says of its own configuration, `debug=conf`: what was set, by name."""
    return dict(line.split("]: ")[-1].strip().split(" = ", 1) for line in lines if " = " in line)


def test_statistics(case):
    """The statistics of a producer and a consumer, and the properties that they were created with."""
    topic = case.topic()
    statistics, lines = [], []
    producer = kafka.Producer(case.conf(
        statistics_interval_ms=200, stats_cb=lambda document: statistics.append(json.loads(document)),
        debug="conf", log_level=7, logger=logger_into(lines)))
    payload = "an order like many others " * 20
    for number in range(2000):
        producer.produce(topic, payload)
    assert producer.flush(PATIENCE_S) == 0
    case.poll_until(producer, lambda: statistics and statistics[-1]["txmsgs"] == 2000, "all messages")
    last = statistics[-1]
    assert (last["type"], last["client_id"]) == ("producer", case.conf()["client.id"])
    assert last["topics"][topic]["topic"] == topic and last["txmsg_bytes"] == 2000 * len(payload)
    case.observed["producer"] = {
        "configuration": running_with(lines),
        "sent bytes": last["tx_bytes"],
    }

    del statistics[:], lines[:]
    consumer = kafka.Consumer(case.group(
        statistics_interval_ms=200, stats_cb=lambda document: statistics.append(json.loads(document)),
        debug="conf", log_level=7, logger=logger_into(lines)))
    consumer.assign([kafka.TopicPartition(topic, 0, 0)])
    assert {text(each.value()) for each in case.take(consumer, 2000)} == {payload}
    case.poll_until(consumer, lambda: statistics and statistics[-1]["rxmsgs"] == 2000, "all messages")
    assert statistics[-1]["type"] == "consumer"
    case.observed["consumer"] = {"configuration": running_with(lines)}
    consumer.close()
