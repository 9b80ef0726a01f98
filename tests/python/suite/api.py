"""The client under test. Whatever a test takes from `kafka` is written down, so that in the end
the suite can tell which public class no test has used."""

import importlib
import inspect
import pkgutil
import warnings

# Deprecations inside the client are not the subject, and what is printed is compared. A filter
# would not do: a package that the client uses sets one of its own.
warnings.showwarning = lambda *_, **__: None

import confluent_kafka  # noqa: E402

touched = set()

# Where an older client keeps what has moved since.
MOVED = {"confluent_kafka.aio": "confluent_kafka.experimental.aio"}


class Recorded:
    """A module of the client."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        path = f"{self._module.__name__}.{name}"
        value = getattr(self._module, name, None)
        if value is None or inspect.ismodule(value):
            return Recorded(load(path))
        if inspect.isclass(value):
            touched.add(value)
        return value

    def __dir__(self):
        return dir(self._module)


def load(path):
    for name in (path, MOVED.get(path)):
        try:
            if name is not None:
                return importlib.import_module(name)
        except ModuleNotFoundError:
            pass
    raise AttributeError(f"{path} is not part of this client")


kafka = Recorded(confluent_kafka)


def has(path):
    """Whether this version of the client has it, such as `aio.AIOProducer` or `Producer.close`."""
    value = confluent_kafka
    for name in path.split("."):
        try:
            value = getattr(value, name) if hasattr(value, name) else load(f"{value.__name__}.{name}")
        except AttributeError:
            return False
    return True


def version():
    told = confluent_kafka.version()
    return told if isinstance(told, str) else told[0]


def engine():
    return confluent_kafka.libversion()[0]


# Modules that are no part of an application, or have no Kafka client beneath.
NOT_FOR_APPLICATIONS = {
    "confluent_kafka.kafkatest": "programs of the client's own system tests",
    "confluent_kafka.aio.producer": "the inner parts of AIOProducer, which is used",
    "confluent_kafka.experimental.aio.producer": "the inner parts of AIOProducer, which is used",
    "confluent_kafka.schema_registry.confluent": "generated from protobuf files",
    "confluent_kafka.schema_registry.rules.cel": "rewrites values in memory; needs the extra `rules`",
    "confluent_kafka.schema_registry.rules.encryption": "talks to key services outside this machine",
    "confluent_kafka.schema_registry.rules.jsonata": "rewrites values in memory; needs the extra `rules`",
}

# Classes that no test can use, by their names in the public module.
ALLOWED = {
    "serializing_producer.SharedClusterIdResolver": "imported there from a private module",
}


def public_classes():
    """Each public class of the client with the names under which applications find it."""
    found = {}
    modules = [confluent_kafka]
    for each in pkgutil.walk_packages(confluent_kafka.__path__, "confluent_kafka."):
        inner = any(part.startswith("_") for part in each.name.split("."))
        if inner or any((each.name + ".").startswith(out + ".") for out in NOT_FOR_APPLICATIONS):
            continue
        modules.append(importlib.import_module(each.name))
    for module in modules:
        declared = getattr(module, "__all__", None)
        for name, value in vars(module).items():
            ours = inspect.isclass(value) and value.__module__.split(".")[0] in ("confluent_kafka", "cimpl")
            public = name in declared if declared else not name.startswith("_")
            # A public name for what is called private itself is an import that nobody hid.
            if ours and public and not value.__name__.startswith("_"):
                short = module.__name__.removeprefix("confluent_kafka").lstrip(".")
                found.setdefault(value, []).append(f"{short}.{name}".lstrip("."))
    return found


def unused():
    """Public classes that no test has used and that are not allowed to be."""
    return sorted(min(names, key=len) for value, names in public_classes().items()
                  if value not in touched and not ALLOWED.keys() & set(names))


def needlessly_allowed():
    return sorted(name for value, names in public_classes().items() if value in touched
                  for name in names if name in ALLOWED)
