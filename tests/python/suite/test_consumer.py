"""The consumer without a group's help: assignments, offsets, seeking, pausing, batches."""

from api import kafka
from case import PATIENCE_S, needs, text


def at(topic, partition=0, offset=None):
    return kafka.TopicPartition(topic, partition, kafka.OFFSET_INVALID if offset is None else offset)


def values(messages):
    return [text(each.value()) for each in messages]


def numbers(count, first=0):
    return [str(number) for number in range(first, first + count)]


def test_assign_and_seek(case):
    topic = case.topic()
    case.fill(topic, numbers(20))
    consumer = kafka.Consumer(case.group())
    consumer.assign([at(topic, 0, 5)])
    assert [(each.topic, each.partition) for each in consumer.assignment()] == [(topic, 0)]
    assert values(case.take(consumer, 3)) == numbers(3, 5)
    assert consumer.position([at(topic)])[0].offset == 8

    consumer.seek(at(topic, 0, 15))
    assert values(case.take(consumer, 5)) == numbers(5, 15)
    consumer.seek(at(topic, 0, kafka.OFFSET_BEGINNING))
    assert values(case.take(consumer, 2)) == numbers(2)

    assert consumer.get_watermark_offsets(at(topic), timeout=PATIENCE_S) == (0, 20)
    assert consumer.get_watermark_offsets(at(topic), cached=True)[1] == 20
    consumer.unassign()
    assert consumer.assignment() == []
    consumer.close()


def test_offsets_for_times(case):
    topic = case.topic()
    producer = kafka.Producer(case.conf())
    for number in range(10):
        producer.produce(topic, str(number), timestamp=1_600_000_000_000 + number * 1000)
    assert producer.flush(PATIENCE_S) == 0
    consumer = kafka.Consumer(case.group())
    asked = [at(topic, 0, 1_600_000_000_000 + milliseconds) for milliseconds in (0, 3500, 99_000)]
    found = [consumer.offsets_for_times([each], timeout=PATIENCE_S)[0].offset for each in asked]
    case.result("offsets", found)
    assert found[:2] == [0, 4]
    consumer.close()


def test_commit(case):
    """Committed offsets by message, by offsets and by position, at once and in the background."""
    topic = case.topic()
    case.fill(topic, numbers(10))
    reports = []
    consumer = kafka.Consumer(case.group(
        on_commit=lambda error, offsets: reports.append((error, [each.offset for each in offsets]))))
    consumer.assign([at(topic, 0, 0)])
    messages = case.take(consumer, 4)

    def committed():
        return consumer.committed([at(topic)], timeout=PATIENCE_S)[0].offset

    by_message = consumer.commit(message=messages[0], asynchronous=False)
    assert (by_message[0].offset, committed()) == (1, 1)
    consumer.commit(offsets=[at(topic, 0, 3)], asynchronous=True)
    case.poll_until(consumer, lambda: (None, [3]) in reports, "the report of the commit")
    assert committed() == 3
    # By position: beyond the four there may be more that poll() has served meanwhile.
    consumer.seek(at(topic, 0, 6))
    case.take(consumer, 2)
    assert consumer.commit(asynchronous=False)[0].offset == 8
    assert committed() == 8
    case.result("reports", [[str(error) if error else None, offsets] for error, offsets in reports])
    consumer.close()


def test_stored_offsets(case):
    topic = case.topic()
    case.fill(topic, numbers(6))
    group = case.group(enable_auto_offset_store=False)
    consumer = kafka.Consumer(group)
    consumer.assign([at(topic, 0, 0)])
    messages = case.take(consumer, 4)
    consumer.store_offsets(message=messages[1])
    assert consumer.commit(asynchronous=False)[0].offset == 2
    consumer.store_offsets(offsets=[at(topic, 0, 4)])
    assert consumer.commit(asynchronous=False)[0].offset == 4
    consumer.close()
    # Who comes next goes on from there.
    consumer = kafka.Consumer(group)
    consumer.assign([at(topic, 0, kafka.OFFSET_STORED)])
    assert values(case.take(consumer, 2)) == ["4", "5"]
    consumer.close()


def test_pause(case):
    topic = case.topic(partitions=2)
    producer = kafka.Producer(case.conf())
    for number in range(10):
        producer.produce(topic, f"{number % 2}", partition=number % 2)
    assert producer.flush(PATIENCE_S) == 0
    consumer = kafka.Consumer(case.group())
    consumer.assign([at(topic, 0, 0), at(topic, 1, 0)])
    consumer.pause([at(topic, 1)])
    assert values(case.take(consumer, 5)) == ["0"] * 5
    consumer.resume([at(topic, 1)])
    assert values(case.take(consumer, 5)) == ["1"] * 5
    consumer.close()


def test_incremental_assign(case):
    topic = case.topic(partitions=2)
    producer = kafka.Producer(case.conf())
    for partition in (0, 1):
        producer.produce(topic, f"in {partition}", partition=partition)
    assert producer.flush(PATIENCE_S) == 0
    consumer = kafka.Consumer(case.group())
    consumer.incremental_assign([at(topic, 0, 0)])
    assert values(case.take(consumer, 1)) == ["in 0"]
    consumer.incremental_assign([at(topic, 1, 0)])
    assert values(case.take(consumer, 1)) == ["in 1"]
    consumer.incremental_unassign([at(topic, 0)])
    assert [each.partition for each in consumer.assignment()] == [1]
    consumer.close()


def test_consume(case):
    """Batches, the end of a partition, and a wrong offset."""
    topic = case.topic()
    case.fill(topic, numbers(100))
    consumer = kafka.Consumer(case.group(enable_partition_eof=True))
    consumer.assign([at(topic, 0, 0)])
    messages = []
    while not messages or messages[-1].error() is None:
        messages += consumer.consume(num_messages=30, timeout=0.5)
    assert messages[-1].error().code() == kafka.KafkaError._PARTITION_EOF
    assert values(messages[:-1]) == numbers(100)
    consumer.close()

    strict = kafka.Consumer(case.group(auto_offset_reset="error"))
    strict.assign([at(topic, 0, 5000)])
    message = case.until(lambda: strict.poll(0.2), "an error")
    case.result("wrong offset", message.error().name())
    assert message.error().code() == kafka.KafkaError._AUTO_OFFSET_RESET
    strict.close()


def test_misuse(case):
    """The errors that an application can see are the engine's own."""
    for what, wrong in (("group", case.conf()), ("value", case.group(session_timeout_ms="soon"))):
        try:
            kafka.Consumer(wrong)
            raise AssertionError(f"taken: {wrong}")
        except ValueError as error:
            case.result(what, str(error))
        except kafka.KafkaException as error:
            case.result(what, error.args[0].str())
    consumer = kafka.Consumer(case.group())
    try:
        consumer.subscribe([])
    except kafka.KafkaException as error:
        case.result("subscribe", error.args[0].str())
    consumer.close()
    try:
        consumer.poll(0)
        raise AssertionError("polled after its close")
    except RuntimeError as error:
        case.result("closed", str(error))
    partition = kafka.TopicPartition("a", 1, 2)
    assert partition == kafka.TopicPartition("a", 1, 7) and str(partition).startswith("TopicPartition{")


@needs("IllegalStateException", "ConcurrentModificationException")
def test_misuse_of_today(case):
    """What newer clients say of a closed consumer, and of one that two threads use at once."""
    consumer = kafka.Consumer(case.group())
    consumer.close()
    try:
        consumer.assignment()
        raise AssertionError("used after its close")
    except RuntimeError as error:
        case.result("closed", [type(error).__name__, str(error)])
    assert issubclass(kafka.IllegalStateException, RuntimeError)
    assert issubclass(kafka.ConcurrentModificationException, RuntimeError)


@needs("Consumer.cluster_id")
def test_as_a_context(case):
    topic = case.topic()
    case.fill(topic, ["a"])
    with kafka.Consumer(case.group()) as consumer:
        assert len(consumer.cluster_id(PATIENCE_S)) == 22
        consumer.assign([at(topic, 0, 0)])
        message, = case.take(consumer, 1)
        assert message.leader_epoch() == 0
