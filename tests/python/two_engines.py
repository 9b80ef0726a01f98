"""Two librdkafkas in one process, each used while the other is: the system's by a C module, the
wheel's by Python.

two_engines.py MODULE BROKERS TOPIC
Prints one JSON document: the versions of both, and what each has read of what both have produced.
"""

import ctypes
import json
import sys
import threading

import confluent_kafka

file, brokers, topic = sys.argv[1:]
RECORDS = 200

module = ctypes.CDLL(file)
module.module_version.restype = ctypes.c_char_p
module.module_producer.restype = ctypes.c_void_p
module.module_producer.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
module.module_produce.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
module.module_close.argtypes = [ctypes.c_void_p]
module.module_read.restype = ctypes.c_int
module.module_read.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]


def by_module(ready):
    producer = module.module_producer(brokers.encode(), b"by the module")
    assert producer
    ready.wait()
    for number in range(RECORDS):
        assert module.module_produce(producer, topic.encode(), f"module {number}".encode()) == 0
    assert module.module_close(producer) == 0


def by_wheel(ready):
    producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "client.id": "by the wheel"})
    ready.wait()
    for number in range(RECORDS):
        producer.produce(topic, f"wheel {number}")
        producer.poll(0)
    assert producer.flush(60) == 0


def read_by_module(count):
    lines = ctypes.create_string_buffer(1 << 20)
    read = module.module_read(brokers.encode(), topic.encode(), b"read by the module", count,
                              lines, len(lines))
    assert read == count, read
    return sorted(lines.value.decode().splitlines())


def read_by_wheel(count):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": "a",
                                         "client.id": "read by the wheel"})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    values = []
    while len(values) < count:
        message = consumer.poll(1)
        if message is not None:
            assert message.error() is None, message.error()
            values.append(message.value().decode())
    consumer.close()
    return sorted(values)


def at_once(*tasks):
    """Runs tasks side by side; what they have returned. One that fails, fails all."""
    results = [None] * len(tasks)

    def run(number, task):
        results[number] = ("done", task())

    threads = [threading.Thread(target=run, args=each) for each in enumerate(tasks)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if None in results:
        sys.exit("a thread failed")
    return [value for _, value in results]


ready = threading.Barrier(2)
at_once(lambda: by_module(ready), lambda: by_wheel(ready))
of_module, of_wheel = at_once(lambda: read_by_module(2 * RECORDS), lambda: read_by_wheel(2 * RECORDS))
print(json.dumps({
    "module": module.module_version().decode(),
    "wheel": confluent_kafka.libversion()[0],
    "read by the module": of_module,
    "read by the wheel": of_wheel,
}))
