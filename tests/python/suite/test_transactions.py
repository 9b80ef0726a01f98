"""Transactions: commit, abort, consumed offsets, fencing."""

from api import kafka
from case import PATIENCE_S, logger_into, text


def transactional(case, **more):
    producer = kafka.Producer(case.conf(transactional_id=case.id("transaction"), **more))
    producer.init_transactions(PATIENCE_S)
    return producer


def committed_values(case, topic):
    return [text(each.value()) for each in case.read_all(topic, isolation_level="read_committed")]


def test_commit_and_abort(case):
    topic = case.topic()
    producer = transactional(case)
    for round, end in enumerate(("commit", "abort", "commit", "abort")):
        producer.begin_transaction()
        for number in range(5):
            producer.produce(topic, f"{end} {round} {number}")
        if end == "commit":
            producer.commit_transaction(PATIENCE_S)
        else:
            # On the broker, so that there is something to abort there.
            assert producer.flush(PATIENCE_S) == 0
            producer.abort_transaction(PATIENCE_S)
    committed = committed_values(case, topic)
    assert committed == [f"commit {round} {number}" for round in (0, 2) for number in range(5)]
    everything = case.read_all(topic, isolation_level="read_uncommitted")
    assert len(everything) == 20
    case.result("all", [text(each.value()) for each in everything])


def test_offsets_in_a_transaction(case):
    """Consume, transform, produce: the offset moves with the transaction or not at all."""
    source, sink = case.topic(), case.topic()
    case.fill(source, [str(number) for number in range(6)])
    consumer = kafka.Consumer(case.group())
    consumer.subscribe([source])
    producer = transactional(case)

    def committed():
        return consumer.committed([kafka.TopicPartition(source, 0)], timeout=PATIENCE_S)[0].offset

    for end, expected in (("abort", kafka.OFFSET_INVALID), ("commit", 6)):
        producer.begin_transaction()
        if end == "commit":
            consumer.seek(kafka.TopicPartition(source, 0, 0))
        for message in case.take(consumer, 6):
            producer.produce(sink, f"{end} {text(message.value())}")
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()),
                                             consumer.consumer_group_metadata(), PATIENCE_S)
        if end == "commit":
            producer.commit_transaction(PATIENCE_S)
        else:
            producer.abort_transaction(PATIENCE_S)
        assert committed() == expected
    consumer.close()
    assert committed_values(case, sink) == [f"commit {number}" for number in range(6)]


def test_fencing(case):
    """A second producer of the same id: the first is told so, and writes nothing more."""
    topic = case.topic()
    lines = []
    first = transactional(case, error_cb=lambda error: None, logger=logger_into(lines))
    first.begin_transaction()
    first.produce(topic, "of the first")
    assert first.flush(PATIENCE_S) == 0

    second = transactional(case)
    second.begin_transaction()
    second.produce(topic, "of the second")
    second.commit_transaction(PATIENCE_S)
    try:
        first.commit_transaction(PATIENCE_S)
        raise AssertionError("the fenced producer committed")
    except kafka.KafkaException as error:
        reason = error.args[0]
        assert reason.fatal() and not reason.retriable() and not reason.txn_requires_abort()
        case.result("error", [reason.name(), reason.fatal()])
    # A fatal error is no matter for the callback: it is raised where the application polls.
    def is_raised():
        try:
            first.poll(0.05)
        except kafka.KafkaException as error:
            return error.args[0].fatal()
        return False

    case.until(is_raised, "the fatal error")
    case.result("logged", [line.split("]: ")[-1] for line in lines])
    assert committed_values(case, topic) == ["of the second"]


def test_wrong_order(case):
    producer = kafka.Producer(case.conf(transactional_id=case.id("transaction")))
    for what in ("begin_transaction", "commit_transaction", "abort_transaction"):
        try:
            getattr(producer, what)()
            raise AssertionError(f"{what} before init_transactions")
        except kafka.KafkaException as error:
            case.result(what, [error.args[0].name(), error.args[0].str()])
    try:
        kafka.Producer(case.conf(transactional_id="a", transaction_timeout_ms=1000, message_timeout_ms=5000))
        raise AssertionError("a message may not outlive its transaction")
    except kafka.KafkaException as error:
        case.result("timeouts", error.args[0].str())
