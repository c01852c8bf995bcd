"""WebSockets on streams of one connection of HTTP/2 (RFC 8441), by `h2` and `wsproto`: messages of each length, fragments, pings,
compression, an origin that is refused, Close."""
import socket
import ssl
import sys
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

STREAMS = 3


class Client:
    """One connection, whose streams are WebSockets."""

    def __init__(self, url):
        address = urlsplit(url)
        self.scheme, self.authority = address.scheme, address.netloc
        self.stream = socket.create_connection((address.hostname, address.port), timeout=60)
        if self.scheme == "https":
            # The certificate of the test is self-signed.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.stream = context.wrap_socket(self.stream, server_hostname="localhost")
            assert self.stream.selected_alpn_protocol() == "h2"
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.heads, self.data, self.ended = {}, {}, set()
        self.flush()
        while not self.http.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL):
            self.receive()

    def flush(self):
        self.stream.sendall(self.http.data_to_send())

    def receive(self):
        received = self.stream.recv(65536)
        assert received, "the connection has ended"
        for event in self.http.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                self.heads[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.data.setdefault(event.stream_id, bytearray()).extend(event.data)
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self.ended.add(event.stream_id)
        self.flush()

    def connect(self, path, **fields):
        stream = self.http.get_next_available_stream_id()
        head = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", self.scheme),
            (":path", path),
            (":authority", self.authority),
            ("sec-websocket-version", "13"),
        ]
        self.http.send_headers(stream, head + [(name.replace("_", "-"), value) for name, value in fields.items()])
        self.flush()
        while stream not in self.heads:
            self.receive()
        return stream, self.heads[stream]

    def send(self, stream, payload):
        while payload:
            room = min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)
            if room == 0:
                self.receive()
                continue
            self.http.send_data(stream, payload[:room])
            payload = payload[room:]
            self.flush()


class WebSocket:
    def __init__(self, client, path, extensions):
        offers = {"sec_websocket_extensions": f"permessage-deflate; {extension.offer()}" for extension in extensions}
        self.client = client
        self.stream, head = client.connect(path, **offers)
        assert head[":status"] == "200", head
        chosen = head.get("sec-websocket-extensions", "")
        assert bool(chosen) == bool(extensions), head
        for extension in extensions:
            extension.finalize(chosen)
        self.engine = Connection(ConnectionType.CLIENT, extensions)

    def send(self, event):
        self.client.send(self.stream, self.engine.send(event))

    def events(self):
        while True:
            pending = bytes(self.client.data.pop(self.stream, b""))
            if pending:
                self.engine.receive_data(pending)
                yield from self.engine.events()
            else:
                self.client.receive()

    def message(self, events):
        """The next message, whose parts may arrive one after the other, and the payloads of pongs before it."""
        parts, pongs = [], []
        for event in events:
            if isinstance(event, Pong):
                pongs.append(bytes(event.payload))
                continue
            assert isinstance(event, (TextMessage, BytesMessage)), event
            parts.append(event.data)
            if event.message_finished:
                empty = "" if isinstance(event, TextMessage) else b""
                return empty.join(parts), pongs


def exchange(client, path, is_compressed):
    sockets = [WebSocket(client, path, [PerMessageDeflate()] if is_compressed else []) for _ in range(STREAMS)]
    events = [socket.events() for socket in sockets]
    for length in [0, 1, 125, 126, 65535, 65536, 200000]:
        for message in ["é" * (length // 2), bytes(length)]:
            kind = TextMessage if isinstance(message, str) else BytesMessage
            for socket in sockets:
                socket.send(kind(data=message))
            for socket, of_socket in zip(sockets, events):
                assert socket.message(of_socket) == (message, []), length
    for socket, of_socket in zip(sockets, events):
        socket.send(TextMessage(data="frag", message_finished=False))
        socket.send(Ping(payload=b"payload"))
        socket.send(TextMessage(data="ments"))
        assert socket.message(of_socket) == ("fragments", [b"payload"])
    for socket, of_socket in zip(sockets, events):
        socket.send(CloseConnection(code=4001, reason="done"))
        close = next(of_socket)
        assert isinstance(close, CloseConnection) and close.code == 4001, close
        while socket.stream not in client.ended:
            client.receive()


def main(url):
    client = Client(url)
    _, refused = client.connect("/shared", origin="https://example.org")
    assert refused[":status"] == "403", refused
    _, chosen = client.connect("/shared", sec_websocket_protocol="other, echo")
    assert chosen["sec-websocket-protocol"] == "echo", chosen
    exchange(client, "/shared", False)
    for path in ["/own", "/shared"]:
        exchange(client, path, True)


for address in sys.argv[1:]:
    main(address)
