"""SerializingProducer and DeserializingConsumer with every serializer of the client."""

from api import kafka
from case import PATIENCE_S, needs, text
from registry import AVRO, JSON, ORDERS, order_message, registry


def there_and_back(case, keys, values, pairs):
    """Produces pairs of key and value, each with a serializer and its deserializer; what is read."""
    (key_serializer, key_deserializer), (value_serializer, value_deserializer) = keys, values
    topic = case.topic()
    producer = kafka.SerializingProducer(case.conf(
        **{"key.serializer": key_serializer, "value.serializer": value_serializer}))
    reports = []
    for key, value in pairs:
        producer.produce(topic, key=key, value=value, on_delivery=lambda error, _: reports.append(error))
    assert producer.flush(PATIENCE_S) == 0
    assert reports == [None] * len(pairs)
    consumer = kafka.DeserializingConsumer(case.group(
        **{"key.deserializer": key_deserializer, "value.deserializer": value_deserializer}))
    consumer.subscribe([topic])
    messages = case.take(consumer, len(pairs))
    consumer.close()
    return [(each.key(), each.value()) for each in messages]


def texts(encoding="utf_8"):
    serialization = kafka.serialization
    return serialization.StringSerializer(encoding), serialization.StringDeserializer(encoding)


def test_plain(case):
    serialization = kafka.serialization
    pairs = [(number, number / 3) for number in range(-5, 5)] + [(None, None)]
    integers = serialization.IntegerSerializer(), serialization.IntegerDeserializer()
    doubles = serialization.DoubleSerializer(), serialization.DoubleDeserializer()
    assert there_and_back(case, integers, doubles, pairs) == pairs
    pairs = [("key", "\N{SNOWMAN}"), ("", ""), ("none", None)]
    assert there_and_back(case, texts(), texts("utf_16"), pairs) == pairs


def test_of_the_application(case):
    """Serializers that an application derives from the client's."""
    class Reversing(kafka.serialization.Serializer):
        def __call__(self, value, context=None):
            assert isinstance(context, kafka.serialization.SerializationContext)
            assert context.field == kafka.serialization.MessageField.VALUE
            return value[::-1].encode()

    class Restoring(kafka.serialization.Deserializer):
        def __call__(self, value, context=None):
            return value.decode()[::-1]

    pairs = [("key", "palindrome"), ("key", "no")]
    assert there_and_back(case, texts(), (Reversing(), Restoring()), pairs) == pairs


def test_avro(case):
    schemas = registry()
    avro = kafka.schema_registry.avro
    pairs = [(order["customer"], order) for order in ORDERS]
    orders = avro.AvroSerializer(schemas, AVRO), avro.AvroDeserializer(schemas)
    assert there_and_back(case, texts(), orders, pairs) == pairs


def test_json(case):
    schemas = registry()
    json_schema = kafka.schema_registry.json_schema
    pairs = [(order["customer"], order) for order in ORDERS]
    orders = json_schema.JSONSerializer(JSON, schemas), json_schema.JSONDeserializer(JSON)
    assert there_and_back(case, texts(), orders, pairs) == pairs
    context = kafka.serialization.SerializationContext("t", kafka.serialization.MessageField.VALUE)
    try:
        orders[0]({"amount": 1}, context)
        raise AssertionError("an order of nobody was taken")
    except kafka.serialization.SerializationError as error:
        case.result("not valid", type(error).__name__)


def test_protobuf(case):
    schemas = registry()
    protobuf = kafka.schema_registry.protobuf
    order = order_message()
    conf = {"use.deprecated.format": False}
    pairs = [(each["customer"], order(**each)) for each in ORDERS]
    orders = protobuf.ProtobufSerializer(order, schemas, conf), protobuf.ProtobufDeserializer(order, conf)
    assert there_and_back(case, texts(), orders, pairs) == pairs


def test_errors(case):
    """What cannot be serialized, or read again, is told by the client's own errors."""
    errors = kafka.error
    topic = case.topic()
    integer = kafka.serialization.IntegerSerializer()
    for field, expected in (("key", errors.KeySerializationError), ("value", errors.ValueSerializationError)):
        producer = kafka.SerializingProducer(case.conf(**{f"{field}.serializer": integer}))
        try:
            producer.produce(topic, **{field: "no number"})
            raise AssertionError(f"{field}: text is no integer")
        except expected as error:
            assert isinstance(error, errors.ProduceError) and isinstance(error, errors.SerializationError)
            case.result(field, [type(error).__name__, error.name])

    case.fill(topic, [b"not eight bytes"])
    consumer = kafka.DeserializingConsumer(case.group(
        **{"value.deserializer": kafka.serialization.DoubleDeserializer()}))
    consumer.subscribe([topic])
    try:
        case.until(lambda: consumer.poll(0.2), "a message")
        raise AssertionError("that is no double")
    except errors.ValueDeserializationError as error:
        assert isinstance(error, errors.ConsumeError)
        assert text(error.kafka_message.value()) == "not eight bytes"
    consumer.close()
    assert issubclass(errors.KeyDeserializationError, errors.ConsumeError)
    assert errors.KafkaError(errors.KafkaError._MSG_TIMED_OUT).name() == "_MSG_TIMED_OUT"
    assert issubclass(errors.ConsumeError, errors.KafkaException)


@needs("serialization.SerializerBuilder")
def test_builders(case):
    """Serializers that the client builds itself, with subjects by association with the topic."""
    schemas = registry()
    package = kafka.schema_registry
    order = order_message()
    kinds = {
        "Avro": (package.avro, lambda builder: builder.set_schema(AVRO), lambda builder: builder, dict),
        "JSON": (package.json_schema, lambda builder: builder.set_schema(JSON),
                 lambda builder: builder.set_schema(JSON), dict),
        "Protobuf": (package.protobuf, lambda builder: builder.set_message_type(order),
                     lambda builder: builder.set_message_type(order), order),
    }
    for kind, (module, set_up, set_down, make) in kinds.items():
        serializer = getattr(module, f"{kind}SerializerBuilder")()
        deserializer = getattr(module, f"{kind}DeserializerBuilder")()
        assert isinstance(serializer, kafka.serialization.SerializerBuilder)
        assert isinstance(deserializer, kafka.serialization.DeserializerBuilder)
        set_up(serializer.set_schema_registry_client(schemas))
        set_down(deserializer.set_schema_registry_client(schemas))
        topic = case.topic()
        producer = kafka.SerializingProducer(case.conf(**{"value.serializer.builder": serializer}))
        for each in ORDERS:
            producer.produce(topic, value=make(**each))
        assert producer.flush(PATIENCE_S) == 0
        producer.close()
        consumer = kafka.DeserializingConsumer(case.group(
            group_id=case.id(kind), **{"value.deserializer.builder": deserializer}))
        consumer.subscribe([topic])
        read = [each.deserialized_value() for each in case.take(consumer, len(ORDERS))]
        consumer.close()
        assert read == [make(**each) for each in ORDERS], kind


@needs("schema_registry.serde.AssociatedNameStrategy")
def test_subjects_by_association(case):
    """The subject depends on the id of the cluster, which the producer finds out by itself."""
    schemas = registry()
    package = kafka.schema_registry
    topic = case.topic()
    producer = kafka.Producer(case.conf())
    request = package.AssociationCreateOrUpdateRequest(
        resource_name=topic, resource_namespace=producer.cluster_id(PATIENCE_S), resource_id="1",
        resource_type="topic", associations=[package.AssociationCreateOrUpdateInfo(
            subject="orders-of-the-shop", association_type="value")])
    response = schemas.create_association(request)
    assert isinstance(response, package.AssociationResponse)
    assert type(response.associations[0]) is package.AssociationInfo

    strategy = package.serde.SubjectNameStrategyType.ASSOCIATED
    builder = package.avro.AvroSerializerBuilder(
        schema_registry_client=schemas, schema=AVRO,
        serializer_config={"subject.name.strategy.type": strategy})
    producer = kafka.SerializingProducer(case.conf(**{"value.serializer.builder": builder}))
    producer.produce(topic, value=ORDERS[0])
    assert producer.flush(PATIENCE_S) == 0
    producer.close()
    assert schemas.get_subjects() == ["orders-of-the-shop"]
    found = schemas.get_associations_by_resource_name(topic, request.resource_namespace)
    assert [type(each) for each in found] == [package.Association]
    assert callable(package.serde.AssociatedNameStrategy())
