"""A peer of the Python library, unchanged, that does what lines on its input say.

    peer.py server PORT | client PORT
"""
import ctypes
import signal
import socket
import sys

import veltix
from veltix import Client, ClientConfig, MessageType, Request, Server, ServerConfig

# It ends with whoever started it.
ctypes.CDLL(None).prctl(1, signal.SIGKILL)

OLD = veltix.__version__.startswith("1.")
if OLD:
    from veltix import Events
    from veltix.internal import performance_mode

    # Its settings, not its code: a send that takes longer than this is cut off in the middle, half
    # a second by default, which a machine that is busy with other tests may need.
    performance_mode.PERFORMANCE_SETTINGS[performance_mode.PerformanceMode.BALANCED] = (
        performance_mode.PerformanceModeSettings(socket_timeout=10.0, description="")
    )
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
        if OLD:
            server.set_callback(Events.ON_RECV, lambda c, r: say("recv", shown(r)))
            server.set_callback(Events.ON_CONNECT, lambda c: say("connect"))
            server.set_callback(Events.ON_DISCONNECT, lambda c: say("disconnect"))
            server.route(CHAT)(lambda r, c: self.send(c, reply(r, r.content)))
        else:
            server.on_recv(lambda c, r: say("recv", shown(r)))
            server.on_connect(lambda c: say("connect"))
            server.on_disconnect(lambda c: say("disconnect"))
            server.route(CHAT)(lambda c, r: self.send(c, reply(r, r.content)))
        server.start()
        # The old one may come back before it listens.
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                pass
        say("ready")

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
        elif command == "broadcast":
            request = Request(OTHER, rest.encode())
            if OLD:
                sockets = self.server.get_all_clients_sockets()
                say("sent", self.server.get_sender().broadcast(request, sockets))
            else:
                say("sent", self.server.broadcast(request))


class ClientPeer:
    def __init__(self, port):
        config = ClientConfig(server_addr="127.0.0.1", port=port, retry=100, retry_delay=0.05)
        client = self.client = Client(config)
        if OLD:
            client.set_callback(Events.ON_RECV, lambda r: say("recv", shown(r)))
            client.set_callback(Events.ON_CONNECT, lambda: say("connect"))
        else:
            client.on_recv(lambda r: say("recv", shown(r)))
            client.on_connect(lambda: say("connect"))
        client.route(CHAT)(lambda r: self.send(reply(r, r.content)))
        say("connected", client.connect())

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
        elif command == "disconnect":
            say("disconnected", self.client.disconnect())


role, port = sys.argv[1:]
peer = (ServerPeer if role == "server" else ClientPeer)(int(port))
for line in sys.stdin:
    word, _, rest = line.rstrip("\n").partition(" ")
    try:
        peer.do(word, rest)
    except Exception as error:
        say("failed", repr(error))
