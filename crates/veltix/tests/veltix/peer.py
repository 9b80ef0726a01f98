"""A peer of the Python library, unchanged, that does what lines on its input say.

    peer.py server PORT | client PORT [RETRY [HANDSHAKE_TIMEOUT]]
"""
import ctypes
import signal
import socket
import sys
import threading

import veltix
from veltix import Client, ClientConfig, MessageType, Request, Server, ServerConfig

# It ends with whoever started it.
ctypes.CDLL(None).prctl(1, signal.SIGKILL)

OLD = veltix.__version__.startswith("1.")
if OLD:
    from veltix import Events
CHAT = MessageType(200, "chat")
OTHER = MessageType(201, "other")
veltix.Logger.get_instance().disable() if hasattr(veltix.Logger.get_instance(), "disable") else None


def say(*words):
    # In one piece: several threads speak.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def shown(response):
    content = response.content
    return content.decode() if len(content) < 100 else f"{len(content)} bytes of {content[0]}"


def reply(response, content):
    request = Request(CHAT, content)
    request.respond(response)
    return request


class ServerPeer:
    def __init__(self, port):
        self.server = Server(ServerConfig(host="127.0.0.1", port=port))
        server = self.server
        self.refused = threading.Event()
        if OLD:
            server.set_callback(Events.ON_RECV, lambda c, r: say("recv", shown(r)))
            server.set_callback(Events.ON_CONNECT, lambda c: say("connect"))
            server.set_callback(Events.ON_DISCONNECT, self.left)
            server.route(CHAT)(lambda r, c: self.send(c, reply(r, r.content)))
        else:
            server.on_recv(lambda c, r: say("recv", shown(r)))
            server.on_connect(lambda c: say("connect"))
            server.on_disconnect(self.left)
            server.route(CHAT)(lambda c, r: self.send(c, reply(r, r.content)))
        server.start()
        # The old one may come back before it listens.
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                pass
        # Those who are told as refused from now on are no such visitors.
        self.refused.wait()
        say("ready")

    def left(self, client):
        if client.handshake_done:
            say("disconnect")
        elif self.refused.is_set():
            say("refused")
        self.refused.set()

    def send(self, client, request):
        if OLD:
            self.server.get_sender().send(request, client=client.conn)
        else:
            self.server.send(request, client)

    def first(self):
        return [c for c in self.server.clients if c.handshake_done][0]

    def do(self, command, rest):
        if command == "ask":
            answer = self.server.send_and_wait(Request(CHAT, rest.encode()), self.first(), 20)
            say("answer", shown(answer))
        elif command == "ping":
            say("pong", self.server.ping_client(self.first(), timeout=20) is not None)
        elif command == "send":
            self.send(self.first(), Request(OTHER, rest.encode()))
        elif command in ("broadcast", "broadcast_but_first"):
            request = Request(OTHER, rest.encode())
            excepted = [self.first().conn] if command == "broadcast_but_first" else []
            if OLD:
                sockets = self.server.get_all_clients_sockets()
                say("sent", self.server.get_sender().broadcast(request, sockets, excepted))
            else:
                say("sent", self.server.broadcast(request, excepted))
        elif command == "patient":
            say("patient", self.first().conn.settimeout(10.0))


class ClientPeer:
    def __init__(self, port, retry=1000, handshake_timeout=5.0):
        config = ClientConfig(server_addr="127.0.0.1", port=port, retry=int(retry),
                              retry_delay=0.05, handshake_timeout=float(handshake_timeout))
        self.connects = 0
        client = self.client = Client(config)
        if OLD:
            client.set_callback(Events.ON_RECV, lambda r: say("recv", shown(r)))
            client.set_callback(Events.ON_CONNECT, self.connected)
        else:
            client.on_recv(lambda r: say("recv", shown(r)))
            client.on_connect(self.connected)
        client.route(CHAT)(lambda r: self.send(reply(r, r.content)))
        say("connected", client.connect())

    def connected(self):
        self.connects += 1
        say("connect", self.connects)

    def send(self, request):
        return self.client.get_sender().send(request) if OLD else self.client.send(request)

    def do(self, command, rest):
        if command == "ask":
            answer = self.client.send_and_wait(Request(CHAT, rest.encode()), 20)
            say("answer", shown(answer))
        elif command == "big":
            answer = self.client.send_and_wait(Request(CHAT, b"x" * int(rest)), 60)
            say("answer", shown(answer))
        elif command == "ping":
            say("pong", self.client.ping_server(timeout=20) is not None)
        elif command == "send":
            say("sent", self.send(Request(OTHER, rest.encode())))
        elif command == "patient":
            say("patient", self.client.socket.settimeout(10.0))
        elif command == "disconnect":
            say("disconnected", self.client.disconnect())


role, port, *more = sys.argv[1:]
peer = (ServerPeer if role == "server" else ClientPeer)(int(port), *more)
for line in sys.stdin:
    word, _, rest = line.rstrip("\n").partition(" ")
    try:
        peer.do(word, rest)
    except Exception as error:
        say("failed", repr(error))
