"""A schema registry in memory, and a schema of each kind."""

from api import has, kafka

AVRO = """{"type": "record", "name": "Order", "fields": [
    {"name": "customer", "type": "string"}, {"name": "amount", "type": "double"}]}"""

JSON = """{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
    "properties": {"customer": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["customer"]}"""

ORDERS = [{"customer": f"customer {number}", "amount": number / 4} for number in range(20)]


class Small:
    """What older clients have no mock for: the calls that their serializers make."""

    def __init__(self):
        self.schemas = []

    def register_schema(self, subject, schema, *_, **__):
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def get_schema(self, schema_id, *_, **__):
        return self.schemas[schema_id - 1]

    def lookup_schema(self, subject, schema, *_, **__):
        return kafka.schema_registry.RegisteredSchema(self.schemas.index(schema) + 1, schema, subject, 1)


def registry():
    client = kafka.schema_registry.SchemaRegistryClient
    if has("schema_registry.SchemaRegistryClient.new_client"):
        return client.new_client({"url": "mock://"})
    # The real one does not connect before it is asked.
    mixed = type("InMemory", (Small, client), {})
    return mixed()


def order_message():
    """The class of a protobuf message, made here instead of by protoc."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
    message = file.message_type.add(name="Order")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, (name, kind) in enumerate(
            [("customer", kinds.TYPE_STRING), ("amount", kinds.TYPE_DOUBLE)], start=1):
        message.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
