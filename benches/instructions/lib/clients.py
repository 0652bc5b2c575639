"""Clients that send one request after another on one connection, the same bytes in each run."""

import os
import socket
import ssl
import struct

import rows
from xmpp_framing import MASK, MESSAGE, NEGOTIATION, TEXT, frame, handshake, take_frame


class Http1:
    """HTTP/1.1; `body` makes the body of each request from its number."""

    def __init__(self, target, transport, row, visitor, body=None, status=200):
        self.sock = connect(target, transport, "http/1.1")
        self.body = body
        self.row = row
        self.begin = f"http/1.1 {status} ".encode()
        self.fields = "".join(
            f"{name}: {value}\r\n" for name, value in row.head(visitor).items()
        )
        self.number = 0
        self.buffer = b""

    def request(self):
        self.number += 1
        body = self.body(self.number).encode() if self.body else b""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{self.row.method} {self.row.path} HTTP/1.1\r\n{self.fields}{length}\r\n"
        self.sock.sendall(head.encode() + body)
        head = self.read_through(b"\r\n\r\n").lower()
        if not head.startswith(self.begin):
            raise SystemExit(f"{self.row.path}: {head!r}")
        if b"transfer-encoding: chunked" in head:
            content = self.read_through(b"\r\n0\r\n\r\n")
        else:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            content = self.read(length)
        return content

    def read_through(self, end):
        while (at := self.buffer.find(end)) < 0:
            self.fill()
        return self.read(at + len(end))

    def read(self, length):
        while len(self.buffer) < length:
            self.fill()
        found, self.buffer = self.buffer[:length], self.buffer[length:]
        return found

    def fill(self):
        more = self.sock.recv(256 * 1024)
        if not more:
            raise SystemExit("the gateway closed the connection")
        self.buffer += more

    def close(self):
        self.sock.close()


class Http2(Http1):
    """HTTP/2 (RFC 9113), header fields without Huffman coding or table (RFC 7541 § 6.2.2)."""

    DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1

    def __init__(self, target, row, visitor):
        self.sock = connect(target, "tls", "h2")
        self.buffer = b""
        self.stream = 1
        fields = {
            ":method": row.method, ":scheme": "https", ":path": row.path,
            ":authority": visitor.origin.removeprefix("https://"),
        }
        own = {name.lower(): value for name, value in row.head(visitor).items() if name != "Host"}
        self.block = b"".join(
            b"\0" + text(name) + text(value) for name, value in {**fields, **own}.items()
        )
        # All responses of a run fit into the window, so that no update is counted.
        window = struct.pack(">I", 2**31 - 1 - 65535)
        self.sock.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(self.SETTINGS, 0, 0, b"")
            + self.frame(self.WINDOW_UPDATE, 0, 0, window)
            + self.frame(self.SETTINGS, self.ACK, 0, b"")
        )

    @staticmethod
    def frame(kind, flags, stream, content):
        head = struct.pack(">I", len(content))[1:] + bytes([kind, flags])
        return head + struct.pack(">I", stream) + content

    def request(self):
        flags = self.END_HEADERS | self.END_STREAM
        self.sock.sendall(self.frame(self.HEADERS, flags, self.stream, self.block))
        content = b""
        while True:
            head = self.read(9)
            payload = self.read(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
            if kind == self.DATA and stream == self.stream:
                content += payload
            if kind in (3, 7):
                raise SystemExit(f"the gateway reset the stream: {payload!r}")
            if stream == self.stream and flags & self.END_STREAM:
                break
        self.stream += 2
        return content


class WebSocket(Http1):
    """XMPP over WebSocket: after the stream's negotiation, each request is a message and its answer."""

    def __init__(self, target, visitor):
        self.sock = connect(target, "tls", "http/1.1")
        self.buffer = b""
        self.sock.sendall(handshake(visitor, rows.COMMON))
        head = self.read_through(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise SystemExit(f"no WebSocket: {head!r}")
        for stanza, answers in NEGOTIATION:
            self.send(stanza)
            for _ in range(answers):
                self.receive()

    def send(self, stanza):
        self.sock.sendall(frame(TEXT, stanza.encode(), MASK))

    def receive(self):
        while not (found := take_frame(self.buffer)):
            self.fill()
        first, content, end = found
        if first != TEXT:
            raise SystemExit(f"not a text frame: {self.buffer!r}")
        self.buffer = self.buffer[end:]
        return content

    def request(self):
        self.send(MESSAGE)
        return self.receive()


def text(content):
    """A string literal of HPACK (RFC 7541 § 5.2)."""
    encoded = content.encode()
    length = len(encoded)
    if length < 127:
        return bytes([length]) + encoded
    head, length = [127], length - 127
    while length >= 128:
        head.append(length % 128 + 128)
        length //= 128
    return bytes([*head, length]) + encoded


def connect(target, transport, protocol):
    port = getattr(target.ports, transport)
    # A gateway inside valgrind takes its time.
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if transport == "tcp":
        return sock
    context = ssl.create_default_context(cafile=os.fspath(target.certificate.chain))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(sock, server_hostname="localhost")
