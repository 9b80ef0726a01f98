"""Share groups (KIP-932): a queue instead of a log."""

from api import kafka
from case import PATIENCE_S, needs, text


def from_the_start(case, group):
    """A share group begins at the end of a topic unless its configuration says otherwise."""
    change = kafka.admin.ConfigEntry("share.auto.offset.reset", "earliest",
                                     incremental_operation=kafka.admin.AlterConfigOpType.SET)
    resource = kafka.admin.ConfigResource(kafka.admin.ResourceType.GROUP, group, incremental_configs=[change])
    admin = case.admin()
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(PATIENCE_S)


def properties(case, **more):
    group = case.id("share")
    from_the_start(case, group)
    return case.conf(group_id=group, **more)


@needs("ShareConsumer")
def test_share(case):
    """Each record is acknowledged; what is released comes again, counted."""
    topic = case.topic()
    case.fill(topic, [str(number) for number in range(10)])
    kinds = kafka.AcknowledgeType
    acknowledged = []
    consumer = kafka.ShareConsumer(properties(case, share_acknowledgement_mode="explicit"))
    consumer.set_acknowledgement_commit_callback(lambda offsets, error: acknowledged.append((offsets, error)))
    consumer.subscribe([topic])
    assert consumer.subscription() == [topic]
    accepted, released = [], []

    def all_accepted():
        messages = consumer.poll(0.5)
        assert isinstance(messages, kafka.Messages)
        for message in messages:
            again = message.delivery_count() > 1
            if text(message.value()) == "7" and not again:
                released.append(message)
                consumer.acknowledge(message, kinds.RELEASE)
            else:
                accepted.append(f"{text(message.value())} at {message.delivery_count()}")
                consumer.acknowledge(message, kinds.ACCEPT)
        consumer.commit_sync(PATIENCE_S)
        return len(accepted) >= 10

    case.until(all_accepted, "all records")
    consumer.unsubscribe()
    consumer.close()
    assert len(released) == 1
    case.result("accepted", sorted(accepted))


@needs("DeserializingShareConsumer")
def test_share_with_deserializers(case):
    topic = case.topic()
    integer = kafka.serialization.IntegerSerializer()
    case.fill(topic, [integer(number) for number in range(10)] + [b"no integer"])
    consumer = kafka.DeserializingShareConsumer(properties(
        case, **{"value.deserializer": kafka.serialization.IntegerDeserializer()}))
    consumer.subscribe([topic])
    values, errors = [], []

    def all_read():
        for message in consumer.poll(0.5):
            if message.error() is None:
                values.append(message.value())
            else:
                errors.append(message.error().name())
        return len(values) + len(errors) == 11

    case.until(all_read, "all records")
    consumer.close()
    assert (sorted(values), errors) == (list(range(10)), ["_VALUE_DESERIALIZATION"])
