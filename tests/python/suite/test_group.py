"""Consumers in groups: rebalancing in three protocols, callbacks, patterns."""

from api import kafka
from case import PATIENCE_S, needs, text


def share(case, **properties):
    """Two members, of which one leaves: who had what, and what was read."""
    topic = case.topic(partitions=4)
    producer = kafka.Producer(case.conf())
    for number in range(40):
        producer.produce(topic, str(number), partition=number % 4)
    assert producer.flush(PATIENCE_S) == 0

    story, members, read = [], {}, []
    for name in ("first", "second"):
        # The callbacks assign nothing themselves: that is left to the client.
        members[name] = kafka.Consumer(case.group(client_id=f"{case.id('client')}-{name}", **properties))

    def told(name, what):
        return lambda consumer, partitions: story.append(f"{name} {what}")

    def serve(condition, what):
        def served():
            for consumer in members.values():
                message = consumer.poll(0.02)
                if message is not None and message.error() is None:
                    read.append(text(message.value()))
            return condition()
        case.until(served, what)

    def owned(name):
        return {each.partition for each in members[name].assignment()}

    for name, consumer in members.items():
        consumer.subscribe([topic], on_assign=told(name, "assigned"), on_revoke=told(name, "revoked"))
    serve(lambda: len(owned("first")) == len(owned("second")) == 2, "two partitions for each")
    assert owned("first") | owned("second") == {0, 1, 2, 3}
    serve(lambda: set(read) == {str(number) for number in range(40)}, "all records")

    members.pop("second").close()
    serve(lambda: owned("first") == {0, 1, 2, 3}, "all partitions for who is left")
    members["first"].unsubscribe()
    members.pop("first").close()
    assert {"first assigned", "first revoked", "second assigned"} <= set(story)
    case.result("who was told", sorted(set(story)))


def test_eager(case):
    share(case, partition_assignment_strategy="range")


def test_cooperative(case):
    share(case, partition_assignment_strategy="cooperative-sticky")


@needs("Consumer.memberid")
def test_consumer_protocol(case):
    """KIP-848: the broker assigns."""
    group = case.group(group_protocol="consumer")
    # There these two are the broker's.
    del group["session.timeout.ms"], group["heartbeat.interval.ms"]
    topic = case.topic(partitions=2)
    case.fill(topic, [str(number) for number in range(10)])
    consumer = kafka.Consumer(group)
    assigned = []
    consumer.subscribe([topic], on_assign=lambda _, partitions: assigned.extend(partitions),
                       on_revoke=lambda *_: None, on_lost=lambda *_: None)
    got = [text(each.value()) for each in case.take(consumer, 10)]
    assert sorted(got, key=int) == [str(number) for number in range(10)]
    assert len(assigned) == 2 and len(consumer.memberid()) > 0
    consumer.commit(asynchronous=False)
    consumer.close()


def test_goes_on_where_it_was(case):
    """Automatic commits; the second consumer reads what the first has not."""
    topic = case.topic()
    case.fill(topic, [str(number) for number in range(10)])
    group = case.group(enable_auto_commit=True, auto_commit_interval_ms=100)
    read = []
    for count in (4, 6):
        consumer = kafka.Consumer({**group, "group.instance.id": case.id("instance")})
        consumer.subscribe([topic])
        read += [text(each.value()) for each in case.take(consumer, count)]
        assert consumer.consumer_group_metadata() is not None
        consumer.close()
    case.result("read", read)
    assert read == [str(number) for number in range(10)]


def test_pattern(case):
    prefix = case.id("by-pattern")
    names = [f"{prefix}-{letter}" for letter in "ab"]
    admin = case.admin()
    for future in admin.create_topics([kafka.admin.NewTopic(name, 1, 1) for name in names]).values():
        future.result(PATIENCE_S)
    for name in names:
        case.fill(name, [name[-1]])
    consumer = kafka.Consumer(case.group(topic_metadata_refresh_interval_ms=200))
    consumer.subscribe([f"^{prefix}.*"])
    assert sorted(text(each.value()) for each in case.take(consumer, 2)) == ["a", "b"]
    assert set(names) <= set(consumer.list_topics(timeout=PATIENCE_S).topics)
    consumer.close()
