"""What a test is given: the cluster, topics and clients of its own, and a place for its results."""

import dataclasses
import functools
import logging
import time
import uuid

from api import has, kafka, version

# A bound against hanging, no measure of anything.
PATIENCE_S = 90


class Skipped(Exception):
    """This version of the client lacks what the test is about."""


def needs(*paths):
    """Marks a test that is about something which older clients lack."""
    def mark(test):
        @functools.wraps(test)
        def run(case):
            missing = [path for path in paths if not has(path)]
            if missing:
                raise Skipped(f"confluent-kafka {version()} has no {', '.join(missing)}")
            return test(case)
        return run
    return mark


@dataclasses.dataclass
class Cluster:
    brokers: str
    sasl: str


class Case:
    def __init__(self, name, cluster, run):
        self.name = name
        self.cluster = cluster
        self._prefix = f"{run}-{name}"
        self._topics = 0
        # Must be the same in every run.
        self.results = {}
        # What its clients really ran with: may differ.
        self.observed = {}

    def result(self, key, value):
        self.results[key] = value

    def id(self, what):
        return f"{self._prefix}-{what}"

    def conf(self, **more):
        """Properties with `_` for `.`."""
        conf = {
            "bootstrap.servers": self.cluster.brokers,
            "client.id": self._prefix,
            # What is logged below the logger's tests would be noise in the comparison.
            "log_level": 0,
        }
        conf.update({name.replace("__", "-").replace("_", ".") if name not in AS_THEY_ARE else name: value
                     for name, value in more.items()})
        return conf

    def group(self, **more):
        return self.conf(**{"group_id": self.id("group"), "auto_offset_reset": "earliest",
                            "session_timeout_ms": 6000, "heartbeat_interval_ms": 500,
                            "enable_auto_commit": False, **more})

    def admin(self, **more):
        return kafka.admin.AdminClient(self.conf(**more))

    def topic(self, partitions=1, config=None):
        """A new topic that the brokers know about."""
        name = self.id(f"topic{self._topics}")
        self._topics += 1
        admin = self.admin()
        new = kafka.admin.NewTopic(name, num_partitions=partitions, replication_factor=1,
                                   config=config or {})
        admin.create_topics([new])[name].result(PATIENCE_S)
        self.until(lambda: partitions_with_leaders(admin, name) == partitions, "the topic's leaders")
        return name

    def until(self, condition, what):
        """Waits for a condition whose check itself waits for a bit."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}")
        return value

    def poll_until(self, client, condition, what):
        """Serves a client's callbacks until they have brought about the condition."""
        return self.until(lambda: condition() or client.poll(0.05) and None, what)

    def fill(self, topic, values, **more):
        """Produces values, all delivered."""
        producer = kafka.Producer(self.conf(**more))
        failed = []
        for value in values:
            producer.produce(topic, value, on_delivery=lambda error, _: error and failed.append(error))
        left = producer.flush(PATIENCE_S)
        assert (left, failed) == (0, []), (left, failed)

    def take(self, consumer, count):
        """So many messages, none of them an error."""
        messages = []

        def enough():
            message = consumer.poll(0.2)
            if message is not None:
                if message.error():
                    raise kafka.KafkaException(message.error())
                messages.append(message)
            return len(messages) >= count

        self.until(enough, f"{count} messages")
        return messages

    def read_all(self, topic, partitions=1, **more):
        """All that is in a topic, in the order of partition and offset."""
        consumer = kafka.Consumer(self.group(enable_partition_eof=True, **more))
        consumer.assign([kafka.TopicPartition(topic, number, kafka.OFFSET_BEGINNING)
                         for number in range(partitions)])
        messages, ended = [], set()

        def all_ended():
            message = consumer.poll(0.2)
            if message is None:
                return False
            if message.error() is None:
                messages.append(message)
            elif message.error().code() == kafka.KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise kafka.KafkaException(message.error())
            return len(ended) == partitions

        self.until(all_ended, "the ends of all partitions")
        consumer.close()
        return sorted(messages, key=lambda each: (each.partition(), each.offset()))


# Properties and arguments whose names have no dots.
AS_THEY_ARE = {"log_level", "error_cb", "stats_cb", "throttle_cb", "oauth_cb", "on_delivery",
               "on_commit", "logger"}


def partitions_with_leaders(client, topic):
    described = client.list_topics(topic, timeout=PATIENCE_S).topics[topic]
    return sum(each.leader >= 0 for each in described.partitions.values())


def text(data):
    """Bytes as JSON can show them."""
    return None if data is None else data.decode("latin-1")


def record(message):
    """What a producer meant by a message, without what differs from run to run."""
    headers = [[name, text(value)] for name, value in message.headers() or []]
    return [message.partition(), text(message.key()), text(message.value()), headers]


def logger_into(lines):
    """A logger that collects."""
    class Lines(logging.Handler):
        def emit(self, entry):
            lines.append(entry.getMessage())

    # Not a registered one: no other logger sees its lines.
    logger = logging.Logger(uuid.uuid4().hex, logging.DEBUG)
    logger.addHandler(Lines())
    return logger
