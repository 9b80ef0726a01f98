#!/usr/bin/env python3
"""Produces records and consumes them again through ctypes, with nothing but Python itself.

The library is the one that RDKAFKA_LIBRARY names, or librdkafka.so.1 as the loader finds it.
"""

import argparse
import ctypes
import os
import sys
import time
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p

PRODUCER, CONSUMER = 0, 1
PARTITION_UA = -1
MSG_F_COPY = 2
QUEUE_FULL = -184


class Message(ctypes.Structure):
    """rd_kafka_message_t"""

    _fields_ = [
        ("err", c_int),
        ("rkt", c_void_p),
        ("partition", c_int32),
        ("payload", c_void_p),
        ("len", c_size_t),
        ("key", c_void_p),
        ("key_len", c_size_t),
        ("offset", c_int64),
        ("private", c_void_p),
    ]


def load():
    """The library, with the types of the functions that are used here."""
    library = ctypes.CDLL(os.environ.get("RDKAFKA_LIBRARY", "librdkafka.so.1"))
    signatures = {
        "rd_kafka_version_str": (c_char_p, []),
        "rd_kafka_conf_new": (c_void_p, []),
        "rd_kafka_conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
        "rd_kafka_new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
        "rd_kafka_topic_new": (c_void_p, [c_void_p, c_char_p, c_void_p]),
        "rd_kafka_produce": (
            c_int,
            [c_void_p, c_int32, c_int, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p],
        ),
        "rd_kafka_last_error": (c_int, []),
        "rd_kafka_err2str": (c_char_p, [c_int]),
        "rd_kafka_poll": (c_int, [c_void_p, c_int]),
        "rd_kafka_flush": (c_int, [c_void_p, c_int]),
        "rd_kafka_outq_len": (c_int, [c_void_p]),
        "rd_kafka_topic_partition_list_new": (c_void_p, [c_int]),
        "rd_kafka_topic_partition_list_add": (c_void_p, [c_void_p, c_char_p, c_int32]),
        "rd_kafka_topic_partition_list_destroy": (None, [c_void_p]),
        "rd_kafka_subscribe": (c_int, [c_void_p, c_void_p]),
        "rd_kafka_consumer_poll": (POINTER(Message), [c_void_p, c_int]),
        "rd_kafka_message_destroy": (None, [POINTER(Message)]),
        "rd_kafka_consumer_close": (c_int, [c_void_p]),
        "rd_kafka_topic_destroy": (None, [c_void_p]),
        "rd_kafka_destroy": (None, [c_void_p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def client(kafka, kind, settings):
    errstr = ctypes.create_string_buffer(512)
    conf = kafka.rd_kafka_conf_new()
    for key, value in settings.items():
        if kafka.rd_kafka_conf_set(conf, key.encode(), value.encode(), errstr, len(errstr)):
            sys.exit(f"{key}: {errstr.value.decode()}")
    handle = kafka.rd_kafka_new(kind, conf, errstr, len(errstr))
    if not handle:
        sys.exit(f"cannot create the client: {errstr.value.decode()}")
    return handle


def produce(kafka, brokers, topic, count):
    producer = client(kafka, PRODUCER, {"bootstrap.servers": brokers})
    handle = kafka.rd_kafka_topic_new(producer, topic.encode(), None)
    for number in range(count):
        key, value = f"key-{number % 100}".encode(), f"record {number}".encode()
        while kafka.rd_kafka_produce(
            handle, PARTITION_UA, MSG_F_COPY, value, len(value), key, len(key), None
        ):
            error = kafka.rd_kafka_last_error()
            if error != QUEUE_FULL:
                sys.exit(kafka.rd_kafka_err2str(error).decode())
            kafka.rd_kafka_poll(producer, 100)
    if kafka.rd_kafka_flush(producer, 60_000):
        sys.exit(f"{kafka.rd_kafka_outq_len(producer)} records were not delivered")
    kafka.rd_kafka_topic_destroy(handle)
    kafka.rd_kafka_destroy(producer)


def consume(kafka, brokers, topic, count, patience):
    consumer = client(
        kafka,
        CONSUMER,
        {
            "bootstrap.servers": brokers,
            "group.id": "python-example",
            "auto.offset.reset": "earliest",
        },
    )
    topics = kafka.rd_kafka_topic_partition_list_new(1)
    kafka.rd_kafka_topic_partition_list_add(topics, topic.encode(), PARTITION_UA)
    error = kafka.rd_kafka_subscribe(consumer, topics)
    if error:
        sys.exit(kafka.rd_kafka_err2str(error).decode())
    kafka.rd_kafka_topic_partition_list_destroy(topics)

    values = set()
    deadline = time.monotonic() + patience
    while len(values) < count and time.monotonic() < deadline:
        message = kafka.rd_kafka_consumer_poll(consumer, 1000)
        if not message:
            continue
        if not message.contents.err:
            values.add(ctypes.string_at(message.contents.payload, message.contents.len))
        kafka.rd_kafka_message_destroy(message)
    kafka.rd_kafka_consumer_close(consumer)
    kafka.rd_kafka_destroy(consumer)
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("brokers")
    parser.add_argument("topic")
    parser.add_argument("-n", "--count", type=int, default=1000)
    parser.add_argument("-w", "--patience", type=int, default=60, help="seconds")
    options = parser.parse_args()

    kafka = load()
    print("librdkafka", kafka.rd_kafka_version_str().decode())
    produce(kafka, options.brokers, options.topic, options.count)
    print("produced", options.count)
    values = consume(kafka, options.brokers, options.topic, options.count, options.patience)
    print("consumed", len(values))
    expected = {f"record {number}".encode() for number in range(options.count)}
    sys.exit(0 if values == expected else 1)


if __name__ == "__main__":
    main()
