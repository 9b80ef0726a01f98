"""What superstream-confluent-kafka takes from a constructor to the client with its configuration.

sdk.py BROKERS COUNT

Creates producers one after the other and prints how many nanoseconds each took.
"""

import os
import sys
import time

from confluent_kafka import Producer

brokers, count = sys.argv[1:]
producers = []
for _ in range(int(count)):
    begin = time.monotonic_ns()
    producers.append(Producer({"bootstrap.servers": brokers}))
    print(time.monotonic_ns() - begin, flush=True)
# It has threads that nobody can end.
os._exit(0)
