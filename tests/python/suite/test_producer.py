"""The producer: delivery, what a record can carry, what it refuses, partitioners, codecs."""

from api import kafka
from case import PATIENCE_S, needs, record, text


def test_delivery(case):
    topic = case.topic(partitions=3)
    producer = kafka.Producer(case.conf(acks="all"))
    reports = []

    def delivered(error, message):
        assert isinstance(message, kafka.Message)
        reports.append((error, message))

    for number in range(60):
        producer.produce(topic, key=f"key{number}", value=f"value {number}" * 5, partition=number % 3,
                         headers=[("number", str(number)), ("number", b"again"), ("none", None)],
                         timestamp=1_600_000_000_000 + number, on_delivery=delivered)
    assert len(producer) > 0
    case.poll_until(producer, lambda: len(reports) == 60, "delivery reports")
    assert all(error is None and message.offset() >= 0 for error, message in reports)
    assert all(message.latency() >= 0 for _, message in reports)

    stored = case.read_all(topic, 3)
    assert {each.timestamp()[0] for each in stored} == {kafka.TIMESTAMP_CREATE_TIME}
    assert sorted(each.timestamp()[1] for each in stored) == [1_600_000_000_000 + n for n in range(60)]
    case.result("records", [record(each) for each in stored])


def test_nothing_and_everything(case):
    """Keys and values that are absent, empty, or no text."""
    topic = case.topic()
    producer = kafka.Producer(case.conf())
    odd = [None, b"", b"\0", bytes(range(256)), "\N{SNOWMAN}"]
    for key in odd:
        for value in odd:
            producer.produce(topic, value, key, callback=lambda *_: None, headers={"a": "1", "b": b"\xff"})
    assert producer.flush(PATIENCE_S) == 0
    stored = [record(each) for each in case.read_all(topic)]
    assert len(stored) == 25
    case.result("records", stored)


def test_refusals(case):
    """What a producer refuses, it refuses under any configuration that is none of the application's."""
    topic = case.topic()
    producer = kafka.Producer(case.conf(queue_buffering_max_messages=3, linger_ms=60000))
    refused = []
    for value in ("a", "b", "c", "d", "e"):
        try:
            producer.produce(topic, value)
        except BufferError as error:
            refused.append([value, str(error)])
    case.result("queue full", refused)
    assert [value for value, _ in refused] == ["d", "e"]

    try:
        producer.produce(topic, b"x" * 2_000_000)
        raise AssertionError("a message beyond message.max.bytes was taken")
    except kafka.KafkaException as error:
        assert error.args[0].code() == kafka.KafkaError.MSG_SIZE_TOO_LARGE
        case.result("too large", error.args[0].name())

    try:
        kafka.Producer(case.conf(no_such_property=1))
        raise AssertionError("an unknown property was taken")
    except kafka.KafkaException as error:
        case.result("unknown property", [error.args[0].name(), error.args[0].str()])

    try:
        kafka.Producer(case.conf(enable_idempotence=True, acks=1))
        raise AssertionError("a contradiction was taken")
    except kafka.KafkaException as error:
        case.result("contradiction", [error.args[0].name(), error.args[0].str()])
    producer.purge()
    assert producer.flush(PATIENCE_S) == 0


def test_purge(case):
    topic = case.topic()
    reports = []
    producer = kafka.Producer(case.conf(linger_ms=60000))
    for number in range(5):
        producer.produce(topic, str(number), on_delivery=lambda error, _: reports.append(error))
    producer.purge(in_queue=True, in_flight=True, blocking=True)
    case.poll_until(producer, lambda: len(reports) == 5, "reports of the purge")
    assert {error.code() for error in reports} == {kafka.KafkaError._PURGE_QUEUE}
    case.result("errors", [error.name() for error in reports])
    assert len(case.read_all(topic)) == 0


def test_timeout_of_a_message(case):
    """The application's own short timeout stays what it is."""
    reports = []
    # Nobody listens there: what is produced runs out of time.
    producer = kafka.Producer(case.conf(bootstrap_servers="127.0.0.1:1", message_timeout_ms=300))
    producer.produce("anywhere", "lost", on_delivery=lambda error, _: reports.append(error))
    case.poll_until(producer, lambda: reports, "the report")
    assert reports[0].code() == kafka.KafkaError._MSG_TIMED_OUT
    case.result("error", reports[0].name())


def test_partitioners(case):
    topic = case.topic(partitions=4)
    for partitioner in ("consistent", "murmur2", "fnv1a"):
        producer = kafka.Producer(case.conf(partitioner=partitioner))
        for number in range(40):
            producer.produce(topic, partitioner, f"key{number}")
        assert producer.flush(PATIENCE_S) == 0
    case.result("partitions", sorted([each.partition(), text(each.key()), text(each.value())]
                                     for each in case.read_all(topic, 4)))


def test_codecs(case):
    """A codec that the application chose, and a topic's own."""
    topic = case.topic()
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        case.fill(topic, [f"{codec} {number} " * 40 for number in range(50)], compression_type=codec,
                  linger_ms=5)
    case.fill(topic, ["by topic " * 40], default_topic_config={"compression.codec": "gzip", "acks": 1})
    stored = [text(each.value()) for each in case.read_all(topic)]
    assert len(stored) == 251
    case.result("values", sorted(stored))


def test_idempotence(case):
    topic = case.topic()
    case.fill(topic, [str(number) for number in range(500)], enable_idempotence=True)
    assert [text(each.value()) for each in case.read_all(topic)] == [str(number) for number in range(500)]


def test_metadata(case):
    topic = case.topic(partitions=2)
    producer = kafka.Producer(case.conf())
    described = producer.list_topics(topic, timeout=PATIENCE_S)
    assert isinstance(described, kafka.admin.ClusterMetadata)
    assert [type(each) for each in described.brokers.values()] == [kafka.admin.BrokerMetadata]
    assert type(described.topics[topic]) is kafka.admin.TopicMetadata
    partitions = described.topics[topic].partitions
    assert {type(each) for each in partitions.values()} == {kafka.admin.PartitionMetadata}
    case.result("partitions", {number: [each.leader, each.replicas, each.isrs]
                               for number, each in partitions.items()})
    assert topic in producer.list_topics(timeout=PATIENCE_S).topics


@needs("Producer.produce_batch")
def test_batch(case):
    topic = case.topic()
    producer = kafka.Producer(case.conf())
    reports = []
    messages = [{"value": f"value {number}", "key": f"key {number}"} for number in range(30)]
    assert producer.produce_batch(topic, messages,
                                  on_delivery=lambda error, _: reports.append(error)) == 30
    assert producer.flush(PATIENCE_S) == 0
    assert reports == [None] * 30
    case.result("records", [record(each) for each in case.read_all(topic)])


@needs("Producer.close")
def test_life(case):
    """A producer as a context, its close, and the id of its cluster."""
    topic = case.topic()
    with kafka.Producer(case.conf()) as producer:
        assert bool(producer) and len(producer.cluster_id(PATIENCE_S)) == 22
        producer.produce(topic, "in the context")
    assert [text(each.value()) for each in case.read_all(topic)] == ["in the context"]
    producer = kafka.Producer(case.conf())
    producer.produce(topic, "before close")
    case.result("closed", producer.close())
    assert [text(each.value()) for each in case.read_all(topic)] == ["in the context", "before close"]
    case.result("hashes", [kafka.murmur2(b"key", 7), kafka.consistent(b"key", 7), kafka.fnv1a(b"key", 7)])
