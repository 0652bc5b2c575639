"""Jitsi's web server and Prosody, whose answers are one `send` each, so that runs are alike."""

import base64
import hashlib
import re
import socketserver
import struct
import threading

import backend

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
FEATURES = (
    "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism>"
    "</mechanisms></stream:features>"
)
OPEN = (
    f"<open xmlns='{FRAMING}' from='{backend.XMPP_DOMAIN}' id='a1' version='1.0' xml:lang='en'/>"
)
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
MESSAGE = (
    f"<message xmlns='jabber:client' type='groupchat' from='{backend.ROOM}@muc.meet.jitsi/0a1b2c3d'"
    " to='0a1b2c3d@meet.jitsi/r'><body>A message as people in a meeting send it.</body></message>"
)
BOUND = (
    "<iq xmlns='jabber:client' type='result' id='bind'>"
    "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>0a1b2c3d@meet.jitsi/r</jid></bind></iq>"
)
POLLED = f"<body xmlns='{backend.BOSH}' xmlns:stream='http://etherx.jabber.org/streams'>{MESSAGE}</body>"

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(socketserver.StreamRequestHandler):
    """One connection of the gateway."""

    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            path = line.split()[1].decode().partition("?")[0]
            fields = {}
            while (field := self.rfile.readline().strip()):
                name, _, value = field.decode().partition(":")
                fields[name.lower()] = value.strip()
            body = self.rfile.read(int(fields.get("content-length", 0)))
            if fields.get("upgrade") == "websocket":
                self.switch(fields["sec-websocket-key"])
                return
            self.respond(path, body)

    def respond(self, path, body):
        if path == "/http-bind":
            kind = "text/xml; charset=utf-8"
            content = (POLLED if b" sid=" in body else backend.CREATED).encode()
        else:
            kind, content = self.server.files.get(path, self.server.files["/"])
        # For years, whatever the date of the day is.
        lifetime = "Cache-Control: max-age=2000000000\r\n" if "/cached" in path else ""
        head = (
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 01 Aug 2026 12:00:00 GMT\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n{lifetime}"
            "Last-Modified: Sat, 01 Aug 2026 10:00:00 GMT\r\nConnection: keep-alive\r\n"
            'ETag: "66ab5c10-400"\r\nAccept-Ranges: bytes\r\n\r\n'
        )
        self.request.sendall(head.encode() + content)

    def switch(self, key):
        """Speaks XMPP over WebSocket (RFC 7395): one answer to each frame."""
        accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
        self.request.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n".encode()
        )
        while (text := self.read_frame()) is not None:
            if re.match(rb"<open\b", text):
                answers = [OPEN, FEATURES]
            elif re.match(rb"<auth\b", text):
                answers = [SUCCESS]
            elif re.match(rb"<iq\b", text):
                answers = [BOUND]
            else:
                answers = [MESSAGE]
            self.request.sendall(b"".join(frame(0x81, answer.encode()) for answer in answers))

    def read_frame(self):
        head = self.rfile.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.rfile.read(2))
        mask = self.rfile.read(4) if head[1] & 0x80 else bytes(4)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length)))


def frame(first, content, mask=b""):
    """A frame of less than 64 KiB (RFC 6455 § 5.2)."""
    masked = 0x80 if mask else 0
    if len(content) < 126:
        head = bytes([first, masked | len(content)])
    else:
        head = bytes([first, masked | 126]) + struct.pack(">H", len(content))
    if mask:
        content = bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))
    return head + mask + content


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """The gateway stopped while its connection was open."""


def start():
    """A server for both, whose port is the answer."""
    server = Server(("127.0.0.1", 0), Handler)
    page = ("text/html", backend.page().encode())
    file = "<svg>".ljust(backend.KIB - 6).encode() + b"</svg>"
    script = backend.script(100 * backend.KIB).encode()
    server.files = {
        "/": page,
        "/images/watermark.svg": ("image/svg+xml", file),
        "/libs/app.bundle.min.js": ("text/javascript", script),
        # Types that are not compressed.
        "/images/cached.png": ("image/png", file),
        "/libs/cached.wasm": ("application/wasm", script),
        "/static/close.html": ("text/html", b"<p>Thank you</p>\n"),
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
