"""The package `confluent_kafka.avro`, deprecated and still there."""

from api import kafka
from case import PATIENCE_S
from registry import AVRO, ORDERS


def test_avro_package(case):
    avro = kafka.avro

    class InMemory(avro.CachedSchemaRegistryClient):
        def __init__(self):
            super().__init__({"url": "http://127.0.0.1:1"})
            self.schemas = []

        def register(self, subject, schema):
            if schema not in self.schemas:
                self.schemas.append(schema)
            return self.schemas.index(schema) + 1

        def get_by_id(self, schema_id):
            return self.schemas[schema_id - 1]

    registry, schema, topic = InMemory(), avro.loads(AVRO), case.topic()
    producer = avro.AvroProducer(case.conf(), default_value_schema=schema, schema_registry=registry)
    for order in ORDERS:
        producer.produce(topic=topic, value=order)
    assert producer.flush(PATIENCE_S) == 0
    for wrong, expected in (({"value": "no schema for it", "value_schema": None}, avro.ValueSerializerError),
                            ({"key": "no schema for it"}, avro.KeySerializerError),
                            ({"topic": ""}, avro.ClientError)):
        try:
            producer.produce(**{"topic": topic, **wrong})
            raise AssertionError(f"taken: {wrong}")
        except expected as error:
            case.result(expected.__name__, type(error).__name__)
    consumer = avro.AvroConsumer(case.group(), schema_registry=registry)
    consumer.subscribe([topic])
    assert [each.value() for each in case.take(consumer, len(ORDERS))] == ORDERS
    consumer.close()

    serializer = avro.MessageSerializer(registry)
    try:
        serializer.decode_message(b"no avro")
        raise AssertionError("that is no record")
    except avro.SerializerError as error:
        case.result("decoded", str(error))
    buffer = avro.serializer.message_serializer.ContextStringIO
    with buffer(b"bytes") as opened:
        assert opened.read() == b"bytes"
