"""An application that does what it is told, line by line, and tells what came of it.

application.py BROKERS TOPIC [PROPERTY=VALUE]...

producer ID         creates a producer: created
consumer ID         creates a consumer of the topic, in a group of the same name: created
took                what the last constructor took, in ms
produce ID COUNT    so many records, each delivered: delivered COUNT
consume ID COUNT    so many records: consumed COUNT
close ID            closes a consumer: closed

It ends with its stdin, at once: nobody says goodbye.

Records are JSON, each with a callback, and the thread that creates the clients runs an event loop:
what superstream-confluent-kafka publishes after the registration it publishes for such applications
alone. Elsewhere it makes a loop of its own and does not wake it.
"""

import asyncio
import json
import os
import sys
import time

from confluent_kafka import Consumer, Producer

PATIENCE_S = 110
PAUSE_S = 0.02

brokers, topic = sys.argv[1:3]
properties = {"bootstrap.servers": brokers, **dict(each.split("=", 1) for each in sys.argv[3:])}
clients = {}
took_s = 0.0


def create(name, make, **more):
    global took_s
    begin = time.monotonic()
    clients[name] = make({**properties, "client.id": name, **more})
    took_s = time.monotonic() - begin


def producer(name):
    create(name, Producer, **{"linger.ms": 5})
    return "created"


def consumer(name):
    create(name, Consumer, **{"group.id": name, "auto.offset.reset": "earliest"})
    clients[name].subscribe([topic])
    return "created"


def took():
    return f"{took_s * 1000:.3f}"


def close(name):
    clients[name].close()
    return "closed"


async def until(is_so):
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(PAUSE_S)


async def produce(name, count):
    told = []
    for number in range(int(count)):
        clients[name].produce(topic, json.dumps({"order": number}),
                              on_delivery=lambda error, _: told.append(error))
    await until(lambda: clients[name].poll(0) >= 0 and len(told) == int(count))
    failed = [error for error in told if error is not None]
    return f"failed {failed}" if failed else f"delivered {count}"


async def consume(name, count):
    values = []

    def is_complete():
        while len(values) < int(count) and (message := clients[name].poll(0)) is not None:
            if message.error() is not None:
                raise RuntimeError(message.error())
            values.append(json.loads(message.value())["order"])
        return len(values) == int(count)

    await until(is_complete)
    return f"consumed {count}"


COMMANDS = {each.__name__: each for each in [producer, consumer, close, took, produce, consume]}


async def turn():
    while True:
        await asyncio.sleep(PAUSE_S)


async def main():
    # A loop that has nothing to do does not see what other threads hand to it without waking it.
    turning = asyncio.create_task(turn())
    # What goes wrong in tasks that are not ours is not ours to tell.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, *arguments = line.split()
        answer = COMMANDS[name](*arguments)
        print(await answer if asyncio.iscoroutine(answer) else answer, flush=True)
    turning.cancel()


try:
    asyncio.run(main())
    status = 0
except BaseException as error:
    print(f"application: {error!r}", file=sys.stderr, flush=True)
    status = 1
# Superstream's client has threads that nobody can end.
os._exit(status)
