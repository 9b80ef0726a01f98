"""The admin client: topics, partitions, configurations, records, offsets, the cluster."""

from api import kafka
from case import PATIENCE_S, needs, text


def done(futures):
    """The results of an admin call, by name."""
    return {key: future.result(PATIENCE_S) for key, future in futures.items()}


def refused(case, what, future):
    try:
        future.result(PATIENCE_S)
        raise AssertionError(f"not refused: {what}")
    except kafka.KafkaException as error:
        case.result(what, error.args[0].name())


def test_topics(case):
    admin = case.admin()
    name = case.id("made")
    new = kafka.admin.NewTopic(name, num_partitions=2, replication_factor=1, config={"retention.ms": "60000"})
    wrong = kafka.admin.NewTopic(case.id("no"), 1, config={"retention.ms": "soon"})
    refused(case, "validated", admin.create_topics([wrong], validate_only=True)[wrong.topic])
    assert done(admin.create_topics([new], operation_timeout=30)) == {name: None}
    refused(case, "made twice", admin.create_topics([new])[name])

    done(admin.create_partitions([kafka.admin.NewPartitions(name, 3)]))
    case.until(lambda: len(admin.list_topics(name, timeout=PATIENCE_S).topics[name].partitions) == 3,
               "the third partition")
    refused(case, "fewer partitions", admin.create_partitions([kafka.admin.NewPartitions(name, 1)])[name])

    done(admin.delete_topics([name], operation_timeout=30))
    case.until(lambda: name not in admin.list_topics(timeout=PATIENCE_S).topics, "its end")
    # One that never was: what was deleted comes back where somebody's look for it was still on its way.
    never = case.id("never")
    refused(case, "no such topic", admin.delete_topics([never])[never])
    # Another type than the producer's and the consumer's, but callbacks are served all the same.
    assert admin.poll(0) == 0


def test_configurations(case):
    topic = case.topic(config={"retention.ms": "60000"})
    admin = case.admin()
    kind = kafka.admin.ResourceType.TOPIC
    resource = kafka.admin.ConfigResource(kind, topic)
    described, = done(admin.describe_configs([resource])).values()
    assert {type(each) for each in described.values()} == {kafka.admin.ConfigEntry}
    assert described["retention.ms"].value == "60000"
    source = described["retention.ms"].source
    assert source == kafka.admin.ConfigSource.DYNAMIC_TOPIC_CONFIG.value

    done(admin.alter_configs([kafka.admin.ConfigResource(kind, topic, set_config={"retention.ms": "70000"})]))

    def retention():
        described, = done(admin.describe_configs([resource])).values()
        return described["retention.ms"].value

    case.until(lambda: retention() == "70000", "the new value")
    broker = kafka.admin.ConfigResource(kafka.admin.ResourceType.BROKER, "1")
    of_broker, = done(admin.describe_configs([broker])).values()
    case.result("of the broker", of_broker["group.initial.rebalance.delay.ms"].value)


@needs("admin.AlterConfigOpType")
def test_incremental_configurations(case):
    topic = case.topic(config={"cleanup.policy": "delete"})
    admin = case.admin()
    change = kafka.admin.AlterConfigOpType
    entry = kafka.admin.ConfigEntry
    asked = kafka.admin.ConfigResource(kafka.admin.ResourceType.TOPIC, topic, incremental_configs=[
        entry("cleanup.policy", "compact", incremental_operation=change.APPEND),
        entry("retention.ms", "90000", incremental_operation=change.SET)])
    done(admin.incremental_alter_configs([asked]))

    def values():
        described, = done(admin.describe_configs(
            [kafka.admin.ConfigResource(kafka.admin.ResourceType.TOPIC, topic)])).values()
        return described["cleanup.policy"].value, described["retention.ms"].value

    assert case.until(lambda: values() == ("delete,compact", "90000") and values(), "both")


@needs("admin.DeletedRecords", "admin.OffsetSpec")
def test_records_and_offsets(case):
    topic = case.topic()
    producer = kafka.Producer(case.conf())
    for number in range(10):
        producer.produce(topic, str(number), timestamp=1_600_000_000_000 + number)
    assert producer.flush(PATIENCE_S) == 0
    admin = case.admin()
    partition = kafka.TopicPartition(topic, 0)
    spec = kafka.admin.OffsetSpec
    specs = {"earliest": spec.earliest(), "latest": spec.latest(),
             "by time": spec.for_timestamp(1_600_000_000_004), "of the newest": spec.max_timestamp()}
    isolation = kafka.IsolationLevel.READ_COMMITTED

    def offsets():
        found = {}
        for name, each in specs.items():
            listed = done(admin.list_offsets({partition: each}, isolation_level=isolation))[partition]
            assert isinstance(listed, kafka.admin.ListOffsetsResultInfo)
            found[name] = listed.offset
        return found

    assert offsets() == {"earliest": 0, "latest": 10, "by time": 4, "of the newest": 9}
    inner = kafka.admin._listoffsets
    assert [type(each) for each in specs.values()] == [
        inner.EarliestSpec, inner.LatestSpec, inner.TimestampSpec, inner.MaxTimestampSpec]

    deleted = done(admin.delete_records([kafka.TopicPartition(topic, 0, 3)]))[partition]
    assert isinstance(deleted, kafka.admin.DeletedRecords) and deleted.low_watermark == 3
    case.result("offsets after deletion", offsets())
    assert text(case.read_all(topic)[0].value()) == "3"


@needs("admin.DescribeClusterResult", "admin.TopicDescription")
def test_descriptions(case):
    topic = case.topic(partitions=2)
    admin = case.admin()
    cluster = admin.describe_cluster(include_authorized_operations=True).result(PATIENCE_S)
    assert isinstance(cluster, kafka.admin.DescribeClusterResult)
    assert {type(each) for each in [cluster.controller, *cluster.nodes]} == {kafka.Node}
    operations = {type(each) for each in cluster.authorized_operations}
    assert operations == {kafka.admin.AclOperation}

    described = done(admin.describe_topics(kafka.TopicCollection(topic_names=[topic])))[topic]
    assert isinstance(described, kafka.admin.TopicDescription)
    assert isinstance(described.topic_id, kafka.Uuid) and len(str(described.topic_id)) == 22
    assert {type(each) for each in described.partitions} == {kafka.TopicPartitionInfo}
    case.result("partitions", [[each.id, each.leader.id, len(each.isr)] for each in described.partitions])


@needs("ElectionType")
def test_elections(case):
    topic = case.topic()
    partition = kafka.TopicPartition(topic, 0)
    admin = case.admin()
    elected = admin.elect_leaders(kafka.ElectionType.PREFERRED, [partition]).result(PATIENCE_S)
    # There is one node: it is the leader already.
    case.result("answer", elected[partition].name())
