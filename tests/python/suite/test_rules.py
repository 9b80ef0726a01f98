"""The schema registry's own model: schemas with metadata, and rules that transform and refuse."""

import json

from api import has, kafka
from case import needs, text
from registry import AVRO, ORDERS, registry


def schema_with(**more):
    package = kafka.schema_registry
    tagged = json.loads(AVRO)
    tagged["fields"][0]["confluent:tags"] = ["PII"]
    tags = package.MetadataTags({"Order.customer": frozenset({"PII"})})
    properties = package.MetadataProperties({"owner": "shop"})
    metadata = package.Metadata(tags=tags, properties=properties, sensitive=[])
    return package.Schema(json.dumps(tagged), "AVRO", [], metadata, package.RuleSet(
        more.get("migration", []), more.get("domain", [])))


def rule(name, kind, mode, type, tags=None, on_failure=None):
    package = kafka.schema_registry
    kind, mode = getattr(package.RuleKind, kind), getattr(package.RuleMode, mode)
    params = package.RuleParams({"by": "suite"})
    return package.Rule(name, "", kind, mode, type, tags, params, None, None, on_failure, False)


@needs("schema_registry.RuleSet")
def test_rules(case):
    """A rule on a field, a condition, and a migration between two versions of a schema."""
    package, serde = kafka.schema_registry, kafka.schema_registry.serde
    seen = []

    class Masking(serde.FieldRuleExecutor):
        def type(self):
            return "MASK"

        def new_transform(self, context):
            assert isinstance(context, serde.RuleContext)

            def transform(_, field, value):
                assert isinstance(field, serde.FieldContext) and field.field_type == serde.FieldType.STRING
                return value.upper()
            return transform

    class Checking(serde.RuleExecutor):
        def type(self):
            return "CHECK"

        def transform(self, context, message):
            return message["amount"] < 100

    class Noting(serde.RuleAction):
        def type(self):
            return "NOTE"

        def run(self, context, message, error):
            assert isinstance(error, serde.RuleConditionError) and isinstance(error, serde.RuleError)
            seen.append(context.get_parameter("by"))

    rules = package.rule_registry.RuleRegistry()
    for executor in (Masking(), Checking()):
        assert isinstance(executor, serde.RuleBase)
        rules.register_executor(executor)
    rules.register_action(Noting())
    rules.register_override(package.rule_registry.RuleOverride("MASK", None, None, False))
    schemas, topic = registry(), case.topic()
    schema = schema_with(domain=[rule("mask", "TRANSFORM", "WRITE", "MASK", ["PII"]),
                                 rule("check", "CONDITION", "WRITE", "CHECK", on_failure="NOTE")])
    schemas.register_schema(f"{topic}-value", schema)
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    serializer = package.avro.AvroSerializer(schemas, None, conf=conf, rule_registry=rules)
    assert isinstance(serializer, serde.BaseSerializer) and isinstance(serializer, serde.BaseSerde)
    producer = kafka.SerializingProducer(case.conf(**{"value.serializer": serializer}))
    producer.produce(topic, value={"customer": "ann", "amount": 1.0})
    producer.produce(topic, value={"customer": "bob", "amount": 1000.0})
    assert producer.flush(90) == 0
    assert seen == ["suite"]
    deserializer = package.avro.AvroDeserializer(schemas)
    assert isinstance(deserializer, serde.BaseDeserializer)
    consumer = kafka.DeserializingConsumer(case.group(**{"value.deserializer": deserializer}))
    consumer.subscribe([topic])
    assert [each.value()["customer"] for each in case.take(consumer, 2)] == ["ANN", "BOB"]
    consumer.close()

    refusing = schema_with(domain=[rule("check", "CONDITION", "WRITE", "CHECK", on_failure="ERROR")])
    schemas.register_schema(f"{topic}-value", refusing)
    context = kafka.serialization.SerializationContext(topic, kafka.serialization.MessageField.VALUE)
    strict = package.avro.AvroSerializer(schemas, None, conf=conf, rule_registry=rules)
    try:
        strict({"customer": "bob", "amount": 1000.0}, context)
        raise AssertionError("a rule was broken")
    except kafka.serialization.SerializationError as error:
        case.result("broken", str(error))
    assert [serde.ErrorAction().type(), serde.NoneAction().type()] == ["ERROR", "NONE"]


@needs("schema_registry.ServerConfig")
def test_schemas(case):
    """What the registry's client tells of schemas."""
    package = kafka.schema_registry
    schemas = registry()
    assert isinstance(schemas, package.SchemaRegistryClient)
    schema = schema_with()
    number = schemas.register_schema("orders", schema)
    assert schemas.get_schema(number).schema_str == schema.schema_str
    latest = schemas.get_latest_version("orders")
    assert isinstance(latest, package.RegisteredSchema) and latest.version == 1
    reference = package.SchemaReference("Order", "orders", 1)
    assert reference.to_dict() == {"name": "Order", "subject": "orders", "version": 1}
    config = package.ServerConfig(compatibility=package.ConfigCompatibilityLevel.FULL)
    assert package.ServerConfig.from_dict(config.to_dict()) == config
    try:
        schemas.get_schema(99)
        raise AssertionError("there is no such schema")
    except package.SchemaRegistryError as error:
        case.result("no schema", error.http_status_code)
    error = package.error.OAuthTokenError("no token")
    assert isinstance(error, Exception)

    serde = package.serde
    assert serde.SchemaId("AVRO", number).id_to_bytes()[0] == 0
    cache = serde.ParsedSchemaCache()
    cache.set(schema, "parsed")
    assert cache.get_parsed_schema(schema) == "parsed"
    migration = serde.Migration(package.RuleMode.UPGRADE, latest, latest)
    assert migration.rule_mode == package.RuleMode.UPGRADE
    package.avro.LocalSchemaRepository({}).load
    if has("schema_registry.common.schema_registry_client.SchemaVersion"):
        common = package.common.schema_registry_client
        assert common.SchemaVersion("orders", 1).version == 1 and common.RulePhase.DOMAIN == "DOMAIN"


def test_schemas_of_old(case):
    """As above, with what there has always been."""
    package = kafka.schema_registry
    schemas = registry()
    number = schemas.register_schema("orders", package.Schema(AVRO, "AVRO"))
    assert schemas.get_schema(number).schema_str == AVRO
    assert isinstance(schemas, package.SchemaRegistryClient)
    found = schemas.lookup_schema("orders", package.Schema(AVRO, "AVRO"))
    assert isinstance(found, package.RegisteredSchema)
    assert package.SchemaReference("Order", "orders", 1).subject == "orders"
    assert str(package.SchemaRegistryError(404, 40403, "no such schema")).startswith("no such schema")


@needs("schema_registry.serde.ValidationRule")
def test_validation(case):
    """Rules inside a schema, checked where a record is serialized."""
    package, serde = kafka.schema_registry, kafka.schema_registry.serde

    class Positive(serde.ValidationRuleExecutor):
        def execute(self, rule, schema, message):
            assert isinstance(rule, serde.ValidationRule)
            return "" if message["amount"] > 0 else "not positive"

    checked = {**json.loads(AVRO), "confluent:rules": [{"name": "positive", "expr": "amount > 0"}]}
    serializer = package.avro.AvroSerializer(registry(), json.dumps(checked), conf={
        "validation.rules.execution": serde.ValidationRulesExecution.BEFORE_DOMAIN_RULES,
        "validation.rules.executor": Positive()})
    context = kafka.serialization.SerializationContext("t", kafka.serialization.MessageField.VALUE)
    assert serializer(ORDERS[1], context)
    try:
        serializer({"customer": "ann", "amount": -1.0}, context)
        raise AssertionError("a rule was broken")
    except kafka.serialization.SerializationError as error:
        case.result("broken", str(error))
    error = serde.ValidationRuleError(serde.ValidationRule("positive"), "amount", "not positive")
    assert "positive" in str(error)


@needs("schema_registry.rules.dlq.dlq_action.DlqAction")
def test_dead_letters(case):
    """What a rule refuses goes to a topic of its own, through a producer of the action."""
    package, serde = kafka.schema_registry, kafka.schema_registry.serde
    dead, topic = case.topic(), case.topic()

    class Refusing(serde.RuleExecutor):
        def type(self):
            return "REFUSE"

        def transform(self, context, message):
            return False

    rules = package.rule_registry.RuleRegistry()
    rules.register_executor(Refusing())
    rules.register_executor(package.rules.dlq.dlq_action.FieldRedactionExecutor())
    rules.register_action(package.rules.dlq.dlq_action.DlqAction(
        {**case.conf(), "dlq.topic": dead, "dlq.auto.flush": True}))
    schemas = registry()
    schemas.register_schema(f"{topic}-value", schema_with(
        domain=[rule("refuse", "CONDITION", "WRITE", "REFUSE", on_failure="DLQ")]))
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    serializer = package.avro.AvroSerializer(schemas, None, conf=conf, rule_registry=rules)
    context = kafka.serialization.SerializationContext(topic, kafka.serialization.MessageField.VALUE)
    try:
        serializer(ORDERS[3], context)
        raise AssertionError("a rule was broken")
    except kafka.serialization.SerializationError as error:
        case.result("refused", str(error))
    message, = case.read_all(dead)
    assert json.loads(text(message.value())) == ORDERS[3]
    serializer.close()
