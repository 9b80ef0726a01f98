"""What the admin client sees of consumer groups, and changes in them."""

from api import has, kafka
from case import PATIENCE_S, needs
from test_admin import done, refused


def joined(case, topic):
    consumer = kafka.Consumer(case.group())
    consumer.subscribe([topic])
    case.take(consumer, 3)
    consumer.commit(asynchronous=False)
    return consumer


def test_listing(case):
    """The old way: what list_groups() tells."""
    topic = case.topic()
    case.fill(topic, ["a", "b", "c"])
    consumer = joined(case, topic)
    group, = case.admin().list_groups(case.id("group"), timeout=PATIENCE_S)
    assert isinstance(group, kafka.admin.GroupMetadata)
    member, = group.members
    assert isinstance(member, kafka.admin.GroupMember)
    case.result("group", [group.state, group.protocol_type, group.protocol, str(group.error)])
    consumer.close()


@needs("ConsumerGroupState")
def test_groups(case):
    topic = case.topic()
    case.fill(topic, ["a", "b", "c"])
    name = case.id("group")
    consumer = joined(case, topic)
    admin = case.admin()

    states = kafka.ConsumerGroupState
    options = {"states": {states.STABLE}}
    # Groups have types since librdkafka 2.6.
    if has("ConsumerGroupType"):
        options["types"] = {kafka.ConsumerGroupType.CLASSIC}
    listed = admin.list_consumer_groups(**options).result(PATIENCE_S)
    assert isinstance(listed, kafka.admin.ListConsumerGroupsResult) and listed.errors == []
    listing, = [each for each in listed.valid if each.group_id == name]
    assert isinstance(listing, kafka.admin.ConsumerGroupListing) and not listing.is_simple_consumer_group

    described = done(admin.describe_consumer_groups([name]))[name]
    assert isinstance(described, kafka.admin.ConsumerGroupDescription)
    assert described.state == states.STABLE and isinstance(described.coordinator, kafka.Node)
    member, = described.members
    assert isinstance(member, kafka.admin.MemberDescription)
    assert isinstance(member.assignment, kafka.admin.MemberAssignment)
    assert [(each.topic, each.partition) for each in member.assignment.topic_partitions] == [(topic, 0)]
    refused(case, "deleted with a member", admin.delete_consumer_groups([name])[name])
    consumer.close()

    partition = kafka.TopicPartition(topic, 0)
    asked = kafka.ConsumerGroupTopicPartitions(name, [partition])
    offsets = done(admin.list_consumer_group_offsets([asked]))[name]
    assert [each.offset for each in offsets.topic_partitions] == [3]
    moved = kafka.ConsumerGroupTopicPartitions(name, [kafka.TopicPartition(topic, 0, 1)])
    case.until(lambda: done(admin.describe_consumer_groups([name]))[name].state == states.EMPTY,
               "the end of the member")
    done(admin.alter_consumer_group_offsets([moved]))
    offsets = done(admin.list_consumer_group_offsets([asked]))[name]
    assert [each.offset for each in offsets.topic_partitions] == [1]

    done(admin.delete_consumer_groups([name]))
    left = admin.list_consumer_groups().result(PATIENCE_S).valid
    assert name not in {each.group_id for each in left}
