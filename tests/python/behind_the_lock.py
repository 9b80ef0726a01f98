"""A service and a client in one process. ctypes.PyDLL keeps the interpreter's lock during a
call, so the service cannot answer while rd_kafka_new() runs."""

import ctypes
import http.server
import json
import os
import threading
import time

told = threading.Event()


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        advice = {"linger.ms": 50}
        body = json.dumps({
            "client_hash": "a", "start": True, "optimized_configuration": advice,
        }).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        told.set()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["SUPERSTREAM_HOST"] = f"http://127.0.0.1:{server.server_port}"

locked = ctypes.PyDLL("librdkafka.so.1")
free = ctypes.CDLL("librdkafka.so.1")
# Where Superstream is: in that library, or preloaded.
everywhere = free if hasattr(free, "superstream_status") else ctypes.CDLL(None)


def create(library):
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_new.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
    ]
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    before = time.monotonic()
    client = library.rd_kafka_new(0, library.rd_kafka_conf_new(), None, 0)
    assert client
    return client, time.monotonic() - before


def status(client):
    ask = everywhere.superstream_status
    ask.restype = ctypes.c_char_p
    ask.argtypes = [ctypes.c_void_p]
    return json.loads(ask(client))


def linger(client):
    """What the engine runs with."""
    free.rd_kafka_conf.restype = ctypes.c_void_p
    free.rd_kafka_conf.argtypes = [ctypes.c_void_p]
    free.rd_kafka_conf_get.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t),
    ]
    value, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    assert not free.rd_kafka_conf_get(
        free.rd_kafka_conf(client), b"linger.ms", value, ctypes.byref(size),
    )
    return value.value.decode()


def account(client, seconds):
    return {"s": seconds, "linger": linger(client), "note": status(client)["note"]}


first = create(locked)
second = create(locked)
# The lock is free now: the thread registers both clients by itself.
registered = told.wait(60)
third = create(free)
print(json.dumps({
    "first": account(*first),
    "second": account(*second),
    "registered": registered,
    "third": account(*third),
}))
