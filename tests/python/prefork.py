"""A server that forks its workers, as gunicorn does: the parent has a client already when it
forks, and each worker makes its own.

prefork.py BROKERS TOPIC WORKERS
Prints one JSON document: what the parent and each worker found out about itself.
"""

import json
import os
import sys
import time

from confluent_kafka import Producer

brokers, topic, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])


# Superstream's one thread, where it is on, stays for the next client.
STAYING = "superstream"
PATIENCE_S = 60


def threads():
    """The names of the process's threads, but the first."""
    names = []
    for task in os.listdir("/proc/self/task"):
        if int(task) != os.getpid():
            try:
                with open(f"/proc/self/task/{task}/comm") as name:
                    names.append(name.read().strip())
            except (FileNotFoundError, ProcessLookupError):
                pass  # It has ended meanwhile.
    return sorted(names)


def threads_left():
    """Those that stay: the kernel may show one for a moment after it was joined."""
    deadline = time.monotonic() + PATIENCE_S
    while set(names := threads()) - {STAYING} and time.monotonic() < deadline:
        os.sched_yield()
    return names


def produce(producer, who):
    failed = []
    for number in range(100):
        producer.produce(topic, f"{who} {number}",
                         on_delivery=lambda error, _: error and failed.append(str(error)))
    return {"left": producer.flush(PATIENCE_S), "failed": failed}


def client(who):
    return Producer({"bootstrap.servers": brokers, "client.id": who})


def work(who):
    found = {"who": who, "threads at birth": threads()}
    producer = client(who)
    found.update(produce(producer, who))
    # The last reference: the client ends here, and so do its threads.
    del producer
    found["threads left"] = threads_left()
    return found


def spawn(who):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(work(who)).encode())
        # As multiprocessing does: what the parent owned is not for the child to take down.
        os._exit(0)
    os.close(writer)
    return child, reader


parents = client("parent")
first = produce(parents, "parent")
children = [spawn(f"worker {number}") for number in range(workers)]
# The parent's client works on while its workers live, and after them.
second = produce(parents, "parent")
found = []
for child, reader in children:
    with os.fdopen(reader) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    found.append({"status": status, **json.loads(text or "{}")})
third = produce(parents, "parent")
del parents
print(json.dumps({"parent": [first, second, third], "threads left": threads_left(), "workers": found}))
