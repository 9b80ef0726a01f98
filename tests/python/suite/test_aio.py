"""The asyncio clients."""

import asyncio

from api import has, kafka
from case import PATIENCE_S, needs, text
from registry import AVRO, JSON, ORDERS, order_message


async def taken(consumer, count):
    messages = []
    while len(messages) < count:
        message = await asyncio.wait_for(consumer.poll(1), PATIENCE_S)
        if message is not None:
            assert message.error() is None
            messages.append(message)
    return messages


@needs("aio.AIOProducer")
def test_producer_and_consumer(case):
    topic = case.topic(partitions=2)

    async def run():
        producer = kafka.aio.AIOProducer(case.conf(), buffer_timeout=0.1)
        futures = [await producer.produce(topic, f"value {number}", partition=number % 2)
                   for number in range(20)]
        assert await producer.flush() == 0
        delivered = await asyncio.gather(*futures)
        assert all(each.offset() >= 0 for each in delivered)
        assert topic in (await producer.list_topics(timeout=PATIENCE_S)).topics
        await producer.close()

        assigned = []

        async def on_assign(consumer, partitions):
            assigned.extend(partitions)
            await consumer.assign(partitions)

        consumer = kafka.aio.AIOConsumer(case.group())
        await consumer.subscribe([topic], on_assign=on_assign)
        messages = await taken(consumer, 20)
        assert len(assigned) == 2
        committed = await consumer.commit(asynchronous=False)
        assert sorted(each.offset for each in committed) == [10, 10]
        partition = kafka.TopicPartition(topic, 0)
        await consumer.pause([partition])
        await consumer.resume([partition])
        await consumer.seek(kafka.TopicPartition(topic, 0, 9))
        assert text((await taken(consumer, 1))[0].value()) == "value 18"
        assert await consumer.get_watermark_offsets(partition) == (0, 10)
        assert (await consumer.position([partition]))[0].offset == 10
        assert (await consumer.committed([partition]))[0].offset == 10
        await consumer.unsubscribe()
        await consumer.close()
        return sorted(text(each.value()) for each in messages)

    case.result("values", asyncio.run(run()))


@needs("aio.AIOProducer")
def test_transactions(case):
    topic = case.topic()

    async def run():
        producer = kafka.aio.AIOProducer(case.conf(transactional_id=case.id("transaction")))
        await producer.init_transactions()
        for end in ("commit", "abort"):
            await producer.begin_transaction()
            future = await producer.produce(topic, end)
            await producer.flush()
            await future
            await (producer.commit_transaction() if end == "commit" else producer.abort_transaction())
        await producer.close()

    asyncio.run(run())
    committed = case.read_all(topic, isolation_level="read_committed")
    assert [text(each.value()) for each in committed] == ["commit"]


@needs("aio.AIOProducer")
def test_error_callback(case):
    async def run():
        told = asyncio.Event()

        async def error_cb(error):
            assert isinstance(error, kafka.KafkaError)
            told.set()

        producer = kafka.aio.AIOProducer(case.conf(bootstrap_servers="127.0.0.1:1", error_cb=error_cb))
        while not told.is_set():
            await producer.poll(0.1)
        await producer.close()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


@needs("schema_registry.avro.AsyncAvroSerializer")
def test_serializers(case):
    """The asynchronous serializers, with messages that the plain clients carry."""
    package, serialization = kafka.schema_registry, kafka.serialization
    order, conf = order_message(), {"use.deprecated.format": False}

    async def run():
        client = package.AsyncSchemaRegistryClient.new_client({"url": "mock://"})
        kinds = {
            "avro": (await package.avro.AsyncAvroSerializer(client, AVRO),
                     await package.avro.AsyncAvroDeserializer(client), dict),
            "json": (await package.json_schema.AsyncJSONSerializer(JSON, client),
                     await package.json_schema.AsyncJSONDeserializer(JSON), dict),
            "protobuf": (await package.protobuf.AsyncProtobufSerializer(order, client, conf),
                         await package.protobuf.AsyncProtobufDeserializer(order, conf), order),
        }
        for kind, (serializer, deserializer, make) in kinds.items():
            bases = package.serde.AsyncBaseSerializer, package.serde.AsyncBaseDeserializer
            assert isinstance(serializer, bases[0]) and isinstance(deserializer, bases[1])
            assert all(issubclass(each, package.serde.AsyncBaseSerde) for each in bases)
            topic = case.topic()
            context = serialization.SerializationContext(topic, serialization.MessageField.VALUE)
            producer = kafka.Producer(case.conf())
            for each in ORDERS:
                producer.produce(topic, await serializer(make(**each), context))
            assert producer.flush(PATIENCE_S) == 0
            read = [await deserializer(each.value(), context) for each in case.read_all(topic)]
            assert read == [make(**each) for each in ORDERS], kind

    asyncio.run(run())


@needs("aio.AsyncSerializingProducer")
def test_serializing(case):
    """The asyncio clients with serializers that they build themselves."""
    package, order = kafka.schema_registry, order_message()
    kinds = {
        "Avro": (package.avro, {"schema": AVRO}, {}, dict),
        "JSON": (package.json_schema, {"schema": JSON}, {"schema": JSON}, dict),
        "Protobuf": (package.protobuf, {"message_type": order}, {"message_type": order}, order),
    }

    async def run():
        client = package.AsyncSchemaRegistryClient.new_client({"url": "mock://"})
        for kind, (module, of_serializer, of_deserializer, make) in kinds.items():
            topic = case.topic()
            serializer = getattr(module, f"Async{kind}SerializerBuilder")(
                schema_registry_client=client, **of_serializer)
            deserializer = getattr(module, f"Async{kind}DeserializerBuilder")(
                schema_registry_client=client, **of_deserializer)
            producer = await kafka.aio.AsyncSerializingProducer(case.conf(
                **{"key.serializer": kafka.serialization.StringSerializer(),
                   "value.serializer.builder": serializer}))
            futures = [await producer.produce(topic, key="key", value=make(**each)) for each in ORDERS]
            await producer.flush()
            await asyncio.gather(*futures)
            await producer.close()
            consumer = await kafka.aio.AsyncDeserializingConsumer(case.group(
                group_id=case.id(kind), **{"value.deserializer.builder": deserializer}))
            await consumer.subscribe([topic])
            assert [each.deserialized_value() for each in await taken(consumer, len(ORDERS))] == [
                make(**each) for each in ORDERS], kind
            await consumer.close()

    asyncio.run(run())
    if has("schema_registry.serde.AsyncAssociatedNameStrategy"):
        assert callable(package.serde.AsyncAssociatedNameStrategy())
